"""Polarisation: moments of the similarities between dimensions, of all pair groups at once.

This is the inner loop of the jackknife, which asks for them once for every cluster left out. Mean and mean square
come from n x n Gram matrices and no d x d matrix is formed; the mean absolute value has no such form and goes
over tiles. Leaving out rows rescales every column: `Deletions` takes their share off the columns' squared lengths and
forms the small Gram matrices anew, with no pass over the data but those; the mean absolute values of all sets of rows
come from one pass over the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.kernels.gram import BlockGram, block_gram, pair_sums
from qkvcheck.statistics.kernels.left_out import LeftOut
from qkvcheck.statistics.many.limits import MANY
from qkvcheck.statistics.many.pair_sums import PairSums, unit_pair_sums
from qkvcheck.statistics.similarity import check_measure, deletions_kernel, unit_length

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
        ``"certified bimodal"`` above 4/9, ``"U-shaped if symmetric"`` above 1/3, else ``"not certified"``, which does
        not exclude two modes.
    """
    if low > CERTIFIED:
        return "certified bimodal"
    return "U-shaped if symmetric" if low > SMILE else "not certified"


class MomentSource(Protocol):
    """Gives the moments of pair groups, of all rows or of some."""

    def __call__(
        self, groups: Sequence[str], *, measure: str = "cosine", absolute: bool = False
    ) -> dict[str, GroupMoments]:
        """Return the moments of several groups; see `group_moments`."""


def group_moments(
    columns: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Sequence[str],
    *,
    measure: str = "cosine",
    absolute: bool = False,
) -> dict[str, GroupMoments]:
    """Return the moments of several pair groups, from Gram matrices (see `qkvcheck.statistics.kernels.gram.pair_sums`).

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
    check_measure(measure)
    unit = {name: unit_length(columns[:, blocks[name]], measure) for name in _names(groups)}
    if len(columns) > MANY:
        return {group: _of_sums(group, unit, absolute=absolute) for group in groups}
    grams = {name: block_gram(u) for name, u in unit.items()}
    absolutes = None
    if absolute:
        absolutes = {g: _over_pairs(_sum_absolute(unit[g[0]], unit[g[1]]), g, grams) for g in groups}
    return _of_grams(grams, groups, absolutes)


def _of_sums(group: str, unit: Mapping[str, np.ndarray], *, absolute: bool) -> GroupMoments:
    """Return the moments of a group of many contexts, from tiles of similarities."""
    sums = unit_pair_sums(unit[group[0]], None if group[0] == group[1] else unit[group[1]])
    return moments_of_sums(sums, 0, absolute=absolute)


def moments_of_sums(sums: PairSums, number: int, *, absolute: bool) -> GroupMoments:
    """Return the moments of a group from sums over its pairs, of one set of rows."""
    if sums.pairs == 0:
        raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
    total, square, size = (float(one[number]) for one in (sums.total, sums.total_square, sums.total_absolute))
    return GroupMoments(total / sums.pairs, square / sums.pairs, size / sums.pairs if absolute else None)


def _names(groups: Sequence[str]) -> list[str]:
    return sorted({name for group in groups for name in group})


def _of_grams(
    grams: Mapping[str, BlockGram], groups: Sequence[str], absolutes: Mapping[str, float] | None
) -> dict[str, GroupMoments]:
    """Return the moments of groups; with the sums of abs(similarity) over their pairs the mean absolute value too."""
    found = {}
    for group in groups:
        first, second = grams[group[0]], grams[group[1]]
        within = group[0] == group[1]
        pairs = first.width * (first.width - 1) / 2 if within else first.width * second.width
        if pairs == 0:
            raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
        total, total_square = pair_sums(first, None if within else second)
        size = None if absolutes is None else absolutes[group] / pairs
        found[group] = GroupMoments(total / pairs, total_square / pairs, size)
    return found


def _over_pairs(total: float, group: str, grams: Mapping[str, BlockGram]) -> float:
    """Return a sum over ordered pairs as one over the pairs of a group: i < j, without the diagonal, in one block."""
    return (total - grams[group[0]].filled) / 2 if group[0] == group[1] else total


class Deletions:
    """Moments of pair groups without some of the rows, for one set of rows after the other.

    Parameters
    ----------
    columns : ndarray of float64
        (context, width), as `scaled_columns` returns them.
    blocks : mapping of str to slice
        Where the blocks stand along the width.
    left_out : sequence of ndarray of bool
        For each set (context,): the rows that are left out.

    Raises
    ------
    ClaimError
        If nothing is left.
    """

    def __init__(self, columns: np.ndarray, blocks: Mapping[str, slice], left_out: Sequence[np.ndarray]) -> None:
        self._blocks = blocks
        self._left = LeftOut(columns, left_out)
        self._sums: dict[tuple[str, str], list[float | None]] = {}

    def without(self, number: int) -> MomentSource:
        """Return the moments' source for the rows that a set does not leave out; sets count from 0."""

        def source(
            groups: Sequence[str], *, measure: str = "cosine", absolute: bool = False
        ) -> dict[str, GroupMoments]:
            check_measure(measure)
            names = _names(groups)
            grams = {name: self._gram(number, measure, self._blocks[name]) for name in names}
            absolutes = {group: self._absolute(group, measure, number, grams) for group in groups} if absolute else None
            return _of_grams(grams, groups, absolutes)

        return source

    def _absolute(self, group: str, measure: str, number: int, grams: Mapping[str, BlockGram]) -> float:
        """Return the sum of abs(similarity) over the pairs of a group; those of all sets are made at once."""
        if (group, measure) not in self._sums:
            self._sums[group, measure] = self._absolutes(group, measure)
        total = self._sums[group, measure][number]
        first, second = (self._blocks[name] for name in group)
        if total is None:
            kept = self._left.kept(number)
            total = _sum_absolute(unit_length(kept[:, first], measure), unit_length(kept[:, second], measure))
        return _over_pairs(total, group, grams)

    def _absolutes(self, group: str, measure: str) -> list[float | None]:
        """Return the sums of all sets over ordered pairs; None where a column has to be measured anew."""
        first, second = (self._blocks[name] for name in group)
        every = [self._left.scale(number, measure) for number in range(len(self._left.sets))]
        plain = [not (anew[first].any() or anew[second].any()) for _, anew in every]
        x = self._left.base(measure)
        taken, scales = [], []
        for number, ((scale, _), wanted) in enumerate(zip(every, plain, strict=True)):
            if wanted:
                gone = self._left.taken(number, measure)
                taken.append((gone[:, first], gone[:, second]))
                scales.append((scale[first], scale[second]))
        kernel = deletions_kernel(sums=len(taken) * x[:, first].shape[1] * x[:, second].shape[1])
        sums = iter(kernel(x[:, first], None if group[0] == group[1] else x[:, second], taken, scales).tolist())
        return [next(sums) if wanted else None for wanted in plain]

    def _gram(self, number: int, measure: str, block: slice) -> BlockGram:
        """Return the Gram matrix of the columns of one block, rescaled to length 1 on the rows that are kept."""
        staying = ~self._left.sets[number]
        scale, anew = (one[block] for one in self._left.scale(number, measure))
        x = self._left.base(measure)[staying, block] * scale
        gram, total = x @ x.T, x.sum(axis=1)
        if measure == "pearson":
            total = total - total.mean()
            gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
        filled = int((~anew).sum())
        if anew.any():
            unit = unit_length(self._left.columns[staying, block][:, anew], measure)
            few = block_gram(unit)
            gram, total, filled = gram + few.gram, total + few.total, filled + few.filled
        return BlockGram(gram, total, x.shape[1], filled)


def _sum_absolute(first: np.ndarray, second: np.ndarray) -> float:
    """Sum abs(first_i . second_j) over all ordered pairs."""
    total = 0.0
    for start in range(0, first.shape[1], _TILE):
        tile = first[:, start : start + _TILE].T @ second
        total += float(np.abs(tile, out=tile).sum())
    return total
