"""Sampling: independent random contexts from fixed word lists, for rates and for contexts nobody picked.

Draws are independent and seeded, so that a count of violations among them is binomial. Hypothesis's draws
are not (they search), and are never counted.
"""

from __future__ import annotations

import numpy as np

from qkvcheck.contexts.context import Context, ContextSet, Encoder
from qkvcheck.contexts.corpus_files import hash_lines
from qkvcheck.contexts.targets import make_context
from qkvcheck.contexts.vocabulary import parts_before, word_lists
from qkvcheck.errors import ContextError

_TRIES_PER_CONTEXT = 50


def other_words() -> list[str]:
    """Return the words that stand in the target's place in the control ``different-words``."""
    return [str(word) for word in word_lists()["words"]["any"]]


def draw_contexts(
    encoder: Encoder,
    *,
    count: int,
    rng: np.random.Generator,
    target: str,
    target_id: int,
    earlier: tuple[int, ...] = (),
    exclude: frozenset[tuple[int, ...]] = frozenset(),
    grammatical: bool = False,
) -> ContextSet:
    """Draw contexts with different left prefixes.

    A context is a subject of one to four words (each length equally likely), a verb, the target, an ending.

    Parameters
    ----------
    encoder : Encoder
        The model's tokenizer.
    count : int
        How many.
    rng : numpy.random.Generator
        Source of the draws.
    target, target_id : str, int
        As `qkvcheck.contexts.resolve_target` returns them; the id of the last token, where it has several.
    earlier : tuple of int
        Ids of its tokens before the last one.
    exclude : frozenset of tuple of int
        Left prefixes that must not be drawn, such as those of the corpus.
    grammatical : bool
        Whether the target's part in the sentence varies: object, possessive, after a preposition and so on, each part
        equally likely, and not after a verb alone.

    Raises
    ------
    ContextError
        If the word lists don't give that many different prefixes.
    """
    lists = word_lists()
    subjects, verbs, endings = list(lists["subjects"].values()), lists["verbs"]["any"], lists["endings"]["any"]
    parts = list(parts_before().values())
    drawn: dict[tuple[int, ...], Context] = {}
    for _ in range(count * _TRIES_PER_CONTEXT):
        if len(drawn) == count:
            break
        phrases = subjects[rng.integers(len(subjects))]
        before = parts[rng.integers(len(parts))] if grammatical else verbs
        subject, verb, ending = (str(rng.choice(options)) for options in (phrases, before, endings))
        sentence = f"{subject} {verb}{target} {ending}"
        context = make_context(
            sentence, encoder, target=target, target_id=target_id, earlier=earlier, where="drawn context"
        )
        if context.prefix not in exclude:
            drawn.setdefault(context.prefix, context)
    if len(drawn) < count:
        raise ContextError(
            f"{count} different contexts were asked for and the word lists gave {len(drawn)}; ask for fewer."
        )
    contexts = tuple(drawn.values())
    return ContextSet(contexts, target, target_id, "drawn", hash_lines([c.text for c in contexts]), earlier=earlier)
