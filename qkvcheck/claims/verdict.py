"""Verdict: what was found of a claim in one cell, with its controls and evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from qkvcheck.claims.claim import EXPLORATORY, LAYERS, Cell, Claim, Direction, Kind, Role, Tag
from qkvcheck.claims.evidence import Evidence, HeadFamily, evidence_from_dict
from qkvcheck.groups import MOST_HEADS, StrEnum
from qkvcheck.inputs import from_document, part_of
from qkvcheck.statistics import Specificity

STAND_IN, ALSO_UNTRAINED = "stand-in", "also holds untrained"
NOT_TRAINING, ANY_TOKEN, OTHER_WORDS = "not specific to training", "any repeated token", "other words do the same"
NOT_ASKED, NOT_TESTED = "no untrained network asked", "training not tested"
UNRESOLVED = "unresolved against "
"""What is open, with the names of the controls after it."""
EQUALLY_COMMON = "about equally common"
"""What leads the line of a sign balance so near 0 that its sign says little."""


def called_in_verdicts(called: str) -> tuple[str, ...]:
    """Return the qualifier that names what a verdict is of, from what its model is called; none where that is nothing.

    Examples
    --------
    >>> called_in_verdicts("the stand-in"), called_in_verdicts("SmolLM2-135M"), called_in_verdicts("")
    (('stand-in',), ('on SmolLM2-135M',), ())
    """
    if not called:
        return ()
    return (STAND_IN,) if called == f"the {STAND_IN}" else (f"on {called}",)


class Decision(StrEnum):
    """What is said of a claim."""

    SUPPORTED = "SUPPORTED"
    REFUTED = "REFUTED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_JUDGED = "NOT JUDGED"


BY_SIDE = {True: Decision.SUPPORTED, False: Decision.REFUTED, None: Decision.INCONCLUSIVE}
"""The decision by where a whole interval stands to the threshold (`Claim.side`)."""


class ControlKind(StrEnum):
    """How a control's number is compared with a claim's."""

    PAIRED = "paired"
    """On the same contexts, under the same deletions."""
    SEEDS = "seeds"
    """Untrained networks, one a seed."""
    REFERENCE = "reference"
    """A line to read by: what permuted numbers would give."""


@dataclass(frozen=True)
class ControlResult:
    """A control's number, and how a claim's stands to it.

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
    specificity : Specificity or None
        None where nothing is said about it.
    reason : str or None
        Why something is missing, or how a reference line was found.
    kind : ControlKind
        What sort of control it is.
    seeds, passing : int or None
        Untrained seeds, and those of them that meet the criterion.
    p_value : float or None
        How rare the claim's number would be as one more seed.
    n, n_distinct : int or None
        Contexts and distinct ones; of untrained seeds, where fewest are distinct.
    by_seed : tuple of float, or None
        The number of each untrained network, in the order of the seeds; None where there are none.
    """

    name: str
    estimate: float | None
    difference: float | None
    passes: bool | None
    low: float | None = None
    high: float | None = None
    specificity: Specificity | None = None
    reason: str | None = None
    kind: ControlKind = ControlKind.PAIRED
    seeds: int | None = None
    passing: int | None = None
    p_value: float | None = None
    n: int | None = None
    n_distinct: int | None = None
    by_seed: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Verdict:
    """What was found of a claim in one cell; its fields are those of the result file (docs/results.md).

    Examples
    --------
    >>> import numpy as np
    >>> import qkvcheck
    >>> rows = np.random.default_rng(0).normal(size=(30, 8)) + 5
    >>> qkvcheck.judge(rows, statistic="row_mean", group="Q", above=0.9)
    Verdict(claim-L00-Q: SUPPORTED, 0.9665 [0.9582, 0.9728] > 0.9)
    """

    key: str
    claim: str
    statement: str
    layer: int
    group: str
    measure: str
    axis: str
    statistic: str
    role: Role
    verdict: Decision
    kind: Kind = Kind.INTERVAL
    estimate: float | None = None
    plug_in: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    simultaneous: bool = False
    threshold: float | None = None
    direction: Direction = Direction.ABOVE
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
    order: int | None = None
    not_independent_of: tuple[str, ...] = ()
    head: int | None = None
    tag: Tag | None = None
    tag_reason: str | None = None
    lead: str | None = None
    evidence: Evidence = field(default_factory=Evidence)

    def __post_init__(self) -> None:
        if not self.key or not self.claim:
            raise ValueError("key and claim have to name something")
        if not 0 <= self.layer < LAYERS:
            raise ValueError(f"layer is {self.layer}; it has to be from 0 to {LAYERS - 1}")
        if self.head is not None and not 0 <= self.head < MOST_HEADS:
            raise ValueError(f"head is {self.head}; it has to be from 0 to {MOST_HEADS - 1}")
        if self.direction == Direction.EXACT and self.threshold is not None:
            raise ValueError("an exact claim has no threshold")

    @property
    def exploratory(self) -> bool:
        """Whether the claim was made or edited after numbers had been seen."""
        return EXPLORATORY in self.qualifier

    def control(self, name: str) -> ControlResult | None:
        """Return what the control of that name found, or None if there is none."""
        return next((control for control in self.controls if control.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(replace(self, evidence=Evidence())), "evidence": self.evidence.to_dict()}

    def __repr__(self) -> str:
        number = f", {estimate_text(self)} {threshold_text(self, digits='g')}" if self.threshold is not None else ""
        return f"Verdict({self.key}: {self.verdict}{number})"

    def _repr_html_(self) -> str:
        """Return the verdict as a small table, for a notebook."""
        from html import escape

        controls = [(c.name, number_text(c.estimate)) for c in self.controls]
        words = ", ".join([self.verdict.lower(), *self.qualifier])
        rows = [
            ("claim", f"{self.claim}: {self.statement}"),
            ("verdict", words),
            ("estimate", estimate_text(self)),
            *controls,
            *([("reason", self.reason)] if self.reason else []),
        ]
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
        return f"<table><caption>{escape(self.key)}</caption><tbody>{cells}</tbody></table>"


def number_text(value: float | None) -> str:
    """Return a number with four digits, or a dash.

    Examples
    --------
    >>> number_text(0.12345), number_text(None)
    ('0.1235', '-')
    """
    return "-" if value is None else f"{value:.4f}"


def share_text(share: float | None) -> str:
    """Return a share of the spread in three digits.

    Examples
    --------
    >>> share_text(0.9852), share_text(-0.0062), share_text(None)
    ('.985', '-.006', 'not defined')
    """
    return "not defined" if share is None else f"{share:.3f}".replace("0.", ".", 1)


def estimate_text(verdict: Verdict) -> str:
    """Return a verdict's estimate with its interval."""
    if verdict.low is None or verdict.high is None:
        return number_text(verdict.estimate)
    return f"{number_text(verdict.estimate)} [{number_text(verdict.low)}, {number_text(verdict.high)}]"


def threshold_text(verdict: Verdict | Claim, *, digits: str = ".4f") -> str:
    """Return the threshold of a verdict, or of a claim, with its sign, or ``exact``."""
    if verdict.threshold is None:
        return "exact"
    sign = {Direction.ABOVE: ">", Direction.AT_LEAST: ">=", Direction.AT_MOST: "<="}.get(verdict.direction, "")
    return f"{sign} {verdict.threshold:{digits}}"


def verdict_from_dict(data: Mapping[str, Any], *, at: str = "") -> Verdict:
    """Rebuild a verdict from what `Verdict.to_dict` returned, or an earlier version wrote as JSON.

    Raises
    ------
    DocumentError
        If something is missing or is not what its type says; `at` names where the verdict stands.
    """
    kept = part_of(data, "evidence", at=at)
    evidence = evidence_from_dict(kept, at=f"{at}.evidence".removeprefix("."))
    known = {name: value for name, value in data.items() if name != "evidence"}
    if "kind" not in data:
        known["kind"] = _kind_of(evidence, data.get("threshold"))
    return replace(from_document(Verdict, known, at=at), evidence=evidence)


def _kind_of(evidence: Evidence, threshold: float | None) -> Kind:
    """Return the kind of a verdict from a file that does not name it, by its evidence."""
    if threshold is None:
        return Kind.EXACT
    parts = (
        (evidence.profile, Kind.EVERY_LAYER),
        (evidence.number, Kind.AGAINST_UNTRAINED),
        (evidence.search, Kind.SEARCH),
        (evidence.violations, Kind.COUNT),
    )
    return next((kind for part, kind in parts if part is not None), Kind.INTERVAL)


def judge_conditions(
    claim: Claim,
    cell: Cell,
    conditions: Mapping[str, bool],
    *,
    n: int,
    qualifier: Sequence[str] = (),
    further: Mapping[str, object] | None = None,
) -> Verdict:
    """Judge an exact claim: it holds if every condition does; the reason names those that don't.

    Parameters
    ----------
    claim, cell : Claim, Cell
        What is claimed, and where.
    conditions : mapping of str to bool
        Each a sentence, and whether it holds.
    n : int
        Contexts.
    qualifier : sequence of str
        Such as ``"stand-in"``.
    further : mapping of str to plain data, optional
        Goes with the evidence.
    """
    held = {text: bool(holds) for text, holds in conditions.items()}
    failed = [text for text, holds in held.items() if not holds]
    return make_verdict(
        claim,
        cell,
        Decision.REFUTED if failed else Decision.SUPPORTED,
        n=n,
        qualifier=tuple(qualifier),
        reason=f"does not hold: {'; '.join(failed)}" if failed else None,
        evidence=Evidence(conditions=held, further=dict(further or {})),
    )


def not_judged(claim: Claim, cell: Cell, reason: str, *, qualifier: Sequence[str] = ()) -> Verdict:
    """Return a verdict that says why a claim can't be judged."""
    return make_verdict(claim, cell, Decision.NOT_JUDGED, qualifier=tuple(qualifier), reason=reason)


def make_verdict(claim: Claim, cell: Cell, decision: Decision, **fields: Any) -> Verdict:
    """Return a verdict with what it takes over from claim and cell."""
    qualifier = (*fields.pop("qualifier", ()), *((EXPLORATORY,) if claim.label == EXPLORATORY else ()))
    evidence: Evidence = fields.pop("evidence", Evidence())
    if cell.at_head is not None and cell.reads:
        said = f"simultaneous over {cell.over} heads" if cell.over > 1 else "of this head alone"
        evidence = replace(evidence, heads=HeadFamily(cell.over, said, dict(cell.reads)))
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
        verdict=decision,
        kind=fields.pop("kind", claim.kind),
        threshold=claim.threshold,
        direction=claim.direction,
        margin=claim.margin,
        source=claim.source or None,
        claims_sha256=claim.file_sha256,
        order=claim.order,
        not_independent_of=claim.not_independent_of,
        head=cell.at_head,
        tag=claim.tag,
        tag_reason=claim.tag_reason or None,
        qualifier=qualifier,
        evidence=evidence,
        **fields,
    )
