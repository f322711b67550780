"""The numba kernel (CPU): tiles of products and their counting in one pass, compiled for the machine it runs on.

A tile's columns are packed as float32, multiplied by the micro-kernel, and each row of products is placed on the bins
while it is in the first-level cache. Threads share nothing but the input; every tile has a sum of its own, added up
in order, so that no result depends on how many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit

from qkvcheck.statistics.kernels import PairGroup, Tally, make_tally
from qkvcheck.statistics.kernels.binning import MAGNITUDES, Shares, edges_of, fine_bins, float32_error, fold
from qkvcheck.statistics.kernels.micro_kernel import COLUMNS, ROWS, add_product, store_product
from qkvcheck.statistics.kernels.tiles import tiles

HEIGHT, WIDTH, DEPTH = 32 * ROWS, 8 * COLUMNS, 64
_COPIES = 4
"""Histograms that are filled in turn: two neighbours in one bin need not wait for each other."""
_PIECES = 3
"""Pieces of work a thread."""


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function when it is first called, and keep the code on disk where there is a folder for it."""

    def compile_later(function: Callable[..., Any]) -> Any:
        try:
            return njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's can be written
            return njit(nogil=True, **options)(function)

    return compile_later


def tally(
    unit: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Sequence[PairGroup],
    *,
    bins: int,
    threads: int | None = None,
) -> list[Tally]:
    """Count and sum over the pairs of each group; see `qkvcheck.statistics.kernels.Kernel`."""
    unit = np.ascontiguousarray(unit, dtype=np.float64)
    work = tiles(blocks, groups, rows=HEIGHT, columns=WIDTH)
    workers = max(1, min(threads or processors(), len(work)))
    fine = fine_bins(bins)
    error = float32_error(min(len(unit), DEPTH), -(-len(unit) // DEPTH))
    nearness = np.float32(error * fine / 2 * (1 + 1e-6))
    sums = np.zeros((len(work), 3))
    # Whoever is free takes the next piece: another library's threads may be busy waiting on one of the processors.
    pieces = iter(_split(work, workers * _PIECES if workers > 1 else 1))

    def count() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = np.zeros((len(groups), _COPIES, fine + 1), dtype=np.int64)
        exact = np.zeros((len(groups), bins), dtype=np.int64)
        tails = np.zeros((len(groups), len(MAGNITUDES) + 2), dtype=np.int64)
        space = _workspace(len(unit))
        for piece in pieces:
            _count(unit, work, piece.start, piece.stop, edges_of(bins), nearness, *space, found, exact, tails, sums)
        return found, exact, tails

    with ThreadPoolExecutor(workers) as pool:
        others = [pool.submit(count) for _ in range(workers - 1)]  # starts as many threads, beside this one
        parts = [count(), *(other.result() for other in others)]
    found, exact, tails = (np.sum([part[kind] for part in parts], axis=0) for kind in range(3))
    tallies = []
    for g in range(len(groups)):
        shares = fold(found[g, :, :fine].sum(axis=0), bins=bins)
        shares += Shares(exact[g], tails[g, :-2], int(tails[g, -2]), int(tails[g, -1]))
        tallies.append(make_tally(shares, sums[work[:, 0] == g].sum(axis=0).tolist()))
    return tallies


def _split(work: np.ndarray, count: int) -> list[range]:
    """Cut the tiles into pieces of about equally many pairs, in order."""
    _, i_start, i_stop, j_start, j_stop, triangle = work.T
    # About half of a tile with a triangle; at least one, so that the sums below rise.
    pairs = np.maximum((i_stop - i_start) * (j_stop - j_start) // (1 + triangle), 1)
    done = np.concatenate([[0], np.cumsum(pairs)])
    cuts = np.searchsorted(done, np.linspace(0, done[-1], count + 1)[1:-1])
    ends = [0, *(int(cut) for cut in cuts), len(work)]
    return [range(a, b) for a, b in pairwise(ends) if a < b]


def _workspace(contexts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return packed columns of both sides of a tile, its products, and the bins of a row."""
    depth = min(contexts, DEPTH)
    return (
        np.empty((HEIGHT // ROWS, depth, ROWS), np.float32),
        np.empty((WIDTH // COLUMNS, depth, COLUMNS), np.float32),
        np.empty((HEIGHT, WIDTH), np.float32),
        np.empty(WIDTH, np.int32),
    )


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@compiled(error_model="numpy")
def _count(unit, work, start, stop, edges, nearness, a, b, products, places, found, exact, tails, sums):  # type: ignore[no-untyped-def]
    """Go over the tiles from `start` to `stop`, and add to the last four arrays."""
    depth, fine = unit.shape[0], found.shape[2] - 1
    a_address, b_address, products_address = a.ctypes.data, b.ctypes.data, products.ctypes.data
    a_step, b_step = a.shape[1] * ROWS * 4, b.shape[1] * COLUMNS * 4
    packed_from = packed_to = -1
    for tile in range(start, stop):
        group, i_start, i_stop, j_start, j_stop, triangle = work[tile]
        height, width = i_stop - i_start, j_stop - j_start
        total = size = square = 0.0
        for k_start in range(0, depth, DEPTH):
            k_stop = min(k_start + DEPTH, depth)
            if i_start != packed_from or i_stop != packed_to or depth > DEPTH:
                _pack(unit[k_start:k_stop, i_start:i_stop], a)
                packed_from, packed_to = i_start, i_stop
            _pack(unit[k_start:k_stop, j_start:j_stop], b)
            for strip in range(0, height, ROWS):
                first = max(0, i_start + strip - j_start) if triangle else 0
                for panel in range(first // COLUMNS, (width + COLUMNS - 1) // COLUMNS):
                    left, right = a_address + strip // ROWS * a_step, b_address + panel * b_step
                    into = products_address + (strip * WIDTH + panel * COLUMNS) * 4
                    if k_start == 0:
                        store_product(left, right, into, k_stop - k_start, WIDTH)
                    else:
                        add_product(left, right, into, k_stop - k_start, WIDTH)
                if k_stop == depth:
                    for row in range(strip, min(strip + ROWS, height)):
                        # A tile may be higher than wide: its lowest rows hold no pair.
                        low = min(width, max(0, i_start + row + 1 - j_start)) if triangle else 0
                        inside = places[: width - low]
                        near, added, sized, squared = _place(products[row, low:width], fine, nearness, inside)
                        total += added
                        size += sized
                        square += squared
                        _fill(inside.view(np.uint32), found[group])
                        if near > 0:
                            for j in range(len(inside)):
                                if inside[j] == fine:
                                    _classify(unit, i_start + row, j_start + low + j, edges, exact[group], tails[group])
        sums[tile, 0], sums[tile, 1], sums[tile, 2] = total, size, square


# Indices below run from 0 to a length: an index that might be negative would be wrapped, which stops vectorisation.


@compiled()
def _pack(columns, packed):  # type: ignore[no-untyped-def]
    """Copy columns (row, column) into panels (panel, row, column of the panel) of float32, padded with zeros."""
    wide = packed.shape[2]
    for panel in range((columns.shape[1] + wide - 1) // wide):
        part = columns[:, panel * wide : (panel + 1) * wide]
        for k in range(part.shape[0]):
            for j in range(part.shape[1]):
                packed[panel, k, j] = np.float32(part[k, j])
            for j in range(part.shape[1], wide):
                packed[panel, k, j] = np.float32(0)


@compiled(fastmath={"reassoc", "contract", "nsz"})
def _place(values, fine, nearness, places):  # type: ignore[no-untyped-def]
    """Find each value's bin, or `fine` if it is near an edge; return how many are, and sums of c, abs(c) and c^2."""
    half, top, beside = np.float32(fine / 2), np.int32(fine - 1), np.int32(fine)
    bottom, ceiling = np.float32(0), np.float32(fine)
    # The outermost edges are no edges: what lies beyond them is clipped to them.
    least, most = np.float32(1) - nearness, np.float32(fine - 1) + nearness
    near = np.int32(0)
    total = size = square = 0.0
    for j in range(len(values)):
        value = values[j]
        wide = np.float64(value)
        total += wide
        size += abs(wide)
        square += wide * wide
        t = min(max(value * half + half, bottom), ceiling)
        flag = (abs(t - np.rint(t)) <= nearness) & (t > least) & (t < most)
        places[j] = beside if flag else min(np.int32(t), top)
        near += np.int32(flag)
    return near, total, size, square


@compiled()
def _fill(places, filled):  # type: ignore[no-untyped-def]
    """Add to the histograms, each of the `_COPIES` in turn."""
    first, second, third, fourth = filled[0], filled[1], filled[2], filled[3]
    whole = len(places) // _COPIES * _COPIES
    for j in range(0, whole, _COPIES):
        first[places[j]] += 1
        second[places[j + 1]] += 1
        third[places[j + 2]] += 1
        fourth[places[j + 3]] += 1
    for j in range(whole, len(places)):
        first[places[j]] += 1


@compiled()
def _classify(unit, i, j, edges, counts, tails):  # type: ignore[no-untyped-def]
    """Count one pair in float64, as `binning.classify` does."""
    c = 0.0
    for k in range(unit.shape[0]):
        c += unit[k, i] * unit[k, j]
    c = min(max(c, -1.0), 1.0)
    last = len(counts) - 1
    place = min(int((c + 1.0) * (len(counts) / 2)), last)
    if c < edges[place]:
        place -= 1
    elif place < last and c >= edges[place + 1]:
        place += 1
    counts[place] += 1
    size = abs(c)
    tails[0] += size > 0.5
    tails[1] += size > 0.7
    tails[2] += size > 0.9
    tails[3] += c < -0.5
    tails[4] += c > 0.5
