"""Offset shares: how much of a mean squared cosine is mean offset, without some of many rows, from sums alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qkvcheck.statistics.many.pair_sums import PairSumsWithout
from qkvcheck.statistics.offset import decompose


def offset_shares(
    columns: np.ndarray, blocks: Mapping[str, slice], left_out: Sequence[np.ndarray], group: str
) -> np.ndarray:
    """Return A / P of a group without each set of rows (see `qkvcheck.statistics.offset.decompose`).

    P is the mean squared cosine, and A the mean of a_i^2 a_j^2 with a_i^2 = (sum of column i)^2 / (n |column i|^2).

    Parameters
    ----------
    columns, blocks, left_out
        As `PairSumsWithout` takes them.
    group : str
        Two letters.

    Returns
    -------
    ndarray of float64
        (set,).
    """
    found = PairSumsWithout(columns, blocks, left_out)
    sums = found.sums(group, "cosine")
    first, second = (found.squared_loadings(name) for name in group)
    shares = np.empty(len(left_out))
    for number, gone in enumerate(left_out):
        if found.is_lost(number, group):
            kept = columns[~gone]
            parts = [kept[:, blocks[name]] for name in group]
            shares[number] = decompose(parts[0], None if group[0] == group[1] else parts[1]).share
            continue
        total = first[number].sum() * second[number].sum()
        if group[0] == group[1]:
            total = (total - (first[number] ** 2).sum()) / 2
        square = sums.total_square[number]
        shares[number] = total / square if square > 0 else 0.0
    return shares
