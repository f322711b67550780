"""Pair sums: sums over pairs of columns where contexts are many: tiles of d x d similarities, and no n x n matrix.

All deletions share one product of all rows, D = x' y. Without some rows the similarity of two columns is (D - P) r r',
P being the product of the rows that go and r = 1 / length of a column on those that stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qkvcheck.statistics.kernels.left_out import LeftOut
from qkvcheck.statistics.many.progress import each
from qkvcheck.statistics.similarity import unit_length

_TILE = 256


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
        self._left, self._blocks = LeftOut(columns, left_out), blocks
        self._found: dict[tuple[str, str], PairSums] = {}

    def sums(self, group: str, measure: str) -> PairSums:
        """Return the sums over the pairs of a group, two letters, without each set of rows."""
        if (group, measure) not in self._found:
            self._found[group, measure] = self._summed(group, measure)
        return self._found[group, measure]

    def squared_loadings(self, name: str) -> np.ndarray:
        """Return (set, dimension): of each column of a block its squared cosine with the all-ones vector."""
        block, every = self._blocks[name], range(len(self._left.sets))
        x = self._left.columns[:, block]
        scale = np.stack([self._left.scale(number, "cosine")[0][block] for number in every])
        total = x.sum(axis=0)
        left = np.stack([total - x[gone].sum(axis=0) for gone in self._left.sets])
        stay = np.array([(~gone).sum() for gone in self._left.sets])
        found: np.ndarray = np.minimum((left * scale) ** 2 / stay[:, None], 1.0)
        return found

    def is_lost(self, number: int, group: str, *, measure: str = "cosine") -> bool:
        """Tell whether a set takes nearly all of a column's length, so that sums have lost its digits."""
        anew = self._left.scale(number, measure)[1]
        return any(bool(anew[self._blocks[name]].any()) for name in group)

    def _summed(self, group: str, measure: str) -> PairSums:
        first, second = (self._blocks[name] for name in group)
        within = group[0] == group[1]
        x, y = (self._left.base(measure)[:, block] for block in (first, second))
        every = range(len(self._left.sets))
        sums = np.zeros((3, len(every)))
        plain = [number for number in every if not self.is_lost(number, group, measure=measure)]
        tiles = range(0, x.shape[1], _TILE)
        deletions = each("deletions", [(start, number) for start in tiles for number in (None, *plain)])
        dots = np.empty((0, 0))
        for start, number in deletions:
            stop, begin = start + _TILE, start if within else 0
            if number is None:
                dots = x[:, start:stop].T @ y[:, begin:]
            else:
                taken, (scale, _) = self._left.taken(number, measure), self._left.scale(number, measure)
                tile = taken[:, first][:, start:stop].T @ taken[:, second][:, begin:]
                np.subtract(dots, tile, out=tile)
                tile *= scale[second][begin:]
                tile *= scale[first][start:stop, None]
                sums[:, number] += _sums_of(tile, within=within)
        for number in set(every) - set(plain):
            kept = self._left.kept(number)
            left, right = (unit_length(kept[:, block], measure) for block in (first, second))
            found = unit_pair_sums(left, None if within else right)
            sums[:, number] = [found.total[0], found.total_square[0], found.total_absolute[0]]
        return _over_pairs(sums, x.shape[1], None if within else y.shape[1])
