"""Measured: what the tests of single cells have in common, computed once for all of them.

Samples and rows are told apart by identity, so that a result is never taken for that of other numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from qkvcheck.claims.claim import Claim
from qkvcheck.statistics import (
    Place,
    Replicates,
    Rows,
    Sample,
    Statistic,
    distinct,
    joint_clusters,
    parts_of,
    replicate,
    simultaneous_critical,
    statistic_named,
    summarise_group,
    unjudgeable,
)

LEAST_CLUSTERS = 10
"""With fewer clusters a jackknife interval does not cover what it says."""


@lru_cache(maxsize=64)
def distinct_of(sample: Sample) -> Rows:
    """Return a sample's distinct rows and their clusters."""
    return distinct(sample)


@lru_cache(maxsize=64)
def joint_of(first: Sample, second: Sample) -> tuple[Rows, Rows]:
    """Return the distinct rows of two samples under joint clusters."""
    return joint_clusters(first, second)


@lru_cache(maxsize=512)
def replicates_of(
    name: str, rows: Rows, places: tuple[Place, ...], clusters: tuple[str, ...]
) -> dict[Place, Replicates]:
    """Measure all cells of a claim at a layer together; the tests of the single cells share it."""
    return replicate(statistic_named(name, claim=""), rows, places, clusters=clusters)


def obstacle_to(
    claim: Claim, statistic: Statistic, sample: Sample, rows: Rows, place: Place, minimum: int
) -> str | None:
    """Return why nothing can be said here, or None."""
    if rows.n_distinct < minimum:
        return f"{rows.n_distinct} distinct contexts of {rows.n}; at least {minimum} are needed"
    clusters = len(rows.clusters)
    if clusters < LEAST_CLUSTERS and not statistic.counts:
        return f"{clusters} clusters of contexts by {sample.cluster_kind}; at least {LEAST_CLUSTERS} are needed"
    return unjudgeable(rows, [place], axis=claim.axis)


@lru_cache(maxsize=128)
def evidence_of(rows: Rows, place: Place) -> dict[str, Any]:
    """Return the histogram of the similarities between dimensions, and the shares of it that are shown."""
    summary = summarise_group(*parts_of(rows.arrays, place, rows)[0], measure=place[1])
    return {
        "histogram": summary.counts.tolist(),
        "pairs": summary.pairs,
        "share_above": {str(edge): share for edge, share in summary.share_above.items()},
        "share_low": summary.share_low,
        "share_high": summary.share_high,
        "zero_columns": summary.zero_columns,
    }


@lru_cache(maxsize=64)
def _critical(name: str, rows: Rows, every: tuple[Place, ...], family: tuple[Place, ...]) -> float:
    statistic = statistic_named(name, claim="")
    found = replicates_of(name, rows, every, tuple(rows.clusters))
    return simultaneous_critical([found[place] for place in family], scale=statistic.scale)


def critical_of(claim: Claim, rows: Rows, family: tuple[Place, ...]) -> float:
    """Return the factor under which the intervals of a claim's family hold all at once."""
    return _critical(claim.statistic, rows, measured_places(claim, family[0]), family)


def measured_places(claim: Claim, place: Place) -> tuple[Place, ...]:
    """Return every place of a claim, to be measured together; or the one place where it is not among them."""
    every = tuple((group, measure) for measure in claim.measures for group in claim.groups)
    return every if place in every else (place,)
