"""Left out: columns without some of their rows, for many sets of rows: what each set takes off products and lengths.

Leaving out rows rescales every column. Their share is taken off its squared length, with no pass over the other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from qkvcheck.errors import ClaimError

_CANCELLED = 1e-4
"""Columns that keep less than this share of their squared length are measured anew: taking off would lose digits."""


class LeftOut:
    """Columns without one set of rows after the other; sets count from 0.

    Parameters
    ----------
    columns : ndarray of float64
        (context, width).
    sets : sequence of ndarray of bool
        For each set (context,): the rows that are left out.

    Raises
    ------
    ClaimError
        If nothing is left.

    Examples
    --------
    >>> found = LeftOut(np.array([[3.0], [4.0], [1.0]]), [np.array([False, False, True])])
    >>> scale, anew = found.scale(0, "cosine")
    >>> scale.tolist(), anew.tolist(), found.kept(0).ravel().tolist()
    ([0.2], [False], [3.0, 4.0])
    """

    def __init__(self, columns: np.ndarray, sets: Sequence[np.ndarray]) -> None:
        if any(gone.all() for gone in sets):
            raise ClaimError("every context is left out; nothing can be measured on what remains.")
        self.columns = np.asarray(columns, dtype=np.float64)
        self.sets = sets
        self._squares: dict[str, np.ndarray] = {}
        self._scales: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def _centred(self) -> np.ndarray:
        # Correlations do not change with a column's mean; with the mean of all rows taken off, that of some is small.
        columns = self.columns
        return np.where((columns == columns[:1]).all(axis=0), 0.0, columns - columns.mean(axis=0))

    def base(self, measure: str) -> np.ndarray:
        """Return the columns of which products are made: (context, width)."""
        return self._centred if measure == "pearson" else self.columns

    def kept(self, number: int) -> np.ndarray:
        """Return the rows that a set does not leave out."""
        kept: np.ndarray = self.columns[~self.sets[number]]
        return kept

    def taken(self, number: int, measure: str) -> np.ndarray:
        """Return the rows whose products a set takes off; of correlations also what its mean takes."""
        left_out = self.sets[number]
        gone: np.ndarray = self.base(measure)[left_out]
        if measure != "pearson":
            return gone
        shift = gone.sum(axis=0, keepdims=True) / np.sqrt((~left_out).sum())
        taken: np.ndarray = np.concatenate([gone, shift])
        return taken

    def scale(self, number: int, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Return 1 / length of every column on the rows that are kept, and which have to be measured anew: (width,)."""
        key = (number, measure)
        if key not in self._scales:
            if measure not in self._squares:
                self._squares[measure] = np.einsum("ij,ij->j", self.base(measure), self.base(measure))
            squares, gone = self._squares[measure], self.taken(number, measure)
            kept = squares - np.einsum("ij,ij->j", gone, gone)
            anew = kept <= _CANCELLED * squares
            self._scales[key] = np.sqrt(np.divide(1.0, kept, out=np.zeros_like(kept), where=~anew)), anew
        return self._scales[key]
