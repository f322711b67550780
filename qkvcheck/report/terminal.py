"""Report: findings as lines for a terminal. Pure: plain data in, lines with a colour name out."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qkvcheck.claims import (
    ALSO_UNTRAINED,
    BESIDE,
    DECIDES,
    EXPLORATORY,
    FAMILY,
    INCONCLUSIVE,
    NOT_JUDGED,
    REFUTED,
    SUPPORTED,
)
from qkvcheck.record import Finding
from qkvcheck.report.texts import control_text, estimate_text, label, number_text, settled_text, threshold_text

GROUPS = ("Q", "K", "V", "QQ", "KK", "VV", "QK", "QV", "KV", "QKV")
CONTROLS = ("different-words", "untrained")
DEPENDENT = (("P3a", "P4", "P5"),)
WIDTH = 116
_INDENT = " " * 7


@dataclass(frozen=True)
class Line:
    """One line of a report, with the colour it has where colours are on: red, green, yellow, bold or none."""

    text: str
    colour: str = ""


def colour_of(finding: Finding) -> str:
    """Return the colour of a verdict: red only for what fails a run."""
    verdict = finding.verdict
    if finding.change is not None:
        return "red"
    if verdict.verdict == SUPPORTED:
        return "yellow" if ALSO_UNTRAINED in verdict.qualifier else "green"
    fails = verdict.verdict == REFUTED and finding.recorded != REFUTED and verdict.role == DECIDES
    return "red" if fails else "yellow"


def asked_line(*, model: str, corpus: str, target: str | int, layers: Sequence[int]) -> str:
    """Return the header line: what a run was asked for, before anything is loaded."""
    listed = ", ".join(map(str, layers))
    return f"qkvcheck: model {model}, corpus {corpus}, target {target!r}, layers {listed} (zero-based)"


def summary_lines(
    run: Mapping[str, Any], findings: Sequence[Finding], *, every_cell: bool = False, gate_off: str | None = None
) -> list[Line]:
    """Return the header of what was measured, and the claims table.

    Parameters
    ----------
    run : mapping
        As `qkvcheck.plugin.describe_run` returns it.
    findings : sequence of Finding
        Of the run, in any order.
    every_cell : bool
        Whether the cells that don't decide are listed too.
    gate_off : str, optional
        Why no recorded verdicts apply.
    """
    lines = [*_measured(run), Line("")]
    lines.append(
        Line(_row("claim", "cell", "estimate [95 %]", "threshold", ("words", "untrained", "offset"), "verdict"), "bold")
    )
    for claim in by_claim(findings).values():
        lines += _claim_lines(claim, every_cell=every_cell)
    lines += [Line(""), *_closing(run, findings)]
    if gate_off is not None:
        lines.append(Line(f"The gate is off: {gate_off}. Record the verdicts with --qkv-update=all.", "yellow"))
    return lines


def quiet_line(run: Mapping[str, Any], findings: Sequence[Finding], *, gate_off: str | None = None) -> Line:
    """Return the one line that is left of the summary under ``-q``."""
    gate = f"; the gate is off ({gate_off})" if gate_off is not None else ""
    return Line(f"qkvcheck: {run['model']['spec']}: {tally(run, findings)}{gate}")


def _measured(run: Mapping[str, Any]) -> list[Line]:
    model, corpus, settings = run["model"], run["corpus"], run["settings"]
    if not corpus["positions"]:
        shape = " x ".join(map(str, corpus["padded_shape"]))
        return [
            Line(f"judged    {model['spec']} ({model['source']}), sha256 {model['fingerprint'][:12]}", "bold"),
            Line(f"          {shape} at layers {', '.join(map(str, settings['layers']))} (zero-based)"),
        ]
    positions = ", ".join(f"{index} ({count})" for index, count in corpus["positions"].items())
    shape = " x ".join(map(str, corpus["padded_shape"]))
    layers = ", ".join(map(str, settings["layers"]))
    plural = "layer" if len(settings["layers"]) == 1 else "layers"
    stand_in = ", a stand-in for GPT-2 small" if model["stand_in"] else ""
    lines = [
        Line(f"model     {model['spec']} ({model['source']}){stand_in}", "bold"),
        Line(
            f"          {model['family']}, {model['layers']} layers, {model['parameters']:,} parameters, "
            f"{settings['dtype']} on {settings['device']}, fingerprint {model['fingerprint'][:12]}"
        ),
        Line(
            f"contexts  {corpus['name']}: {corpus['contexts']}, of them {corpus['distinct_prefixes']} distinct left of "
            f"the target; {corpus['first_words']} first words"
        ),
        Line(
            f"target    {corpus['target']!r} at index {positions}; it can't see the {corpus['unseen_tokens']} tokens "
            "after it"
        ),
        Line(f"captured  {shape} at {plural} {layers} (zero-based: layer 6 is the seventh block)"),
    ]
    if corpus["lecture"]:
        lines.append(Line("          These are the lecture's own 54 sentences (recognised by their hash).", "bold"))
    if model["stand_in"]:
        lines.append(
            Line("The paper speaks of GPT-2 small: what holds on the stand-in is no result about GPT-2.", "yellow")
        )
    if model["untrained"]:
        lines.append(Line("This network is untrained: what it shows, training did not make.", "yellow"))
    return lines


def _claim_lines(findings: Sequence[Finding], *, every_cell: bool) -> list[Line]:
    first = findings[0].verdict
    wrapped = textwrap.wrap(first.statement, WIDTH - len(_INDENT))
    lines = [
        Line(f"{first.claim:<{len(_INDENT) - 1}} {wrapped[0]}", "bold"),
        *(Line(_INDENT + text) for text in wrapped[1:]),
    ]
    shown = [f for f in findings if f.verdict.role == DECIDES] + [f for f in findings if f.verdict.role == BESIDE]
    lines += _rows(shown)
    reasons = {f.verdict.reason: None for f in shown if f.verdict.reason}
    reasons |= {f"{f.verdict.key} is open: {settle}": None for f in shown if (settle := settled_text(f.verdict))}
    lines += [Line(f"{_INDENT}  {text}") for reason in reasons for text in textwrap.wrap(reason, WIDTH - 9)]
    family = [f for f in findings if f.verdict.role == FAMILY]
    if every_cell:
        lines += _rows(family)
        lines += [
            Line(f"{_INDENT}  {f.verdict.key} beside {c.name}: {control_text(c)}")
            for f in shown
            for c in f.verdict.controls
            if f.verdict.role == DECIDES
        ]
    if family:
        held = sum(f.verdict.verdict == SUPPORTED for f in family)
        lines.append(Line(f"{_INDENT}{held} of {len(family)} other cells supported"))
    return lines


def _rows(findings: Sequence[Finding]) -> list[Line]:
    """Return a line a cell; cells without an estimate that share layer and verdict share a line."""
    lines: list[Line] = []
    exact: dict[tuple[int, str], list[Finding]] = {}
    for finding in findings:
        if finding.verdict.threshold is None:
            exact.setdefault((finding.verdict.layer, label(finding)), []).append(finding)
        else:
            lines.append(_finding_line(finding))
    for (layer, _), alike in exact.items():
        cell = f"L{layer:02d} {' '.join(f.verdict.group for f in alike)}"
        lines.append(_finding_line(alike[0], cell=cell))
    return lines


def _finding_line(finding: Finding, *, cell: str | None = None) -> Line:
    verdict = finding.verdict
    controls = [verdict.control(name) for name in CONTROLS]
    shown = ["-" if control is None else number_text(control.estimate) for control in controls]
    shown.append("-" if verdict.offset_share is None else f"{verdict.offset_share:.0%}")
    if cell is None:
        cell = f"L{verdict.layer:02d} {verdict.group} {verdict.measure}"
    text = label(finding) + (f" [{verdict.role}]" if verdict.role != DECIDES else "")
    return Line(_row("", cell, estimate_text(verdict), threshold_text(verdict), shown, text), colour_of(finding))


def _row(claim: str, cell: str, estimate: str, threshold: str, controls: Sequence[str], verdict: str) -> str:
    beside = " ".join(f"{text:>9}" for text in controls)
    return f"{claim:<7}{cell:<21} {estimate:<26} {threshold:>9} {beside}  {verdict}".rstrip()


def _closing(run: Mapping[str, Any], findings: Sequence[Finding]) -> list[Line]:
    lines = []
    held = {f.verdict.claim for f in findings}
    for group in DEPENDENT:
        if held.issuperset(group):
            named = f"{', '.join(group[:-1])} and {group[-1]}"
            lines.append(Line(f"{named} measure nearly one quantity: they are not independent evidence."))
    if any(c.name in CONTROLS for f in findings for c in f.verdict.controls):
        lines.append(
            Line(
                "words: other words in the same frames; untrained: mean of networks with random weights; offset: the "
                "share that is mean offset alone. All controls: -v, or qkvcheck explain."
            )
        )
    lines.append(Line(tally(run, findings), "bold"))
    return lines


def tally(run: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    """Count the claims fixed beforehand, and after them the exploratory ones."""
    fixed = [f for f in findings if EXPLORATORY not in f.verdict.qualifier]
    further = [f for f in findings if EXPLORATORY in f.verdict.qualifier]
    if not fixed:
        return _count(run, further, kind="exploratory claim")
    text = _count(run, fixed, kind="claim")
    return f"{text}. Beside them {_count(run, further, kind='exploratory claim')}" if further else text


def _count(run: Mapping[str, Any], findings: Sequence[Finding], *, kind: str) -> str:
    """Count claims, each by the cells that decide it: all of them have to hold."""
    decided = Counter(decision(claim) for claim in by_claim(findings).values())
    where = " on the stand-in" if run["model"]["stand_in"] else ""
    parts = [f"{decided[SUPPORTED]} supported{where}", f"{decided[REFUTED]} refuted{where}"]
    parts += [f"{decided[INCONCLUSIVE]} inconclusive{where}"] if decided[INCONCLUSIVE] else []
    parts += [f"{decided[NOT_JUDGED]} not judged"] if decided[NOT_JUDGED] else []
    untrained = sum(
        any(ALSO_UNTRAINED in f.verdict.qualifier for f in claim if f.verdict.role == DECIDES)
        for claim in by_claim(findings).values()
        if decision(claim) == SUPPORTED
    )
    beside = f"; {untrained} of the supported also in an untrained network" if untrained else ""
    total = sum(count for found, count in decided.items() if found is not None)
    return f"{total} {kind}{'s' if total != 1 else ''}: {', '.join(parts)}{beside}"


def decision(findings: Iterable[Finding]) -> str | None:
    """Return a claim's verdict, or None if none of the cells that decide it was run."""
    deciding = {f.verdict.verdict for f in findings if f.verdict.role == DECIDES}
    if not deciding:
        return None
    for verdict in (REFUTED, INCONCLUSIVE, NOT_JUDGED):
        if verdict in deciding:
            return verdict
    return SUPPORTED


def by_claim(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return findings claim by claim, those fixed beforehand first, each in the order of the table."""
    grouped: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=_place):
        grouped.setdefault(finding.verdict.claim, []).append(finding)
    return grouped


def _place(finding: Finding) -> tuple[bool, str, int, str, int]:
    verdict = finding.verdict
    group = GROUPS.index(verdict.group) if verdict.group in GROUPS else len(GROUPS)
    return EXPLORATORY in verdict.qualifier, verdict.claim, verdict.layer, verdict.measure, group
