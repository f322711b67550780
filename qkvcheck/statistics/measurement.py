"""Measurement: one statistic on one sample's rows, with everything that a verdict asks of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from qkvcheck.groups import Comparison
from qkvcheck.statistics.jackknife import LEVEL, Estimate, Replicates, effective_contexts, simultaneous_critical
from qkvcheck.statistics.nulls import null_value
from qkvcheck.statistics.offset import OffsetParts, decompose
from qkvcheck.statistics.registry import Statistic
from qkvcheck.statistics.sample import Part, Rows, Sample, parts_of, too_few, unjudgeable
from qkvcheck.statistics.similarity import GroupSummary, summarise_group

MIN_CLUSTERS = 10
"""With fewer clusters a jackknife interval does not cover what it says."""


@dataclass(frozen=True)
class Distribution:
    """The similarities between dimensions, as a histogram and the shares of it that are shown.

    Attributes
    ----------
    histogram : list of int
        Over equal bins on [-1, 1].
    pairs : int
        Pairs counted.
    share_above : mapping of str to float
        Share of pairs with abs(similarity) above each edge.
    share_low, share_high : float
        Share of pairs below -0.5 and above 0.5.
    zero_columns : int
        Dimensions of length zero.
    """

    histogram: list[int]
    pairs: int
    share_above: Mapping[str, float]
    share_low: float
    share_high: float
    zero_columns: int

    @classmethod
    def of(cls, summary: GroupSummary) -> Distribution:
        """Return what is shown of a group's summary."""
        return cls(
            histogram=summary.counts.tolist(),
            pairs=summary.pairs,
            share_above={str(edge): share for edge, share in summary.share_above.items()},
            share_low=summary.share_low,
            share_high=summary.share_high,
            zero_columns=summary.zero_columns,
        )

    def __post_init__(self) -> None:
        if not self.histogram or min(self.histogram) < 0:
            raise ValueError("histogram has to hold counts from 0")


@dataclass(frozen=True, eq=False)
class Measurement:
    """One statistic of one comparison on distinct rows.

    Attributes
    ----------
    statistic : Statistic
        What is computed.
    sample : Sample
        What was captured.
    comparison : Comparison
        Group and measure.
    together : tuple of Comparison
        Those that are computed in the same pass, this one among them: the cells of one claim share their work.
    rows : Rows
        The sample's own distinct rows, or those under clusters that another sample shares.
    """

    statistic: Statistic
    sample: Sample
    comparison: Comparison
    together: tuple[Comparison, ...]
    rows: Rows
    holds_rows: ClassVar[bool] = True
    """Whether `rows` are all contexts; else they are some of them, and numbers come from sums over all."""

    @cached_property
    def plug_in(self) -> float:
        """The statistic itself, on all rows."""
        return self.replicates.whole if self._is_replicated else self.plug_ins([self.comparison])[self.comparison]

    @property
    def _is_replicated(self) -> bool:
        return "replicates" in self.__dict__

    def plug_ins(self, comparisons: Sequence[Comparison]) -> dict[Comparison, float]:
        """Return the statistic for several comparisons at once."""
        return dict(zip(comparisons, self.statistic.values(self.rows.arrays, self.rows, comparisons), strict=True))

    @cached_property
    def replicates(self) -> Replicates:
        """The statistic on all rows and without each cluster in turn."""
        return self.replicates_without(self.rows.clusters)

    def replicates_without(self, clusters: tuple[str, ...]) -> Replicates:
        """Return the statistic on all rows and without each of some clusters in turn."""
        return self._every(clusters)[self.comparison]

    def _every(self, clusters: tuple[str, ...]) -> Mapping[Comparison, Replicates]:
        key = ("replicates", self.statistic, self.together, clusters)
        return self.rows.keep(key, lambda: self.statistic.replicate(self.rows, self.together, clusters))

    def critical(self, family: tuple[Comparison, ...], *, level: float = LEVEL) -> float:
        """Return the factor under which the intervals of a family hold all at once."""
        every = self._every(self.rows.clusters)
        return self.rows.keep(
            ("critical", self.statistic, self.together, family, level),
            lambda: simultaneous_critical(
                [every[comparison] for comparison in family], scale=self.statistic.interval_scale, level=level
            ),
        )

    def estimate(self, *, critical: float | None = None, level: float = LEVEL) -> Estimate:
        """Return the bias-corrected estimate with its interval."""
        return self.statistic.estimate(self.replicates, critical=critical, level=level)

    @property
    def parts(self) -> list[Part]:
        """What the statistic takes of each array."""
        return parts_of(self.rows.arrays, self.comparison, self.rows)

    @property
    def distribution(self) -> Distribution:
        """The histogram of the similarities between dimensions."""
        return distribution_of(self.rows, self.comparison)

    def obstacle(self, *, axis: str, min_distinct: int) -> str | None:
        """Return why nothing can be said here, or None.

        Parameters
        ----------
        axis : {"dimensions", "contexts"}
            What the claim compares.
        min_distinct : int
            Distinct contexts that are needed.
        """
        rows = self.rows
        if rows.n_distinct < min_distinct:
            return too_few(rows, min_distinct)
        clusters = len(rows.clusters)
        if clusters < MIN_CLUSTERS and not self.statistic.counts:
            kind = self.sample.cluster_kind
            return f"{clusters} clusters of contexts by {kind}; at least {MIN_CLUSTERS} are needed"
        return self.undefined(axis=axis)

    def undefined(self, *, axis: str) -> str | None:
        """Return why the number is not defined here, however many contexts there are, or None."""
        return unjudgeable(self.rows, [self.comparison.group], axis=axis)

    @property
    def offset(self) -> OffsetParts:
        """How much of the mean squared cosine is mean offset."""
        return decompose(*self.parts[0])

    @property
    def effective_contexts(self) -> float:
        """How many independent contexts they are worth if those of a cluster are copies of each other."""
        return effective_contexts(self.rows.cluster_labels[0])

    def null(self, reference: str) -> tuple[float, str]:
        """Return what the number would be for permuted numbers, and how that was found; see `null_value`.

        Raises
        ------
        NotCapturedError
            If the rows would be needed, and are not all there.
        """
        return null_value(reference, self.statistic, self.rows, self.comparison)

    def paired_with(self, other: Measurement) -> tuple[Replicates, Replicates]:
        """Return both measurements under the same deletions, of clusters that their samples share."""
        one, two = self.sample.joint_rows(other.sample)
        clusters = tuple(sorted({*one.clusters, *two.clusters}))
        first, second = (
            Measurement(self.statistic, sample, self.comparison, self.together, rows).replicates_without(clusters)
            for sample, rows in ((self.sample, one), (other.sample, two))
        )
        return first, second


class SummedRows(Rows):
    """Some rows of many, of which sums over all are left."""

    @abstractmethod
    def distribution(self, comparison: Comparison) -> Distribution:
        """Return the histogram of the similarities between dimensions, over all contexts."""


class SummedSample(Sample):
    """A sample of which sums are left, and some rows for pictures: it measures itself."""

    @abstractmethod
    def measured(self, statistic: Statistic, comparison: Comparison, together: tuple[Comparison, ...]) -> Measurement:
        """Return a statistic of one comparison; see `measure`."""


def measure(
    statistic: Statistic, sample: Sample, comparison: Comparison, *, together: Sequence[Comparison] = ()
) -> Measurement:
    """Return a statistic of one comparison on a sample's distinct rows.

    Parameters
    ----------
    statistic, sample, comparison : Statistic, Sample, Comparison
        What, on what, and where.
    together : sequence of Comparison
        Others that will be asked for; used where this one is among them.

    Examples
    --------
    >>> import numpy as np
    >>> from qkvcheck.statistics.registry import statistic_named
    >>> x = np.random.default_rng(0).normal(size=(30, 4))
    >>> found = measure(statistic_named("row_mean"), Sample((x,), {"Q": slice(0, 4)}), Comparison("Q", "cosine"))
    >>> bool(abs(found.plug_in) < 0.1), len(found.replicates.without)
    (True, 30)
    """
    every = tuple(together) if comparison in together else (comparison,)
    if isinstance(sample, SummedSample):
        return sample.measured(statistic, comparison, every)
    return Measurement(statistic, sample, comparison, every, sample.rows)


def distribution_of(rows: Rows, comparison: Comparison) -> Distribution:
    """Return the histogram of the similarities between dimensions, and the shares of it that are shown."""

    def compute() -> Distribution:
        return Distribution.of(summarise_group(*parts_of(rows.arrays, comparison, rows)[0], measure=comparison.measure))

    if isinstance(rows, SummedRows):
        return rows.distribution(comparison)
    return rows.keep(("distribution", comparison), compute)
