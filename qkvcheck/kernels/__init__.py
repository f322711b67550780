"""Kernels: the hot loop over pairs of dimensions, one file a backend, all of them with one interface.

A kernel is a function ``tally(x, y, *, bins) -> Tally``. It takes columns already scaled to unit length, and
`y` is None for the pairs i < j inside one block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MAGNITUDES = (0.5, 0.7, 0.9)
"""Thresholds of abs(similarity) that are counted."""


@dataclass(frozen=True)
class Tally:
    """Sums and counts over the pairs of a group.

    Attributes
    ----------
    counts : ndarray of int64
        Histogram over equal bins on [-1, 1], the last bin closed; values are clipped to [-1, 1] first.
    pairs : int
        Number of pairs.
    total, total_absolute, total_square : float
        Sums over the pairs of c, abs(c) and c squared.
    above : tuple of int
        Pairs with abs(c) above each of `MAGNITUDES`.
    low, high : int
        Pairs with c < -0.5 and with c > 0.5.
    largest : float
        The largest abs(c), before clipping.
    """

    counts: np.ndarray
    pairs: int
    total: float
    total_absolute: float
    total_square: float
    above: tuple[int, ...]
    low: int
    high: int
    largest: float
