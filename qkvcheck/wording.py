"""Wording: a claim's findings in two or three plain sentences, never stronger than its verdict. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from qkvcheck.baseline import Finding
from qkvcheck.claims import DECIDES, MARGIN
from qkvcheck.story import number_text, threshold_text
from qkvcheck.verdicts import (
    ALSO_UNTRAINED,
    DIFFERENT_WORDS,
    EXPLORATORY,
    INCONCLUSIVE,
    NOT_JUDGED,
    REFUTED,
    SUPPORTED,
    UNTRAINED,
    ControlResult,
    Verdict,
)

_LEAD = {SUPPORTED: "Supported", REFUTED: "Refuted", INCONCLUSIVE: "Open", NOT_JUDGED: "Not judged"}


def claim_sentences(findings: Sequence[Finding]) -> list[str]:
    """Return what was found of one claim, in sentences: the verdict, what the controls leave of it, where it counts.

    Parameters
    ----------
    findings : sequence of Finding
        Of one claim, in any order.
    """
    deciding = [f.verdict for f in findings if f.verdict.role == DECIDES]
    shown = deciding or [f.verdict for f in findings]
    sentences = [_verdict_sentence(verdict) for verdict in _first_of_each(shown)]
    for verdict in shown[:1]:
        sentences += _control_sentences(verdict)
        if verdict.offset_share is not None:
            sentences.append(
                f"{verdict.offset_share:.0%} of the mean squared cosine is mean offset: dimensions that lean to one "
                "side whatever the context."
            )
    changed = [finding for finding in findings if finding.change is not None]
    if changed:
        sentences.append(f"Against the record: {changed[0].verdict.key}: {changed[0].change}.")
    if any(EXPLORATORY in verdict.qualifier for verdict in shown):
        sentences.append("Exploratory: the claim was written after the model had been looked at.")
    return sentences


def _first_of_each(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Keep each place once; of many alike, as the cells of an exact claim, the first."""
    kept: dict[tuple[str, str | None, str], Verdict] = {}
    for verdict in verdicts:
        place = "" if verdict.threshold is None else verdict.key
        kept.setdefault((verdict.verdict, verdict.reason, place), verdict)
    return list(kept.values())


def _place(verdict: Verdict) -> str:
    where = f"layer {verdict.layer} (zero-based)"
    if verdict.threshold is None:
        return where
    return f"{where}, {'-'.join(verdict.group) if len(verdict.group) == 2 else verdict.group}"


def _verdict_sentence(verdict: Verdict) -> str:
    lead = f"{_LEAD[verdict.verdict]} at {_place(verdict)}"
    if verdict.verdict == NOT_JUDGED or verdict.threshold is None:
        return f"{lead}: {verdict.reason}." if verdict.reason else f"{lead}: every condition holds."
    number = f"{verdict.statistic.replace('_', ' ')} ({verdict.measure}) is {number_text(verdict.estimate)}"
    if verdict.low is not None and verdict.high is not None:
        number += f", between {number_text(verdict.low)} and {number_text(verdict.high)} at 95 % confidence"
    asked = f"asked for is {threshold_text(verdict)}"
    if verdict.verdict == INCONCLUSIVE:
        needed = verdict.n_needed
        settle = (
            f"; some {needed} distinct contexts would settle it, if the estimate stays" if needed is not None else ""
        )
        asked += f", and the evidence allows both{settle}"
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
    if ALSO_UNTRAINED in verdict.qualifier:
        return f"{text}, which meets the bound too: the claim holds without training, and tells nothing of it."
    said = _said(verdict, control, moved="training {verb} it", stays="training")
    return f"{text}{said}."


def _words_sentence(verdict: Verdict, control: ControlResult) -> str:
    text = f"Other words in the same frames have {number_text(control.estimate)}"
    return f"{text}{_said(verdict, control, moved='at the target it is {verb}', stays='the target')}."


_VERBS = {True: ("raised", "higher"), False: ("lowered", "lower")}


def _said(verdict: Verdict, control: ControlResult, *, moved: str, stays: str) -> str:
    """Return what the difference allows to be said: only an interval beyond the margin is called a difference."""
    if control.specificity is None:
        return ""
    difference = _difference(control)
    verb = _VERBS[(control.difference or 0.0) > 0][0 if "training" in moved else 1]
    if control.specificity in ("specific", "reversed"):
        return f": {moved.format(verb=verb)} ({difference})"
    if control.specificity == "equivalent":
        return f": {stays} makes no difference beyond {verdict.margin or MARGIN:g} ({difference})"
    if control.specificity == "not specific":
        return f": no sign that {stays} meets the claim better by {verdict.margin or MARGIN:g} ({difference})"
    return f": whether {stays} makes a difference is open ({difference})"


def _difference(control: ControlResult) -> str:
    if control.difference is None:
        return "not measured"
    if control.low is None or control.high is None:
        return f"{control.difference:+.4f}"
    return f"{control.difference:+.4f}, interval {control.low:+.4f} to {control.high:+.4f}"
