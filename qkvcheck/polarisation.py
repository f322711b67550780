"""Polarisation: moments of the similarities between dimensions, of all pair groups at once.

This is the inner loop of the jackknife, which asks for them once for every cluster left out. Mean and mean square
come from n x n Gram matrices and no d x d matrix is formed; the mean absolute value has no such form and goes
over tiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.similarity import MEASURES, unit_length

SMILE, CERTIFIED = 1 / 3, 4 / 9
"""V of uniform similarities, and the most that a unimodal law on [-1, 1] can have."""

_TILE = 256


@dataclass(frozen=True)
class GroupMoments:
    """Moments of the similarities over the pairs of a group.

    Attributes
    ----------
    mean, mean_square : float
        Of the similarities; the mean square is P.
    mean_absolute : float or None
        None where it was not asked for.
    """

    mean: float
    mean_square: float
    mean_absolute: float | None = None

    @property
    def variance(self) -> float:
        """V = P - mean^2: 1 if half the similarities are at either end, 1/3 if uniform, 1/n if random."""
        return self.mean_square - self.mean**2


def grade(low: float) -> str:
    """Name what the lower bound of V proves.

    No unimodal law on [-1, 1] has a variance above 4/9 (Jacobson 1969, Ann. Math. Statist. 40:1746), and none
    that is symmetric about 0 one above 1/3.

    Returns
    -------
    str
        ``"certified bimodal"`` above 4/9, ``"U-shaped if symmetric"`` above 1/3, else ``"no evidence of two poles"``.
    """
    if low > CERTIFIED:
        return "certified bimodal"
    return "U-shaped if symmetric" if low > SMILE else "no evidence of two poles"


def group_moments(
    columns: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Sequence[str],
    *,
    measure: str = "cosine",
    absolute: bool = False,
) -> dict[str, GroupMoments]:
    """Return the moments of several pair groups.

    With U the unit columns of a block and K = U U' (n x n): over all ordered pairs, the mean square is
    sum(K_x * K_y) / (d_x d_y) and the mean (U_x 1).(U_y 1) / (d_x d_y); within one block the diagonal (one for every
    column that is not zero) is taken off both (the numerator of linear CKA, Kornblith et al. 2019).

    Parameters
    ----------
    columns : ndarray of float64
        (context, width), as `scaled_columns` returns them.
    blocks : mapping of str to slice
        Where the blocks stand along the width.
    groups : sequence of str
        Two letters each, such as ``"QQ"`` or ``"QK"``.
    measure : {"cosine", "pearson"}
        Of a pair of columns.
    absolute : bool
        Whether the mean absolute similarity is wanted too; it costs a product of d x d.

    Raises
    ------
    ClaimError
        If the measure is unknown or a block has one dimension only.
    """
    if measure not in MEASURES:
        raise ClaimError(f"measure {measure!r} is not known; allowed: {', '.join(MEASURES)}.")
    names = sorted({name for group in groups for name in group})
    unit = {name: unit_length(columns[:, blocks[name]], measure) for name in names}
    gram = {name: u @ u.T for name, u in unit.items()}
    total = {name: u.sum(axis=1) for name, u in unit.items()}
    found = {}
    for group in groups:
        first, second = group[0], group[1]
        within = first == second
        width = unit[first].shape[1]
        pairs = width * (unit[second].shape[1] - within)
        if pairs == 0:
            raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
        diagonal = int(unit[first].any(axis=0).sum()) if within else 0
        size = _sum_absolute(unit[first], unit[second], diagonal) / pairs if absolute else None
        found[group] = GroupMoments(
            mean=float((total[first] @ total[second] - diagonal) / pairs),
            mean_square=float((np.vdot(gram[first], gram[second]) - diagonal) / pairs),
            mean_absolute=size,
        )
    return found


def _sum_absolute(first: np.ndarray, second: np.ndarray, diagonal: int) -> float:
    """Sum abs(first_i . second_j) over all ordered pairs but a block's own diagonal."""
    total = 0.0
    for start in range(0, first.shape[1], _TILE):
        tile = first[:, start : start + _TILE].T @ second
        total += float(np.abs(tile, out=tile).sum())
    return total - diagonal
