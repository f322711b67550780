"""Seed numbers: what is computed in untrained networks, as data, so that it can be kept on disk under its name.

Each is a frozen dataclass that is called with a network's sample. It reads nothing but the sample and its fields, and
its name is made of all its fields: what changes the number changes the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from qkvcheck.capture import Captured
from qkvcheck.claims.claim import Criterion
from qkvcheck.groups import POSITION, Comparison
from qkvcheck.statistics import Grouping, Rows, Sample, Statistic, distribution_of, measure


class SeedNumber(Protocol):
    """A computation on a sample: a frozen dataclass whose result, plain data, depends on nothing but its fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, sample: Sample) -> Any:
        """Return what is found in a sample."""


class Seeds(Protocol):
    """The same measurement in untrained networks, one a seed."""

    @property
    def count(self) -> int:
        """How many seeds there are."""

    def measure(self, number: SeedNumber, *, first: int | None = None) -> list[Any]:
        """Return what a computation finds in each seed's sample, or in the `first` few; plain data."""


class Networks(Protocol):
    """A measurement in untrained networks at any layer; a claim's check gets it as its control ``untrained``."""

    def at(self, layer: int, captured: Captured, /, *, head: int | None = None) -> Seeds:
        """Return the measurement at a layer, or at one head of it; `captured` is the trained network's."""


@dataclass(frozen=True)
class SeedPlugIns:
    """A statistic's plug-in number at each of a claim's places, and whether it meets the claim's criterion.

    Attributes
    ----------
    statistic : Statistic
        What is computed.
    comparisons : tuple of Comparison
        Where.
    criterion : Criterion
        What is to be met.
    axis : {"dimensions", "contexts"}
        What the claim compares.
    min_distinct : int
        Distinct contexts that are needed.
    """

    statistic: Statistic
    comparisons: tuple[Comparison, ...]
    criterion: Criterion
    axis: str
    min_distinct: int

    def __call__(self, sample: Sample) -> list[list[Any]]:
        """Return for each place the number, or None; whether it meets the criterion, or why there is no number; and
        how many contexts are distinct."""  # noqa: D209, D205
        found = [measure(self.statistic, sample, c, together=self.comparisons) for c in self.comparisons]
        obstacles = [one.obstacle(axis=self.axis, min_distinct=self.min_distinct) for one in found]
        clear = [one.comparison for one, obstacle in zip(found, obstacles, strict=True) if obstacle is None]
        values = found[0].plug_ins(clear)
        rows = sample.rows
        return [
            [values[c], self._holds(values[c], rows, c), rows.n_distinct]
            if c in values
            else [None, why, rows.n_distinct]
            for c, why in zip(self.comparisons, obstacles, strict=True)
        ]

    def _holds(self, value: float, rows: Rows, comparison: Comparison) -> bool:
        return self.criterion.meets(value) and has_both_poles(self.criterion, rows, comparison)


@dataclass(frozen=True)
class SeedReplicates:
    """A statistic without each of some clusters, at each of a claim's places.

    Attributes
    ----------
    statistic : Statistic
        What is computed.
    comparisons : tuple of Comparison
        Where.
    clusters : tuple of str
        Those that are left out in turn, or groups of them.
    grouping : Grouping or None
        The groups of the trained network's clusters, where they leave in groups.
    """

    statistic: Statistic
    comparisons: tuple[Comparison, ...]
    clusters: tuple[str, ...]
    grouping: Grouping | None = None

    def __call__(self, sample: Sample) -> list[list[float]]:
        """Return for each place the numbers without each cluster."""
        found = [measure(self.statistic, sample, c, together=self.comparisons) for c in self.comparisons]
        if self.grouping is not None:
            rows = sample.rows.relabelled(sample.rows.cluster_labels, self.grouping)
            found = [replace(one, rows=rows) for one in found]
        return [[float(value) for value in one.replicates_without(self.clusters).without] for one in found]


@dataclass(frozen=True)
class SeedHistogram:
    """The histogram of the similarities between dimensions.

    Attributes
    ----------
    comparison : Comparison
        Where.
    """

    comparison: Comparison

    def __call__(self, sample: Sample) -> list[int]:
        """Return the counts."""
        return list(distribution_of(sample.rows, self.comparison).histogram)


@dataclass(frozen=True)
class SeedValues:
    """The plug-in numbers of several statistics at one place.

    Attributes
    ----------
    statistics : tuple of Statistic
        What is computed.
    comparison : Comparison
        Where.
    """

    statistics: tuple[Statistic, ...]
    comparison: Comparison

    def __call__(self, sample: Sample) -> list[float]:
        """Return a number for each statistic."""
        return [measure(statistic, sample, self.comparison).plug_in for statistic in self.statistics]


@dataclass(frozen=True)
class SeedAtPlace:
    """A statistic's plug-in number at each of a claim's places, of the contexts with the target at one place.

    Attributes
    ----------
    statistic : Statistic
        What is computed.
    comparisons : tuple of Comparison
        Where.
    place : str
        As `qkvcheck.groups.POSITION` tells it of a context.
    """

    statistic: Statistic
    comparisons: tuple[Comparison, ...]
    place: str

    def __call__(self, sample: Sample) -> list[float] | None:
        """Return a number for each comparison, over distinct contexts; None with fewer than two of them there."""
        rows = sample.rows
        there = [row for row, place in enumerate(rows.factors.get(POSITION, ())) if place == self.place]
        if len(rows.arrays) != 1 or len(there) < 2:
            return None
        return [float(value) for value in self.statistic.values((rows.arrays[0][there],), rows, self.comparisons)]


def has_both_poles(criterion: Criterion, rows: Rows, comparison: Comparison) -> bool:
    """Tell whether both poles are as large as a claim asks for; true where it asks for none."""
    if criterion.pole_share is None:
        return True
    shape = distribution_of(rows, comparison)
    return min(shape.share_low, shape.share_high) >= criterion.pole_share


def most(passing: Sequence[bool]) -> bool:
    """Tell whether most of some networks pass: more than half of them.

    Examples
    --------
    >>> most([True, True, False, False]), most([True, True, False])
    (False, True)
    """
    return 2 * sum(passing) > len(passing)
