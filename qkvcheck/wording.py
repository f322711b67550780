"""Wording: a claim's findings in two or three plain sentences, never stronger than its verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from qkvcheck.baseline import Finding
from qkvcheck.claims import DECIDES, MARGIN
from qkvcheck.story import number_text
from qkvcheck.verdicts import (
    ALSO_UNTRAINED,
    DIFFERENT_WORDS,
    INCONCLUSIVE,
    NOT_JUDGED,
    REFUTED,
    SUPPORTED,
    UNTRAINED,
    ControlResult,
    Verdict,
)

LEADS = {SUPPORTED: "Supported", REFUTED: "Refuted", INCONCLUSIVE: "Inconclusive", NOT_JUDGED: "Not judged"}
ASKS = {"above": "more than", "at_least": "at least", "at_most": "at most"}
MANY = {"cosine": "cosines", "pearson": "Pearson correlations"}
STATISTIC_WORDS = {
    "variance": "the variance of the {many}",
    "mean_square": "the mean squared {one}",
    "mean_absolute": "the mean magnitude of the {many}",
    "sign_balance": "the mean of the {many} over their mean magnitude",
    "collapse": "the mean squared Pearson correlation over the mean squared cosine",
    "offset_share": "the mean offset's share of the mean squared cosine",
    "row_mean": "the mean {one} between contexts",
    "row_cosine": "the mean cosine between contexts",
    "row_variance": "the variance of the {many} between contexts",
    "block_difference": "the variance of the {many} less that in V-V",
    "token_share": "the token's share of the offset",
    "least_row_mean": "the least mean {one} of a fresh context to the corpus",
    "variance_difference": "the variance of the {many} at the target less that at the other place",
    "token_minus_context": "the share by token less the share by context",
    "stability": "the target's likeness beyond that of different words, as a share of what is possible,",
}
"""What a statistic is, in words; another's name is used as it is."""


def claim_sentences(findings: Sequence[Finding]) -> list[tuple[str, list[str]]]:
    """Return what was found of one claim: a sentence a cell that decides, each with what its controls leave of it.

    Parameters
    ----------
    findings : sequence of Finding
        Of one claim, in any order.
    """
    deciding = [f.verdict for f in findings if f.verdict.role == DECIDES]
    told = [
        (_verdict_sentence(verdict), [*_control_sentences(verdict), *_offset_sentence(verdict)])
        for verdict in _first_of_each(deciding or [f.verdict for f in findings])
    ]
    changed = [finding for finding in findings if finding.change is not None]
    if changed:
        told.append((f"Against the record: {changed[0].verdict.key}: {changed[0].change}.", []))
    return told


def _offset_sentence(verdict: Verdict) -> list[str]:
    # Of a claim about the share itself it would only repeat the estimate.
    if verdict.offset_share is None or verdict.statistic == "offset_share":
        return []
    return [f"Of the mean squared cosine {verdict.offset_share:.0%} is mean offset."]


_POLES_AND_TRAINING = {
    "specific": " So this network has more of two poles than random weights give.",
    "reversed": " So random weights give more of two poles than this network has.",
    "equivalent": " So random weights give as much of two poles as this network has.",
    "not specific": " So there is no sign that training made more of two poles.",
    "unresolved": " Whether training made more of two poles than random weights give is open.",
}


def poles_sentence(findings: Sequence[Finding]) -> str | None:
    """Return what a run itself says of two poles: its variance beside untrained networks', and how much is offset.

    None where no cell over dimensions has all three numbers.
    """
    for verdict in (finding.verdict for finding in findings):
        untrained = next((control for control in verdict.controls if control.name == UNTRAINED), None)
        if verdict.statistic != "variance" or verdict.role != DECIDES or verdict.offset_share is None:
            continue
        if verdict.direction == "at_most":
            continue
        if "number" in verdict.evidence or untrained is None or untrained.estimate is None:
            continue
        low = verdict.evidence.get("share_low"), verdict.evidence.get("share_high")
        shares = f"{low[0]:.0%} of the pairs are below -0.5 and {low[1]:.0%} above 0.5; " if None not in low else ""
        return (
            f"In this run, {verdict.claim} {_place(verdict)}: {shares}the variance of the cosines is "
            f"{number_text(verdict.plug_in)} on these contexts, where networks with random weights have "
            f"{number_text(untrained.estimate)}{' on average' if (untrained.seeds or 1) > 1 else ''}; "
            f"{verdict.offset_share:.0%} of the mean squared cosine is mean offset."
            f"{_POLES_AND_TRAINING.get(untrained.specificity or '', '')}"
        )
    return None


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
    group = "-".join(verdict.group) if len(verdict.group) == 2 else verdict.group
    if "profile" in verdict.evidence:
        return f"over all layers, {group}"
    return f"at layer {verdict.layer}, {group}"


def statistic_words(verdict: Verdict) -> str:
    """Return what a verdict's number is, in words."""
    one = verdict.measure.capitalize() if verdict.measure != "cosine" else "cosine"
    one = "Pearson correlation" if verdict.measure == "pearson" else one
    words = STATISTIC_WORDS.get(verdict.statistic, f"{verdict.statistic.replace('_', ' ')} ({verdict.measure})")
    if "search" in verdict.evidence:
        words = "the least mean {one} of any context met with the corpus"
    words = words.format(one=one, many=MANY.get(verdict.measure, verdict.measure))
    if "number" in verdict.evidence:  # the estimate is a difference from untrained networks
        words += " less that in untrained networks"
    return f"{words} at layer {layer}" if (layer := verdict.evidence.get("least_at_layer")) is not None else words


def _verdict_sentence(verdict: Verdict) -> str:
    lead = f"{LEADS[verdict.verdict]} {_place(verdict)}"
    if verdict.verdict == NOT_JUDGED or verdict.threshold is None:
        return f"{lead}: {verdict.reason}." if verdict.reason else f"{lead}: every condition holds."
    number = f"{statistic_words(verdict)} is {number_text(verdict.estimate)}"
    if verdict.low is not None and verdict.high is not None:
        number += f" (95% interval {number_text(verdict.low)} to {number_text(verdict.high)})"
    asked = f"the claim asks for {ASKS[verdict.direction]} {verdict.threshold:.4g}"
    if verdict.verdict == INCONCLUSIVE:
        needed = verdict.n_needed
        settle = f"; some {needed:,} distinct contexts would settle it, if the number stays" if needed else ""
        asked += f", and the interval allows both{settle}"
    reason = f" ({verdict.reason})" if verdict.reason else ""
    return f"{lead}: {number}; {asked}{reason}."


def _control_sentences(verdict: Verdict) -> list[str]:
    controls = {control.name: control for control in verdict.controls}
    sentences = []
    untrained = controls.get(UNTRAINED)
    if untrained is not None and untrained.estimate is not None:
        sentences.append(_untrained_sentence(verdict, untrained))
    words = controls.get(DIFFERENT_WORDS)
    if words is not None and words.estimate is not None:
        sentences.append(_words_sentence(verdict, words))
    return sentences


def _untrained_sentence(verdict: Verdict, control: ControlResult) -> str:
    several = (control.seeds or 1) > 1
    text = f"{control.seeds} untrained networks have" if several else "One untrained network has"
    text += f" {number_text(control.estimate)}{' on average' if several else ''}"
    own = verdict.evidence.get("number", verdict.plug_in)
    if control.kind == "seeds" and own is not None and number_text(own) != number_text(verdict.estimate):
        # Seeds are compared plug-in with plug-in; a reader who subtracts needs the number that was subtracted from.
        text += f", the trained one, uncorrected, {number_text(own)}"
    if ALSO_UNTRAINED in verdict.qualifier:
        return f"{text}. That meets the bound too: the claim holds without training, and tells nothing of it."
    if control.specificity is None and control.reason is not None:
        return f"{text} ({control.reason})."
    return f"{text}{_said(verdict, control, moved='training {verb[0]} it', trained='the trained network')}."


def _words_sentence(verdict: Verdict, control: ControlResult) -> str:
    text = f"Other words in the target's place have {number_text(control.estimate)}"
    return f"{text}{_said(verdict, control, moved='at the target it is {verb[1]}', trained='the target')}."


_VERBS = {True: ("raised", "higher"), False: ("lowered", "lower")}


def _said(verdict: Verdict, control: ControlResult, *, moved: str, trained: str) -> str:
    """Return what the difference allows to be said: only an interval beyond the margin is called a difference."""
    margin = f"{MARGIN if verdict.margin is None else verdict.margin:g}"
    texts = {
        "specific": moved.format(verb=_VERBS[(control.difference or 0.0) > 0]),
        "reversed": moved.format(verb=_VERBS[(control.difference or 0.0) > 0]),
        "equivalent": f"no difference of {margin} or more",
        "not specific": f"{trained} does not meet the claim better by {margin} or more",
        "unresolved": f"whether {trained} meets the claim better by {margin} or more is open",
    }
    if control.specificity is None:
        return ""
    return f": {texts[control.specificity]} ({_difference(control)})"


def _difference(control: ControlResult) -> str:
    if control.difference is None:
        return "not measured"
    text = f"difference {control.difference:+.4f}"
    if control.low is None or control.high is None:
        return text
    return f"{text}, 95% interval {control.low:+.4f} to {control.high:+.4f}"
