"""Comparing: a control's number beside a claim's, and how specific the claim is against it.

Controls on the same contexts are compared under the same deletions (paired). Untrained networks are compared
as seeds: a further one would lie within their prediction interval. A single untrained network only tells
whether it meets the same criterion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from qkvcheck.claims.claim import Claim, meets
from qkvcheck.claims.measured import distinct_of, evidence_of, joint_of, measured_places, obstacle_to, replicates_of
from qkvcheck.claims.verdict import (
    ALSO_UNTRAINED,
    ANY_TOKEN,
    DIFFERENT_WORDS,
    NON_TARGET,
    NOT_TRAINING,
    OTHER_TOKEN,
    SUPPORTED,
    UNRESOLVED,
    UNTRAINED,
    ControlResult,
    Verdict,
)
from qkvcheck.statistics import (
    LEAST_SEEDS,
    LEVEL,
    Estimate,
    Place,
    Replicates,
    Rows,
    Sample,
    Statistic,
    compare_with_seeds,
    jackknife_estimate,
    plug_in,
    reference,
    replicate,
    specificity,
    statistic_named,
)

PICTURED = (NON_TARGET, DIFFERENT_WORDS, UNTRAINED)
"""Controls whose histograms stand beside a claim's."""


class Seeds(Protocol):
    """The same measurement in untrained networks, one a seed."""

    @property
    def count(self) -> int:
        """How many seeds there are."""

    def measure(self, what: str, compute: Callable[[Sample], Any], *, first: int | None = None) -> list[Any]:
        """Return what `compute` (named `what`) finds in each seed's sample, or in the `first` few; plain data."""


def compare(
    claim: Claim,
    sample: Sample,
    verdict: Verdict,
    name: str,
    control: Sample | Seeds | str,
    *,
    minimum_distinct: int,
) -> ControlResult:
    """Put a control's number beside a claim's.

    Parameters
    ----------
    claim, sample, verdict : Claim, Sample, Verdict
        The claim, what was captured for it, and what was found.
    name : str
        The control's name.
    control : Sample, Seeds or str
        The same measurement where the claim should not hold, or why there is none.
    minimum_distinct : int
        With fewer distinct contexts the control is not measured.
    """
    statistic = statistic_named(claim.statistic, claim=claim.id)
    place = (verdict.group, verdict.measure)
    if isinstance(control, str):
        return ControlResult(name, None, None, None, reason=control)
    if name == OTHER_TOKEN and not statistic.one_target:
        return ControlResult(name, None, None, None, reason="all words are treated alike, whichever is the target")
    if not isinstance(control, Sample):
        return _against_seeds(claim, statistic, distinct_of(sample), verdict, name, control, minimum_distinct)
    beside = distinct_of(control)
    obstacle = obstacle_to(claim, statistic, control, beside, place, minimum_distinct)
    if obstacle is not None:
        return ControlResult(name, None, None, None, reason=obstacle)
    if statistic.counts:
        found = plug_in(statistic, beside, [place])[place]
        return ControlResult(name, found, _minus(verdict.plug_in, found), meets(claim, found))
    own, other = _paired(claim, sample, control, place)
    difference = jackknife_estimate(own - other, widening=statistic.widening)
    alone = jackknife_estimate(other, scale=statistic.scale, widening=statistic.widening)
    named = name != UNTRAINED  # one network says nothing about training
    return ControlResult(
        name,
        alone.value,
        difference.value,
        _passes(claim, beside, place, alone),
        low=difference.low if named else None,
        high=difference.high if named else None,
        specificity=_specificity(claim, difference.low, difference.high) if named else None,
        reason=None if named else "one untrained network; specificity needs 19",
        seeds=None if named else 1,
        passing=None if named else int(_passes(claim, beside, place, alone)),
        kind="paired" if named else "seeds",
    )


def _paired(claim: Claim, sample: Sample, control: Sample, place: Place) -> tuple[Replicates, Replicates]:
    one, other = joint_of(sample, control)
    clusters = tuple(sorted({*one.clusters, *other.clusters}))
    first, second = (
        replicates_of(claim.statistic, rows, measured_places(claim, place), clusters)[place] for rows in (one, other)
    )
    return first, second


def _passes(claim: Claim, rows: Rows, place: Place, found: Estimate) -> bool:
    return bool(meets(claim, found.value)) and _both_poles(claim, rows, place)


def _both_poles(claim: Claim, rows: Rows, place: Place) -> bool:
    share = claim.settings.get("pole_share")
    if share is None:
        return True
    evidence = evidence_of(rows, place)
    return bool(min(evidence["share_low"], evidence["share_high"]) >= share)


def _minus(one: float | None, other: float) -> float | None:
    return None if one is None else one - other


def _against_seeds(
    claim: Claim,
    statistic: Statistic,
    rows: Rows,
    verdict: Verdict,
    name: str,
    seeds: Seeds,
    minimum: int,
) -> ControlResult:
    """Compare with untrained networks, one a seed: plug-in with plug-in, on the same contexts."""
    place = (verdict.group, verdict.measure)
    places = measured_places(claim, place)

    def numbers_of(sample: Sample) -> list[list[Any]]:
        found = distinct_of(sample)
        obstacles = [obstacle_to(claim, statistic, sample, found, p, minimum) for p in places]
        clear = [p for p, obstacle in zip(places, obstacles, strict=True) if obstacle is None]
        values = plug_in(statistic, found, clear)
        return [
            [values[p], bool(meets(claim, values[p])) and _both_poles(claim, found, p)] if p in values else [None, why]
            for p, why in zip(places, obstacles, strict=True)
        ]

    def without_each(sample: Sample) -> list[list[float]]:
        left_out = replicate(statistic, distinct_of(sample), places, clusters=rows.clusters)
        return [[float(value) for value in left_out[p].without] for p in places]

    settings = (claim.direction, claim.threshold, claim.settings.get("pole_share"), minimum)
    where = f"{claim.statistic} {settings} {places}"
    at = places.index(place)
    numbers = [found[at] for found in seeds.measure(f"numbers {where}", numbers_of)]
    if not numbers:
        return ControlResult(name, None, None, None, reason="no untrained seed was asked for", kind="seeds", seeds=0)
    obstacles = [reason for value, reason in numbers if value is None]
    if obstacles:
        return ControlResult(name, None, None, None, reason=obstacles[0], kind="seeds", seeds=seeds.count)
    found = [float(value) for value, _ in numbers]
    passing = sum(bool(passes) for _, passes in numbers)
    common: dict[str, Any] = {"kind": "seeds", "seeds": len(found), "passing": passing}
    plain = float(verdict.plug_in if verdict.plug_in is not None else np.nan)
    mean, most = float(np.mean(found)), 2 * passing > len(found)
    if len(found) < LEAST_SEEDS or statistic.counts:
        reason = None if statistic.counts else f"{len(found)} untrained seed(s); specificity needs {LEAST_SEEDS}"
        return ControlResult(name, mean, plain - mean, most, reason=reason, **common)
    one_seed = seeds.measure(f"without each {where} {rows.clusters}", without_each, first=1)[0][at]
    own = replicates_of(claim.statistic, rows, places, tuple(rows.clusters))[place]
    paired = jackknife_estimate(own - Replicates(found[0], np.array(one_seed)), widening=statistic.widening)
    sign = -1.0 if claim.direction == "at_most" else 1.0
    compared = compare_with_seeds(
        sign * plain,
        [sign * value for value in found],
        standard_error=paired.standard_error,
        clusters=paired.clusters,
        level=LEVEL,
    )
    low, high = sorted((sign * compared.low, sign * compared.high))
    named = _specificity(claim, low, high)
    return ControlResult(name, mean, plain - mean, most, low, high, named, p_value=compared.p_value, **common)


def _specificity(claim: Claim, low: float, high: float) -> str:
    """Name where the interval of a difference stands; what is to be low is specific where the control is higher."""
    if claim.direction == "at_most":
        low, high = -high, -low
    return specificity(low, high, margin=claim.margin)


def histograms_beside(controls: Mapping[str, Sample | Seeds | str], place: Place) -> dict[str, list[int]]:
    """Return the histograms of the controls that are pictured beside a claim's; of untrained seeds, the first one's.

    Parameters
    ----------
    controls : mapping of str to Sample, Seeds or str
        As `qkvcheck.claims.judge` takes them.
    place : (group, measure)
        Where.
    """

    def counts(sample: Sample) -> list[int]:
        return list(evidence_of(distinct_of(sample), place)["histogram"])

    found = {}
    for name in PICTURED:
        control = controls.get(name)
        if isinstance(control, Sample):
            found[name] = counts(control)
        elif control is not None and not isinstance(control, str) and control.count:
            found[name] = control.measure(f"histogram {place}", counts, first=1)[0]
    return found


def compare_reference(claim: Claim, rows: Rows, verdict: Verdict, name: str) -> ControlResult:
    """Put a reference line beside a claim's number."""
    statistic = statistic_named(claim.statistic, claim=claim.id)
    value, how = reference(name, claim.statistic, statistic, rows, (verdict.group, verdict.measure))
    return ControlResult(name, value, _minus(verdict.plug_in, value), meets(claim, value), reason=how, kind="reference")


def qualifiers_of(verdict: Verdict, results: Sequence[ControlResult]) -> tuple[str, ...]:
    """Return what the controls leave of a claim that is supported."""
    if verdict.verdict != SUPPORTED:
        return ()
    by_name = {result.name: result for result in results}
    notes = []
    untrained = by_name.get(UNTRAINED)
    against = ("equivalent", "reversed", "not specific")
    if untrained is not None and untrained.passes:
        notes.append(ALSO_UNTRAINED)
    elif untrained is not None and untrained.specificity in against:
        notes.append(NOT_TRAINING)
    other = by_name.get(OTHER_TOKEN)
    if other is not None and other.specificity in against:
        notes.append(ANY_TOKEN)
    open_ones = (DIFFERENT_WORDS,) if ALSO_UNTRAINED in notes else (UNTRAINED, DIFFERENT_WORDS)
    if any(by_name[name].specificity == "unresolved" for name in open_ones if name in by_name):
        notes.append(UNRESOLVED)
    return tuple(notes)
