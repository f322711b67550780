"""Story: one verdict in words: its label, the table of a failure, the explanation, the properties of junit. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qkvcheck.claims import INCONCLUSIVE, NOT_JUDGED, REFUTED, STAND_IN, ControlResult, Verdict
from qkvcheck.record import Finding, change_rows

SIGNS = {"above": ">", "at_least": ">=", "at_most": "<="}


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


def html_table(findings: Sequence[Finding]) -> str:
    """Return findings as an HTML table, for a notebook."""
    from html import escape

    rows = "".join(
        f"<tr><th>{escape(f.verdict.key)}</th><td>{escape(estimate_text(f.verdict))}</td>"
        f"<td>{escape(threshold_text(f.verdict))}</td><td>{escape(label(f))}</td></tr>"
        for f in findings
    )
    head = "".join(f"<th>{name}</th>" for name in ("cell", "estimate [95 %]", "threshold", "verdict"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


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
        ("estimate", estimate_text(verdict)),
        ("threshold", threshold_text(verdict)),
        ("contexts", _contexts(verdict)),
        ("layer", f"{verdict.layer} (zero-based)"),
        ("model", f"{run['model']['spec']}, seed {run['settings']['seed']}"),
    ]
    if verdict.plug_in is not None and verdict.plug_in != verdict.estimate:
        rows.insert(4, ("plug-in", f"{number_text(verdict.plug_in)} on these contexts, before its bias is taken off"))
    if verdict.grade is not None:
        rows.append(("grade", f"{verdict.grade} (by the lower bound)"))
    if verdict.offset_share is not None:
        rows.append(("offset", f"{verdict.offset_share:.0%} of the mean squared cosine is mean offset"))
    rows += [(f"control {control.name}", control_text(control)) for control in verdict.controls]
    if finding.recorded is not None:
        rows.append(("on record", finding.recorded.lower()))
    if finding.change is not None:
        rows.append(("change", finding.change))
        rows += change_rows(finding.moved) if finding.moved is not None else []
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
    if "row_quantiles" in evidence:
        found = evidence["row_quantiles"]
        lines += [
            "",
            f"Over pairs of contexts: least {found['0']:.4f}, middle half {found['0.25']:.4f} to {found['0.75']:.4f}, "
            f"median {found['0.5']:.4f}, largest {found['1']:.4f}.",
        ]
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


def threshold_text(verdict: Verdict) -> str:
    """Return a verdict's threshold with its sign, or ``exact``."""
    if verdict.threshold is None:
        return "exact"
    return f"{SIGNS.get(verdict.direction, '')} {verdict.threshold:.4f}"


def estimate_text(verdict: Verdict) -> str:
    """Return a verdict's estimate with its interval."""
    if verdict.low is None or verdict.high is None:
        return number_text(verdict.estimate)
    return f"{number_text(verdict.estimate)} [{number_text(verdict.low)}, {number_text(verdict.high)}]"


def _contexts(verdict: Verdict) -> str:
    if verdict.n_distinct is None:
        return str(verdict.n)
    text = f"{verdict.n}, {verdict.n_distinct} of them distinct"
    if verdict.clusters is not None:
        text += f"; {verdict.clusters} clusters by {verdict.cluster_kind}"
    settle = settled_text(verdict)
    return f"{text}; {settle}" if settle else text


def settled_text(verdict: Verdict) -> str:
    """Return how many contexts would settle an open verdict, and which way; empty where that isn't known."""
    if verdict.n_needed is None or verdict.estimate is None or verdict.threshold is None:
        return ""
    above = verdict.estimate > verdict.threshold
    side = "against" if above is (verdict.direction == "at_most") else "for"
    return f"some {verdict.n_needed:,} distinct contexts would just settle it, {side} the claim, if the estimate stays"


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


def group_text(group: str) -> str:
    """Return a pair group as it is read: Q-K for QK."""
    return "-".join(group) if len(group) == 2 else group


def number_text(value: float | None) -> str:
    """Return a number with four digits, or a dash."""
    return "-" if value is None else f"{value:.4f}"
