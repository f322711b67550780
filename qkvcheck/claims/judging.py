"""Judging: an interval beside a threshold, and the controls beside the interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from qkvcheck.claims.claim import FAMILY, MINIMUM_DISTINCT, Cell, Claim, meets, stands
from qkvcheck.claims.comparison import Seeds, compare, compare_reference, histograms_beside, qualifiers_of
from qkvcheck.claims.evidence import context_matrix, dimension_matrix, scatter
from qkvcheck.claims.measured import critical_of, distinct_of, evidence_of, measured_places, obstacle_to, replicates_of
from qkvcheck.claims.verdict import BY_SIDE, INCONCLUSIVE, NOT_JUDGED, REFUTED, SUPPORTED, Verdict, make_verdict
from qkvcheck.errors import ClaimError
from qkvcheck.statistics import (
    LEVEL,
    MEASURES,
    REFERENCES,
    Place,
    Rows,
    Sample,
    Statistic,
    contexts_needed,
    decompose,
    effective_contexts,
    grade,
    jackknife_estimate,
    observations,
    parts_of,
    row_quantiles,
    row_similarities,
    split_group,
    statistic_named,
    violation_rate,
)


def judge(
    claim: Claim,
    cell: Cell,
    sample: Sample,
    *,
    family: Sequence[Cell] = (),
    controls: Mapping[str, Sample | Seeds | str] | None = None,
    qualifier: Sequence[str] = (),
    minimum_distinct: int = MINIMUM_DISTINCT,
    pictures: bool = True,
) -> Verdict:
    """Judge a claim in one cell: SUPPORTED if the whole interval clears the threshold, REFUTED if all of it misses.

    Parameters
    ----------
    claim, cell : Claim, Cell
        What is claimed, and where.
    sample : Sample
        What was captured.
    family : sequence of Cell
        Where the cell decides nothing, it and the others like it at its layer: their intervals hold all at once.
    controls : mapping of str to Sample, Seeds or str
        The same for each control, or why it could not be measured; those that the claim names are compared.
    qualifier : sequence of str
        Such as ``"stand-in"``.
    minimum_distinct : int
        With fewer distinct contexts than this the claim is NOT JUDGED.
    pictures : bool
        Whether the evidence holds the numbers behind the report's pictures.

    Raises
    ------
    ClaimError
        If the statistic is unknown, or an array holds NaN or infinite values.
    """
    statistic = statistic_named(claim.statistic, claim=claim.id)
    rows = distinct_of(sample)
    place = (cell.group, cell.measure)
    obstacle = obstacle_to(claim, statistic, sample, rows, place, minimum_distinct)
    common = {"n": rows.n, "n_distinct": rows.n_distinct, "cluster_kind": sample.cluster_kind}
    if obstacle is not None:
        return make_verdict(claim, cell, NOT_JUDGED, qualifier=tuple(qualifier), reason=obstacle, **common)
    if statistic.counts:
        decided = _count_violations(claim, rows, place)
    else:
        decided = _decide(claim, statistic, sample, cell, _places(cell, family))
    evidence = {**_evidence(claim, rows, place), **decided.pop("evidence", {})}
    if pictures:
        evidence.update(_pictures(claim, sample, place, controls or {}))
    verdict = make_verdict(claim, cell, decided.pop("verdict"), **common, **decided)
    verdict = _with_poles(claim, verdict, evidence)
    results = [
        compare(claim, sample, verdict, name, controls[name], minimum_distinct=minimum_distinct)
        for name in claim.controls
        if controls is not None and name in controls
    ]
    results += [compare_reference(claim, rows, verdict, name) for name in claim.controls if name in REFERENCES]
    offset = _offset(claim, rows, place)
    return replace(
        verdict,
        controls=tuple(results),
        qualifier=(*qualifier, *verdict.qualifier, *qualifiers_of(verdict, results)),
        evidence={**evidence, **offset},
        offset_share=offset["offset"]["share"] if offset else None,
    )


def _places(cell: Cell, family: Sequence[Cell]) -> tuple[Place, ...]:
    return tuple(sorted({(c.group, c.measure) for c in (cell, *family)}))


def _decide(
    claim: Claim, statistic: Statistic, sample: Sample, cell: Cell, places: tuple[Place, ...]
) -> dict[str, Any]:
    """Put the interval of the statistic beside the threshold."""
    rows = distinct_of(sample)
    own_place = (cell.group, cell.measure)
    every = replicates_of(claim.statistic, rows, measured_places(claim, own_place), tuple(rows.clusters))
    own = every[own_place]
    if not (np.isfinite(own.whole) and np.isfinite(own.without).all()):
        raise ClaimError(f"{cell.key}: the statistic {claim.statistic} is {own.whole}; check the activations.")
    together = cell.role == FAMILY and len(places) > 1
    critical = critical_of(claim, rows, places) if together else None
    estimate = jackknife_estimate(own, scale=statistic.scale, critical=critical, widening=statistic.widening)
    assert claim.threshold is not None  # exact claims are judged by their conditions
    verdict = BY_SIDE[stands(claim, estimate.low, estimate.high)]
    needed = (
        contexts_needed(estimate, claim.threshold, n=rows.n_distinct, scale=statistic.scale)
        if verdict == INCONCLUSIVE
        else None
    )
    graded = claim.statistic == "variance" and claim.axis == "dimensions"
    return {
        "verdict": verdict,
        "estimate": estimate.value,
        "plug_in": estimate.plug_in,
        "low": estimate.low,
        "high": estimate.high,
        "level": LEVEL,
        "simultaneous": together,
        "n_needed": needed,
        "clusters": estimate.clusters,
        "grade": grade(estimate.low) if graded else None,
        "evidence": {
            "standard_error": estimate.standard_error,
            "effective_contexts": effective_contexts(rows.labels[0]),
            "replicates": {"whole": float(own.whole), "without": [float(value) for value in own.without]},
        },
    }


def _count_violations(claim: Claim, rows: Rows, place: Place) -> dict[str, Any]:
    """Count the contexts that miss the threshold, and bound their rate exactly."""
    fresh, reference_rows = (part[0] for part in parts_of(rows.arrays, place, rows))
    means = row_similarities(fresh, reference_rows, measure=place[1]).mean(axis=1)
    rate = violation_rate(int(sum(not meets(claim, float(mean)) for mean in means)), len(means))
    allowed = float(claim.settings.get("rate", 0.05))
    verdict = SUPPORTED if rate.high < allowed else REFUTED if rate.low >= allowed else INCONCLUSIVE
    text = f"{rate.violations} of {rate.n} fresh contexts miss it: at {rate.confidence:.0%} confidence "
    text += f"at least {rate.low:.1%}" if rate.violations else f"fewer than {rate.high:.1%}"
    return {
        "verdict": verdict,
        "estimate": float(means.min()),
        "plug_in": float(means.min()),
        "reason": f"{text} of such contexts do",
        "evidence": {"violations": asdict(rate), "allowed_rate": allowed, "means": [float(m) for m in means]},
    }


def _with_poles(claim: Claim, verdict: Verdict, evidence: Mapping[str, Any]) -> Verdict:
    """Refute what needs two poles where one is missing; the shares are shown either way."""
    share = claim.settings.get("pole_share")
    if share is None:
        return verdict
    low, high = evidence["share_low"], evidence["share_high"]
    text = f"{low:.1%} of pairs below -0.5, {high:.1%} above 0.5"
    if min(low, high) < share:
        return replace(verdict, verdict=REFUTED, n_needed=None, reason=f"not both poles present: {text}")
    if abs(verdict.estimate or 0.0) < claim.settings.get("equally_common_below", 0.0):
        text = f"about equally common: {text}"
    return replace(verdict, reason=text)


def _evidence(claim: Claim, rows: Rows, place: Place) -> dict[str, Any]:
    if claim.axis == "contexts" and len(rows.arrays) == 1 and place[1] in MEASURES:
        return {
            "row_quantiles": row_quantiles(observations(parts_of(rows.arrays, place, rows)[0][0]), measure=place[1])
        }
    return dict(evidence_of(rows, place)) if claim.axis == "dimensions" and len(rows.arrays) == 1 else {}


def _pictures(
    claim: Claim, sample: Sample, place: Place, controls: Mapping[str, Sample | Seeds | str]
) -> dict[str, Any]:
    """Return the numbers behind the pictures of a claim: over dimensions its matrix and the controls' histograms."""
    if len(sample.arrays) != 1 or sample.arrays[0].ndim != 2 or place[1] not in MEASURES:
        return {}
    group, measure = place
    x, y = split_group(sample.arrays[0], group, sample.blocks)
    if claim.statistic == "row_mean":
        drawn = {"context_matrix": context_matrix(x, measure=measure)}
        return {**drawn, "scatter": scatter(x, measure=measure)} if measure == claim.measures[0] else drawn
    if claim.statistic != "variance":
        return {}
    found: dict[str, Any] = {"dimension_matrix": dimension_matrix(x, y)} if measure == "cosine" else {}
    found["histograms"] = histograms_beside(controls, place)
    return found


def _offset(claim: Claim, rows: Rows, place: Place) -> dict[str, Any]:
    """Return how much of the mean squared cosine is mean offset."""
    if claim.axis != "dimensions" or len(rows.arrays) != 1 or place[1] != "cosine":
        return {}
    found = decompose(*parts_of(rows.arrays, place, rows)[0])
    return {"offset": {**asdict(found), "share": found.share}}
