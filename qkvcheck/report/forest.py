"""Forest: every claim in one line a deciding cell, drawn to one scale: estimate, interval, bound and controls. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qkvcheck.claims import (
    DIFFERENT_WORDS,
    UNTRAINED,
    ControlKind,
    Decision,
    Direction,
    Kind,
    Role,
    Tag,
    Verdict,
    estimate_text,
    number_text,
    threshold_text,
)
from qkvcheck.groups import group_text
from qkvcheck.record import Finding
from qkvcheck.report.figures.scale import Scale, own_scale, shared_scale
from qkvcheck.report.heads import Family, estimated, head_families, kind_of, middle, worst
from qkvcheck.report.overview import (
    ALSO_RANDOM,
    BY_CONSTRUCTION,
    NOT_BETTER,
    OF_TRAINING,
    TRAINING_OPEN,
    supported_remark,
)
from qkvcheck.report.tally import decision

LONGEST = 160
"""Characters of a claim's sentence and of a reason; the claim's fold has all of them."""
DOTS = 100
"""Untrained networks that are drawn one by one; of more the range."""
_REMARKS = {
    OF_TRAINING: "untrained ones do not",
    TRAINING_OPEN: "open whether by training",
    NOT_BETTER: "no better than untrained",
    ALSO_RANDOM: "untrained ones too",
    BY_CONSTRUCTION: "true of any network",
}
_WEAK = (ALSO_RANDOM, BY_CONSTRUCTION, NOT_BETTER)
_HEADINGS = {
    Tag.PAPER: "The paper's own words",
    Tag.READING: "The paper's sentences as we read them",
    Tag.EXTENSION: "Beyond the paper",
    Tag.MEASUREMENT: "Checks of the setup",
    None: "Claims",
}
EXPLORATORY_HEADING = "Exploratory: written after the model had been looked at"


@dataclass(frozen=True)
class ForestLine:
    """A deciding cell: its numbers, and the scale on which they are drawn.

    Attributes
    ----------
    place : str
        Group, and layer or heads where they tell it from others.
    estimate, bound, untrained, words : str
        The numbers as text; empty where there are none.
    value, low, high, threshold : float or None
        What is drawn.
    up : bool
        Whether the claim asks for numbers above the threshold.
    dots : sequence of float
        Untrained networks, each a dot.
    span : (float, float) or None
        Their range, where each is not known or they are many.
    other : float or None
        Other words in the target's place.
    scale : Scale
        The shared one, or the line's own.
    own_scale : bool
        Whether it is the line's own, since numbers lie outside -1 to 1.
    """

    place: str
    estimate: str
    bound: str
    untrained: str
    words: str
    value: float | None
    low: float | None
    high: float | None
    threshold: float | None
    up: bool
    dots: Sequence[float]
    span: tuple[float, float] | None
    other: float | None
    scale: Scale
    own_scale: bool


@dataclass(frozen=True)
class ForestRow:
    """A claim: what it says in plain words, its deciding cells, and how it stands.

    Attributes
    ----------
    id, anchor, says : str
        The claim, where the page has more of it, and its sentence without its formula.
    verdict, kind, remark : str
        How it stands, the class of that, and what is to be added to it.
    exact : str
        What stands in the place of the numbers of a claim that has none; else empty.
    lines : sequence of ForestLine
        A deciding cell each.
    """

    id: str
    anchor: str
    says: str
    verdict: str
    kind: str
    remark: str
    exact: str
    lines: Sequence[ForestLine]


@dataclass(frozen=True)
class Forest:
    """All claims in groups, with the scale that they share; a group without a heading is the only one."""

    scale: Scale
    groups: Sequence[tuple[str, Sequence[ForestRow]]]

    @property
    def own_scales(self) -> bool:
        """Whether a line has a scale of its own."""
        return any(line.own_scale for _, rows in self.groups for row in rows for line in row.lines)


def forest(claims: Mapping[str, Sequence[Finding]], *, anchors: Mapping[str, str]) -> Forest:
    """Return what a page's first table shows: the paper's own claims first, then its readings, then the others.

    Parameters
    ----------
    claims : mapping of str to sequence of Finding
        As `qkvcheck.report.by_claim` returns them; a claim none of whose deciding cells was run is left out.
    anchors : mapping of str to str
        Where the page has each claim.
    """
    decided = {identity: of for identity, of in claims.items() if decision(of) is not None}
    families = {identity: _families(of) for identity, of in decided.items()}
    scale = shared_scale(number for of in families.values() for family in of for number in _drawn_numbers(family))
    grouped: dict[str, list[ForestRow]] = {}
    for identity, of in sorted(decided.items(), key=lambda item: _rank(item[1][0].verdict)):
        first = of[0].verdict
        heading = EXPLORATORY_HEADING if first.exploratory else _HEADINGS[first.tag]
        grouped.setdefault(heading, []).append(_row(anchors[identity], of, families[identity], scale))
    alone = list(grouped) == [_HEADINGS[None]]
    return Forest(scale, [("" if alone else heading, rows) for heading, rows in grouped.items()])


def _rank(verdict: Verdict) -> int:
    """Return the place of a claim's group; within it claims keep their order."""
    order = list(_HEADINGS)
    return len(order) if verdict.exploratory else order.index(verdict.tag)


def _families(findings: Sequence[Finding]) -> list[Family]:
    """Return the deciding cells; exact ones, which have no number, only once."""
    found = head_families(f for f in findings if f.verdict.role == Role.DECIDES)
    numbered = [family for family in found if family[0].verdict.threshold is not None]
    return numbered or found[:1]


def _row(anchor: str, findings: Sequence[Finding], families: Sequence[Family], scale: Scale) -> ForestRow:
    first, stands = findings[0].verdict, decision(findings) or Decision.NOT_JUDGED
    remark = supported_remark(findings) if stands == Decision.SUPPORTED else ""
    several = len({family[0].verdict.layer for family in families}) > 1
    lines = [_line(family, scale, several=several) for family in families]
    return ForestRow(
        id=first.claim,
        anchor=anchor,
        says=plain_sentence(first.statement),
        verdict=str(stands).lower() + _turned(findings),
        kind="weak" if remark in _WEAK else kind_of(stands),
        remark=_REMARKS.get(remark, "") or _parts(families, lines),
        exact="" if any(line.value is not None for line in lines) else _exact(findings),
        lines=lines,
    )


def _turned(findings: Sequence[Finding]) -> str:
    """Return that a claim's verdict is not the one on record, or not that of the checkpoint that is compared."""
    if any(finding.change for finding in findings):
        return " (CHANGED)"
    return " (FLIPPED)" if any(finding.flipped for finding in findings) else ""


def _parts(families: Sequence[Family], lines: Sequence[ForestLine]) -> str:
    """Return which cell came out how, where they did not all come out alike."""
    told: dict[Decision, list[str]] = {}
    for family, line in zip(families, lines, strict=True):
        told.setdefault(worst(finding.verdict for finding in family), []).append(line.place)
    if len(told) < 2:
        return ""
    return "; ".join(f"{' and '.join(places)} {word.lower()}" for word, places in told.items())


def _exact(findings: Sequence[Finding]) -> str:
    """Return what is told of a claim without numbers: why it was not judged or does not hold, or what it is."""
    reasons = [f.verdict.reason for f in findings if f.verdict.role == Role.DECIDES and f.verdict.reason]
    return cut(reasons[0]) if reasons else "an exact condition, without an interval"


def plain_sentence(statement: str) -> str:
    """Return a claim's statement up to its formula: what says the same in signs is left to the claim's fold.

    Examples
    --------
    >>> plain_sentence("the magnitudes are strong: mean|cos| > 0.6 (random vectors 0.11, uniform 0.5)")
    'The magnitudes are strong'
    >>> plain_sentence("similarities have two poles, Var > 4/9"), plain_sentence("x > 1")
    ('Similarities have two poles', 'X > 1')
    """
    sign = re.search(r"[<>=|]", statement)
    ends = [at.start() for at in re.finditer(r"[:,;] ", statement[: sign.start()])] if sign else []
    kept = statement[: ends[-1]] if ends else statement
    return cut(kept[:1].upper() + kept[1:])


def cut(text: str) -> str:
    """Return a text of at most `LONGEST` characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _line(family: Family, scale: Scale, *, several: bool) -> ForestLine:
    verdict = family[0].verdict
    value, low, high = _estimates(family)
    dots, span, untrained = _untrained(family)
    other = _control(family, DIFFERENT_WORDS)
    own = not all(scale.holds(number) for number in _drawn_numbers(family))
    scale = own_scale(_drawn_numbers(family)) if own else scale
    bound = "" if verdict.threshold is None else threshold_text(verdict, digits=".4g")
    return ForestLine(
        place=_place(family, several=several),
        estimate=_estimate_text(family),
        bound=bound.replace(">=", "≥").replace("<=", "≤"),
        untrained=untrained,
        words="" if other is None else number_text(other),
        value=value,
        low=low,
        high=high,
        threshold=verdict.threshold,
        up=verdict.direction != Direction.AT_MOST,
        dots=dots,
        span=span,
        other=other,
        scale=scale,
        own_scale=own,
    )


def _drawn_numbers(family: Family) -> list[float]:
    """Return every number that a line draws."""
    dots, span, _ = _untrained(family)
    held = (*_estimates(family), family[0].verdict.threshold, _control(family, DIFFERENT_WORDS))
    return [number for number in (*held, *dots, *(span or ())) if number is not None]


def _estimates(family: Family) -> tuple[float | None, float | None, float | None]:
    """Return estimate and interval; of several heads the median estimate, and the least and the largest."""
    if len(family) == 1:
        verdict = family[0].verdict
        return verdict.estimate, verdict.low, verdict.high
    every = estimated(family)
    if not every:
        return None, None, None
    return middle(v.estimate for v in every), every[0].estimate, every[-1].estimate


def _estimate_text(family: Family) -> str:
    verdict = family[0].verdict
    if len(family) == 1:
        return "" if verdict.threshold is None else estimate_text(verdict)
    value, low, high = _estimates(family)
    return f"{number_text(value)} ({number_text(low)} to {number_text(high)})"


def _control(family: Family, name: str) -> float | None:
    """Return a control's number; of several heads the median."""
    found = [control for finding in family if (control := finding.verdict.control(name)) is not None]
    return middle(control.estimate for control in found)


def _untrained(family: Family) -> tuple[Sequence[float], tuple[float, float] | None, str]:
    """Return what untrained networks have: their numbers, or their range, and a text of it."""
    verdict = family[0].verdict
    if verdict.kind == Kind.AGAINST_UNTRAINED:  # the estimate is the difference from them
        return (), None, ""
    if len(family) == 1 and verdict.kind == Kind.EVERY_LAYER:
        at = (point for point in verdict.evidence.profile or () if point.layer == verdict.evidence.least_at_layer)
        known = next((point.untrained for point in at), None)
        return ((), (known.low, known.high), _range(known.low, known.high)) if known else ((), None, "")
    controls = [control for finding in family if (control := finding.verdict.control(UNTRAINED)) is not None]
    controls = [control for control in controls if control.estimate is not None]
    if not controls:
        return (), None, ""
    if len(controls) > 1:
        means = [control.estimate or 0.0 for control in controls]
        return (), (min(means), max(means)), _range(min(means), max(means))
    (control,) = controls
    each = tuple(control.by_seed or ())
    if len(each) > 1:
        ends = (min(each), max(each))
        return (each, None, _range(*ends)) if len(each) <= DOTS else ((), ends, _range(*ends))
    mean = control.estimate or 0.0
    averaged = control.kind == ControlKind.SEEDS and (control.seeds or 1) > 1
    return (mean,), None, f"mean {number_text(mean)}" if averaged else number_text(mean)


def _range(low: float, high: float) -> str:
    return f"{number_text(low)} to {number_text(high)}"


def _place(family: Family, *, several: bool) -> str:
    """Return where a line was measured, as short as tells it from the claim's others."""
    verdict = family[0].verdict
    if verdict.threshold is None:
        return ""
    told = [group_text(verdict.group)]
    if len(family) > 1:
        told.append(f"{len(family)} heads")
    elif verdict.head is not None:
        told.append(f"H{verdict.head:02d}")
    if verdict.kind == Kind.EVERY_LAYER:
        layer = verdict.evidence.least_at_layer
        told.append("all layers" if layer is None else f"L{layer:02d}")
    elif several:
        told.append(f"L{verdict.layer:02d}")
    return " ".join(told)
