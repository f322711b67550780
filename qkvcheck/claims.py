"""Claims and verdicts: what is claimed, in which cells, and what the captured numbers say of it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qkvcheck import statistics
from qkvcheck.errors import ClaimError
from qkvcheck.similarity import split_group, summarise_group

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = "qkvcheck/claims/1"
SUPPORTED, REFUTED, INCONCLUSIVE, NOT_JUDGED = "SUPPORTED", "REFUTED", "INCONCLUSIVE", "NOT JUDGED"
DIRECTIONS = ("above", "at_least", "exact")
MINIMUM_DISTINCT = 20

Part = tuple[np.ndarray, "np.ndarray | None"]
"""The block or blocks of one captured array that a group compares."""


@dataclass(frozen=True)
class Claim:
    """One sentence that can be wrong, with the number that decides it.

    Attributes
    ----------
    id : str
        Such as ``"P3a"``.
    statement, source : str
        The claim in words, and where the paper says so.
    statistic : str
        A name in `STATISTICS`, or of an exact check.
    direction : {"above", "at_least", "exact"}
        How the estimate has to stand to `threshold`.
    threshold : float or None
        None for an exact claim.
    axis : {"dimensions", "contexts"}
        What is compared.
    groups, measures : tuple of str
        Its cells are all combinations.
    primary : tuple of (group, measure)
        The cells that decide; the others are shown.
    controls : tuple of str
        What is measured beside it.
    settings : mapping
        Whatever else the claims file says of it.
    """

    id: str
    statement: str
    statistic: str
    direction: str
    threshold: float | None
    source: str = ""
    axis: str = "dimensions"
    groups: tuple[str, ...] = ()
    measures: tuple[str, ...] = ("cosine",)
    primary: tuple[tuple[str, str], ...] = ()
    controls: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One place where a claim is measured."""

    claim: str
    layer: int
    group: str
    measure: str
    primary: bool
    key: str


@dataclass(frozen=True)
class ClaimsFile:
    """A claims file: the claims by id, what they share, and the hash of the file."""

    claims: Mapping[str, Claim]
    settings: Mapping[str, Any]
    sha256: str


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
    primary: bool
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


def load_claims(path: str | Path) -> ClaimsFile:
    """Read a claims file.

    Raises
    ------
    ClaimError
        If the file is missing or malformed.
    """
    try:
        raw = Path(path).read_bytes()
        data = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise ClaimError(f"claims file {str(path)!r} can't be read ({error.strerror}); check qkv_claims.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClaimError(f"claims file {str(path)!r} is not TOML ({error}); mend it.") from None
    if data.get("schema") != SCHEMA:
        raise ClaimError(f"claims file {str(path)!r} has schema {data.get('schema')!r}; needed is {SCHEMA!r}.")
    claims = [_claim(entry, path) for entry in data.pop("claim", [])]
    return ClaimsFile({claim.id: claim for claim in claims}, data, hashlib.sha256(raw).hexdigest())


def _claim(entry: dict[str, Any], path: str | Path) -> Claim:
    known = {name for name in Claim.__dataclass_fields__ if name != "settings"}
    fields = {name: value for name, value in entry.items() if name in known}
    try:
        for name in ("groups", "measures", "controls"):
            fields[name] = tuple(fields.get(name, Claim.__dataclass_fields__[name].default))
        fields["primary"] = tuple((group, measure) for group, measure in fields.get("primary", ()))
        fields.setdefault("threshold", None)
        rest = {name: value for name, value in entry.items() if name not in known}
        claim = Claim(**fields, settings=rest)
    except (TypeError, ValueError) as error:
        raise ClaimError(f"claims file {str(path)!r}, claim {entry.get('id')!r} is malformed ({error}).") from None
    if claim.direction not in DIRECTIONS:
        raise ClaimError(f"claim {claim.id}: direction {claim.direction!r} is not one of {', '.join(DIRECTIONS)}.")
    if (claim.threshold is None) != (claim.direction == "exact"):
        raise ClaimError(f"claim {claim.id}: a threshold goes with every direction but 'exact'.")
    return claim


def cell_key(claim: Claim, *, layer: int, group: str, measure: str) -> str:
    """Return a cell's name, such as ``P3a-L06-QQ``; the claim's first measure is not spelled out."""
    suffix = "" if measure == claim.measures[0] else f"-{measure}"
    return f"{claim.id}-L{layer:02d}-{group}{suffix}"


def cells(claim: Claim, *, layers: Sequence[int]) -> list[Cell]:
    """Return every cell of a claim, in the order layers, measures, groups."""
    return [
        Cell(claim.id, layer, group, measure, (group, measure) in claim.primary,
             cell_key(claim, layer=layer, group=group, measure=measure))
        for layer in layers
        for measure in claim.measures
        for group in claim.groups
    ]  # fmt: skip


def meets(claim: Claim, estimate: float) -> bool:
    """Tell whether an estimate clears the claim's threshold."""
    if claim.threshold is None:
        raise ClaimError(f"claim {claim.id} is exact: it has conditions, not a threshold.")
    return estimate > claim.threshold if claim.direction == "above" else estimate >= claim.threshold


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
    found = _measure(claim, cell, sample)
    results = tuple(
        _control(claim, cell, name, controls[name], found.estimate, minimum_distinct)
        for name in claim.controls
        if controls is not None and name in controls
    )
    notes = list(qualifier)
    if found.holds and any(c.name == "untrained" and c.passes for c in results):
        notes.append("also holds untrained")
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
    failed = [text for text, holds in conditions.items() if not holds]
    return _verdict(
        claim,
        cell,
        REFUTED if failed else SUPPORTED,
        n=n,
        qualifier=tuple(qualifier),
        reason=f"does not hold: {'; '.join(failed)}" if failed else None,
        evidence={"conditions": dict(conditions), **evidence},
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
        primary=cell.primary,
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


def _measure(claim: Claim, cell: Cell, sample: Sample) -> _Measured:
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
    if claim.axis == "dimensions" and len(parts) == 1:
        summary = summarise_group(*parts[0], measure=cell.measure)
        evidence = {
            "histogram": summary.counts.tolist(),
            "pairs": summary.pairs,
            "share_above": {str(edge): share for edge, share in summary.share_above.items()},
            "share_low": summary.share_low,
            "share_high": summary.share_high,
            "zero_columns": summary.zero_columns,
        }
        share = claim.settings.get("pole_share")
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
    found = _measure(claim, cell, sample)
    return ControlResult(name, found.estimate, estimate - found.estimate, found.holds)
