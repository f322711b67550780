"""Row sums: moments of the similarities between contexts from sums of unit rows, and no n x n matrix.

With u_i the rows at length 1, the sum of u_i . u_j over all ordered pairs is |sum u_i|^2, and that of (u_i . u_j)^2 is
the squared size of sum u_i u_i', a d x d matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.similarity import unit_columns


def unit_rows(x: np.ndarray, *, measure: str = "cosine") -> np.ndarray:
    """Return rows at length 1, float64 (context, dimension); for ``"pearson"`` each less its mean before."""
    rows: np.ndarray = np.ascontiguousarray(unit_columns(np.asarray(x).T, measure=measure).T)
    return rows


class RowSums:
    """Moments of the similarities over pairs of rows i < j, of all rows or without some.

    Parameters
    ----------
    rows : ndarray of float64
        (context, dimension), of length 1 or 0, as `unit_rows` returns them.
    left_out : sequence of ndarray of bool
        For each set (context,): the rows that are left out.

    Raises
    ------
    ClaimError
        If fewer than two rows are left.

    Examples
    --------
    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> found = RowSums(rows, [np.zeros(3, dtype=bool), np.array([True, False, False])])
    >>> found.mean.round(3).tolist(), found.mean_square.round(3).tolist()
    ([0.333, 1.0], [0.333, 1.0])
    """

    def __init__(self, rows: np.ndarray, left_out: Sequence[np.ndarray]) -> None:
        self._rows = rows
        self._gone = [np.flatnonzero(gone) for gone in left_out]
        self._squares = np.einsum("ij,ij->i", rows, rows)
        stay = np.array([len(rows) - len(gone) for gone in self._gone], dtype=np.float64)
        if len(stay) and stay.min() < 2:
            raise ClaimError(f"{stay.min():.0f} row(s) have no pairs to compare; give at least two distinct contexts.")
        self._pairs = stay * (stay - 1) / 2

    @cached_property
    def mean(self) -> np.ndarray:
        """(set,): the mean similarity."""
        total, own = self._rows.sum(axis=0), self._squares.sum()
        left = np.stack([total - self._rows[gone].sum(axis=0) for gone in self._gone])
        own_left = np.array([own - self._squares[gone].sum() for gone in self._gone])
        found: np.ndarray = ((left**2).sum(axis=1) - own_left) / 2 / self._pairs
        return found

    @cached_property
    def mean_square(self) -> np.ndarray:
        """(set,): the mean squared similarity."""
        products, fourth = self._rows.T @ self._rows, (self._squares**2).sum()
        found = []
        for gone in self._gone:
            rows = self._rows[gone]
            left = products - rows.T @ rows
            found.append((np.vdot(left, left) - (fourth - (self._squares[gone] ** 2).sum())) / 2)
        return np.array(found) / self._pairs


def all_rows(n: int) -> list[np.ndarray]:
    """Return the one set that leaves nothing out."""
    return [np.zeros(n, dtype=bool)]


def mean_similarities_by(x: np.ndarray, labels: Sequence[str], *, measure: str = "cosine") -> tuple[float, float]:
    """Return the mean similarity over pairs of rows with one label, and over pairs with two.

    Both kinds of pairs have to occur.

    Parameters
    ----------
    x : ndarray
        (context, dimension).
    labels : sequence of str
        Of each row.
    measure : {"cosine", "pearson"}
        Pearson centres each row over its dimensions.

    Examples
    --------
    >>> mean_similarities_by(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), ["a", "a", "b"])
    (1.0, 0.0)
    """
    rows = unit_rows(x, measure=measure)
    names, number = np.unique(np.array(list(labels)), return_inverse=True)
    sizes = np.bincount(number).astype(np.float64)
    sums = np.stack([rows[number == at].sum(axis=0) for at in range(len(names))])
    own, n = float((rows**2).sum()), len(rows)
    same, every = float((sums**2).sum()) - own, float((sums.sum(axis=0) ** 2).sum()) - own
    alike = float((sizes * (sizes - 1)).sum())
    return same / alike, (every - same) / (n * (n - 1) - alike)
