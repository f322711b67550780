"""Gram: sums over pairs of columns from n x n matrices, without any of the d x d similarities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


def block_grams(
    unit: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Iterable[tuple[str, str]],
    *,
    product: Callable[[np.ndarray, int, int], np.ndarray] | None = None,
) -> dict[str, BlockGram]:
    """Return the Gram matrices of all blocks that the groups name.

    Parameters
    ----------
    unit : ndarray of float64
        (context, width), columns of length 1 or 0.
    blocks, groups
        As `qkvcheck.kernels.Kernel` takes them.
    product : callable, optional
        Returns u u' of the columns of an array from a first to a last + 1; without it NumPy does.
    """
    found = {}
    for name in sorted({name for group in groups for name in group}):
        part = unit[:, blocks[name]]
        gram = None if product is None else product(unit, blocks[name].start, blocks[name].stop)
        found[name] = block_gram(part, gram=gram)
    return found


def block_gram(unit: np.ndarray, *, gram: np.ndarray | None = None) -> BlockGram:
    """Return what the sums over pairs take from one block of unit columns, (context, dimension)."""
    gram = unit @ unit.T if gram is None else gram
    return BlockGram(gram, unit.sum(axis=1), unit.shape[1], int(unit.any(axis=0).sum()))


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
