"""Gram: sums over pairs of columns from n x n matrices, without any of the d x d similarities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BlockGram:
    """What the sums over pairs take from one block of unit columns.

    Attributes
    ----------
    gram : ndarray
        (context, context): U U'.
    total : ndarray
        (context,): U 1.
    width, filled : int
        Columns, and those of length 1; the rest are zero.
    """

    gram: np.ndarray
    total: np.ndarray
    width: int
    filled: int


def block_gram(unit: np.ndarray) -> BlockGram:
    """Return what the sums over pairs take from one block of unit columns, (context, dimension) float64."""
    return BlockGram(unit @ unit.T, unit.sum(axis=1), unit.shape[1], int(unit.any(axis=0).sum()))


def pair_sums(first: BlockGram, second: BlockGram | None = None) -> tuple[float, float]:
    """Return the sums of c and of c squared over the pairs of a group.

    Over all ordered pairs the sum of c^2 is sum(K_x * K_y) and that of c is (U_x 1).(U_y 1); within one block the
    diagonal, one for every column that is not zero, is taken off and the rest halved (the numerator of linear CKA,
    Kornblith et al. 2019).

    Parameters
    ----------
    first, second : BlockGram
        Of the two blocks; without the second the pairs i < j within the first.
    """
    other = first if second is None else second
    total, square = float(first.total @ other.total), float(np.vdot(first.gram, other.gram))
    return (total, square) if second is not None else ((total - first.filled) / 2, (square - first.filled) / 2)
