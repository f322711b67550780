"""Statistics over pairs of dimensions: how far the similarities lie towards the poles, and how much of it is offset."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import inf

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.groups import MEASURES, Capture, Comparison
from qkvcheck.statistics.formulas import random_mean_absolute, variance
from qkvcheck.statistics.further.unimodal import most_unimodal_variance
from qkvcheck.statistics.group_moments import GroupMoments, MomentSource
from qkvcheck.statistics.jackknife import Replicates
from qkvcheck.statistics.many.limits import MANY
from qkvcheck.statistics.many.offset_shares import offset_shares
from qkvcheck.statistics.nulls import SHUFFLED
from qkvcheck.statistics.offset import decompose, offset_only_mean_absolute
from qkvcheck.statistics.registry import PairStatistic, Statistic, register_statistic
from qkvcheck.statistics.sample import Part, Rows, parts_of
from qkvcheck.statistics.similarity import scaled_columns

TWO_PEAKS = "0.333 for a flat histogram, 1 if half is -1 and half +1. Above 0.444 there can't be a single peak"


class _WithNull(Statistic):
    """A statistic whose value for permuted numbers is known."""

    def null(self, reference: str, rows: Rows, comparison: Comparison) -> float | None:
        n = len(rows.arrays[0])
        if reference == SHUFFLED or comparison.measure == "pearson":
            return self.shuffled(n - (comparison.measure == "pearson"))
        return self.within_column(parts_of(rows.arrays, comparison, rows)[0], n)

    @abstractmethod
    def shuffled(self, n: int) -> float:
        """Return the expectation for random vectors in n dimensions."""

    @abstractmethod
    def within_column(self, part: Part, n: int) -> float:
        """Return the expectation where contexts are permuted within each dimension: the offsets stay."""


@register_statistic
class Variance(PairStatistic, _WithNull):
    """V, the variance of the similarities."""

    name = "variance"
    possible = (0.0, 1.0)
    words = "the variance of the {many}"
    reading = f"{TWO_PEAKS}; below that, there may be one peak or several."

    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        return {group: own.variance for group, own in moments(groups, measure=measure).items()}

    def shuffled(self, n: int) -> float:
        return 1 / n

    def within_column(self, part: Part, n: int) -> float:
        del n
        found = decompose(*part)
        return found.offset_only - found.mean**2


@register_statistic
class UnimodalExcess(PairStatistic):
    """V less the most that a law with one peak and the same mean allows."""

    name = "unimodal_excess"
    words = "the variance of the {many} less the most that a single peak with their mean allows"
    reading = "above 0 there can't be a single peak; at 0 or below there may be one peak or several."

    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        found = moments(groups, measure=measure)
        return {group: own.variance - most_unimodal_variance(own.mean) for group, own in found.items()}


@register_statistic
class MeanSquare(PairStatistic, _WithNull):
    """P, the mean squared similarity."""

    name = "mean_square"
    possible = (0.0, 1.0)
    words = "the mean squared {one}"
    reading = "0 if no two are alike, 0.333 for a flat histogram, 1 if all are -1 or +1."

    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        return {group: own.mean_square for group, own in moments(groups, measure=measure).items()}

    def shuffled(self, n: int) -> float:
        return 1 / n

    def within_column(self, part: Part, n: int) -> float:
        del n
        return decompose(*part).offset_only


@register_statistic
class MeanAbsolute(PairStatistic, _WithNull):
    """The mean magnitude of the similarities."""

    name = "mean_absolute"
    possible = (0.0, 1.0)
    words = "the mean magnitude of the {many}"
    reading = "0.5 for a flat histogram, 1 if all are -1 or +1."

    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        return {g: _absolute(own) for g, own in moments(groups, measure=measure, absolute=True).items()}

    def shuffled(self, n: int) -> float:
        return random_mean_absolute(n)

    def within_column(self, part: Part, n: int) -> float:
        del n
        return offset_only_mean_absolute(*part)


@register_statistic
class SignBalance(PairStatistic, _WithNull):
    """The mean of the similarities over their mean magnitude."""

    name = "sign_balance"
    possible = (-1.0, 1.0)
    words = "the mean of the {many} over their mean magnitude"
    reading = "-1 if all are negative, 0 if both signs weigh alike, 1 if all are positive."
    # A ratio whose numerator is a squared length: skewed, and short of coverage by more than the others.
    widening = 6.0

    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        found = moments(groups, measure=measure, absolute=True)
        return {g: own.mean / size if (size := _absolute(own)) > 0 else 0.0 for g, own in found.items()}

    def shuffled(self, n: int) -> float:
        del n
        return 0.0

    def within_column(self, part: Part, n: int) -> float:
        del n
        return decompose(*part).mean / offset_only_mean_absolute(*part)


@register_statistic
class Collapse(PairStatistic, _WithNull):
    """What centring leaves of the mean squared cosine."""

    name = "collapse"
    possible = (0.0, inf)
    words = "the mean squared Pearson correlation over the mean squared cosine"
    reading = (
        "1 if taking each dimension's mean off leaves as much, 0 if it leaves nothing. Pearson is scaled anew after "
        "that, so this and the offset's share need not add up to 1."
    )
    widening = 6.0

    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        del measure
        before, after = (moments(groups, measure=m) for m in ("cosine", "pearson"))
        return {g: after[g].mean_square / before[g].mean_square if before[g].mean_square > 0 else 0.0 for g in groups}

    def shuffled(self, n: int) -> float:
        return n / (n - 1)

    def within_column(self, part: Part, n: int) -> float:
        return 1 / (n - 1) / decompose(*part).offset_only


@register_statistic
class OffsetShare(_WithNull):
    """The share of the mean squared cosine that is mean offset."""

    name = "offset_share"
    axis = "dimensions"
    measures = ("cosine",)
    words = "the mean offset's share of the mean squared cosine"
    reading = "0 if none of it is mean offset, 1 if all of it is."
    widening = 6.0

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        del measure
        return decompose(*parts[0]).share

    def replicate(
        self, rows: Rows, comparisons: Sequence[Comparison], clusters: Sequence[str]
    ) -> dict[Comparison, Replicates]:
        """Return the numbers without each cluster; of many contexts from sums, without a pass for each."""
        labels = np.array(rows.labels[0])
        if len(labels) <= MANY:
            return super().replicate(rows, comparisons, clusters)
        left_out = [labels == cluster for cluster in clusters]
        columns, whole = scaled_columns(rows.arrays[0]), self.values(rows.arrays, rows, comparisons)
        return {
            comparison: Replicates(own, offset_shares(columns, rows.projections, left_out, comparison.group))
            for comparison, own in zip(comparisons, whole, strict=True)
        }

    def shuffled(self, n: int) -> float:
        return 1 / n

    def within_column(self, part: Part, n: int) -> float:
        del n
        found = decompose(*part)
        return found.offset / found.offset_only


@register_statistic
class BlockDifference(PairStatistic):
    """V of a group less V of the values' own."""

    name = "block_difference"
    words = "the variance of the {many} less that in V-V"
    reading = "0 if the histogram is as wide as that of V-V, below 0 if it is narrower."
    is_difference = True

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        raise ClaimError("a difference of blocks needs all of them; measure it in a sample with Q, K and V.")

    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        found = moments(["VV", *groups], measure=measure)
        return {group: found[group].variance - found["VV"].variance for group in groups}


@register_statistic
class VarianceDifference(Statistic):
    """V at the target less V at the token before it."""

    name = "variance_difference"
    axis = "dimensions"
    measures = MEASURES
    words = "the variance of the {many} at the target less that at the token before it"
    reading = (
        "0 if the histogram is as wide as at the token before it, below 0 if it is narrower. Both are taken at the "
        "same positions, equally often."
    )
    captured_on = Capture.MATCHED
    is_difference = True

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        target, other = (variance(x, y, measure=measure) for x, y in parts)
        return target - other


def _absolute(moments: GroupMoments) -> float:
    assert moments.mean_absolute is not None  # asked for
    return moments.mean_absolute
