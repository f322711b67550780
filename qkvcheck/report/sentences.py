"""Wording: a claim's findings in two or three plain sentences, never stronger than its verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qkvcheck.claims import (
    ALSO_UNTRAINED,
    DIFFERENT_WORDS,
    MARGIN,
    NOT_ASKED,
    NOT_TESTED,
    OTHER_WORDS,
    UNTRAINED,
    ControlKind,
    ControlResult,
    Decision,
    Direction,
    Kind,
    Role,
    Verdict,
    number_text,
)
from qkvcheck.groups import group_text
from qkvcheck.record import Finding
from qkvcheck.report.heads import Family, family_label, head_families, middle, spread_sentence
from qkvcheck.report.statistic_words import statistic_words
from qkvcheck.report.texts import settled_text
from qkvcheck.statistics import CERTIFIED, MIN_SEEDS, SMILE, Specificity, statistics_by_name

LEADS = {
    Decision.SUPPORTED: "Supported",
    Decision.REFUTED: "Refuted",
    Decision.INCONCLUSIVE: "Inconclusive",
    Decision.NOT_JUDGED: "Not judged",
}
ASKS = {Direction.ABOVE: "more than", Direction.AT_LEAST: "at least", Direction.AT_MOST: "at most"}


def claim_sentences(findings: Sequence[Finding]) -> list[tuple[str, list[str]]]:
    """Return what was found of one claim: a sentence a cell that decides, each with what its controls leave of it.

    Parameters
    ----------
    findings : sequence of Finding
        Of one claim, in any order.
    """
    deciding = [f for f in findings if f.verdict.role == Role.DECIDES] or list(findings)
    families = [family for family in head_families(deciding) if len(family) > 1]
    summed = {finding.verdict.key for family in families for finding in family}
    told = [
        (_verdict_sentence(verdict), [*_control_sentences(verdict), *_offset_sentence(verdict), *_warnings(verdict)])
        for verdict in _first_of_each([f.verdict for f in deciding if f.verdict.key not in summed])
    ]
    told += [(_family_sentence(family), _untrained_heads(family)) for family in families]
    changed = [finding for finding in findings if finding.change is not None]
    if changed:
        told.append((f"Against the record: {changed[0].verdict.key}: {changed[0].change}.", []))
    return told


def _family_sentence(family: Family) -> str:
    """Return what was found in several heads, in one sentence."""
    first = family[0].verdict
    every = first.kind == Kind.EVERY_LAYER
    where = f"{'over all layers' if every else f'at layer {first.layer}'}, {group_text(first.group)}"
    asked = f"{ASKS[first.direction]} {0.0 if first.threshold is None else first.threshold:.4g}"
    words = statistic_words(replace(first, evidence=replace(first.evidence, least_at_layer=None)))
    words += " at the layer where it is least" if every else ""
    held = next((v.evidence.heads for v in (f.verdict for f in family) if v.evidence.heads is not None), None)
    intervals = f" (intervals hold for {held.over} heads at once)" if held is not None and held.over > 1 else ""
    return (
        f"In {len(family)} heads {where}: {family_label(family)}. {words[:1].upper()}{words[1:]} is "
        f"{spread_sentence(family)}{intervals}; the claim asks for {asked} in each."
    )


def _untrained_heads(family: Family) -> list[str]:
    """Return what untrained networks have in the same heads."""
    found = [control for f in family if (control := f.verdict.control(UNTRAINED)) is not None]
    known = [control for control in found if control.estimate is not None]
    if not known:
        return []
    meeting = sum(bool(control.passes) for control in known)
    return [
        f"Networks with random weights have {number_text(middle(c.estimate for c in known))} in the median of the same "
        f"heads, and meet the claim in {meeting} of {len(known)}."
    ]


def _offset_sentence(verdict: Verdict) -> list[str]:
    # Of a claim about the share itself it would only repeat the estimate.
    if verdict.offset_share is None or verdict.statistic == "offset_share":
        return []
    return [f"Of the mean squared cosine {verdict.offset_share:.0%} is mean offset."]


def _warnings(verdict: Verdict) -> list[str]:
    """Return what companions found and a reader of the verdict has to know."""
    return [f"{one.text[:1].upper()}{one.text[1:]}." for one in verdict.evidence.beside or () if one.warns]


_POLES_AND_TRAINING = {
    Specificity.SPECIFIC: " So this network has more of two poles than random weights give.",
    Specificity.REVERSED: " So random weights give more of two poles than this network has.",
    Specificity.EQUIVALENT: " So random weights give as much of two poles as this network has.",
    Specificity.NOT_SPECIFIC: " So there is no sign that this network has more of two poles than random weights give.",
    Specificity.UNRESOLVED: " Whether this network has more of two poles than random weights give is open.",
}


def poles_sentence(findings: Sequence[Finding]) -> str | None:
    """Return what a run itself says of two poles: its variance beside untrained networks', and how much is offset.

    None where no cell over dimensions has all three numbers.
    """
    for verdict in (finding.verdict for finding in findings):
        untrained = verdict.control(UNTRAINED)
        if verdict.statistic != "variance" or verdict.role != Role.DECIDES or verdict.offset_share is None:
            continue
        if verdict.direction == Direction.AT_MOST or verdict.plug_in is None:
            continue
        if verdict.kind == Kind.AGAINST_UNTRAINED or untrained is None or untrained.estimate is None:
            continue
        shape = verdict.evidence.distribution
        shares = (
            ""
            if shape is None
            else f"{shape.share_low:.0%} of the pairs are below -0.5 and {shape.share_high:.0%} above 0.5; "
        )
        several = (untrained.seeds or 1) > 1
        said = "" if untrained.specificity is None else _POLES_AND_TRAINING[untrained.specificity]
        return (
            f"In this run, {verdict.claim} {_place(verdict)}: {shares}the variance of the cosines is "
            f"{number_text(verdict.plug_in)} (uncorrected), {_shape(verdict.plug_in)}. "
            f"{'Networks with random weights have' if several else 'One network with random weights has'} "
            f"{number_text(untrained.estimate)}{' on average' if several else ''}, {_shape(untrained.estimate)}"
            f"{_untrained_shares(verdict, several=several)}.{said} "
            f"Of this network's mean squared cosine {verdict.offset_share:.0%} is mean offset."
        )
    return None


def _untrained_shares(verdict: Verdict, *, several: bool) -> str:
    counts = (verdict.evidence.histograms or {}).get(UNTRAINED)
    if not counts:
        return ""
    quarter, total = len(counts) // 4, sum(counts)
    low, high = sum(counts[:quarter]) / total, sum(counts[-quarter:]) / total
    return (
        f"; {'the first of them' if several else 'it'} has {low:.0%} of the pairs below -0.5 and {high:.0%} above 0.5"
    )


def _shape(variance: float) -> str:
    """Return what a variance says of the histogram's shape, and no more."""
    if variance > CERTIFIED:
        return "more than any single peak allows"
    if variance > SMILE:
        return "more than a flat histogram has, or a single peak if the mean is 0"
    return "less than a flat histogram has" if variance < SMILE else "as a flat histogram has"


def _first_of_each(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Keep each place once; of many alike, as the cells of an exact claim, the first."""
    kept: dict[tuple[str, str | None, str], Verdict] = {}
    for verdict in verdicts:
        place = "" if verdict.threshold is None else verdict.key
        kept.setdefault((verdict.verdict, verdict.reason, place), verdict)
    return list(kept.values())


def _place(verdict: Verdict) -> str:
    if verdict.threshold is None:
        return f"at layer {verdict.layer}"
    group = group_text(verdict.group)
    head = "" if verdict.head is None else f"head {verdict.head}, "
    if verdict.kind == Kind.EVERY_LAYER:
        return f"over all layers, {head}{group}"
    return f"at layer {verdict.layer}, {head}{group}"


def _verdict_sentence(verdict: Verdict) -> str:
    lead = f"{LEADS[verdict.verdict]} {_place(verdict)}"
    if verdict.lead is not None:
        lead = f"{verdict.lead[:1].upper()}{verdict.lead[1:]}, {lead[:1].lower()}{lead[1:]}"
    if verdict.verdict == Decision.NOT_JUDGED or verdict.threshold is None:
        return f"{lead}: {verdict.reason}." if verdict.reason else f"{lead}: every condition holds."
    number = f"{statistic_words(verdict)} is {number_text(verdict.estimate)}"
    if verdict.low is not None and verdict.high is not None:
        number += f" (95% interval {number_text(verdict.low)} to {number_text(verdict.high)})"
    asked = f"the claim asks for {ASKS[verdict.direction]} {verdict.threshold:.4g}"
    if verdict.verdict == Decision.INCONCLUSIVE:
        settle = settled_text(verdict)
        asked += f", and the interval allows both{f'; {settle}' if settle else ''}"
    why = (verdict.reason or "").removeprefix(f"{verdict.lead}: ")  # it leads the sentence already
    reason = f" ({why})" if why else ""
    return f"{lead}: {number}; {asked}{_other_way(verdict)}{reason}."


def _other_way(verdict: Verdict) -> str:
    """Return that a difference was found, but against what the claim asks: refuted is not the same as no difference."""
    known = statistics_by_name().get(verdict.statistic)
    difference = verdict.kind == Kind.AGAINST_UNTRAINED or (known is not None and known.is_difference)
    if not difference or verdict.direction == Direction.AT_MOST or verdict.high is None or verdict.high >= 0:
        return ""
    return ": there is a difference, the other way round"


def _control_sentences(verdict: Verdict) -> list[str]:
    sentences = []
    untrained = verdict.control(UNTRAINED)
    if untrained is not None and untrained.estimate is not None:
        sentences.append(_untrained_sentence(verdict, untrained))
    if NOT_ASKED in verdict.qualifier:
        sentences.append("No untrained network was asked, so nothing is said of training.")
    if NOT_TESTED in verdict.qualifier:
        sentences.append(f"Whether training made it is not tested: that takes {MIN_SEEDS} untrained networks.")
    words = verdict.control(DIFFERENT_WORDS)
    if words is not None and words.estimate is not None:
        sentences.append(_words_sentence(verdict, words))
    return sentences


def _untrained_sentence(verdict: Verdict, control: ControlResult) -> str:
    several = (control.seeds or 1) > 1
    text = f"{control.seeds} untrained networks have" if several else "One untrained network has"
    text += f" {number_text(control.estimate)}{' on average' if several else ''}{_meeting(control)}"
    number = verdict.evidence.number
    own = verdict.plug_in if number is None else number
    if control.kind == ControlKind.SEEDS and own is not None and number_text(own) != number_text(verdict.estimate):
        # Seeds are compared plug-in with plug-in; a reader who subtracts needs the number that was subtracted from.
        text += f"; this network, uncorrected, has {number_text(own)}"
    if ALSO_UNTRAINED in verdict.qualifier:
        return f"{text}. So the claim holds without training, and that it holds is no sign of training."
    if control.specificity is None and control.reason is not None:
        return f"{text} ({control.reason})."
    return f"{text}{_said(verdict, control, moved='in this network it is', own='this network')}."


def _meeting(control: ControlResult) -> str:
    """Return whether untrained networks meet the claim themselves."""
    if (control.seeds or 1) == 1 and control.passes is not None:
        return ", which meets the claim" if control.passes else ", which misses the claim"
    if control.passing is None:
        return ""
    count = {0: "none of them meets", 1: "1 of them meets", control.seeds: "all of them meet"}
    return f" ({count.get(control.passing, f'{control.passing} of them meet')} the claim)"


def _words_sentence(verdict: Verdict, control: ControlResult) -> str:
    text = f"Other words in the target's place have {number_text(control.estimate)}"
    text += ", which meets the claim" if control.passes else ""
    same = " So other words do the same." if OTHER_WORDS in verdict.qualifier else ""
    return f"{text}{_said(verdict, control, moved='at the target it is', own='the target')}.{same}"


def _said(verdict: Verdict, control: ControlResult, *, moved: str, own: str) -> str:
    """Return what the difference allows to be said: only an interval beyond the margin is called a difference."""
    if control.specificity is None:
        return ""
    margin = f"{MARGIN if verdict.margin is None else verdict.margin:g} or more"
    higher = "higher" if (control.difference or 0.0) > 0 else "lower"
    texts = {
        Specificity.SPECIFIC: f"{moved} {higher}",
        Specificity.REVERSED: f"{moved} {higher}",
        Specificity.EQUIVALENT: f"alike, no difference of {margin}",
        Specificity.NOT_SPECIFIC: f"{own} does not meet the claim better by {margin}",
        Specificity.UNRESOLVED: f"open whether {own} meets the claim better by {margin}",
    }
    return f": {texts[control.specificity]} ({_difference(control)})"


def _difference(control: ControlResult) -> str:
    if control.difference is None:
        return "not measured"
    text = f"difference {control.difference:+.4f}"
    if control.low is None or control.high is None:
        return text
    return f"{text}, 95% interval {control.low:+.4f} to {control.high:+.4f}"
