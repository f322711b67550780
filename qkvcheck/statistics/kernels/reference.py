"""The reference kernel: straight from the definition, in float64, one column against the rest at a time.

It is slow and plain on purpose: every other kernel is checked against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qkvcheck.statistics.kernels import PairGroup, Tally
from qkvcheck.statistics.kernels.binning import Shares, classify


def tally(
    unit: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Sequence[PairGroup],
    *,
    bins: int,
    threads: int | None = None,  # noqa: ARG001 (one is all it uses)
) -> list[Tally]:
    """Count and sum over the pairs of each group; see `qkvcheck.statistics.kernels.Kernel`."""
    return [
        _tally(unit[:, blocks[first]], None if first == second else unit[:, blocks[second]], bins)
        for first, second in groups
    ]


def _tally(x: np.ndarray, y: np.ndarray | None, bins: int) -> Tally:
    shares: Shares = classify(np.empty(0), bins=bins)
    pairs = 0
    total = total_absolute = total_square = 0.0
    for i in range(x.shape[1]):
        values = products(x[:, i, None], x[:, i + 1 :] if y is None else y)
        shares += classify(values, bins=bins)
        pairs += values.size
        total += float(values.sum())
        total_absolute += float(np.abs(values).sum())
        total_square += float((values**2).sum())
    above = tuple(int(count) for count in shares.above)
    return Tally(shares.counts, pairs, total, total_absolute, total_square, above, shares.low, shares.high)


def products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the dot products of columns of `x` with those of `y` beside them, summed context by context in order."""
    found = np.zeros(np.broadcast_shapes(x.shape[1:], y.shape[1:]))
    for row, other in zip(x.astype(np.float64), y.astype(np.float64), strict=True):
        found += row * other
    return found
