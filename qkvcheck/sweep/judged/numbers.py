"""Numbers: what moments and sums of rows say of one place, of all contexts and without each group in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from qkvcheck.errors import ClaimError, NotCapturedError
from qkvcheck.groups import PAIR_GROUPS, Comparison
from qkvcheck.statistics import (
    GroupMoments,
    Moments,
    OffsetParts,
    PairStatistic,
    Statistic,
    merge,
    offset_loadings_of,
    similarity_tile,
)
from qkvcheck.sweep.groups import MEASURES, Group
from qkvcheck.sweep.state import State

ROW_MEANS = ("row_mean", "row_cosine")
OFFSET_SHARE = "offset_share"
_CANCELLED = 1e-4
"""Dimensions that keep less than this share of their scatter are merged anew: taking off would lose digits."""


@dataclass(frozen=True)
class Table:
    """Every number that moments and sums of rows give at one place.

    Attributes
    ----------
    pairs : mapping of (measure, group) to GroupMoments
        Of the similarities between dimensions.
    offsets : mapping of str to OffsetParts
        Of each pair group.
    row_means : mapping of (measure, projection) to float
        Mean similarity over pairs of contexts.
    """

    pairs: Mapping[tuple[str, str], GroupMoments]
    offsets: Mapping[str, OffsetParts]
    row_means: Mapping[tuple[str, str], float]

    def moments(
        self, groups: Sequence[str], *, measure: str = "cosine", absolute: bool = False
    ) -> dict[str, GroupMoments]:
        """Return the moments of pair groups, as `qkvcheck.statistics.group_moments` does."""
        del absolute  # they are all there
        return {group: self.pairs[measure, group] for group in groups}

    def values(self, statistic: Statistic, comparisons: Sequence[Comparison]) -> list[float]:
        """Return a statistic of several comparisons.

        Raises
        ------
        NotCapturedError
            If it does not follow from moments and sums of rows.
        """
        if isinstance(statistic, PairStatistic):
            return statistic.from_moments(self.moments, comparisons)
        if statistic.name == OFFSET_SHARE:
            return [self.offsets[one.group].share for one in comparisons]
        if statistic.name in ROW_MEANS:
            return [self.row_means[one.measure, one.group] for one in comparisons]
        raise NotCapturedError(f"{statistic.name} needs the rows themselves, which a sweep does not keep")


def answers(statistic: Statistic) -> bool:
    """Tell whether a statistic follows from moments and sums of rows."""
    return isinstance(statistic, PairStatistic) or statistic.name in (*ROW_MEANS, OFFSET_SHARE)


def table_of(moments: Moments, units: np.ndarray, lengths: np.ndarray, projections: Mapping[str, slice]) -> Table:
    """Return every number of some contexts at one place.

    Parameters
    ----------
    moments : Moments
        Of the contexts.
    units, lengths : ndarray of float64
        (measure, width) and (measure, projection), as `qkvcheck.sweep.groups.Group` has them.
    projections : mapping of str to slice
        Where Q, K and V stand along the width.
    """
    whole = slice(0, len(moments.mean))
    similar = {measure: similarity_tile(moments, whole, whole, measure=measure) for measure in MEASURES}
    groups = [group for group in PAIR_GROUPS if set(group) <= set(projections)]
    loadings = np.clip(offset_loadings_of(moments), -1.0, 1.0)
    pairs = {
        (measure, group): _moments_of(similar[measure][projections[group[0]], projections[group[1]]], group)
        for measure in MEASURES
        for group in groups
    }
    offsets = {
        group: _offset_of(
            loadings[projections[group[0]]],
            loadings[projections[group[1]]],
            similar["pearson"][projections[group[0]], projections[group[1]]],
            within=group[0] == group[1],
            n=moments.n,
        )
        for group in groups
    }
    return Table(pairs, offsets, _row_means(moments.n, units, lengths, projections))


def _row_means(
    n: int, units: np.ndarray, lengths: np.ndarray, projections: Mapping[str, slice]
) -> dict[tuple[str, str], float]:
    """Return the mean over pairs: (abs(sum of unit rows)^2 - sum of their squared lengths) / (n (n - 1))."""
    found = {}
    for at, measure in enumerate(MEASURES):
        for number, (name, block) in enumerate(projections.items()):
            total = units[at, block]
            found[measure, name] = (
                float((total @ total - lengths[at, number]) / (n * (n - 1))) if n > 1 else float("nan")
            )
    return found


def _pairs(shape: tuple[int, ...], group: str) -> float:
    return shape[0] * (shape[0] - 1) / 2 if group[0] == group[1] else shape[0] * shape[1]


def _moments_of(similar: np.ndarray, group: str) -> GroupMoments:
    pairs = _pairs(similar.shape, group)
    if not pairs:
        raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
    total, square, size = (
        float(similar.sum()),
        float(np.einsum("ij,ij->", similar, similar)),
        float(np.abs(similar).sum()),
    )
    if group[0] == group[1]:
        own = np.diagonal(similar)
        total, square, size = (total - own.sum()) / 2, (square - own @ own) / 2, (size - np.abs(own).sum()) / 2
    return GroupMoments(float(total / pairs), float(square / pairs), float(size / pairs))


def _offset_of(a: np.ndarray, second: np.ndarray, r: np.ndarray, *, within: bool, n: int) -> OffsetParts:
    """Return the parts of a group's mean squared cosine, as `qkvcheck.statistics.decompose` has them from rows."""
    b, second_b = np.sqrt(1 - a**2), np.sqrt(1 - second**2)
    count = len(a) * (len(second) - within)

    def mean(first: np.ndarray, other: np.ndarray, matrix: np.ndarray | None = None) -> float:
        """Mean of first_i m_ij other_j over the pairs; m is 1 without a matrix."""
        total = first.sum() * other.sum() if matrix is None else first @ matrix @ other
        if within:
            total -= (first * other).sum() if matrix is None else (first * np.diagonal(matrix) * other).sum()
        return float(total / count)

    squared = r * r
    offset, residual = mean(a**2, second**2), mean(b**2, second_b**2, squared)
    cross = 2 * mean(a * b, second * second_b, r)
    return OffsetParts(
        mean_square=offset + cross + residual,
        offset=offset,
        cross=cross,
        residual=residual,
        offset_only=offset + mean(b**2, second_b**2) / (n - 1),
        pearson_mean_square=mean(np.ones_like(a), np.ones_like(second), squared),
        mean=mean(a, second),
    )


def without(total: Moments, gone: Moments) -> Moments | None:
    """Return the moments of what is left without a group; None where that would lose digits.

    Examples
    --------
    >>> import numpy as np
    >>> from qkvcheck.statistics import accumulate
    >>> x = np.random.default_rng(0).normal(size=(30, 3))
    >>> left = without(accumulate([x]), accumulate([x[:10]]))
    >>> bool(np.allclose(left.scatter, accumulate([x[10:]]).scatter))
    True
    """
    n = total.n - gone.n
    if n < 1:
        raise ClaimError("every context is left out; nothing can be measured on what remains.")
    mean = total.mean - (gone.mean - total.mean) * (gone.n / n)
    gap = gone.mean - mean
    scatter = total.scatter - gone.scatter
    scatter -= np.outer((gone.n * n / total.n) * gap, gap)
    before, after = np.diagonal(total.scatter), np.diagonal(scatter)
    if (after <= _CANCELLED * before)[~total.constant].any():
        return None
    return Moments(n, mean, scatter, total.low, total.high)


@dataclass(eq=False)
class Place:
    """What a state says at one layer and role.

    Attributes
    ----------
    state : State
        Of one target in one network.
    number : int
        The place along the groups' first axis.
    told : callable, optional
        Called for each group that is left out.
    """

    state: State
    number: int
    told: Callable[[], object] | None = None
    _whole: tuple[Moments, Table] | None = field(default=None, repr=False)
    _left: dict[str, Table] = field(default_factory=dict, repr=False)

    @property
    def moments(self) -> Moments:
        """Of all contexts."""
        return self._all()[0]

    @property
    def table(self) -> Table:
        """Of all contexts."""
        return self._all()[1]

    def _all(self) -> tuple[Moments, Table]:
        if self._whole is None:
            found = _merged(list(self.state.groups.values()), self.number)
            units, lengths = self._sums()
            self._whole = found, table_of(found, units, lengths, self.state.shape.projections)
        return self._whole

    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        every = self.state.groups.values()
        return sum(g.units[self.number] for g in every), sum(g.lengths[self.number] for g in every)

    def left(self, label: str) -> Table:
        """Return every number without a group."""
        if label not in self._left:
            groups = self.state.groups
            moments = without(self.moments, groups[label].moments(self.number))
            if moments is None:
                moments = _merged([group for other, group in groups.items() if other != label], self.number)
            units, lengths = self._sums()
            gone = groups[label]
            self._left[label] = table_of(
                moments,
                units - gone.units[self.number],
                lengths - gone.lengths[self.number],
                self.state.shape.projections,
            )
            if self.told is not None:
                self.told()
        return self._left[label]


def _merged(groups: Sequence[Group], number: int) -> Moments:
    return reduce(merge, (group.moments(number) for group in groups))
