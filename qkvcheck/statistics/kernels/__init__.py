"""Kernels: the hot loop over pairs of dimensions, one file a backend, all of them with one interface.

A kernel is a function ``tally(unit, blocks, groups, *, bins, threads=None) -> list of Tally``. It takes columns
already scaled to unit length and goes over the pairs of every group; no d x d matrix is ever kept. The fast ones
multiply in float32 and take every pair whose float32 value could fall on the wrong side of an edge once more in
float64 (see `binning`), so that all of them return the same counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qkvcheck.statistics.kernels.binning import MAGNITUDES, Shares

__all__ = ["MAGNITUDES", "Kernel", "PairGroup", "Tally", "make_tally"]

PairGroup = tuple[str, str]
"""Names of the blocks that a group compares; twice the same one for the pairs i < j inside it."""


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
        Sums over the pairs of c, abs(c) and c squared; a fast kernel's are sums of float32 values,
        off by about 1e-6 a pair at most.
    above : tuple of int
        Pairs with abs(c) above each of `MAGNITUDES`.
    low, high : int
        Pairs with c < -0.5 and with c > 0.5.
    """

    counts: np.ndarray
    pairs: int
    total: float
    total_absolute: float
    total_square: float
    above: tuple[int, ...]
    low: int
    high: int


class Kernel(Protocol):
    """What every backend offers."""

    def __call__(
        self,
        unit: np.ndarray,
        blocks: Mapping[str, slice],
        groups: Sequence[PairGroup],
        *,
        bins: int,
        threads: int | None = None,
    ) -> list[Tally]:
        """Count and sum over the pairs of each group.

        Parameters
        ----------
        unit : ndarray of float64
            (context, width), every column of length 1 or 0.
        blocks : mapping of str to slice
            Where the blocks stand along the width; of any number, and of any widths.
        groups : sequence of PairGroup
            What to compare.
        bins : int
            Equal histogram bins on [-1, 1].
        threads : int, optional
            Processor threads to use; without it as many as the backend uses by itself. Counts do not depend on it.
        """


def make_tally(shares: Shares, sums: Sequence[float]) -> Tally:
    """Put together what a kernel counted, and its sums of c, abs(c) and c squared."""
    total, total_absolute, total_square = sums
    return Tally(
        counts=shares.counts,
        pairs=int(shares.counts.sum()),
        total=total,
        total_absolute=total_absolute,
        total_square=total_square,
        above=tuple(int(count) for count in shares.above),
        low=shares.low,
        high=shares.high,
    )
