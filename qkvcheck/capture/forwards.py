"""Forwards: which token positions a model has to compute for a set of contexts, and in what arrangement.

Three arrangements give the same numbers where they apply. *Padded*: every context whole, padded on the right to the
longest, as most scripts do it; the reference. *Equal lengths*: contexts of one length a forward, each once, no padding.
*Trie*: prefixes that contexts share are computed once, all of them in one row of nodes, of which each sees its
ancestors only. In a causal model nothing right of the last wanted position is computed in the last two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

PADDED, EQUAL_LENGTHS, TRIE = "padded", "equal lengths", "trie"


@dataclass(frozen=True)
class Wanted:
    """A token sequence, and the positions of it that are wanted.

    Attributes
    ----------
    token_ids : tuple of int
        The tokens.
    positions : tuple of int
        Which positions are wanted.
    slots : tuple of int
        Where each of them goes in the result.
    """

    token_ids: tuple[int, ...]
    positions: tuple[int, ...]
    slots: tuple[int, ...]

    def within(self, before: tuple[int, ...], after: tuple[int, ...]) -> Wanted:
        """Return the same with further tokens before and after it."""
        if not (before or after):
            return self
        positions = tuple(position + len(before) for position in self.positions)
        return Wanted((*before, *self.token_ids, *after), positions, self.slots)

    def cut(self) -> Wanted:
        """Return the same without what stands right of the last wanted position."""
        return Wanted(self.token_ids[: max(self.positions) + 1], self.positions, self.slots)


@dataclass(frozen=True, eq=False)
class Forward:
    """One forward.

    Attributes
    ----------
    token_ids : ndarray of int64
        (row, token).
    present : ndarray of bool
        (row, token): false where there is padding.
    places : ndarray of int64
        (wanted, 2): row and token of what is wanted.
    slots : ndarray of int64
        (wanted,): where each goes in the result.
    depths : ndarray of int64, optional
        (row, token): position in the context, where that is not the token's number.
    visible : ndarray of bool, optional
        (token, token): what each token sees, where that is not everything left of it.
    """

    token_ids: np.ndarray
    present: np.ndarray
    places: np.ndarray
    slots: np.ndarray
    depths: np.ndarray | None = None
    visible: np.ndarray | None = None

    @property
    def computed(self) -> int:
        """How many token positions a model computes."""
        return int(self.token_ids.size)


def padded(wanted: Sequence[Wanted], *, pad_id: int, batch_size: int) -> Iterator[Forward]:
    """Arrange contexts in their order, padded on the right to the longest of all.

    Parameters
    ----------
    wanted : sequence of Wanted
        The contexts.
    pad_id : int
        Token to pad with.
    batch_size : int
        Token positions a forward, at most (one context at least).
    """
    length = max(len(row.token_ids) for row in wanted)
    rows = max(1, batch_size // length)
    for start in range(0, len(wanted), rows):
        yield _rectangle(wanted[start : start + rows], length, pad_id)


def equal_lengths(wanted: Sequence[Wanted], *, batch_size: int) -> Iterator[Forward]:
    """Arrange contexts of equal length together, those with the same tokens once; see `padded`."""
    merged: dict[tuple[int, ...], Wanted] = {}
    for row in wanted:
        before = merged.get(row.token_ids, Wanted(row.token_ids, (), ()))
        merged[row.token_ids] = Wanted(row.token_ids, before.positions + row.positions, before.slots + row.slots)
    distinct = sorted(merged.values(), key=lambda row: (len(row.token_ids), row.token_ids))
    by_length: dict[int, list[Wanted]] = {}
    for row in distinct:
        by_length.setdefault(len(row.token_ids), []).append(row)
    for length, rows in by_length.items():
        step = max(1, batch_size // length)
        for start in range(0, len(rows), step):
            yield _rectangle(rows[start : start + step], length, 0)


def _rectangle(rows: Sequence[Wanted], length: int, pad_id: int) -> Forward:
    token_ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    present = np.zeros((len(rows), length), dtype=bool)
    for number, row in enumerate(rows):
        token_ids[number, : len(row.token_ids)] = row.token_ids
        present[number, : len(row.token_ids)] = True
    places = [(number, position) for number, row in enumerate(rows) for position in row.positions]
    slots = [slot for row in rows for slot in row.slots]
    return Forward(token_ids, present, _array(places, 2), np.array(slots, dtype=np.int64))


def trie(wanted: Sequence[Wanted], *, batch_size: int) -> Iterator[Forward]:
    """Arrange the distinct prefixes of all contexts as nodes of a tree, each of which sees its ancestors.

    Contexts are sorted by their tokens, so that their order changes nothing. A tree of more than `batch_size` nodes is
    cut between contexts, and the path to the cut is computed again.

    Parameters
    ----------
    wanted : sequence of Wanted
        The contexts.
    batch_size : int
        Nodes a forward, at most (one context at least).
    """
    tree = _Tree()
    before: tuple[int, ...] = ()
    for row in sorted(wanted, key=lambda row: row.token_ids):
        shared = _shared(before, row.token_ids)
        if tree.tokens and len(tree.tokens) + len(row.token_ids) - shared > batch_size:
            yield tree.forward()
            tree, shared = _Tree(), 0
        tree.add(row, shared)
        before = row.token_ids
    if tree.tokens:
        yield tree.forward()


def _shared(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Return how many tokens two sequences begin with in common."""
    return next(
        (k for k, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


class _Tree:
    """Nodes in the order in which they were found, parents first."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self._depths: list[int] = []
        self._parents: list[int] = []
        self._path: list[int] = []
        self._nodes: list[int] = []
        self._slots: list[int] = []

    def add(self, row: Wanted, shared: int) -> None:
        """Add a context that begins with the first `shared` nodes of the path of the one before it."""
        del self._path[shared:]
        for depth in range(shared, len(row.token_ids)):
            self._parents.append(self._path[-1] if self._path else -1)
            self._path.append(len(self.tokens))
            self.tokens.append(row.token_ids[depth])
            self._depths.append(depth)
        self._nodes += [self._path[position] for position in row.positions]
        self._slots += row.slots

    def forward(self) -> Forward:
        """Return the forward that computes every node."""
        count = len(self.tokens)
        visible = np.eye(count, dtype=bool)
        for node, parent in enumerate(self._parents):
            if parent >= 0:
                visible[node] |= visible[parent]
        return Forward(
            token_ids=np.array([self.tokens], dtype=np.int64),
            present=np.ones((1, count), dtype=bool),
            places=_array([(0, node) for node in self._nodes], 2),
            slots=np.array(self._slots, dtype=np.int64),
            depths=np.array([self._depths], dtype=np.int64),
            visible=visible,
        )


def _array(rows: Sequence[tuple[int, ...]], width: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, width)
