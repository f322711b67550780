"""Distinct: which rows are one observation, and why.

A causal model gives two contexts with the same tokens up to the target the same row: they are one. So are rows that
agree in every dimension up to rounding, as at the first layer, where a vector depends on token and position alone.
The cosine is no measure of that: a single huge dimension makes it 1 for rows that differ in all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEW_UNITS, MANY_UNITS = 4, 128
"""Units of rounding that rows of one context may be apart: where the tokens are known, and where they are not. Without
them the rows may come from two passes of the whole model, in other batches: 39 units were seen, and none at layer 0."""
MOST = 0.01
"""Where tokens are not known and the number format is narrow: as far apart as rows may be all the same."""
_SCREENS = 4
"""Dimensions that are looked at first."""


@dataclass(frozen=True)
class Merged:
    """How many contexts of a captured array count with an earlier one.

    Attributes
    ----------
    contexts : int
        All of them.
    same_tokens : int
        Those that have the tokens of an earlier one up to the target.
    equal_rows : int
        Those whose numbers are an earlier one's up to rounding, though their tokens are others or not known.
    tokens_known : bool
        Whether the tokens are known.
    """

    contexts: int
    same_tokens: int
    equal_rows: int
    tokens_known: bool

    @property
    def distinct(self) -> int:
        """How many are left."""
        return self.contexts - self.same_tokens - self.equal_rows

    @property
    def why(self) -> str:
        """Why they count with others, in words; empty if none does.

        Examples
        --------
        >>> Merged(54, 6, 0, True).why
        '6 have the tokens of another up to the target'
        """
        told = []
        if self.same_tokens:
            told.append(f"{self.same_tokens} {_have(self.same_tokens)} the tokens of another up to the target")
        if self.equal_rows:
            beside = "though their tokens differ" if self.tokens_known else "their tokens are not known"
            told.append(f"{self.equal_rows} {_have(self.equal_rows)} the numbers of another up to rounding, {beside}")
        return "; ".join(told)


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def rounding_of(x: np.ndarray) -> float:
    """Return the relative rounding of an array's number format; of float64 that holds float32's numbers, theirs."""
    narrow = x.dtype.kind != "f" or (x.dtype.itemsize > 4 and _holds_float32(x))
    return float(np.finfo(np.float32 if narrow else x.dtype).eps)


def _holds_float32(x: np.ndarray) -> bool:
    with np.errstate(over="ignore", under="ignore"):
        return bool((x.astype(np.float32) == x).all())


def first_equal_rows(x: np.ndarray, *, seen: Sequence[str] | None = None, rounding: float | None = None) -> np.ndarray:
    """Return, for each row, the index of the first row that is the same observation (its own if there is none before).

    Rows are one if the model had seen the same for them, or if in every dimension they are no further apart than some
    units of rounding of what they add up there: the dimension's size (its root mean square) times the row's (that of
    its numbers, each over its dimension's size), or the numbers themselves where they are larger. So neither a huge
    dimension nor a huge row hides what others differ in.

    Parameters
    ----------
    x : ndarray
        (context, dimension), finite.
    seen : sequence of str, optional
        For each row a name of what the model had seen; None where that is not known.
    rounding : float, optional
        Relative rounding of the number format in which the rows were made; without it that of the array.
    """
    unit = rounding_of(x) if rounding is None else rounding
    allowed = FEW_UNITS * unit
    if seen is None:
        allowed = min(MANY_UNITS * unit, max(allowed, MOST))
    values = _scaled(x)
    sizes = np.sqrt((values**2).sum(axis=1) / max(1, values.shape[1]))
    screens = np.argsort(-values.std(axis=0), kind="stable")[:_SCREENS]
    looked_at = np.ascontiguousarray(values[:, screens])
    first = np.arange(len(values))
    if seen is not None:
        earliest: dict[str, int] = {}
        first = np.array([earliest.setdefault(name, row) for row, name in enumerate(seen)], dtype=np.int64)
    waiting = np.flatnonzero(first == np.arange(len(first)))  # what the model had seen as another row is that one
    reach = allowed * np.maximum(sizes, np.abs(looked_at).T)
    before = np.arange(len(values))
    for some in _near(looked_at, reach, waiting):
        kept: list[int] = []
        for row in some.tolist():
            near = np.array(kept, dtype=np.int64)
            for numbers in (looked_at, values):
                far = allowed * np.maximum(sizes[near], sizes[row])
                near = near[_close(numbers[near], numbers[row], far[:, None], allowed)]
            if len(near):
                before[row] = near[0]
            else:
                kept.append(row)
    found: np.ndarray = before[first]
    return found


def _near(screens: np.ndarray, reach: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Return sets of rows, each in their order, outside of which no two are within reach of each other.

    On each screen rows are put into order; where neither what stands before a gap reaches across it nor what stands
    behind, they part. Rows that are near none are left out.

    Parameters
    ----------
    screens : ndarray
        (row, screen): what is looked at first.
    reach : ndarray
        (screen, row): how far a row of the same observation may be off there, by the larger one of the two.
    rows : ndarray of int
        Those that are compared.
    """
    sets = [rows]
    for values, far in zip(screens.T, reach, strict=True):
        parted = []
        for some in sets:
            order = some[np.argsort(values[some], kind="stable")]
            ends = np.maximum.accumulate(values[order] + far[order])[:-1]
            starts = np.minimum.accumulate((values[order] - far[order])[::-1])[::-1][1:]
            gaps = np.flatnonzero((ends < values[order][1:]) & (starts > values[order][:-1]))
            parted += [np.sort(part) for part in np.split(order, gaps + 1) if len(part) > 1]
        sets = parted
    return sets


def _scaled(x: np.ndarray) -> np.ndarray:
    """Return every dimension over its root mean square; by way of its largest number, whose square could overflow."""
    values = np.asarray(x, dtype=np.float64)
    largest = np.abs(values).max(axis=0, initial=0.0)
    values = values / np.where(largest > 0, largest, 1.0)
    size = np.sqrt((values**2).sum(axis=0) / max(1, len(values)))
    scaled: np.ndarray = values / np.where(size > 0, size, 1.0)
    return scaled


def _close(rows: np.ndarray, one: np.ndarray, reach: np.ndarray, allowed: float) -> np.ndarray:
    """Tell which rows are one up to rounding: within `reach`, or within what is allowed of the numbers themselves."""
    size = allowed * np.maximum(np.abs(rows), np.abs(one))
    close: np.ndarray = (np.abs(rows - one) <= np.maximum(reach, size)).all(axis=1)
    return close


def distinct_rows(x: np.ndarray, *, seen: Sequence[str] | None = None, rounding: float | None = None) -> np.ndarray:
    """Return the indices of the first of each set of rows that are one, in order; see `first_equal_rows`."""
    first = first_equal_rows(x, seen=seen, rounding=rounding)
    return np.flatnonzero(first == np.arange(len(first)))
