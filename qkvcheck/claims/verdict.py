"""Verdicts: what was found of a claim in one cell, with the controls and the evidence beside it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from qkvcheck.claims.claim import Cell, Claim

SUPPORTED, REFUTED, INCONCLUSIVE, NOT_JUDGED = "SUPPORTED", "REFUTED", "INCONCLUSIVE", "NOT JUDGED"
BY_SIDE = {True: SUPPORTED, False: REFUTED, None: INCONCLUSIVE}
"""The verdict by where a whole interval stands to the threshold (`qkvcheck.claims.stands`)."""
STAND_IN, ALSO_UNTRAINED = "stand-in", "also holds untrained"
NOT_TRAINING, ANY_TOKEN, UNRESOLVED = "not specific to training", "any repeated token", "specificity unresolved"
EXPLORATORY = "exploratory"
UNTRAINED, OTHER_TOKEN, DIFFERENT_WORDS, NON_TARGET = "untrained", "other-token", "different-words", "non-target"


@dataclass(frozen=True)
class ControlResult:
    """A control's number beside a claim's.

    Attributes
    ----------
    name : str
        Such as ``"untrained"``.
    estimate, difference : float or None
        The control's number, and the claim's minus it.
    passes : bool or None
        Whether the control's number meets the claim's criterion itself; for untrained seeds, whether most do.
    low, high : float or None
        Interval of the difference: paired over contexts, or with the spread of the seeds.
    specificity : str or None
        As `qkvcheck.statistics.specificity` names it; None where nothing is said about it.
    reason : str or None
        Why something is missing, or how a reference line was found.
    kind : {"paired", "seeds", "reference"}
        What sort of control it is.
    seeds, passing : int or None
        Untrained seeds, and those of them that meet the criterion.
    p_value : float or None
        How rare the claim's number would be as one more seed.
    """

    name: str
    estimate: float | None
    difference: float | None
    passes: bool | None
    low: float | None = None
    high: float | None = None
    specificity: str | None = None
    reason: str | None = None
    kind: str = "paired"
    seeds: int | None = None
    passing: int | None = None
    p_value: float | None = None


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
    simultaneous: bool = False
    threshold: float | None = None
    direction: str = "above"
    margin: float | None = None
    n: int | None = None
    n_distinct: int | None = None
    n_needed: int | None = None
    clusters: int | None = None
    cluster_kind: str | None = None
    grade: str | None = None
    offset_share: float | None = None
    controls: tuple[ControlResult, ...] = ()
    qualifier: tuple[str, ...] = ()
    reason: str | None = None
    source: str | None = None
    claims_sha256: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def control(self, name: str) -> ControlResult | None:
        """Return what the control of that name found, or None if there is none."""
        return next((control for control in self.controls if control.name == name), None)

    def _repr_html_(self) -> str:
        """Return the verdict as a small table, for a notebook."""
        from html import escape

        number = "-" if self.estimate is None else f"{self.estimate:.4f}"
        if self.low is not None and self.high is not None:
            number += f" [{self.low:.4f}, {self.high:.4f}]"
        beside = [(c.name, "-" if c.estimate is None else f"{c.estimate:.4f}") for c in self.controls]
        told = ", ".join([self.verdict.lower(), *self.qualifier])
        rows = [("claim", f"{self.claim}: {self.statement}"), ("verdict", told), ("estimate", number), *beside]
        rows += [("reason", self.reason)] if self.reason else []
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
        return f"<table><caption>{escape(self.key)}</caption><tbody>{cells}</tbody></table>"


def verdict_from_dict(data: Mapping[str, Any]) -> Verdict:
    """Rebuild a verdict from what `Verdict.to_dict` returned, after a trip through JSON."""
    values = dict(data)
    values["controls"] = tuple(ControlResult(**control) for control in values["controls"])
    values["qualifier"] = tuple(values["qualifier"])
    return Verdict(**values)


def judge_conditions(
    claim: Claim, cell: Cell, conditions: Mapping[str, bool], *, n: int, qualifier: Sequence[str] = (), **evidence: Any
) -> Verdict:
    """Judge an exact claim: it holds if every condition does; the reason names those that don't."""
    plain = {text: bool(holds) for text, holds in conditions.items()}
    failed = [text for text, holds in plain.items() if not holds]
    return make_verdict(
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
    return make_verdict(claim, cell, NOT_JUDGED, qualifier=tuple(qualifier), reason=reason)


def make_verdict(claim: Claim, cell: Cell, verdict: str, **fields: Any) -> Verdict:
    """Return a verdict with what it takes over from claim and cell."""
    qualifier = (*fields.pop("qualifier", ()), *((EXPLORATORY,) if claim.label == EXPLORATORY else ()))
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
        margin=claim.margin,
        source=claim.source or None,
        claims_sha256=claim.file_sha256,
        qualifier=qualifier,
        **fields,
    )
