"""Judging: an interval compared with a threshold, and controls compared with the interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qkvcheck.capture import Captured, sample_of
from qkvcheck.claims.claim import MIN_DISTINCT, Cell, Claim, Direction, Kind, Role
from qkvcheck.claims.companions.registry import Around, look_beside
from qkvcheck.claims.comparison import Compared, compare, compare_reference, control_histograms, level_of, qualifiers_of
from qkvcheck.claims.controls.registry import controls_by_name, reference_named
from qkvcheck.claims.drawn import context_matrix, dimension_matrix, scatter
from qkvcheck.claims.evidence import DrawnContexts, Evidence, KeptReplicates, grouped_clusters, merged_contexts
from qkvcheck.claims.verdict import BY_SIDE, EQUALLY_COMMON, Decision, Verdict, make_verdict
from qkvcheck.errors import ClaimError, nearest
from qkvcheck.groups import FORMS, GROUPS_OF, MEASURES, Capture, Comparison, Form
from qkvcheck.statistics import (
    CERTIFIED,
    LEVEL,
    PAIRED,
    SEED,
    Measurement,
    Sample,
    contexts_needed,
    explained,
    grade,
    measure,
    observations,
    row_quantiles,
    row_similarities,
    statistic_named,
    violation_rate,
)


@dataclass(frozen=True)
class JudgeOptions:
    """What does not depend on the claim.

    Attributes
    ----------
    qualifier : tuple of str
        Put on every verdict, such as ``"stand-in"``.
    min_distinct : int
        With fewer distinct contexts a claim is NOT JUDGED.
    pictures : bool
        Whether the evidence holds the numbers behind the report's pictures.
    """

    qualifier: tuple[str, ...] = ()
    min_distinct: int = MIN_DISTINCT
    pictures: bool = True


PLAIN = JudgeOptions()
NOT_EXCLUDED = "below the certificate; two modes are not excluded"
"""What is left of a claim that V is above 4/9 where it is refuted."""


def judge_sample(
    claim: Claim,
    cell: Cell,
    sample: Sample,
    *,
    family: Sequence[Cell] = (),
    controls: Mapping[str, Compared] | None = None,
    tokens: Callable[[], Sample] | None = None,
    options: JudgeOptions = PLAIN,
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
    tokens : callable, optional
        Returns the sample of the words grid there, for companions that look at other tokens.
    options : JudgeOptions
        What does not depend on the claim.

    Raises
    ------
    ClaimError
        If the statistic is unknown, or an array holds NaN or infinite values.
    """
    statistic = statistic_named(claim.statistic, claim=claim.id)
    measured = measure(statistic, sample, cell.comparison, together=claim.comparisons)
    obstacle = measured.obstacle(axis=claim.axis, min_distinct=options.min_distinct)
    if obstacle is not None:
        return _measured_verdict(
            claim, cell, measured, Decision.NOT_JUDGED, qualifier=options.qualifier, reason=obstacle
        )
    if statistic.counts:
        verdict = _count_violations(claim, cell, measured)
    else:
        verdict = _decide(claim, cell, measured, _comparisons(cell, family))
    evidence = _with_evidence(verdict.evidence, claim, measured)
    if cell.role is Role.DECIDES and measured.holds_rows and [array.ndim for array in measured.rows.arrays] == [2]:
        evidence = replace(evidence, explained=list(explained(measured.rows)) or None)
    if options.pictures and cell.head is None:
        evidence = _with_pictures(evidence, claim, measured, controls or {})
    verdict = with_certificate(_with_poles(claim, replace(verdict, evidence=evidence), measured))
    results = [
        compare(claim, measured, verdict, name, controls[name], min_distinct=options.min_distinct, level=level_of(cell))
        for name in claim.controls
        if controls is not None and name in controls
    ]
    lines = [line for name in claim.controls if (line := reference_named(name)) is not None]
    results += [compare_reference(claim, measured, verdict, line) for line in lines]
    verdict = replace(
        verdict,
        controls=tuple(results),
        qualifier=(*options.qualifier, *verdict.qualifier, *qualifiers_of(verdict, results, asked=claim.controls)),
        offset_share=None if evidence.offset is None else evidence.offset.share,
    )
    if not measured.holds_rows:  # what stands beside a verdict looks at its rows
        return verdict
    beside = look_beside(claim, measured, verdict, Around(controls or {}, tokens))
    return replace(verdict, evidence=replace(verdict.evidence, beside=beside))


def _comparisons(cell: Cell, family: Sequence[Cell]) -> tuple[Comparison, ...]:
    return tuple(sorted({one.comparison for one in (cell, *family)}))


def _measured_verdict(claim: Claim, cell: Cell, measured: Measurement, decision: Decision, **found: Any) -> Verdict:
    rows, kind = measured.rows, measured.sample.cluster_kind
    evidence = replace(found.pop("evidence", Evidence()), merged=merged_contexts(cell.layer, rows))
    return make_verdict(
        claim, cell, decision, n=rows.n, n_distinct=rows.n_distinct, cluster_kind=kind, evidence=evidence, **found
    )


def _decide(claim: Claim, cell: Cell, measured: Measurement, family: tuple[Comparison, ...]) -> Verdict:
    """Compare the interval of the statistic with the threshold."""
    own, statistic, rows = measured.replicates, measured.statistic, measured.rows
    if not (np.isfinite(own.whole) and np.isfinite(own.without).all()):
        raise ClaimError(f"{cell.key}: the statistic {claim.statistic} is {own.whole}; check the activations.")
    level, of_family = level_of(cell), cell.role == Role.FAMILY and len(family) > 1
    estimate = measured.estimate(critical=measured.critical(family, level=level) if of_family else None, level=level)
    assert claim.threshold is not None  # exact claims are judged by their conditions
    decision = BY_SIDE[claim.side(estimate.low, estimate.high)]
    needed = (
        contexts_needed(estimate, claim.threshold, n=rows.n_distinct, scale=statistic.interval_scale)
        if decision == Decision.INCONCLUSIVE
        else None
    )
    graded = claim.statistic == "variance" and claim.axis == "dimensions"
    evidence = Evidence(
        standard_error=estimate.standard_error,
        effective_contexts=measured.effective_contexts,
        groups=grouped_clusters(rows),
        replicates=KeptReplicates(float(own.whole), [float(value) for value in own.without]),
    )
    return _measured_verdict(
        claim,
        cell,
        measured,
        decision,
        estimate=estimate.value,
        plug_in=estimate.plug_in,
        low=estimate.low,
        high=estimate.high,
        level=level,
        simultaneous=of_family or cell.over > 1,
        n_needed=needed,
        clusters=rows.cluster_count,
        grade=grade(estimate.low) if graded else None,
        evidence=evidence,
    )


def _count_violations(claim: Claim, cell: Cell, measured: Measurement) -> Verdict:
    """Count the contexts that miss the threshold, and bound their rate exactly."""
    fresh, reference_rows = (part[0] for part in measured.parts)
    means = row_similarities(fresh, reference_rows, measure=measured.comparison.measure).mean(axis=1)
    rate = violation_rate(
        int(sum(not claim.meets(float(mean)) for mean in means)), len(means), confidence=level_of(cell)
    )
    supported, refuted = rate.high < claim.rate, rate.low >= claim.rate
    decision = Decision.SUPPORTED if supported else Decision.REFUTED if refuted else Decision.INCONCLUSIVE
    text = f"{rate.violations} of {rate.n} fresh contexts miss it: at {_percent(rate.confidence)} confidence "
    text += f"at least {rate.low:.1%}" if rate.violations else f"fewer than {rate.high:.1%}"
    return _measured_verdict(
        claim,
        cell,
        measured,
        decision,
        kind=Kind.COUNT,
        simultaneous=cell.over > 1,
        estimate=float(means.min()),
        plug_in=float(means.min()),
        reason=f"{text} of such contexts do",
        evidence=Evidence(violations=rate, allowed_rate=claim.rate, means=[float(mean) for mean in means]),
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share == LEVEL else f"{share:.2%}"


def _with_poles(claim: Claim, verdict: Verdict, measured: Measurement) -> Verdict:
    """Refute what needs two poles where one is missing; the shares are shown either way.

    Where the two signs weigh nearly alike, that is what a reader has to know first: the verdict then hangs on the third
    digit, and it is of no use to say how many contexts would settle it.
    """
    shape = verdict.evidence.distribution
    if claim.pole_share is None or shape is None:
        return verdict
    text = f"{shape.share_low:.1%} of pairs below -0.5, {shape.share_high:.1%} above 0.5"
    if min(shape.share_low, shape.share_high) < claim.pole_share:
        return replace(verdict, verdict=Decision.REFUTED, n_needed=None, reason=f"not both poles present: {text}")
    if abs(verdict.estimate or 0.0) < (claim.equally_common_below or 0.0):
        text = f"{EQUALLY_COMMON}: {text}{_balance_floor(measured)}"
        return replace(verdict, reason=text, lead=EQUALLY_COMMON, n_needed=None)
    return replace(verdict, reason=text)


def with_certificate(verdict: Verdict) -> Verdict:
    """Say of a refuted certificate what it leaves open: a variance below 4/9 may have one peak or several."""
    asks = verdict.statistic in ("variance", "row_variance") and verdict.direction != Direction.AT_MOST
    asks = asks and verdict.kind in (Kind.INTERVAL, Kind.EVERY_LAYER) and (verdict.threshold or 0.0) >= CERTIFIED
    if not asks or verdict.verdict != Decision.REFUTED or verdict.high is None or verdict.high > CERTIFIED:
        return verdict
    return replace(verdict, reason="; ".join(filter(None, (verdict.reason, NOT_EXCLUDED))))


def _balance_floor(measured: Measurement) -> str:
    """Return how low a sign balance can lie within a block; empty across two blocks, where nothing bounds it but -1.

    Over d columns of length 1 (a column of zeros is not judged) the mean cosine over pairs is
    (abs(their sum)^2 - d) / (d (d - 1)), so at least -1 / (d - 1).
    """
    x, y = measured.parts[0]
    if y is not None or measured.statistic.name != "sign_balance":
        return ""
    width = x.shape[1]
    least = -1 / (width - 1)
    strength = measure(statistic_named("mean_absolute"), measured.sample, measured.comparison).plug_in
    return (
        f"; within a block of {width} dimensions the mean cosine can't be below {least:.4f}, nor this number below "
        f"{least / strength:.4f}"
    )


def _with_evidence(evidence: Evidence, claim: Claim, measured: Measurement) -> Evidence:
    """Add what shows the numbers behind the statistic: of contexts their quantiles, of dimensions the histogram."""
    if len(measured.rows.arrays) != 1:
        return evidence
    x, _ = measured.parts[0]
    how = measured.comparison.measure
    if claim.axis == "contexts":
        if how not in MEASURES:
            return evidence
        rows = observations(x)
        drawn = DrawnContexts(len(rows), PAIRED, seed=SEED) if len(rows) > PAIRED else None
        return replace(evidence, row_quantiles=row_quantiles(rows, measure=how), drawn=drawn)
    offset = measured.offset if how == "cosine" else None
    return replace(evidence, distribution=measured.distribution, offset=offset)


def _with_pictures(
    evidence: Evidence, claim: Claim, measured: Measurement, controls: Mapping[str, Compared]
) -> Evidence:
    """Add the numbers behind the pictures of a claim: over dimensions its matrix and the controls' histograms."""
    sample, (group, how) = measured.sample, measured.comparison
    if len(sample.arrays) != 1 or sample.arrays[0].ndim != 2 or how not in MEASURES:
        return evidence
    x, y = sample.part(group)
    if claim.statistic == "row_mean":
        points = scatter(x, measure=how) if how == claim.measures[0] else None
        return replace(evidence, context_matrix=context_matrix(x, measure=how), scatter=points)
    if claim.statistic != "variance":
        return evidence
    coarse = dimension_matrix(x, y) if how == "cosine" else None
    return replace(evidence, dimension_matrix=coarse, histograms=control_histograms(controls, measured.comparison))


def captured_for(claim: Claim) -> Capture:
    """Return what a claim is measured on: what it names, else what its statistic is captured on.

    Raises
    ------
    ClaimError
        If its statistic is unknown.
    """
    if claim.kind == Kind.EVERY_LAYER:
        return Capture.EVERY_LAYER
    return claim.capture or statistic_named(claim.statistic, claim=claim.id).captured_on


def is_one_number(claim: Claim) -> bool:
    """Tell whether a claim is one number of a set of contexts, with an interval.

    Raises
    ------
    ClaimError
        If its statistic is unknown.
    """
    return claim.kind == Kind.INTERVAL and not statistic_named(claim.statistic, claim=claim.id).counts


def number_of(captured: Captured, claim: Claim, cell: Cell, *, min_distinct: int = 2) -> float:
    """Return a claim's plug-in number on captured activations.

    Raises
    ------
    ClaimError
        If it can't be measured there; the message says why.
    """
    statistic = statistic_named(claim.statistic, claim=claim.id)
    measured = measure(statistic, sample_of(captured, layer=cell.layer, head=cell.at_head), cell.comparison)
    obstacle = measured.obstacle(axis=claim.axis, min_distinct=min_distinct)
    if obstacle is not None:
        raise ClaimError(f"claim {claim.id} can't be judged on these contexts: {obstacle}.")
    return measured.plug_in


def check_known(claim: Claim) -> None:
    """Raise `ClaimError` unless a claim's statistic and controls are registered, and it can be of the claim's cells.

    A control that nobody knows would be left out in silence, and could take nothing away; of cells that a statistic is
    not made for the number would be another one than the claim says, or none.
    """
    check_cells(claim)
    known = controls_by_name()
    for name in claim.controls:
        if name not in known:
            raise ClaimError(
                f"claim {claim.id}: control {name!r} is not known; allowed: {', '.join(known)}.{nearest(name, known)}"
            )


def _plain(measure: str, claim: Claim) -> str:
    """Return a measure without the word list that it is of, where the statistic is of words."""
    plain, of_words, _ = measure.partition("-")
    return plain if of_words and plain == "variance" and claim.axis == "contexts" else measure


def check_cells(claim: Claim) -> None:
    """Raise `ClaimError` where a claim compares what its statistic does not, or in a way that it does not."""
    if claim.kind == Kind.EXACT:
        return
    statistic = statistic_named(claim.statistic, claim=claim.id)
    if statistic.axis is not None:
        compares = f"{statistic.name} compares {statistic.axis}"
        allowed = GROUPS_OF[statistic.axis]
        odd = next((group for group in claim.groups if len(group) != len(allowed[0])), None)
        if odd is not None:
            raise ClaimError(f"claim {claim.id}: {compares}: its groups are {', '.join(allowed)}, and {odd!r} is none.")
        if claim.axis != statistic.axis:
            raise ClaimError(f"claim {claim.id}: {compares}; axis is {claim.axis!r} and has to be {statistic.axis!r}.")
    if claim.capture is not None and statistic.form not in (None, FORMS.get(claim.capture, Form())):
        raise ClaimError(
            f"claim {claim.id}: {statistic.name} is captured on {statistic.captured_on.value!r}, and "
            f"{claim.capture.value!r} has other arrays; leave capture out, or name another statistic."
        )
    known = statistic.measures
    odd = next((one for one in claim.measures if known is not None and _plain(one, claim) not in known), None)
    if known is not None and odd is not None:
        hint = nearest(odd, known) or " Name it as measures of the claim, or another statistic."
        raise ClaimError(f"claim {claim.id}: {statistic.name} is of {' or '.join(known)}, not of {odd!r}.{hint}")
