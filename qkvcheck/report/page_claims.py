"""Page claims: a run's claims and cells as a page shows them: texts, and where the bars stand. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qkvcheck.claims import (
    ALSO_UNTRAINED,
    Role,
    Verdict,
    estimate_text,
    number_text,
    threshold_text,
)
from qkvcheck.record import Finding, label
from qkvcheck.report.forest import plain_sentence
from qkvcheck.report.heads import family_label, head_families, kind_of, middle, spread_text, worst
from qkvcheck.report.sentences import claim_sentences
from qkvcheck.report.statistic_words import scale_words
from qkvcheck.report.tally import TAG_WORDS, decision
from qkvcheck.report.terminal import column_controls
from qkvcheck.report.texts import control_text, groups_text


@dataclass(frozen=True)
class PageCell:
    """A cell as the page shows it: texts, and where its bar stands."""

    key: str
    layer: int
    group: str
    measure: str
    decides: bool
    estimate: str
    threshold: str
    verdict: str
    kind: str
    controls: Sequence[tuple[str, str]]
    compared: Sequence[Mapping[str, str]]
    offset: str
    reason: str | None
    change: str | None
    bar: Mapping[str, float] | None


@dataclass(frozen=True)
class PageClaim:
    """A claim as the page shows it."""

    anchor: str
    id: str
    statement: str
    source: str | None
    tag: str | None
    tag_reason: str | None
    decision: str
    also_untrained: bool
    scale: str | None
    says: str
    exploratory: bool
    sentences: Sequence[tuple[str, list[str]]]
    cells: Sequence[PageCell]
    deciding: Sequence[PageCell]
    beside: Sequence[tuple[str, Sequence[tuple[str, str]]]]


def page_claim(identity: str, findings: Sequence[Finding], *, anchor: str) -> PageClaim:
    """Return a claim with all its cells, for a page."""
    verdicts = [finding.verdict for finding in findings]
    return PageClaim(
        anchor=anchor,
        id=identity,
        statement=verdicts[0].statement,
        source=verdicts[0].source,
        tag=None if verdicts[0].tag is None else TAG_WORDS[verdicts[0].tag],
        tag_reason=verdicts[0].tag_reason,
        decision=decision(findings) or "not decided",
        also_untrained=any(ALSO_UNTRAINED in v.qualifier for v in verdicts if v.role == Role.DECIDES),
        scale=next((words for v in verdicts if v.threshold is not None and (words := scale_words(v))), None),
        says=plain_sentence(verdicts[0].statement),
        exploratory=verdicts[0].exploratory,
        sentences=claim_sentences(findings),
        cells=[page_cell(finding) for finding in findings],
        deciding=_deciding(findings),
        beside=[(v.key, _beside(v)) for v in verdicts if v.role == Role.DECIDES and v.head is None and _beside(v)],
    )


def _beside(verdict: Verdict) -> list[tuple[str, str]]:
    """Return what stands beside a verdict: how its clusters left the jackknife, where in groups, and its companions."""
    groups = verdict.evidence.groups
    if groups is None:
        told = []
    else:
        told = [("groups", f"{groups.clusters:,} clusters left the jackknife in {groups_text(groups)}")]
    return told + [(one.name, one.text) for one in verdict.evidence.beside or ()]


def _deciding(findings: Sequence[Finding]) -> list[PageCell]:
    """Return the rows of the cells that decide; exact ones that stand alike at a layer share a row, and so do heads."""
    rows: dict[object, PageCell] = {}
    for family in head_families(finding for finding in findings if finding.verdict.role == Role.DECIDES):
        finding, verdict = family[0], family[0].verdict
        if len(family) > 1:
            rows[verdict.key] = _family_cell(family)
            continue
        key = (verdict.layer, label(finding)) if verdict.threshold is None else verdict.key
        shared = rows.get(key)
        rows[key] = page_cell(finding) if shared is None else replace(shared, key=f"{shared.key} {verdict.group}")
    return list(rows.values())


def page_cell(finding: Finding) -> PageCell:
    """Return a cell, for a page."""
    verdict = finding.verdict
    return PageCell(
        key=verdict.key,
        layer=verdict.layer,
        group=verdict.group,
        measure=verdict.measure,
        decides=verdict.role == Role.DECIDES,
        estimate=estimate_text(verdict),
        threshold=threshold_text(verdict),
        verdict=label(finding),
        kind="changed" if finding.differs else kind_of(verdict.verdict),
        controls=[(control.name, control_text(control)) for control in verdict.controls],
        compared=[_control_cell(verdict, control.name) for control in column_controls()],
        offset="-" if verdict.offset_share is None else f"{verdict.offset_share:.0%}",
        reason=verdict.reason,
        change=finding.change,
        bar=interval_bar(verdict),
    )


def _family_cell(family: Sequence[Finding]) -> PageCell:
    """Return the row of several heads: what they have between them; each has a row of its own among all cells."""
    verdicts = [finding.verdict for finding in family]
    changed = next((finding.change for finding in family if finding.change), None)
    compared = []
    for control in column_controls():
        found = [v.control(control.name) for v in verdicts]
        number = middle(one.estimate for one in found if one is not None)
        compared.append({"number": number_text(number), "specificity": ""})
    offset = middle(v.offset_share for v in verdicts)
    return replace(
        page_cell(family[0]),
        key=f"{verdicts[0].key.replace(f'.H{verdicts[0].head:02d}', '')} in {len(family)} heads",
        estimate=spread_text(family),
        verdict=family_label(family),
        kind="changed" if any(finding.differs for finding in family) else kind_of(worst(verdicts)),
        controls=[],
        compared=compared,
        offset="-" if offset is None else f"{offset:.0%}",
        reason=None,
        change=changed,
        bar=None,
    )


def _control_cell(verdict: Verdict, name: str) -> dict[str, str]:
    """Return a control's number and how specific the claim is against it, for the table."""
    control = verdict.control(name)
    if control is None or control.estimate is None:
        return {"number": "-", "specificity": ""}
    return {"number": number_text(control.estimate), "specificity": control.specificity or ""}


def interval_bar(verdict: Verdict) -> dict[str, float] | None:
    """Return where estimate, interval and threshold stand on a scale from 0 to 100, or None without an interval."""
    if verdict.estimate is None or verdict.low is None or verdict.high is None or verdict.threshold is None:
        return None
    least = min(-0.05, verdict.low, verdict.threshold)
    most = max(1.05, verdict.high, verdict.threshold)
    span = most - least

    def place(value: float) -> float:
        return round(100 * (value - least) / span, 2)

    return {
        "low": place(verdict.low),
        "high": place(verdict.high),
        "estimate": place(verdict.estimate),
        "threshold": place(verdict.threshold),
        "zero": place(0.0),
    }
