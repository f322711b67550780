"""Comparison: a control's number and a claim's, and how specific the claim is against it.

Controls on the same contexts are compared under the same deletions (paired). Untrained networks are compared
as seeds: a further one would lie within their prediction interval. A single untrained network only tells
whether it meets the same criterion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qkvcheck.claims.claim import Cell, Claim, Direction
from qkvcheck.claims.controls.registry import (
    DIFFERENT_WORDS,
    OTHER_TOKEN,
    UNTRAINED,
    ReferenceControl,
    drawn_controls,
    seed_controls,
)
from qkvcheck.claims.seed_numbers import (
    SeedHistogram,
    SeedPlugIns,
    SeedReplicates,
    Seeds,
    has_both_poles,
    most,
)
from qkvcheck.claims.verdict import (
    ALSO_UNTRAINED,
    ANY_TOKEN,
    NOT_ASKED,
    NOT_TESTED,
    NOT_TRAINING,
    OTHER_WORDS,
    UNRESOLVED,
    ControlKind,
    ControlResult,
    Decision,
    Verdict,
)
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Comparison
from qkvcheck.statistics import (
    LEVEL,
    MIN_SEEDS,
    Measurement,
    Replicates,
    Sample,
    Specificity,
    compare_with_seeds,
    jackknife_estimate,
    measure,
    specificity,
)

AGAINST = (Specificity.EQUIVALENT, Specificity.REVERSED, Specificity.NOT_SPECIFIC)


Compared = Sample | Seeds | str
"""What stands for a control: the same measurement under it, or why there is none."""


def level_of(cell: Cell) -> float:
    """Return the level of a cell's intervals: split over the heads for which they hold at once (Bonferroni).

    Examples
    --------
    >>> from qkvcheck.claims.claim import Role
    >>> cell = Cell("P5", 6, "K", "cosine", Role.DECIDES, "P5-L06.H03-K", head=3, over=5)
    >>> round(level_of(cell), 6)
    0.99
    """
    return LEVEL if cell.over == 1 else 1 - (1 - LEVEL) / cell.over


def compare(
    claim: Claim,
    own: Measurement,
    verdict: Verdict,
    name: str,
    control: Sample | Seeds | str,
    *,
    min_distinct: int,
    level: float = LEVEL,
) -> ControlResult:
    """Compare a control's number with a claim's.

    Parameters
    ----------
    claim, own, verdict : Claim, Measurement, Verdict
        The claim, what was measured for it, and what was found.
    name : str
        The control's name.
    control : Sample, Seeds or str
        The same measurement where the claim should not hold, or why there is none.
    min_distinct : int
        With fewer distinct contexts the control is not measured.
    level : float
        Of the interval of the difference.
    """
    if isinstance(control, str):
        return ControlResult(name, None, None, None, reason=control)
    if name == OTHER_TOKEN and not own.statistic.one_target:
        return ControlResult(name, None, None, None, reason="all words are treated alike, whichever is the target")
    if not isinstance(control, Sample):
        return _against_seeds(claim, own, verdict, name, control, min_distinct, level)
    other = measure(own.statistic, control, own.comparison, together=own.together)
    obstacle = other.obstacle(axis=claim.axis, min_distinct=min_distinct)
    if obstacle is not None:
        return ControlResult(name, None, None, None, reason=obstacle)
    if own.statistic.counts:
        found = other.plug_in
        difference = _minus(verdict.plug_in, found)
        return ControlResult(name, found, difference, claim.meets(found), **_counted(other))
    return _paired(claim, own, other, name, level)


def _paired(claim: Claim, own: Measurement, other: Measurement, name: str, level: float) -> ControlResult:
    first, second = own.paired_with(other)
    widening = own.statistic.widening
    difference = jackknife_estimate(first - second, widening=widening, level=level)
    alone = own.statistic.estimate(second)
    passes = claim.meets(alone.value) and has_both_poles(claim.criterion, other.rows, own.comparison)
    counted = _counted(other)
    if name == UNTRAINED:  # one network says nothing about training
        return ControlResult(
            name,
            alone.value,
            difference.value,
            passes,
            reason=f"one untrained network; specificity needs {MIN_SEEDS}",
            kind=ControlKind.SEEDS,
            seeds=1,
            passing=int(passes),
            **counted,
        )
    return ControlResult(
        name,
        alone.value,
        difference.value,
        passes,
        low=difference.low,
        high=difference.high,
        specificity=_specificity(claim, difference.low, difference.high),
        **counted,
    )


def _counted(other: Measurement) -> dict[str, Any]:
    return {"n": other.rows.n, "n_distinct": other.rows.n_distinct}


def _minus(one: float | None, other: float) -> float | None:
    return None if one is None else one - other


def _against_seeds(
    claim: Claim, own: Measurement, verdict: Verdict, name: str, seeds: Seeds, min_distinct: int, level: float
) -> ControlResult:
    """Compare with untrained networks, one a seed: plug-in with plug-in, on the same contexts."""
    every, clusters = own.together, own.rows.clusters
    plug_ins = SeedPlugIns(own.statistic, every, claim.criterion, claim.axis, min_distinct)
    at = every.index(own.comparison)
    numbers = [found[at] for found in seeds.measure(plug_ins)]
    kind = ControlKind.SEEDS
    if not numbers:
        return ControlResult(name, None, None, None, reason="no untrained seed was asked for", kind=kind, seeds=0)
    obstacles = [reason for value, reason, _ in numbers if value is None]
    if obstacles:
        return ControlResult(name, None, None, None, reason=obstacles[0], kind=kind, seeds=seeds.count)
    found = [float(value) for value, _, _ in numbers]
    passing = [bool(passes) for _, passes, _ in numbers]
    common: dict[str, Any] = {"kind": kind, "seeds": len(found), "passing": sum(passing), "by_seed": tuple(found)}
    common |= {"n": own.rows.n, "n_distinct": min(distinct for _, _, distinct in numbers)}
    plain = float(verdict.plug_in if verdict.plug_in is not None else np.nan)
    mean = float(np.mean(found))
    if len(found) < MIN_SEEDS or own.statistic.counts:
        reason = None if own.statistic.counts else f"{len(found)} untrained seed(s); specificity needs {MIN_SEEDS}"
        return ControlResult(name, mean, plain - mean, most(passing), reason=reason, **common)
    one_seed = seeds.measure(SeedReplicates(own.statistic, every, clusters, own.rows.grouping), first=1)[0][at]
    low, high, p_value = _seed_interval(claim, own, plain, found, one_seed, level)
    named = _specificity(claim, low, high)
    return ControlResult(name, mean, plain - mean, most(passing), low, high, named, p_value=p_value, **common)


def _seed_interval(
    claim: Claim, own: Measurement, plain: float, found: Sequence[float], one_seed: Sequence[float], level: float
) -> tuple[float, float, float]:
    """Return the interval in which one more seed would leave the difference, and how rare the number would be."""
    paired = jackknife_estimate(
        own.replicates - Replicates(found[0], np.array(one_seed)), widening=own.statistic.widening
    )
    sign = -1.0 if claim.direction == Direction.AT_MOST else 1.0
    compared = compare_with_seeds(
        sign * plain,
        [sign * value for value in found],
        standard_error=paired.standard_error,
        clusters=paired.clusters,
        level=level,
    )
    low, high = sorted((sign * compared.low, sign * compared.high))
    return low, high, compared.p_value


def _specificity(claim: Claim, low: float, high: float) -> Specificity:
    """Name where the interval of a difference stands; what is to be low is specific where the control is higher."""
    if claim.direction == Direction.AT_MOST:
        low, high = -high, -low
    return specificity(low, high, margin=claim.margin)


def control_histograms(controls: Mapping[str, Compared], comparison: Comparison) -> dict[str, list[int]]:
    """Return the histograms of the controls that are drawn with a claim's; of untrained seeds, the first one's.

    Parameters
    ----------
    controls : mapping of str to Sample, Seeds or str
        As `judge_sample` takes them.
    comparison : Comparison
        Where.
    """
    counts = SeedHistogram(comparison)
    found = {}
    for name in (control.name for control in drawn_controls()):
        control = controls.get(name)
        if isinstance(control, Sample):
            found[name] = counts(control)
        elif control is not None and not isinstance(control, str) and control.count:
            found[name] = control.measure(counts, first=1)[0]
    return found


def compare_reference(claim: Claim, own: Measurement, verdict: Verdict, control: ReferenceControl) -> ControlResult:
    """Compare a reference line with a claim's number."""
    try:
        value, how = control.line(own)
    except NotCapturedError as error:
        return ControlResult(control.name, None, None, None, reason=str(error), kind=ControlKind.REFERENCE)
    difference = _minus(verdict.plug_in, value)
    kind = ControlKind.REFERENCE
    return ControlResult(control.name, value, difference, claim.meets(value), reason=how, kind=kind)


def qualifiers_of(verdict: Verdict, results: Sequence[ControlResult], *, asked: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what the controls leave of a claim that is supported; `asked` are the controls that it was to have."""
    if verdict.verdict != Decision.SUPPORTED:
        return ()
    by_name = {result.name: result for result in results}
    notes = []
    if any(name in asked and not _was_asked(by_name.get(name)) for name in seed_controls()):
        notes.append(NOT_ASKED)
    untrained = by_name.get(UNTRAINED)
    if untrained is not None and untrained.passes:
        notes.append(ALSO_UNTRAINED)
    elif untrained is not None and untrained.specificity in AGAINST:
        notes.append(NOT_TRAINING)
    elif untrained is not None and NOT_ASKED not in notes and not _was_tested(untrained):
        notes.append(NOT_TESTED)
    words, other = by_name.get(DIFFERENT_WORDS), by_name.get(OTHER_TOKEN)
    if words is not None and (words.passes or words.specificity in AGAINST):
        notes.append(OTHER_WORDS)
    if other is not None and other.specificity in AGAINST:
        notes.append(ANY_TOKEN)
    said = {UNTRAINED: ALSO_UNTRAINED in notes, DIFFERENT_WORDS: OTHER_WORDS in notes, OTHER_TOKEN: False}
    unresolved = [
        name
        for name, known in said.items()
        if not known and name in by_name and by_name[name].specificity == Specificity.UNRESOLVED
    ]
    if unresolved:
        notes.append(f"{UNRESOLVED}{' and '.join(unresolved)}")
    return tuple(notes)


def _was_tested(untrained: ControlResult) -> bool:
    """Tell whether enough untrained networks were asked to say anything of training.

    One network with random weights may miss a criterion by chance alone, however alike the tested one is to such.
    """
    return untrained.specificity is not None or (untrained.passing is not None and (untrained.seeds or 0) >= MIN_SEEDS)


def _was_asked(result: ControlResult | None) -> bool:
    """Tell whether there was any untrained network, whatever it said."""
    return result is not None and (result.estimate is not None or bool(result.seeds))
