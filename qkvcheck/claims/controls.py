"""Controls: the same measurement where the claim should not hold, so that a control can take it away.

``different-words``
    The same frames, each with another word in the target's place, at the same positions. It tells what repeating one
    token adds; it decides specificity against words.
``other-token``
    The same frames with another pronoun. It tells whether it is this token, or any repeated one.
``non-target``
    The token before the target, in the same sentences. Different words stand there, at other positions, so it is
    lower for a trivial reason too; in GPT-2 the first position is an attention sink besides.
``position-matched``
    Only the contexts with the target at its commonest position. It tells whether mixing positions made the number.
``untrained``
    Networks of the same configuration with freshly drawn weights. What they show as well, training did not make.
``shuffled``, ``within-column``
    Reference lines in closed form, no evidence: see `qkvcheck.statistics.nulls`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from qkvcheck.capture import PRECEDING, Samples, Variant
from qkvcheck.claims.control_words import SAYS
from qkvcheck.claims.untrained import Captured, Twins, Untrained, default_seeds
from qkvcheck.contexts import ContextSet, Encoder, other_words
from qkvcheck.errors import ModelError, NotCapturedError

NAMES = tuple(SAYS)

_MATCHED = "positions are matched between target and preceding token already"
_NO_TARGET = "its frames hold no one word in the target's place"

Control = Captured | Untrained
"""What a claim's check takes as a control."""


class Controls:
    """The controls of one model, by name.

    Parameters
    ----------
    samples : Samples
        Of the model under test.
    seed : int
        Of the first untrained twin.
    untrained_seeds : int, optional
        How many untrained twins; without it as many as the model's size allows.
    folder : Path, optional
        Where numbers of untrained twins are kept.
    announce : callable, optional
        Told of the progress.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        seed: int = 0,
        untrained_seeds: int | None = None,
        folder: Path | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._samples = samples
        count = default_seeds(samples.hooked.parameters) if untrained_seeds is None else untrained_seeds
        self.twins = Twins(samples, seed=seed, count=count, folder=folder, announce=announce)

    @property
    def target(self) -> Captured:
        """What the controls of `of(lambda samples: samples.target)` stand beside."""
        return self._samples.target

    def of(self, choose: Callable[[Samples], Captured]) -> Mapping[str, Control]:
        """Return the controls that go with a measurement; each is captured when it is looked up.

        Looking up one that makes no sense for the measurement raises `NotCapturedError`.

        Parameters
        ----------
        choose : callable
            Takes from a model's samples what is measured, such as ``lambda samples: samples.target``.
        """
        return _Lazy(
            {
                "different-words": lambda: choose(self.different_words),
                "other-token": lambda: choose(self.other_token),
                "untrained": lambda: Untrained(self.twins, choose),
                "non-target": lambda: choose(self.non_target),
                "position-matched": lambda: choose(self.position_matched),
            }
        )

    @cached_property
    def different_words(self) -> Samples:
        """The same frames, each with another word in the target's place.

        Words are given out in the order of the prefixes, so that the order of the contexts changes nothing.
        """
        encoder, own = self._samples.hooked.encoder, self._samples.contexts.target
        words = []
        for word in other_words():
            try:
                ids = encoder.encode(word)
            except ModelError:  # recorded words only: this one is not among them
                continue
            # A tokenizer that does not know a word gives one token for all such: no word at all.
            if len(ids) == 1 and word != own and _is_word(encoder, ids[0], word):
                words.append((word, ids[0]))
        if len(words) < 2:
            reason = f"{encoder.name} has no other words of one token"
            return self._samples.under(Variant(refused=dict.fromkeys(_EVERYTHING, reason)))

        def change(contexts: ContextSet) -> ContextSet:
            order = np.argsort(np.argsort([str(c.prefix) for c in contexts.contexts], kind="stable"), kind="stable")
            changed = tuple(
                context.continued(words[place % len(words)][1], word=words[place % len(words)][0])
                for context, place in zip(contexts.contexts, order, strict=True)
            )
            return replace(contexts, contexts=changed)

        return self._samples.under(Variant(change, refused={"words": _NO_TARGET}))

    @cached_property
    def other_token(self) -> Samples:
        """The same frames with another pronoun in the target's place."""
        contexts, encoder = self._samples.contexts, self._samples.hooked.encoder
        for word in (" him", " her", " them"):
            try:
                ids = encoder.encode(word)
            except ModelError:
                continue
            if len(ids) == 1 and ids[0] != contexts.target_id and _is_word(encoder, ids[0], word):
                break
        else:
            return self._samples.under(Variant(refused=dict.fromkeys(_EVERYTHING, "no other pronoun of one token")))
        number = ids[0]

        def change(given: ContextSet) -> ContextSet:
            return replace(given, contexts=tuple(c.continued(number, word=word) for c in given.contexts))

        named = replace(change(contexts), target=word, target_id=number)
        return self._samples.under(Variant(change), contexts=named)

    @cached_property
    def non_target(self) -> Samples:
        """The token before the target."""
        refused = {"words": "the token before the target is the same whatever word follows", "matched": _MATCHED}
        if min(self._samples.contexts.target_indices) == 0:
            raise NotCapturedError("in one of the contexts there is no token before the target")
        return self._samples.under(Variant(position=PRECEDING, refused=refused))

    @cached_property
    def position_matched(self) -> Samples:
        """Only the contexts with the target at its commonest position."""
        contexts = self._samples.contexts
        counts = Counter(contexts.target_indices)
        commonest = min(counts, key=lambda index: (-counts[index], index))
        rows = [row for row, index in enumerate(contexts.target_indices) if index == commonest]
        if len(rows) == len(contexts):
            raise NotCapturedError("the target stands at one position in all contexts already")
        return self._samples.under(Variant(refused={"matched": _MATCHED}), contexts=contexts.subset(rows))


def _is_word(encoder: Encoder, token: int, word: str) -> bool:
    return encoder.decode([token]).strip() == word.strip()


_EVERYTHING = ("target", "fresh", "words", "matched")


class _Lazy(Mapping[str, Control]):
    """A mapping whose values are made when they are looked up."""

    def __init__(self, makers: Mapping[str, Callable[[], Control]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> Control:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
