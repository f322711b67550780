"""Pair sums: sums over pairs of columns where contexts are many: tiles of d x d similarities, and no n x n matrix.

All deletions share one product of all rows, D = x' y. Without some rows the similarity of two columns is (D - P) r r',
P being the product of the rows that go and r = 1 / length of a column on those that stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qkvcheck.statistics.many.progress import each
from qkvcheck.statistics.similarity import unit_length

_TILE = 256
_CANCELLED = 1e-4
"""Columns that keep less than this share of their squared length are measured anew: taking off would lose digits."""


@dataclass(frozen=True)
class PairSums:
    """Sums over the pairs of a group, for one set of rows after the other.

    Attributes
    ----------
    pairs : int
        i < j within a block, all pairs across two.
    total, total_square, total_absolute : ndarray of float64
        (set,): of c, c squared and abs(c).
    """

    pairs: int
    total: np.ndarray
    total_square: np.ndarray
    total_absolute: np.ndarray


def unit_pair_sums(first: np.ndarray, second: np.ndarray | None = None) -> PairSums:
    """Return the sums over pairs of columns of length 1 (or 0): (context, dimension), within one block or across two.

    Examples
    --------
    >>> found = unit_pair_sums(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    >>> found.pairs, found.total.tolist(), found.total_square.tolist()
    (3, [1.0], [1.0])
    """
    sums = np.zeros((3, 1))
    other = first if second is None else second
    for start in range(0, first.shape[1], _TILE):
        begin = start if second is None else 0
        tile = first[:, start : start + _TILE].T @ other[:, begin:]
        sums[:, 0] += _sums_of(tile, within=second is None)
    return _over_pairs(sums, first.shape[1], None if second is None else second.shape[1])


def _sums_of(tile: np.ndarray, *, within: bool) -> np.ndarray:
    """Return the sums over a tile; within a block it begins on the diagonal, and pairs i < j are counted."""
    if within:
        rows = len(tile)
        tile[:, :rows][_counted(rows)] = 0.0
    total, square = tile.sum(), np.vdot(tile, tile)
    return np.array([total, square, np.abs(tile, out=tile).sum()])


@lru_cache(maxsize=4)
def _counted(rows: int) -> np.ndarray:
    """Return where in a square on the diagonal a pair is counted already, or is none."""
    below: np.ndarray = np.tri(rows, dtype=bool)
    return below


def _over_pairs(sums: np.ndarray, width: int, other: int | None) -> PairSums:
    pairs = width * (width - 1) // 2 if other is None else width * other
    return PairSums(pairs, *sums)


class PairSumsWithout:
    """Sums over the pairs of a group without some of the rows, for all sets of rows at once.

    Parameters
    ----------
    columns : ndarray of float64
        (context, width), as `scaled_columns` returns them.
    blocks : mapping of str to slice
        Where the blocks stand along the width.
    left_out : sequence of ndarray of bool
        For each set (context,): the rows that are left out; not all of them.
    """

    def __init__(self, columns: np.ndarray, blocks: Mapping[str, slice], left_out: Sequence[np.ndarray]) -> None:
        self._columns, self._blocks = columns, blocks
        self._gone = [np.flatnonzero(gone) for gone in left_out]
        self._stay = [len(columns) - len(gone) for gone in self._gone]
        # Correlations do not change with a column's mean; with the mean of all rows taken off, that of some is small.
        self._constant = (columns == columns[:1]).all(axis=0)
        self._bases: dict[str, np.ndarray] = {"cosine": columns}
        self._scales: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
        self._found: dict[tuple[str, str], PairSums] = {}

    def sums(self, group: str, measure: str) -> PairSums:
        """Return the sums over the pairs of a group, two letters, without each set of rows."""
        if (group, measure) not in self._found:
            self._found[group, measure] = self._summed(group, measure)
        return self._found[group, measure]

    def squared_loadings(self, name: str) -> np.ndarray:
        """Return (set, dimension): of each column of a block its squared cosine with the all-ones vector."""
        x = self._columns[:, self._blocks[name]]
        scale, _ = self._scale(name, "cosine")
        total = x.sum(axis=0)
        left = np.stack([total - x[gone].sum(axis=0) for gone in self._gone])
        found: np.ndarray = np.minimum((left * scale) ** 2 / np.array(self._stay)[:, None], 1.0)
        return found

    def is_lost(self, number: int, group: str) -> bool:
        """Tell whether a set takes nearly all of a column's length, so that sums have lost its digits."""
        return any(bool(self._scale(name, "cosine")[1][number].any()) for name in group)

    def _base(self, measure: str) -> np.ndarray:
        if measure not in self._bases:
            centred = self._columns - self._columns.mean(axis=0)
            centred[:, self._constant] = 0.0
            self._bases[measure] = centred
        return self._bases[measure]

    def _taken(self, number: int, measure: str, block: slice) -> np.ndarray:
        """Return the rows whose products a set takes off; of correlations also what its mean takes."""
        gone: np.ndarray = self._base(measure)[self._gone[number], block]
        if measure != "pearson":
            return gone
        shift = gone.sum(axis=0, keepdims=True) / np.sqrt(self._stay[number])
        taken: np.ndarray = np.concatenate([gone, shift])
        return taken

    def _scale(self, name: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Return (set, dimension): 1 / length of each column of a block, and whether it has to be measured anew."""
        if (name, measure) not in self._scales:
            block = self._blocks[name]
            x = self._base(measure)[:, block]
            squares = np.einsum("ij,ij->j", x, x)
            kept = np.empty((len(self._gone), len(squares)))
            for number in range(len(self._gone)):
                taken = self._taken(number, measure, block)
                kept[number] = squares - np.einsum("ij,ij->j", taken, taken)
            anew = kept <= _CANCELLED * squares
            self._scales[name, measure] = np.sqrt(np.divide(1.0, kept, out=np.zeros_like(kept), where=~anew)), anew
        return self._scales[name, measure]

    def _summed(self, group: str, measure: str) -> PairSums:
        one, two = group[0], group[1]
        within = one == two
        first, second = self._blocks[one], self._blocks[two]
        (own, own_anew), (theirs, theirs_anew) = self._scale(one, measure), self._scale(two, measure)
        x, y = (self._base(measure)[:, block] for block in (first, second))
        sums = np.zeros((3, len(self._gone)))
        plain = [number for number in range(len(sums[0])) if not (own_anew[number].any() or theirs_anew[number].any())]
        tiles = range(0, x.shape[1], _TILE)
        deletions = each("deletions", [(start, number) for start in tiles for number in (None, *plain)])
        dots = np.empty((0, 0))
        for start, number in deletions:
            stop, begin = start + _TILE, start if within else 0
            if number is None:
                dots = x[:, start:stop].T @ y[:, begin:]
            else:
                taken, other = (self._taken(number, measure, block) for block in (first, second))
                tile = taken[:, start:stop].T @ other[:, begin:]
                np.subtract(dots, tile, out=tile)
                tile *= theirs[number, begin:]
                tile *= own[number, start:stop, None]
                sums[:, number] += _sums_of(tile, within=within)
        for number in set(range(len(sums[0]))) - set(plain):
            kept = np.delete(self._columns, self._gone[number], axis=0)
            left, right = (unit_length(kept[:, block], measure) for block in (first, second))
            found = unit_pair_sums(left, None if within else right)
            sums[:, number] = [found.total[0], found.total_square[0], found.total_absolute[0]]
        return _over_pairs(sums, x.shape[1], None if within else y.shape[1])
