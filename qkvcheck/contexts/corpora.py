"""Corpora: where contexts come from: the three that ship, or a file of sentences (`qkvcheck.contexts.corpus_files`).

Reading (`read_corpus`) is apart from tokenising (`encode_corpus`), so that a file can be checked before
any tokenizer is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from qkvcheck.contexts.context import Context, ContextSet, Encoder
from qkvcheck.contexts.corpus_files import LECTURE_SHA256, Line, checked_lines, hash_lines, json_lines, read_lines
from qkvcheck.contexts.targets import make_context, resolve_tokens
from qkvcheck.errors import ContextError
from qkvcheck.inputs import Given

BUILT_IN = ("replication", "balanced", "grammatical")
LEAST_HOLDING = 2
"""Of a corpus of which only those sentences are taken that hold the target, so many are needed."""


@dataclass(frozen=True)
class Corpus:
    """Sentences as they stand in a file, with the hash of their texts."""

    lines: tuple[Line, ...]
    name: str
    sha256: str

    def first(self, count: int | None) -> Corpus:
        """Return the first so many sentences, with their own hash; without a number, or of fewer, all.

        Examples
        --------
        >>> len(read_corpus("replication").first(20).lines)
        20
        """
        if count is None or count >= len(self.lines):
            return self
        return _corpus(self.lines[:count], self.name)


def is_lecture(sha256: str) -> bool:
    """Tell whether a corpus with this hash is the lecture's own 54 sentences."""
    return sha256 == LECTURE_SHA256


def read_corpus(source: str | Path) -> Corpus:
    """Read a corpus: a built-in name, or the path of a file of sentences.

    Parameters
    ----------
    source : str or Path
        ``"replication"``, ``"balanced"``, ``"grammatical"``, or a path, read by its suffix. A text file (``.txt``, or
        none) has one sentence a line; a ``.jsonl`` or ``.ndjson`` file one object a line, ``{"text": ...}`` with an
        optional ``"occurrence"`` and ``"cluster"``; a ``.csv`` or ``.tsv`` file these as columns, named in its first
        line; of an ``.ipynb`` notebook the one list of sentences in its code is taken.

    Raises
    ------
    ContextError
        If the file can't be read, is of another kind, is not UTF-8, is malformed, or holds no sentence.

    Examples
    --------
    >>> len(read_corpus("replication").lines)
    54
    """
    if source in BUILT_IN:
        name = str(source)
        text = (resources.files("qkvcheck") / "data" / "corpora" / f"{name}.jsonl").read_text("utf-8")
        given = Given(Path(name), "corpus", ContextError, "install qkvcheck again")
        return _corpus(checked_lines(json_lines(text, given), given), name)
    return _corpus(read_lines(Path(source), built_in=BUILT_IN), str(source))


def encode_corpus(corpus: Corpus, encoder: Encoder, *, target: str | int, holding: bool = False) -> ContextSet:
    """Tokenise a corpus and find the target in each sentence.

    Parameters
    ----------
    corpus : Corpus
        As `read_corpus` returns it.
    encoder : Encoder
        The model's tokenizer.
    target : str or int
        Text or id of the target token; of a text that is several tokens the last one is what is measured.
    holding : bool
        Whether sentences that don't hold the target as they should (exactly once, or at their `occurrence`) are left
        out, and not refused.

    Raises
    ------
    ContextError
        If the target is no token, a sentence does not hold it as it should, or fewer than two are left.

    Examples
    --------
    >>> from qkvcheck import load_model
    >>> contexts = encode_corpus(read_corpus("replication"), load_model("embedded").encoder, target=" her")
    >>> len(contexts), contexts.target
    (54, ' her')
    """
    text, (*before, target_id) = resolve_tokens(target, encoder)
    earlier = tuple(before)
    found: list[Context] = []
    for line in corpus.lines:
        where = f"{corpus.name}, line {line.number}"
        try:
            context = make_context(
                line.text,
                encoder,
                target=text,
                target_id=target_id,
                earlier=earlier,
                occurrence=line.occurrence,
                where=where,
            )
        except ContextError:
            if holding:
                continue
            if corpus.name in BUILT_IN:
                raise _not_in_built_in(corpus, text) from None
            raise
        found.append(replace(context, cluster=line.cluster))
    if not holding:
        return ContextSet(tuple(found), text, target_id, corpus.name, corpus.sha256, earlier=earlier)
    if len(found) < LEAST_HOLDING:
        raise _too_few(corpus, text, len(found))
    taken = hash_lines([context.text for context in found])
    count = len(corpus.lines)
    return ContextSet(tuple(found), text, target_id, corpus.name, taken, sentences=count, earlier=earlier)


def _not_in_built_in(corpus: Corpus, target: str) -> ContextError:
    return ContextError(
        f"the sentences of {corpus.name} are made for the target ' her' and don't all hold {target!r} once; name a "
        "file of sentences that do with --qkv-corpus, or leave --qkv-target out."
    )


def _too_few(corpus: Corpus, target: str, count: int) -> ContextError:
    if corpus.name in BUILT_IN:
        why = "the corpora that come with qkvcheck are made for ' her': name a file of sentences of your own"
    else:
        why = "add sentences that do, or name another file"
    return ContextError(
        f"--qkv-target {target!r}: {count} of the {len(corpus.lines)} sentences of {corpus.name} hold it exactly once "
        f'(or at their "occurrence"), and {LEAST_HOLDING} are the least; {why} with --qkv-corpus, or leave this target '
        "out."
    )


def _corpus(lines: Sequence[Line], name: str) -> Corpus:
    return Corpus(tuple(lines), name, hash_lines([line.text for line in lines]))
