"""Groups: what is left of contexts that leave a jackknife together: few as rows, many as moments; both merge.

Rows are kept while they are smaller than moments, so that a shard of few contexts is small, whatever the width. Moments
are those of `qkvcheck.statistics.Moments`, of which the scatter is kept once: it is symmetric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qkvcheck.statistics import Moments, moments_of, unit_columns

MEASURES = ("cosine", "pearson")
ROLES = ("target", "preceding")


@lru_cache(maxsize=4)
def _upper(width: int) -> np.ndarray:
    """Return where the upper triangle of a square stands in its numbers, one after the other."""
    rows, columns = np.triu_indices(width)
    return np.asarray(rows * width + columns, dtype=np.int64)


def packed(square: np.ndarray) -> np.ndarray:
    """Return the upper triangle of a symmetric (width, width), row after row.

    Examples
    --------
    >>> import numpy as np
    >>> packed(np.array([[1.0, 2.0], [2.0, 3.0]]))
    array([1., 2., 3.])
    """
    found: np.ndarray = np.take(square.ravel(), _upper(len(square)))
    return found


def unpacked(triangle: np.ndarray, width: int) -> np.ndarray:
    """Return the symmetric (width, width) of which a triangle was kept."""
    square = np.zeros(width * width)
    square[_upper(width)] = triangle
    half = square.reshape(width, width)
    found: np.ndarray = half + np.triu(half, 1).T
    return found


@dataclass(frozen=True, eq=False)
class Packed:
    """Moments at several places.

    Attributes
    ----------
    mean, low, high : ndarray of float64
        (place, width).
    scatter : ndarray of float64
        (place, width (width + 1) / 2): centred products, as `packed` returns them.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    scatter: np.ndarray


@dataclass(frozen=True, eq=False)
class Group:
    """Contexts that leave together, at several places: a place is a layer and a role.

    Attributes
    ----------
    n : int
        Contexts.
    units : ndarray of float64
        (place, measure, width): sum over contexts of Q, K and V each at length 1, centred over its dimensions for
        Pearson.
    lengths : ndarray of float64
        (place, measure, projection): sum of their squared lengths, each 1 or, where there is no direction, 0.
    kept : ndarray of float32, or Packed
        Rows (context, place, width), or moments.
    """

    n: int
    units: np.ndarray
    lengths: np.ndarray
    kept: np.ndarray | Packed

    def moments(self, place: int) -> Moments:
        """Return the moments at a place."""
        if not isinstance(self.kept, Packed):
            return moments_of(self.kept[:, place])
        own = self.kept
        square = unpacked(own.scatter[place], own.mean.shape[1])
        return Moments(self.n, own.mean[place], square, own.low[place], own.high[place])


def group_of(rows: np.ndarray, projections: Mapping[str, slice]) -> Group:
    """Return the group of some contexts.

    Parameters
    ----------
    rows : ndarray of float32
        (context, place, width).
    projections : mapping of str to slice
        Where Q, K and V stand along the width.
    """
    n, places, width = rows.shape
    units = np.zeros((places, len(MEASURES), width))
    lengths = np.zeros((places, len(MEASURES), len(projections)))
    for number, block in enumerate(projections.values()):
        flat = rows[:, :, block].reshape(n * places, -1)
        for at, measure in enumerate(MEASURES):
            unit = unit_columns(flat.T, measure=measure).T.reshape(n, places, -1)
            units[:, at, block] = unit.sum(axis=0)
            lengths[:, at, number] = np.einsum("npd,npd->p", unit, unit)
    return Group(n, units, lengths, rows)


def most_rows(width: int) -> int:
    """Return how many rows of a group take as much memory as its moments."""
    return width + 1


def merged(first: Group, second: Group) -> Group:
    """Return both together: as rows while these are the smaller, else as moments. Both are used up.

    Means and products are merged as by `qkvcheck.statistics.streaming.merge` (Chan, Golub & LeVeque 1983).
    """
    n = first.n + second.n
    units, lengths = first.units + second.units, first.lengths + second.lengths
    rows = [group.kept for group in (first, second) if not isinstance(group.kept, Packed)]
    if len(rows) == 2 and n <= most_rows(units.shape[-1]):
        return Group(n, units, lengths, np.concatenate(rows))
    one, other = _packed(first), _packed(second)
    apart = other.mean - one.mean
    scatter = one.scatter
    scatter += other.scatter  # where it is: there may be gigabytes of it
    for place, gap in enumerate(apart):
        scatter[place] += packed(np.outer(first.n * second.n / n * gap, gap))
    mean = one.mean + apart * (second.n / n)
    low, high = np.minimum(one.low, other.low), np.maximum(one.high, other.high)
    return Group(n, units, lengths, Packed(mean, low, high, scatter))


def _packed(group: Group) -> Packed:
    """Return the moments of a group at every place."""
    if isinstance(group.kept, Packed):
        return group.kept
    found = [moments_of(group.kept[:, place]) for place in range(group.kept.shape[1])]
    return Packed(
        mean=np.stack([one.mean for one in found]),
        low=np.stack([one.low for one in found]),
        high=np.stack([one.high for one in found]),
        scatter=np.stack([packed(one.scatter) for one in found]),
    )


def shrunk(group: Group) -> Group:
    """Return a group as rows while these are the smaller, else as moments."""
    if isinstance(group.kept, Packed) or group.n <= most_rows(group.kept.shape[-1]):
        return group
    return Group(group.n, group.units, group.lengths, _packed(group))


def bytes_of(places: int, width: int) -> int:
    """Return what a group takes at most: moments, and sums of rows.

    Examples
    --------
    >>> bytes_of(2, 384)
    1213536
    """
    return places * 8 * (width * (width + 1) // 2 + (3 + len(MEASURES)) * width + 3 * len(MEASURES))
