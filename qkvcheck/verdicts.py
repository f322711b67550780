"""Verdicts: what captured numbers say of a claim in one cell, with the controls and the evidence beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from qkvcheck import statistics
from qkvcheck.claims import MINIMUM_DISTINCT, Cell, Claim, meets
from qkvcheck.errors import ClaimError
from qkvcheck.similarity import split_group, summarise_group

SUPPORTED, REFUTED, INCONCLUSIVE, NOT_JUDGED = "SUPPORTED", "REFUTED", "INCONCLUSIVE", "NOT JUDGED"
STAND_IN, ALSO_UNTRAINED = "stand-in", "also holds untrained"

Part = tuple[np.ndarray, "np.ndarray | None"]
"""The block or blocks of one captured array that a group compares."""


@dataclass(frozen=True)
class ControlResult:
    """A control's number beside a claim's, and whether it meets the same criterion."""

    name: str
    estimate: float | None
    difference: float | None
    passes: bool | None
    low: float | None = None
    high: float | None = None
    specificity: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What was found of a claim in one cell; the fields of the result file (schema qkvcheck/results/1)."""

    key: str
    claim: str
    statement: str
    layer: int
    group: str
    measure: str
    axis: str
    statistic: str
    role: str
    verdict: str
    estimate: float | None = None
    plug_in: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    threshold: float | None = None
    direction: str = "above"
    n: int | None = None
    n_distinct: int | None = None
    offset_share: float | None = None
    controls: tuple[ControlResult, ...] = ()
    qualifier: tuple[str, ...] = ()
    reason: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def verdict_from_dict(data: Mapping[str, Any]) -> Verdict:
    """Rebuild a verdict from what `Verdict.to_dict` returned, after a trip through JSON."""
    values = dict(data)
    values["controls"] = tuple(ControlResult(**control) for control in values["controls"])
    values["qualifier"] = tuple(values["qualifier"])
    return Verdict(**values)


def _variance_difference(parts: Sequence[Part], measure: str) -> float:
    target, preceding = (statistics.variance(x, y, measure=measure) for x, y in parts)
    return target - preceding


def _token_minus_context(parts: Sequence[Part], measure: str) -> float:
    words = parts[0][0]
    if measure == "similarity":
        return statistics.token_minus_context_similarity(words)
    return statistics.token_minus_context(words)


STATISTICS: Mapping[str, Callable[[Sequence[Part], str], float]] = {
    "variance": lambda parts, measure: statistics.variance(*parts[0], measure=measure),
    "mean_absolute": lambda parts, measure: statistics.mean_absolute(*parts[0], measure=measure),
    "sign_balance": lambda parts, measure: statistics.sign_balance(*parts[0], measure=measure),
    "row_mean": lambda parts, measure: statistics.row_mean(parts[0][0], measure=measure),
    "row_cosine": lambda parts, measure: statistics.row_mean(parts[0][0], measure=measure),
    "row_variance": lambda parts, measure: statistics.row_variance(parts[0][0], measure=measure),
    "least_row_mean": lambda parts, measure: statistics.least_row_mean(parts[0][0], parts[1][0], measure=measure),
    "variance_difference": _variance_difference,
    "token_minus_context": _token_minus_context,
    "stability": lambda parts, measure: statistics.stability(parts[0][0], measure=measure),
}
"""Statistic by name: captured parts and a measure in, one number out."""


@dataclass(frozen=True)
class Sample:
    """Captured arrays that a claim's statistic takes, at one layer, with the places of Q, K and V in them."""

    arrays: tuple[np.ndarray, ...]
    blocks: Mapping[str, slice]


@dataclass(frozen=True)
class _Measured:
    estimate: float
    holds: bool
    n: int
    n_distinct: int
    evidence: Mapping[str, Any]
    reason: str | None


def judge(
    claim: Claim,
    cell: Cell,
    sample: Sample,
    *,
    controls: Mapping[str, Sample] | None = None,
    qualifier: Sequence[str] = (),
    minimum_distinct: int = MINIMUM_DISTINCT,
) -> Verdict:
    """Judge a claim in one cell by its point estimate.

    Parameters
    ----------
    claim, cell : Claim, Cell
        What is claimed, and where.
    sample : Sample
        What was captured.
    controls : mapping of str to Sample
        The same for each control; of those the claim names, each is measured in the same way.
    qualifier : sequence of str
        Such as ``"stand-in"``.
    minimum_distinct : int
        With fewer distinct contexts than this the claim is NOT JUDGED.

    Raises
    ------
    ClaimError
        If the statistic is unknown, or an array holds NaN or infinite values.
    """
    n, distinct = _count_distinct(sample)
    if distinct < minimum_distinct:
        reason = f"{distinct} distinct contexts of {n}; at least {minimum_distinct} are needed"
        return _verdict(claim, cell, NOT_JUDGED, n=n, n_distinct=distinct, qualifier=tuple(qualifier), reason=reason)
    found = _measure(claim, cell, sample, with_evidence=True)
    results = tuple(
        _control(claim, cell, name, controls[name], found.estimate, minimum_distinct)
        for name in claim.controls
        if controls is not None and name in controls
    )
    notes = list(qualifier)
    if found.holds and any(c.name == "untrained" and c.passes for c in results):
        notes.append(ALSO_UNTRAINED)
    return _verdict(
        claim,
        cell,
        SUPPORTED if found.holds else REFUTED,
        estimate=found.estimate,
        plug_in=found.estimate,
        n=found.n,
        n_distinct=found.n_distinct,
        controls=results,
        qualifier=tuple(notes),
        reason=found.reason,
        evidence=found.evidence,
    )


def judge_conditions(
    claim: Claim, cell: Cell, conditions: Mapping[str, bool], *, n: int, qualifier: Sequence[str] = (), **evidence: Any
) -> Verdict:
    """Judge an exact claim: it holds if every condition does; the reason names those that don't."""
    plain = {text: bool(holds) for text, holds in conditions.items()}
    failed = [text for text, holds in plain.items() if not holds]
    return _verdict(
        claim,
        cell,
        REFUTED if failed else SUPPORTED,
        n=n,
        qualifier=tuple(qualifier),
        reason=f"does not hold: {'; '.join(failed)}" if failed else None,
        evidence={"conditions": plain, **evidence},
    )


def not_judged(claim: Claim, cell: Cell, reason: str, *, qualifier: Sequence[str] = ()) -> Verdict:
    """Return a verdict that says why a claim can't be judged."""
    return _verdict(claim, cell, NOT_JUDGED, qualifier=tuple(qualifier), reason=reason)


def _verdict(claim: Claim, cell: Cell, verdict: str, **fields: Any) -> Verdict:
    return Verdict(
        key=cell.key,
        claim=claim.id,
        statement=claim.statement,
        layer=cell.layer,
        group=cell.group,
        measure=cell.measure,
        axis=claim.axis,
        statistic=claim.statistic,
        role=cell.role,
        verdict=verdict,
        threshold=claim.threshold,
        direction=claim.direction,
        **fields,
    )


def _observations(array: np.ndarray) -> np.ndarray:
    """Return one row a context: for an array with a word axis, the row of its first word, the target."""
    return array if array.ndim == 2 else array[:, 0]


def _count_distinct(sample: Sample) -> tuple[int, int]:
    """Return contexts and distinct contexts, of the array that has fewest."""
    counts = [(len(a), len(statistics.distinct_rows(_observations(a)))) for a in sample.arrays]
    return min(counts, key=lambda pair: pair[1])


def _measure(claim: Claim, cell: Cell, sample: Sample, *, with_evidence: bool) -> _Measured:
    """Compute a claim's statistic on the distinct rows of a sample."""
    if claim.statistic not in STATISTICS:
        allowed = ", ".join(STATISTICS)
        raise ClaimError(f"claim {claim.id}: statistic {claim.statistic!r} is not known; allowed: {allowed}.")
    kept = [array[statistics.distinct_rows(_observations(array))] for array in sample.arrays]
    parts = [split_group(array, cell.group, sample.blocks) for array in kept]
    estimate = STATISTICS[claim.statistic](parts, cell.measure)
    if not np.isfinite(estimate):
        raise ClaimError(f"{cell.key}: the statistic {claim.statistic} is {estimate}; check the activations.")
    holds, reason = meets(claim, estimate), None
    evidence: dict[str, Any] = {}
    share = claim.settings.get("pole_share")
    if claim.axis == "dimensions" and len(parts) == 1 and (with_evidence or share is not None):
        summary = summarise_group(*parts[0], measure=cell.measure)
        evidence = {
            "histogram": summary.counts.tolist(),
            "pairs": summary.pairs,
            "share_above": {str(edge): share for edge, share in summary.share_above.items()},
            "share_low": summary.share_low,
            "share_high": summary.share_high,
            "zero_columns": summary.zero_columns,
        }
        if share is not None:
            both = summary.share_low >= share and summary.share_high >= share
            holds = holds and both
            reason = _poles(estimate, summary.share_low, summary.share_high, both, claim)
    return _Measured(estimate, holds, len(sample.arrays[0]), len(kept[0]), evidence, reason)


def _poles(estimate: float, low: float, high: float, both: bool, claim: Claim) -> str:
    text = f"{low:.1%} of pairs below -0.5, {high:.1%} above 0.5"
    if not both:
        return f"not both poles present: {text}"
    if abs(estimate) < claim.settings.get("equally_common_below", 0.0):
        return f"about equally common: {text}"
    return text


def _control(
    claim: Claim, cell: Cell, name: str, sample: Sample, estimate: float, minimum_distinct: int
) -> ControlResult:
    n, distinct = _count_distinct(sample)
    if distinct < minimum_distinct:
        return ControlResult(name, None, None, None, reason=f"{distinct} distinct contexts of {n}")
    found = _measure(claim, cell, sample, with_evidence=False)
    return ControlResult(name, found.estimate, estimate - found.estimate, found.holds)
