"""Tiles: how the pairs of all groups are cut into pieces that stay in a processor's cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qkvcheck.statistics.kernels import PairGroup


def tiles(blocks: Mapping[str, slice], groups: Sequence[PairGroup], *, rows: int, columns: int) -> np.ndarray:
    """Cut the pairs of every group into rectangles of dimensions.

    Parameters
    ----------
    blocks, groups
        As `qkvcheck.statistics.kernels.Kernel` takes them.
    rows, columns : int
        Largest height and width of a tile.

    Returns
    -------
    ndarray of int64
        (tile, 6): number of the group, first and last + 1 dimension along the height, the same along the width, and 1
        where only the pairs i < j count. Every pair of a group lies in exactly one tile.
    """
    found = []
    for number, (first, second) in enumerate(groups):
        a, b, within = blocks[first], blocks[second], first == second
        for i in range(a.start, a.stop, rows):
            i_stop = min(i + rows, a.stop)
            for j in range(i if within else b.start, b.stop, columns):
                found.append((number, i, i_stop, j, min(j + columns, b.stop), int(within and j < i_stop)))
    return np.array(found, dtype=np.int64).reshape(-1, 6)
