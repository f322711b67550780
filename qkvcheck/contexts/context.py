"""Contexts: short texts that hold one target token, their token ids, and what a model can see of them.

A causal model sees nothing to the right of the target, so 54 sentences are at most 54 left prefixes.
The audit counts those, because they, not the sentences, are the observations.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from qkvcheck.errors import ContextError

LEAST_FIRST_WORDS = 18


class Encoder(Protocol):
    """The part of a tokenizer that contexts need."""

    def __hash__(self) -> int:
        """Tell encoders apart, so that what was made of one can be kept."""

    @property
    def name(self) -> str:
        """Whose tokens these are, for messages."""

    @property
    def plain_tokens(self) -> Sequence[int]:
        """Every token but the special ones."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of `text`, with no special tokens added."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of `token_ids`."""


@dataclass(frozen=True, repr=False)
class Context:
    """One text with its token ids and the place of the target token in them.

    Attributes
    ----------
    text : str
        The sentence.
    token_ids : tuple of int
        Its tokens, as the model's tokenizer splits it.
    target_index : int
        Zero-based position of the target token; of a target of several tokens that of the last one.
    cluster : str or None
        A label of the user's: contexts that share it may depend on each other.
    target_length : int
        Tokens of the target.

    Examples
    --------
    >>> Context("I saw her.", (40, 2497, 607, 13), 2).prefix
    (40, 2497)
    """

    text: str
    token_ids: tuple[int, ...]
    target_index: int
    cluster: str | None = None
    target_length: int = 1

    def __repr__(self) -> str:
        return f"Context({self.text!r}, target_index={self.target_index})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Print as a sentence in hypothesis's and IPython's output too."""
        printer.text(repr(self))

    @property
    def target_start(self) -> int:
        """Zero-based position of the target's first token."""
        return self.target_index - self.target_length + 1

    @property
    def prefix(self) -> tuple[int, ...]:
        """Token ids left of the target: all that a causal model has seen before it."""
        return self.token_ids[: self.target_start]

    def continued(self, *token_ids: int, word: str, whole: bool = False) -> Context:
        """Return the context with another word in the target's place, and nothing after it unless `whole`.

        Parameters
        ----------
        *token_ids : int
            The other word's tokens; they take the place of all of the target's.
        word : str
            Its text, for messages.
        whole : bool
            Whether what stands after the target is kept: a bidirectional model sees it.

        Examples
        --------
        >>> context = Context("I saw her.", (40, 2497, 607, 13), 2)
        >>> context.continued(683, word=" him").token_ids, context.continued(683, word=" him", whole=True).token_ids
        ((40, 2497, 683), (40, 2497, 683, 13))
        """
        text = f"{self.text} [{word.strip()}]"
        after = self.token_ids[self.target_index + 1 :] if whole else ()
        ids, length = (*self.prefix, *token_ids, *after), len(token_ids)
        index = self.target_start + length - 1
        return replace(self, text=text, token_ids=ids, target_index=index, target_length=length)


@dataclass(frozen=True, repr=False)
class ContextSet:
    """Contexts that share a target token.

    Attributes
    ----------
    contexts : tuple of Context
        In the order of the file.
    target : str
        Text of the target token, such as ``" her"``.
    target_id : int
        Its id in the model's tokenizer; of a target of several tokens that of the last one.
    name : str
        Name of the corpus, or the path it was read from.
    sha256 : str
        Hash of the lines joined by newlines with one at the end.
    sentences : int or None
        How many sentences the corpus has, where those alone were taken that hold the target; None where all were.
    earlier : tuple of int
        Ids of the target's tokens before the last one.

    Examples
    --------
    >>> rows = (Context("I saw her.", (40, 2497, 607, 13), 2), Context("We saw her.", (1135, 2497, 607, 13), 2))
    >>> len(ContextSet(rows, " her", 607, "two", "0" * 64).subset([1]))
    1
    """

    contexts: tuple[Context, ...]
    target: str
    target_id: int
    name: str
    sha256: str
    sentences: int | None = None
    earlier: tuple[int, ...] = ()

    def __repr__(self) -> str:
        shown = "".join(f"\n  {context.text!r}" for context in self.contexts)
        return f"ContextSet({self.name!r}, {self.target!r}, {len(self)} contexts:{shown})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Print as sentences in hypothesis's and IPython's output too."""
        printer.text(repr(self))

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def target_indices(self) -> list[int]:
        """Position of the target in each context: of its last token."""
        return [context.target_index for context in self.contexts]

    @property
    def preceding_indices(self) -> list[int]:
        """Position of the token before the target's first one in each context; -1 where there is none."""
        return [context.target_start - 1 for context in self.contexts]

    @property
    def target_ids(self) -> tuple[int, ...]:
        """Ids of all of the target's tokens."""
        return (*self.earlier, self.target_id)

    @property
    def asked(self) -> str | int:
        """The target as `resolve_tokens` gives it again: its id, or of several tokens its text."""
        return self.target if self.earlier else self.target_id

    @property
    def tokens_sha256(self) -> str:
        """Hash of what a model is given: the token ids of every context, and where the target stands in it."""
        target = self.target_ids if self.earlier else self.target_id
        given = [target, [[context.token_ids, context.target_index] for context in self.contexts]]
        return hashlib.sha256(json.dumps(given).encode()).hexdigest()

    def subset(self, indices: Iterable[int]) -> ContextSet:
        """Return the contexts with the given numbers, in that order."""
        return replace(self, contexts=tuple(self.contexts[i] for i in indices))


def clusters_of(contexts: ContextSet, how: str = "auto", *, causal: bool = True) -> tuple[tuple[str, ...], str]:
    """Tell which contexts may depend on each other and leave a jackknife together.

    Parameters
    ----------
    contexts : ContextSet
        The contexts.
    how : {"auto", "first-word", "preceding-token", "position", "prefix", "label"}
        By their first token, by the token before the target, by the target's place, by all tokens left of the target,
        or by the labels that a JSONL corpus gives. ``auto`` takes labels where every context has one, else first tokens
        where there are at least 18, else prefixes.
    causal : bool
        Whether a target sees nothing after it. Where it sees the whole context, ``auto`` and ``prefix`` go by that.

    Returns
    -------
    clusters : tuple of str
        One a context.
    kind : str
        What makes a cluster, in words.

    Raises
    ------
    ContextError
        If labels are asked for and a context has none.
    """
    rows = contexts.contexts
    labelled = all(row.cluster is not None for row in rows)
    if how == "label" and not labelled:
        raise ContextError(
            f'{contexts.name} does not label every context; give each line of a JSONL corpus a "cluster", or choose '
            "another --qkv-clusters."
        )
    if how == "label" or (how == "auto" and labelled):
        return tuple(str(row.cluster) for row in rows), "label"
    if how == "preceding-token":
        return tuple(f"before {row.prefix[-1]:06d}" if row.prefix else "none" for row in rows), "preceding token"
    if how == "position":
        return tuple(f"position {row.target_index:04d}" for row in rows), "position"
    if not causal and how != "first-word":
        wholes = (" ".join(f"{token:06d}" for token in row.token_ids) for row in rows)
        return tuple(
            f"whole {row.target_index} {whole}" for row, whole in zip(rows, wholes, strict=True)
        ), "whole context"
    first_words = tuple(f"word {row.token_ids[0]:06d}" for row in rows)
    if how == "first-word" or (how == "auto" and len(set(first_words)) >= LEAST_FIRST_WORDS):
        return first_words, "first token"
    return tuple("prefix " + " ".join(f"{token:06d}" for token in row.prefix) for row in rows), "distinct row"


def is_word(encoder: Encoder, token: int, word: str) -> bool:
    """Tell whether a token is a word, and not what the tokenizer gives for words that it does not know."""
    return encoder.decode([token]).strip() == word.strip()


@dataclass(frozen=True)
class Audit:
    """What a context set holds, and what a model can see of it.

    Attributes
    ----------
    contexts, distinct_sentences, distinct_prefixes, first_words : int
        Counts. A causal model gives one activation a distinct prefix; for a bidirectional one whole contexts are
        counted as prefixes.
    positions, lengths : dict of int to int
        How many contexts have the target at each index, and how many tokens.
    padded_shape : tuple of int
        (contexts, tokens of the longest).
    unseen_tokens : int
        Tokens to the right of the target, over all contexts: the target of a causal model can't be influenced by them.
        0 for a bidirectional one.
    """

    contexts: int
    distinct_sentences: int
    distinct_prefixes: int
    first_words: int
    positions: dict[int, int]
    lengths: dict[int, int]
    padded_shape: tuple[int, int]
    unseen_tokens: int


def audit(contexts: ContextSet, *, causal: bool = True) -> Audit:
    """Count what a context set holds and what a model can see of it.

    Parameters
    ----------
    contexts : ContextSet
        The contexts.
    causal : bool
        Whether a target sees nothing after it.

    Examples
    --------
    >>> rows = (Context("I saw her.", (40, 2497, 607, 13), 2), Context("I saw her go.", (40, 2497, 607, 467, 13), 2))
    >>> found = audit(ContextSet(rows, " her", 607, "two", "0" * 64))
    >>> found.contexts, found.distinct_prefixes
    (2, 1)
    """
    rows = contexts.contexts
    lengths = [len(row.token_ids) for row in rows]
    return Audit(
        contexts=len(rows),
        distinct_sentences=len({row.text for row in rows}),
        distinct_prefixes=len({row.prefix if causal else (row.target_index, *row.token_ids) for row in rows}),
        first_words=len({row.token_ids[0] for row in rows}),
        positions=dict(sorted(Counter(row.target_index for row in rows).items())),
        lengths=dict(sorted(Counter(lengths).items())),
        padded_shape=(len(rows), max(lengths)),
        unseen_tokens=sum(len(row.token_ids) - row.target_index - 1 for row in rows) if causal else 0,
    )


def match_positions(contexts: ContextSet) -> tuple[list[int], list[int]]:
    """Choose rows so that target and preceding token hold each position equally often.

    Returns
    -------
    target_rows, preceding_rows : list of int
        Numbers of the contexts to take the target from (at positions p), and those to take the token
        before the target's first one from (so that it stands at the same positions p), first in file order.
    """
    by_target: dict[int, list[int]] = {}
    by_preceding: dict[int, list[int]] = {}
    for number, (index, before) in enumerate(zip(contexts.target_indices, contexts.preceding_indices, strict=True)):
        by_target.setdefault(index, []).append(number)
        by_preceding.setdefault(before, []).append(number)
    target_rows: list[int] = []
    preceding_rows: list[int] = []
    for position in sorted(by_target.keys() & by_preceding.keys()):
        keep = min(len(by_target[position]), len(by_preceding[position]))
        target_rows += by_target[position][:keep]
        preceding_rows += by_preceding[position][:keep]
    return target_rows, preceding_rows
