"""Texts: one verdict in words: what is known of it, the table of a failure, the properties of junit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qkvcheck.claims import (
    ClusterGroups,
    ControlKind,
    ControlResult,
    Decision,
    Direction,
    Verdict,
    estimate_text,
    number_text,
    share_text,
    threshold_text,
)
from qkvcheck.errors import visible
from qkvcheck.groups import FACTORS, Stage
from qkvcheck.record import FileOrigin, Finding, Run, change_rows, label
from qkvcheck.statistics import Explained


def failure_text(finding: Finding, run: Run) -> str:
    """Return the short table that a failing claim prints."""
    lines = table_lines([*story(finding, run), ("what to do", _advice(finding))], indent="  ")
    return visible("\n".join([finding.verdict.key, *lines]))


def story(finding: Finding, run: Run) -> list[tuple[str, str]]:
    """Return what is known of one verdict, as pairs of a name and a text."""
    verdict = finding.verdict
    rows = [
        ("claim", f"{verdict.claim}: {verdict.statement}"),
        ("verdict", label(finding)),
        ("statistic", f"{verdict.statistic}, {verdict.group} {verdict.measure}, over {verdict.axis}"),
        ("estimate", estimate_text(verdict)),
        ("threshold", threshold_text(verdict)),
        ("contexts", _contexts(verdict)),
        ("layer", _layer(verdict)),
        *([("head", head_text(verdict))] if verdict.head is not None else []),
        ("model", f"{run.named}, seed {run.settings.seed}"),
    ]
    if verdict.plug_in is not None and verdict.plug_in != verdict.estimate:
        rows.insert(
            4,
            (
                "plug-in",
                f"{number_text(verdict.plug_in)} on these contexts, before its bias is taken off{_outside(verdict)}",
            ),
        )
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
    if finding.compared is not None:
        rows.append(("compared", finding.compared.text))
    if verdict.reason is not None:
        rows.append(("reason", verdict.reason))
    return rows


def _outside(verdict: Verdict) -> str:
    """Return that a plug-in lies outside its own interval, where it does: the bias is then larger than the spread."""
    if verdict.plug_in is None or verdict.low is None or verdict.high is None:
        return ""
    return "" if verdict.low <= verdict.plug_in <= verdict.high else "; it lies OUTSIDE the interval"


def _layer(verdict: Verdict) -> str:
    lowest = verdict.evidence.least_at_layer
    return f"{verdict.layer} (zero-based)" if lowest is None else f"all; the estimate is that of layer {lowest}"


def head_text(verdict: Verdict) -> str:
    """Return which head a verdict is of, what keys and values it reads, and for how many heads its interval holds."""
    family = verdict.evidence.heads
    text = f"{verdict.head} (zero-based)"
    if family is None:
        return text
    shared = {name: head for name, head in family.reads.items() if head != verdict.head}
    if shared:
        text += f", which reads {' and '.join(f'{name} head {head}' for name, head in shared.items())}"
    return f"{text}; interval {family.interval}"


def _advice(finding: Finding) -> str:
    if finding.verdict.verdict == Decision.INCONCLUSIVE and not finding.differs:
        return "give more different contexts with --qkv-corpus, or run without --qkv-strict"
    if finding.change is None and finding.compared is not None and finding.compared.fails(strict=True):
        return (
            "if training was meant to move it, compare with this checkpoint from now on; if not, look at the training"
        )
    return "if this is so, record it with --qkv-update=all; if not, look at the model, its layer and its contexts"


def table_lines(rows: Sequence[tuple[str, str]], *, indent: str = "") -> list[str]:
    """Return names and texts in two columns."""
    wide = max((len(name) for name, _ in rows), default=0)
    return [f"{indent}{name:<{wide}}  {text}" for name, text in rows]


def properties_of(finding: Finding, *, by_head: bool = False) -> list[tuple[str, str]]:
    """Return what junit's XML says of a verdict, each a property of its own; of several each is named by its head."""
    verdict = finding.verdict
    prefix = f"qkvcheck.H{verdict.head:02d}" if by_head and verdict.head is not None else "qkvcheck"
    named = {
        "verdict": label(finding),
        "estimate": verdict.estimate,
        "low": verdict.low,
        "high": verdict.high,
        "threshold": verdict.threshold,
        "n_distinct": verdict.n_distinct,
        "offset_share": verdict.offset_share,
    }
    found = [(f"{prefix}.{name}", str(value)) for name, value in named.items() if value is not None]
    return found + [(f"{prefix}.control.{c.name}", control_text(c)) for c in verdict.controls]


def _contexts(verdict: Verdict) -> str:
    if verdict.n_distinct is None:
        return str(verdict.n)
    text = f"{verdict.n}, {verdict.n_distinct} of them distinct"
    whys = {one.why for one in verdict.evidence.merged or () if one.layer == verdict.layer}
    text += f" ({'; '.join(sorted(whys))})" if whys else ""
    if verdict.clusters is not None:
        text += f"; {verdict.clusters} clusters by {verdict.cluster_kind}"
    groups = verdict.evidence.groups
    if groups is not None:
        text += f", left out in {groups_text(groups)}"
    settle = settled_text(verdict)
    return f"{text}; {settle}" if settle else text


def groups_text(groups: ClusterGroups) -> str:
    """Return in how many groups clusters left the jackknife.

    Examples
    --------
    >>> groups_text(ClusterGroups(2000, 200, 0))
    '200 groups (seed 0)'
    """
    return f"{groups.groups} groups (seed {groups.seed})"


def settled_text(verdict: Verdict) -> str:
    """Return how many contexts would settle an open verdict, and which way; empty where that isn't known."""
    if verdict.n_needed is None or verdict.estimate is None or verdict.threshold is None:
        return ""
    above = verdict.estimate > verdict.threshold
    side = "against" if above is (verdict.direction == Direction.AT_MOST) else "for"
    return f"some {verdict.n_needed:,} distinct contexts would just settle it, {side} the claim, if the estimate stays"


def control_text(control: ControlResult) -> str:
    """Return what a control found, in one line."""
    if control.estimate is None:
        return f"not measured ({control.reason})"
    text = f"{control.estimate:.4f}"
    if control.kind == ControlKind.REFERENCE:
        return f"{text} ({control.reason}; a line to read by)"
    if control.kind == ControlKind.SEEDS and control.seeds is not None and control.seeds > 1:
        text += f", mean of {control.seeds} seeds (plug-in)"
        text += f"; {control.passing} of them meet the criterion" if control.passing is not None else ""
    else:
        text += f", {'meets' if control.passes else 'misses'} the same criterion"
    if control.difference is not None and control.low is not None and control.high is not None:
        text += f"; difference {control.difference:+.4f} [{control.low:+.4f}, {control.high:+.4f}]"
    if control.specificity is not None:
        text += f": {control.specificity}"
    if control.n is not None and control.n_distinct is not None and control.n_distinct < control.n:
        text += f"; {control.n_distinct} distinct contexts of {control.n}"
    if control.p_value is not None:
        text += f" (p = {control.p_value:.2f} as one more seed)"
    return text if control.reason is None else f"{text} ({control.reason})"


def stage_text(origin: FileOrigin) -> str:
    """Return what Q and K of a file are, and whether it says so.

    Examples
    --------
    >>> stage_text(FileOrigin("rows.npz", "0" * 64, 1))
    'Q and K taken as the projections put them out: the file does not say its stage'
    """
    if origin.stage is Stage.ATTENTION:
        return "Q and K as attention compares them, after rotary embedding and normalisation (stage attention)"
    told = " (stage projection)" if origin.stage else ": the file does not say its stage"
    return f"Q and K {'' if origin.stage else 'taken '}as the projections put them out{told}"


def _explains(factor: str, shares: Sequence[Explained], contexts: int | None) -> str:
    """Return what one factor explains in Q, K and V."""
    if all(one.share is None for one in shares):
        own = contexts is not None and shares[0].levels >= contexts
        return f"{factor} not defined{' (another one in each context)' if own else ''}"
    return f"{factor} {', '.join(f'{one.projection} {share_text(one.share)}' for one in shares)}"


def explained_texts(findings: Iterable[Finding]) -> list[str]:
    """Return for each layer of a deciding cell what first token, preceding token and position explain."""
    told: dict[int, str] = {}
    for verdict in (finding.verdict for finding in findings):
        found = verdict.evidence.explained
        if not found or verdict.head is not None or verdict.layer in told:
            continue
        by_factor = {factor: [one for one in found if one.factor == factor] for factor in FACTORS}
        parts = [_explains(factor, shares, verdict.n) for factor, shares in by_factor.items() if shares]
        told[verdict.layer] = f"share of the target's spread at layer {verdict.layer} (omega^2): {'; '.join(parts)}"
    return [told[layer] for layer in sorted(told)]
