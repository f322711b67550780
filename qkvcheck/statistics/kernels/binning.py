"""Binning: which bin a similarity belongs to, by one rule for all kernels, and when float32 is enough to tell.

The rule is `numpy.histogram`'s: bin k holds edge[k] <= c < edge[k + 1], the last bin its upper edge too. A float32
value farther from every edge than its own error lies in the same bin as the float64 value; the rest are few, and a
kernel computes those again in float64, context by context in order, as the reference does. Thresholds of abs(c) are
edges as well: the fast kernels count over `fine_bins`, of which both bins and thresholds are whole sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm

import numpy as np

MAGNITUDES = (0.5, 0.7, 0.9)
"""Thresholds of abs(similarity) that are counted."""

_TENTHS = 20
UNIT_ROUNDOFF = 2.0**-24


@dataclass(frozen=True)
class Shares:
    """Counts of a set of similarities.

    Attributes
    ----------
    counts : ndarray of int64
        Histogram over the bins.
    above : ndarray of int64
        How many have abs(c) above each of `MAGNITUDES`.
    low, high : int
        How many are below -0.5 and above 0.5.
    """

    counts: np.ndarray
    above: np.ndarray
    low: int
    high: int

    def __add__(self, other: Shares) -> Shares:
        """Return the counts of both sets together."""
        return Shares(
            self.counts + other.counts, self.above + other.above, self.low + other.low, self.high + other.high
        )


def edges_of(bins: int) -> np.ndarray:
    """Return the bins + 1 edges on [-1, 1]."""
    return np.linspace(-1.0, 1.0, bins + 1)


def classify(values: np.ndarray, *, bins: int) -> Shares:
    """Count float64 similarities, after clipping them to [-1, 1]."""
    clipped = np.clip(values, -1.0, 1.0)
    size = np.abs(clipped)
    return Shares(
        counts=np.histogram(clipped, bins=bins, range=(-1.0, 1.0))[0].astype(np.int64),
        above=np.array([np.count_nonzero(size > edge) for edge in MAGNITUDES], dtype=np.int64),
        low=int(np.count_nonzero(clipped < -0.5)),
        high=int(np.count_nonzero(clipped > 0.5)),
    )


def fine_bins(bins: int) -> int:
    """Return the least number of bins that holds both `bins` and the tenths, where the thresholds lie, as sums."""
    return lcm(bins, _TENTHS)


def fold(fine: np.ndarray, *, bins: int) -> Shares:
    """Sum a histogram over `fine_bins`, none of whose values lies on an edge, to what `classify` counts."""
    tenths = fine.reshape(_TENTHS, -1).sum(axis=1)
    outside = [round(_TENTHS * (1 - edge) / 2) for edge in MAGNITUDES]
    quarter = _TENTHS // 4
    return Shares(
        counts=fine.reshape(bins, -1).sum(axis=1),
        above=np.array([tenths[:k].sum() + tenths[_TENTHS - k :].sum() for k in outside], dtype=np.int64),
        low=int(tenths[:quarter].sum()),
        high=int(tenths[-quarter:].sum()),
    )


def float32_error(summed: int, chunks: int = 1) -> float:
    """Return the largest error of a cosine computed and placed in float32.

    For unit columns, with u = 2^-24: a dot product of m terms in any order is off by at most m u (Higham 2002,
    Accuracy and Stability of Numerical Algorithms, 3.1, and sum abs(x y) <= 1), one more u for every chunk that is
    added; rounding the columns to float32 takes 2 u, placing c on the bins 3 u, and the bound itself 2 u.

    Parameters
    ----------
    summed : int
        Terms that are summed in one go.
    chunks : int
        How many such sums are added up.
    """
    return (summed + (chunks if chunks > 1 else 0) + 7) * UNIT_ROUNDOFF
