"""Report: findings as lines for a terminal. Pure: plain data in, lines with a colour name out."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qkvcheck.baseline import Finding
from qkvcheck.claims import BESIDE, DECIDES, FAMILY
from qkvcheck.verdicts import (
    ALSO_UNTRAINED,
    INCONCLUSIVE,
    NOT_JUDGED,
    REFUTED,
    STAND_IN,
    SUPPORTED,
    ControlResult,
    Verdict,
)

GROUPS = ("Q", "K", "V", "QQ", "KK", "VV", "QK", "QV", "KV", "QKV")
CONTROLS = ("different-words", "untrained")
SIGNS = {"above": ">", "at_least": ">=", "at_most": "<="}
DEPENDENT = (("P3a", "P4", "P5"),)
WIDTH = 116
_INDENT = " " * 7


@dataclass(frozen=True)
class Line:
    """One line of a report, with the colour it has where colours are on: red, green, yellow, bold or none."""

    text: str
    colour: str = ""


def label(finding: Finding) -> str:
    """Return a verdict in words, with what qualifies it."""
    verdict = finding.verdict
    words = verdict.verdict.lower() if verdict.verdict != NOT_JUDGED else NOT_JUDGED
    if finding.change is not None:
        words += " (CHANGED)"
    elif verdict.verdict == REFUTED and finding.recorded == REFUTED:
        words += " (recorded)"
    if STAND_IN in verdict.qualifier:
        words += " on the stand-in"
    return ", ".join([words, *(note for note in verdict.qualifier if note != STAND_IN)])


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
        As `qkvcheck.session.describe_run` returns it.
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
    for claim in _by_claim(findings).values():
        lines += _claim_lines(claim, every_cell=every_cell)
    lines += [Line(""), *_closing(run, findings)]
    if gate_off is not None:
        lines.append(Line(f"The gate is off: {gate_off}. Record the verdicts with --qkv-update=all.", "yellow"))
    return lines


def quiet_line(run: Mapping[str, Any], findings: Sequence[Finding], *, gate_off: str | None = None) -> Line:
    """Return the one line that is left of the summary under ``-q``."""
    gate = f"; the gate is off ({gate_off})" if gate_off is not None else ""
    return Line(f"qkvcheck: {run['model']['spec']}: {_tally(run, findings)}{gate}")


def failure_text(finding: Finding, run: Mapping[str, Any]) -> str:
    """Return the short table that a failing claim prints."""
    return "\n".join(
        [finding.verdict.key, *_table([*story(finding, run), ("what to do", _advice(finding))], indent="  ")]
    )


def story(finding: Finding, run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of one verdict, as pairs of a name and a text."""
    verdict = finding.verdict
    rows = [
        ("claim", f"{verdict.claim}: {verdict.statement}"),
        ("verdict", label(finding)),
        ("statistic", f"{verdict.statistic}, {verdict.group} {verdict.measure}, over {verdict.axis}"),
        ("estimate", _with_interval(verdict)),
        ("threshold", _threshold(verdict)),
        ("contexts", _contexts(verdict)),
        ("layer", f"{verdict.layer} (zero-based)"),
        ("model", f"{run['model']['spec']}, seed {run['settings']['seed']}"),
    ]
    if verdict.plug_in is not None and verdict.plug_in != verdict.estimate:
        rows.insert(4, ("plug-in", f"{_number(verdict.plug_in)} on these contexts, before its bias is taken off"))
    if verdict.grade is not None:
        rows.append(("grade", f"{verdict.grade} (by the lower bound)"))
    if verdict.offset_share is not None:
        rows.append(("offset", f"{verdict.offset_share:.0%} of the mean squared cosine is mean offset"))
    rows += [(f"control {control.name}", control_text(control)) for control in verdict.controls]
    if finding.recorded is not None:
        rows.append(("on record", finding.recorded.lower()))
    if finding.change is not None:
        rows.append(("change", finding.change))
    if verdict.reason is not None:
        rows.append(("reason", verdict.reason))
    return rows


def _advice(finding: Finding) -> str:
    verdict = finding.verdict
    if verdict.verdict == INCONCLUSIVE and finding.change is None:
        return "give more different contexts with --qkv-corpus, or run without --qkv-strict"
    return "if this is so, record it with --qkv-update=all; if not, look at the model, its layer and its contexts"


def _table(rows: Sequence[tuple[str, str]], *, indent: str = "") -> list[str]:
    wide = max(len(name) for name, _ in rows)
    return [f"{indent}{name:<{wide}}  {text}" for name, text in rows]


def explain_lines(finding: Finding, run: Mapping[str, Any], *, says: Mapping[str, str]) -> list[str]:
    """Return the whole story of one verdict, for ``qkvcheck explain``.

    Parameters
    ----------
    finding : Finding
        The verdict and what is on record of it.
    run : mapping
        Model, corpus, versions and settings of the result file.
    says : mapping of str to str
        What each control says.
    """
    verdict = finding.verdict
    rows = story(finding, run)
    if verdict.source is not None:
        rows.insert(1, ("source", verdict.source))
    corpus, settings = run["corpus"], run["settings"]
    rows += [
        ("corpus", f"{corpus['name']}, target {corpus['target']!r}, {corpus['distinct_prefixes']} distinct prefixes"),
        ("numbers", f"{settings['dtype']} on {settings['device']}, weights {run['model']['fingerprint'][:12]}"),
        ("claims file", f"sha256 {(verdict.claims_sha256 or 'none')[:12]}"),
    ]
    lines = [verdict.key, *_table(rows, indent="  ")]
    shown = [control.name for control in verdict.controls if control.name in says]
    if shown:
        lines += ["", "What the controls say", *_table([(name, says[name]) for name in shown], indent="  ")]
    evidence = verdict.evidence
    if "offset" in evidence:
        parts = evidence["offset"]
        lines += [
            "",
            f"Mean squared cosine {parts['mean_square']:.4f} = offset {parts['offset']:.4f} + cross "
            f"{parts['cross']:.4f} + co-variation {parts['residual']:.4f}; offset alone would give "
            f"{parts['offset_only']:.4f}.",
        ]
    if "profile" in evidence:
        lines += [
            "",
            "Layer by layer (intervals hold for all at once)",
            *_table(_profile(evidence["profile"]), indent="  "),
        ]
    if "attribution" in evidence:
        shares = ", ".join(
            f"{name} {share:.0%}" for name, share in evidence["attribution"].items() if name != "top_share"
        )
        lines += ["", f"The target's energy: {shares}."]
        lines += [f"The largest 1 % of the dimensions hold {evidence['attribution']['top_share']:.0%} of the offset."]
    if "histogram" in evidence:
        lines += ["", f"Similarities over {evidence['pairs']:,} pairs, from -1 to 1:", _bars(evidence["histogram"])]
    if "conditions" in evidence:
        lines += ["", *(f"  {'holds' if holds else 'FAILS'}  {text}" for text, holds in evidence["conditions"].items())]
    return lines


def _profile(points: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    rows = []
    for point in points:
        text = point["reason"] or f"{point['estimate']:.4f} [{point['low']:.4f}, {point['high']:.4f}]"
        if "untrained" in point:
            seeds = point["untrained"]
            text += f"; untrained {seeds['mean']:.4f} ({seeds['low']:.4f} to {seeds['high']:.4f})"
        rows.append((f"layer {point['layer']}", text))
    return rows


def _bars(counts: Sequence[int], *, columns: int = 50) -> str:
    """Draw a histogram in one line of block characters."""
    step = max(1, len(counts) // columns)
    sums = [sum(counts[start : start + step]) for start in range(0, len(counts), step)]
    most = max(sums) or 1
    return "  -1 |" + "".join(" ▁▂▃▄▅▆▇█"[-(-8 * value // most)] for value in sums) + "| 1"


def properties_of(finding: Finding) -> list[tuple[str, str]]:
    """Return what junit's XML says of a verdict, each a property of its own."""
    verdict = finding.verdict
    told = {
        "verdict": label(finding),
        "estimate": verdict.estimate,
        "low": verdict.low,
        "high": verdict.high,
        "threshold": verdict.threshold,
        "n_distinct": verdict.n_distinct,
        "offset_share": verdict.offset_share,
    }
    named = [(f"qkvcheck.{name}", str(value)) for name, value in told.items() if value is not None]
    return named + [(f"qkvcheck.control.{c.name}", control_text(c)) for c in verdict.controls]


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
        Line(f"{first.claim:<{len(_INDENT)}}{wrapped[0]}", "bold"),
        *(Line(_INDENT + text) for text in wrapped[1:]),
    ]
    shown = [f for f in findings if f.verdict.role == DECIDES] + [f for f in findings if f.verdict.role == BESIDE]
    lines += _rows(shown)
    reasons = {f.verdict.reason: None for f in shown if f.verdict.reason}
    reasons |= {
        f"{f.verdict.key} is open: some {f.verdict.n_needed} distinct contexts would settle it": None
        for f in shown
        if f.verdict.n_needed is not None
    }
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
    controls = {control.name: control for control in verdict.controls}
    shown = [_number(controls[name].estimate) if name in controls else "-" for name in CONTROLS]
    shown.append("-" if verdict.offset_share is None else f"{verdict.offset_share:.0%}")
    if cell is None:
        cell = f"L{verdict.layer:02d} {verdict.group} {verdict.measure}"
    text = label(finding) + (f" [{verdict.role}]" if verdict.role != DECIDES else "")
    return Line(_row("", cell, _with_interval(verdict), _threshold(verdict), shown, text), colour_of(finding))


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
    lines.append(Line(_tally(run, findings), "bold"))
    return lines


def _tally(run: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    """Count claims, each by the cells that decide it: all of them have to hold."""
    decided = Counter(_decision(claim) for claim in _by_claim(findings).values())
    where = " on the stand-in" if run["model"]["stand_in"] else ""
    parts = [f"{decided[SUPPORTED]} supported{where}", f"{decided[REFUTED]} refuted{where}"]
    parts += [f"{decided[INCONCLUSIVE]} inconclusive{where}"] if decided[INCONCLUSIVE] else []
    parts += [f"{decided[NOT_JUDGED]} not judged"] if decided[NOT_JUDGED] else []
    untrained = sum(
        any(ALSO_UNTRAINED in f.verdict.qualifier for f in claim if f.verdict.role == DECIDES)
        for claim in _by_claim(findings).values()
        if _decision(claim) == SUPPORTED
    )
    beside = f"; {untrained} of the supported also in an untrained network" if untrained else ""
    total = sum(count for decision, count in decided.items() if decision is not None)
    return f"{total} claim{'s' if total != 1 else ''}: {', '.join(parts)}{beside}"


def _decision(findings: Iterable[Finding]) -> str | None:
    """Return a claim's verdict, or None if none of the cells that decide it was run."""
    deciding = {f.verdict.verdict for f in findings if f.verdict.role == DECIDES}
    if not deciding:
        return None
    for verdict in (REFUTED, INCONCLUSIVE, NOT_JUDGED):
        if verdict in deciding:
            return verdict
    return SUPPORTED


def _by_claim(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    grouped: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=_place):
        grouped.setdefault(finding.verdict.claim, []).append(finding)
    return grouped


def _place(finding: Finding) -> tuple[str, int, str, int]:
    verdict = finding.verdict
    group = GROUPS.index(verdict.group) if verdict.group in GROUPS else len(GROUPS)
    return verdict.claim, verdict.layer, verdict.measure, group


def _threshold(verdict: Verdict) -> str:
    if verdict.threshold is None:
        return "exact"
    return f"{SIGNS.get(verdict.direction, '')} {verdict.threshold:.4f}"


def _with_interval(verdict: Verdict) -> str:
    if verdict.low is None or verdict.high is None:
        return _number(verdict.estimate)
    return f"{_number(verdict.estimate)} [{_number(verdict.low)}, {_number(verdict.high)}]"


def _contexts(verdict: Verdict) -> str:
    if verdict.n_distinct is None:
        return str(verdict.n)
    text = f"{verdict.n}, {verdict.n_distinct} of them distinct"
    if verdict.clusters is not None:
        text += f"; {verdict.clusters} clusters by {verdict.cluster_kind}"
    if verdict.n_needed is not None:
        text += f"; some {verdict.n_needed} distinct ones would settle it, if the estimate stays"
    return text


def control_text(control: ControlResult) -> str:
    """Return what a control found, in one line."""
    if control.estimate is None:
        return f"not measured ({control.reason})"
    text = f"{control.estimate:.4f}"
    if control.kind == "reference":
        return f"{text} ({control.reason}; a line to read by)"
    if control.kind == "seeds" and control.seeds is not None and control.seeds > 1:
        text += f", mean of {control.seeds} seeds (plug-in)"
        text += f"; {control.passing} of them meet the criterion" if control.passing is not None else ""
    else:
        text += f", {'meets' if control.passes else 'misses'} the same criterion"
    if control.difference is not None and control.low is not None and control.high is not None:
        text += f"; difference {control.difference:+.4f} [{control.low:+.4f}, {control.high:+.4f}]"
    if control.specificity is not None:
        text += f": {control.specificity}"
    if control.p_value is not None:
        text += f" (p = {control.p_value:.2f} as one more seed)"
    return text if control.reason is None else f"{text} ({control.reason})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
