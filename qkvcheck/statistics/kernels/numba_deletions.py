"""The numba kernel of deletions (CPU): every set of rows has its turn while a few rows of products are in the cache.

For each set the products of the rows that go are taken off, and the sizes of what is left are added up, scaled, in one
pass: a fused multiply-add, a bit that is cleared, another multiply-add. Sums are float64, in an order that does not
depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from qkvcheck.statistics.kernels.numba_ import compiled, processors

_STRIP, _HEIGHT, _WIDTH = 64, 64, 1024
"""Columns of the first block whose products are made at once, that are summed together, and of the second block."""


def absolute_sums(
    first: np.ndarray,
    second: np.ndarray | None,
    gone: Sequence[tuple[np.ndarray, np.ndarray]],
    scales: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    threads: int | None = None,
) -> np.ndarray:
    """Return, for each set of rows, a sum over pairs; see `qkvcheck.statistics.kernels.deletions.absolute_sums`."""
    within = second is None
    other = first if second is None else second
    starts = np.cumsum([0, *(len(one) for one, _ in gone)])
    taken, theirs = (np.concatenate([pair[side] for pair in gone]) for side in (0, 1))
    own_scale, their_scale = (np.stack([pair[side] for pair in scales]) for side in (0, 1))
    strips = range(0, first.shape[1], _STRIP)
    found = np.zeros((len(strips), len(gone)))

    def add(number: int) -> None:
        start = strips[number]
        stop = min(start + _STRIP, first.shape[1])
        begin = start if within else 0  # below the diagonal stand the same pairs again
        dots = first[:, start:stop].T @ other[:, begin:]
        columns = np.ascontiguousarray(taken[:, start:stop]), np.ascontiguousarray(theirs[:, begin:])
        weights = their_scale[:, begin:].copy()
        if within:  # of a pair inside the strip both orders are met, of another one
            weights[:, stop - start :] *= 2
        _add(dots, *columns, np.ascontiguousarray(own_scale[:, start:stop]), weights, starts, found[number])

    workers = max(1, min(threads or processors(), len(strips)))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(add, range(len(strips))))
    total: np.ndarray = found.sum(axis=0)
    return total


@compiled(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def _add(dots, own, theirs, own_scale, their_scale, starts, totals):  # type: ignore[no-untyped-def]
    """Add the sums of one strip to `totals`: (set,)."""
    height, width = dots.shape
    left = np.empty(_WIDTH)
    for top in range(0, height, _HEIGHT):
        bottom = min(top + _HEIGHT, height)
        for low in range(0, width, _WIDTH):
            high = min(low + _WIDTH, width)
            for number in range(len(totals)):
                scale, start, stop = their_scale[number, low:high], starts[number], starts[number + 1]
                for i in range(top, bottom):
                    size = _sized(dots[i, low:high], own, theirs, start, stop, i, low, high, scale, left)
                    totals[number] += own_scale[number, i] * size


@compiled(fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")
def _sized(row, own, theirs, start, stop, i, low, high, scale, left):  # type: ignore[no-untyped-def]
    """Sum abs(product without the rows that go) times the scale, over the columns from `low` to `high`."""
    size = 0.0
    if stop - start == 1:
        factor, column = own[start, i], theirs[start, low:high]
        for j in range(len(row)):
            size += abs(row[j] - factor * column[j]) * scale[j]
    elif stop - start == 2:
        factor, column = own[start, i], theirs[start, low:high]
        another, beside = own[start + 1, i], theirs[start + 1, low:high]
        for j in range(len(row)):
            size += abs(row[j] - factor * column[j] - another * beside[j]) * scale[j]
    else:
        for j in range(len(row)):
            left[j] = row[j]
        for k in range(start, stop):
            factor, column = own[k, i], theirs[k, low:high]
            for j in range(len(row)):
                left[j] -= factor * column[j]
        for j in range(len(row)):
            size += abs(left[j]) * scale[j]
    return size
