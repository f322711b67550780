"""Samples: what a sweep leaves of a layer, as claims are judged on it: sums over all contexts, and rows of some."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from qkvcheck.capture import Captured
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Comparison
from qkvcheck.statistics import (
    MIN_CLUSTERS,
    Distribution,
    Measurement,
    OffsetParts,
    Replicates,
    Statistic,
    SummedRows,
    SummedSample,
    same_everywhere,
    summarise_moments,
    too_few,
)
from qkvcheck.sweep.groups import ROLES
from qkvcheck.sweep.judged.numbers import Place
from qkvcheck.sweep.state import State


@dataclass(frozen=True, eq=False)
class SweptRows(SummedRows):
    """The contexts that were drawn at one place, and the sums over all.

    Attributes
    ----------
    place : Place or None
        Where the sums are.
    """

    place: Place | None = None

    def distribution(self, comparison: Comparison) -> Distribution:
        """Return the histogram of the similarities between dimensions, over all contexts."""

        def compute() -> Distribution:
            assert self.place is not None
            (found,) = summarise_moments(
                self.place.moments, self.projections, [comparison.group], measure=comparison.measure
            )
            return Distribution.of(found)

        return self.keep(("distribution", comparison), compute)


@dataclass(frozen=True, eq=False)
class SweptMeasurement(Measurement):
    """One statistic of one comparison, from the sums of a sweep."""

    holds_rows: ClassVar[bool] = False

    @property
    def place(self) -> Place:
        """Where the sums are."""
        assert isinstance(self.rows, SweptRows)
        assert self.rows.place is not None
        return self.rows.place

    def plug_ins(self, comparisons: Any) -> dict[Comparison, float]:
        """Return the statistic for several comparisons at once."""
        return dict(zip(comparisons, self.place.table.values(self.statistic, comparisons), strict=True))

    def _every(self, clusters: tuple[str, ...]) -> Mapping[Comparison, Replicates]:
        def compute() -> Mapping[Comparison, Replicates]:
            held = self.place.state.groups
            whole = self.place.table.values(self.statistic, self.together)
            left = [self.place.left(c).values(self.statistic, self.together) if c in held else whole for c in clusters]
            columns = np.array(left, dtype=np.float64).T
            return {c: Replicates(v, column) for c, v, column in zip(self.together, whole, columns, strict=True)}

        return self.rows.keep(("replicates", self.statistic, self.together, clusters), compute)

    @property
    def distribution(self) -> Distribution:
        """The histogram of the similarities between dimensions, over all contexts."""
        assert isinstance(self.rows, SweptRows)
        return self.rows.distribution(self.comparison)

    @property
    def offset(self) -> OffsetParts:
        """How much of the mean squared cosine is mean offset."""
        return self.place.table.offsets[self.comparison.group]

    @property
    def effective_contexts(self) -> float:
        """Kish's number, with groups for clusters: shared ones make it smaller than it is."""
        sizes = [group.n for group in self.place.state.groups.values()]
        return float(sum(sizes) ** 2 / sum(size * size for size in sizes))

    def undefined(self, *, axis: str) -> str | None:
        """Return why the number is not defined here, however many contexts there are, or None."""
        layer = self.sample.layer if isinstance(self.sample, SweptSample) else None
        if layer == 0:
            places = len(self.place.state.places)
            return (
                f"at layer 0 rows hang on the token and its place alone ({places} places); a sweep doesn't merge them"
            )
        if axis != "dimensions":
            return None
        for name in sorted({name for name in self.comparison.group if name in self.rows.projections}):
            constant = self.place.moments.constant[self.rows.projections[name]]
            if constant.any():
                return same_everywhere(name, constant)
        return None

    def obstacle(self, *, axis: str, min_distinct: int) -> str | None:
        """Return why nothing can be said here, or None."""
        state = self.place.state
        if self.rows.n_distinct < min_distinct:
            return too_few(self.rows, min_distinct)
        if len(state.groups) < MIN_CLUSTERS and state.shape.groups > 1:  # with one group only the number itself is had
            return (
                f"{len(state.groups)} clusters of contexts by {self.sample.cluster_kind}; at least {MIN_CLUSTERS} are "
                "needed: choose other --clusters"
            )
        return self.undefined(axis=axis)

    def null(self, reference: str) -> tuple[float, str]:
        """Return what the number would be if everything were permuted, where a closed form of it is known."""
        shuffled: Callable[[int], float] | None = getattr(self.statistic, "shuffled", None)
        if reference != "shuffled" or shuffled is None:
            raise NotCapturedError("needs the rows themselves, which a sweep does not keep")
        return shuffled(self.rows.n - (self.comparison.measure == "pearson")), "closed form"

    def paired_with(self, other: Measurement) -> tuple[Replicates, Replicates]:
        """Return both measurements without the same groups."""
        clusters = tuple(sorted({*self.rows.clusters, *other.rows.clusters}))
        return self.replicates_without(clusters), other.replicates_without(clusters)


@dataclass(frozen=True, eq=False)
class SweptSample(SummedSample):
    """What a sweep leaves of one target in one network, at one layer and role.

    Attributes
    ----------
    place : Place or None
        Where the sums are.
    layer : int
        Zero-based.
    deduplicated : bool
        Whether contexts of the same tokens counted once.
    """

    place: Place | None = None
    layer: int = -1
    deduplicated: bool = False

    @cached_property
    def rows(self) -> SweptRows:
        """The contexts that were drawn, under the clusters of all."""
        assert self.place is not None
        state = self.place.state
        return SweptRows(
            arrays=self.arrays,
            labels=(sorted(state.groups),),
            projections=self.projections,
            subsets={},
            n=state.n,
            n_distinct=state.n if self.deduplicated else state.distinct,
            heads=self.heads,
            place=self.place,
        )

    def measured(
        self, statistic: Statistic, comparison: Comparison, together: tuple[Comparison, ...]
    ) -> SweptMeasurement:
        """Return a statistic of one comparison."""
        return SweptMeasurement(statistic, self, comparison, together, self.rows)


def sample_at(
    state: State, *, layers: tuple[int, ...], layer: int, role: str, kind: str, deduplicated: bool,
    heads: Mapping[str, int], told: Callable[[], object] | None = None,
) -> SweptSample:  # fmt: skip
    """Return what a state holds at a layer and role.

    Parameters
    ----------
    state : State
        Of one target in one network.
    layers : tuple of int
        Those that were captured.
    layer, role : int, str
        Which of them, and ``"target"`` or ``"preceding"``.
    kind : str
        What makes a cluster, in words.
    deduplicated : bool
        Whether contexts of the same tokens counted once.
    heads : mapping of str to int
        Of Q, K and V.
    told : callable, optional
        Called for each group that is left out.
    """
    number = layers.index(layer) * len(ROLES) + ROLES.index(role)
    if state.shared:
        kind = f"{kind}, shared out among {state.shape.groups} groups by a seeded hash"
    return SweptSample(
        arrays=(state.drawn.rows[:, number],),
        projections=state.shape.projections,
        cluster_kind=kind,
        heads=heads,
        place=Place(state, number, told),
        layer=layer,
        deduplicated=deduplicated,
    )


@dataclass(frozen=True, eq=False)
class SweptSeeds:
    """The same in untrained networks, one a seed."""

    samples: tuple[SweptSample, ...]

    @property
    def count(self) -> int:
        """How many seeds there are."""
        return len(self.samples)

    def measure(self, number: Any, *, first: int | None = None) -> list[Any]:
        """Return what a computation finds in each seed's sample, or in the `first` few."""
        return [number(sample) for sample in self.samples[:first]]


@dataclass(frozen=True, eq=False)
class SweptNetworks:
    """Untrained networks at every layer."""

    layers: Mapping[int, SweptSeeds]

    def at(self, layer: int, captured: Captured, /, *, head: int | None = None) -> SweptSeeds:
        """Return the measurement at a layer."""
        del captured, head
        return self.layers[layer]
