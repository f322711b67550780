"""Limits: from how many contexts on another way is gone."""

from __future__ import annotations

import numpy as np

MANY = 200
"""Up to so many rows every sum over pairs comes from their n x n matrices; above it from sums of rows or d x d ones.

The two ways agree to rounding (1e-12). V of six groups and both measures with 200 deletions took 1.6 s from matrices
and 0.36 s from sums at 210 rows of 3 x 128 dimensions, and 8.3 and 0.41 s at 500 (one core).
"""
PAIRED = 1000
"""Of more contexts than this, what looks at every pair of them looks at the pairs of so many, drawn by a fixed seed."""
MOST_PAIRED = 5000
"""Of more contexts than this no matrix of all pairs is made: a statistic that has no other way is refused."""
PICTURED = 200
"""The same of a picture of all contexts against all."""
SCORED = 300
"""The same of scores, every context's query with every context's key."""
SEED = 0


def drawn_rows(n: int, most: int) -> np.ndarray:
    """Return which of n rows are looked at: all, or `most` of them, drawn by a fixed seed, in their order.

    Rows count from 0; those are drawn by ``numpy.random.default_rng(0).choice(n, most, replace=False)``.

    Parameters
    ----------
    n, most : int
        How many there are, and how many are looked at.

    Returns
    -------
    ndarray of int64
        Sorted.

    Examples
    --------
    >>> drawn_rows(3, 5).tolist(), len(drawn_rows(9, 4))
    ([0, 1, 2], 4)
    """
    if n <= most:
        return np.arange(n)
    found: np.ndarray = np.sort(np.random.default_rng(SEED).choice(n, most, replace=False))
    return found
