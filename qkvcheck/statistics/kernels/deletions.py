"""Deletions: sums over pairs of columns without some of the rows, for many sets of rows in one pass over the pairs.

With D the dot product of two columns over all rows, and P that over the rows that go, the similarity over the rows that
stay is (D - P) r r', r being 1 / length of a column there. D is made once for all sets; P is an outer product where a
single row goes. A tile of pairs stays in the cache while every set has its turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ROWS = 64
"""Columns of the first block in a tile: times 768 of the second, 400 kB."""


def absolute_sums(
    first: np.ndarray,
    second: np.ndarray | None,
    gone: Sequence[tuple[np.ndarray, np.ndarray]],
    scales: Sequence[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Return, for each set of rows, the sum of abs(similarity) over all ordered pairs of columns.

    Parameters
    ----------
    first, second : ndarray of float64
        (context, dimension): all rows of two blocks; without the second, of one block with itself: its diagonal is
        counted too.
    gone : sequence of (ndarray, ndarray)
        For each set, what its rows take off the dot products, as (row, dimension) of either block: x' y of these.
    scales : sequence of (ndarray, ndarray)
        For each set, 1 / length of the columns on the rows that stay: (dimension,) of either block; 0 leaves one out.

    Returns
    -------
    ndarray of float64
        (set,).

    Examples
    --------
    >>> x = np.array([[3.0, 0.0], [4.0, 5.0], [0.0, 1.0]])
    >>> last = x[2:]
    >>> absolute_sums(x, None, [(last, last)], [(np.array([1 / 5, 1 / 5]),) * 2]).round(3)
    array([3.6])
    """
    within = second is None
    other = first if second is None else second
    totals = np.zeros(len(gone))
    for start in range(0, first.shape[1], _ROWS):
        stop = min(start + _ROWS, first.shape[1])
        begin = start if within else 0  # below the diagonal stand the same pairs again
        dots = first[:, start:stop].T @ other[:, begin:]
        left = np.empty_like(dots)
        for number, ((one, two), (own, theirs)) in enumerate(zip(gone, scales, strict=True)):
            if len(one) == 1:
                np.multiply(one[0, start:stop, None], two[0, None, begin:], out=left)
            else:
                np.matmul(one[:, start:stop].T, two[:, begin:], out=left)
            np.subtract(dots, left, out=left)
            np.abs(left, out=left)
            sums = left @ theirs[begin:]
            if within:
                sums = 2 * sums - left[:, : stop - start] @ theirs[start:stop]
            totals[number] += own[start:stop] @ sums
    return totals
