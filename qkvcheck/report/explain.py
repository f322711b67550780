"""Explain: the whole story of one verdict, for ``qkvcheck explain``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from qkvcheck.claims import Evidence, ProfilePoint, controls_by_name, number_text
from qkvcheck.record import Finding, Run
from qkvcheck.report.statistic_words import scale_words
from qkvcheck.report.tally import TAG_WORDS
from qkvcheck.report.terminal import target_text
from qkvcheck.report.texts import story, table_lines
from qkvcheck.statistics import Specificity, statistics_by_name

MEANT = {
    Specificity.SPECIFIC: "the target stands farther on the claim's side than the control, by the margin or more",
    Specificity.UNRESOLVED: "the interval of the difference reaches over the margin: that is not settled",
    Specificity.EQUIVALENT: "target and control stand alike: the whole interval lies within the margin",
    Specificity.NOT_SPECIFIC: "the target does not stand farther on the claim's side by the margin",
    Specificity.REVERSED: "the control stands farther on the claim's side, by the margin or more",
}
"""What the words for a difference from a control mean, whichever way the claim asks and whether it is met."""


def explain_lines(finding: Finding, run: Run) -> list[str]:
    """Return the whole story of one verdict, for ``qkvcheck explain``.

    Parameters
    ----------
    finding : Finding
        The verdict and what is on record of it.
    run : Run
        Of the result file.
    """
    verdict, corpus, settings = finding.verdict, run.corpus, run.settings
    rows = story(finding, run)
    if verdict.source is not None:
        rows.insert(1, ("source", verdict.source))
    if verdict.tag is not None:
        why = f": {verdict.tag_reason}" if verdict.tag_reason else ""
        rows.insert(1 + (verdict.source is not None), ("whose", f"{TAG_WORDS[verdict.tag]} ({verdict.tag}){why}"))
    made = "its test's marker" if verdict.claims_sha256 is None else f"claims file, sha256 {verdict.claims_sha256[:12]}"
    target = "" if corpus.target is None else f", target {target_text(corpus)}"
    rows += [
        ("corpus", f"{corpus.name}{target}, {corpus.distinct_prefixes} distinct prefixes"),
        ("numbers", f"{settings.dtype} on {settings.device or 'unknown'}, weights {run.origin.fingerprint[:12]}"),
        ("made by", made),
    ]
    if verdict.statistic in statistics_by_name():
        at = next(place for place, (name, _) in enumerate(rows) if name == "statistic")
        rows.insert(at + 1, ("how to read", scale_words(verdict) or "-"))
    lines = [verdict.key, *table_lines(rows, indent="  ")]
    known = controls_by_name()
    shown = [(control.name, known[control.name].says) for control in verdict.controls if control.name in known]
    if shown:
        lines += ["", "What the controls say", *table_lines(shown, indent="  ")]
    stand = {control.specificity for control in verdict.controls}
    meant = [(str(name), text) for name, text in MEANT.items() if name in stand]
    if meant:
        lines += ["", "How the claim stands against them", *table_lines(meant, indent="  ")]
    return lines + _evidence_lines(verdict.evidence)


def _evidence_lines(evidence: Evidence) -> list[str]:
    lines: list[str] = []
    if evidence.beside is not None:
        rows = [(one.name, one.text) for one in evidence.beside]
        lines += ["", "Beside it (decides nothing)", *table_lines(rows, indent="  ")]
    if evidence.offset is not None:
        parts = evidence.offset
        lines += [
            "",
            f"Mean squared cosine {parts.mean_square:.4f} = offset {parts.offset:.4f} + cross "
            f"{parts.cross:.4f} + co-variation {parts.residual:.4f}; offset alone would give {parts.offset_only:.4f}.",
        ]
    if evidence.profile is not None:
        rows = [(f"layer {point.layer}", _point(point)) for point in evidence.profile]
        lines += ["", "Layer by layer (intervals hold for all at once)", *table_lines(rows, indent="  ")]
    if evidence.attribution is not None:
        sources = asdict(evidence.attribution)
        top = sources.pop("top_share")
        shares = ", ".join(f"{name} {share:.0%}" for name, share in sources.items())
        lines += [
            "",
            f"The target's energy: {shares}.",
            f"The largest 1 % of the dimensions hold {top:.0%} of the offset.",
        ]
    if evidence.row_quantiles is not None:
        at = {name: number_text(evidence.row_quantiles.get(name)) for name in ("0", "0.25", "0.5", "0.75", "1")}
        lines += [
            "",
            f"Over pairs of {_those(evidence)}contexts: lowest {at['0']}, middle half {at['0.25']} to {at['0.75']}, "
            f"median {at['0.5']}, highest {at['1']}.",
        ]
    if evidence.distribution is not None:
        shape = evidence.distribution
        lines += ["", f"Similarities over {shape.pairs:,} pairs, from -1 to 1:", _bars(shape.histogram)]
    if evidence.conditions is not None:
        lines += ["", *(f"  {'holds' if holds else 'FAILS'}  {text}" for text, holds in evidence.conditions.items())]
    return lines


def _those(evidence: Evidence) -> str:
    """Return of how many contexts quantiles are, where they are not of all."""
    drawn = evidence.drawn
    return "" if drawn is None else f"{drawn.taken:,} of {drawn.of:,} (drawn, seed {drawn.seed}) "


def _point(point: ProfilePoint) -> str:
    text = point.reason or f"{number_text(point.estimate)} [{number_text(point.low)}, {number_text(point.high)}]"
    if point.untrained is not None:
        seeds = point.untrained
        text += f"; untrained {seeds.mean:.4f} ({seeds.low:.4f} to {seeds.high:.4f})"
    return text


def _bars(counts: Sequence[int], *, columns: int = 50) -> str:
    """Draw a histogram in one line of block characters."""
    step = max(1, len(counts) // columns)
    sums = [sum(counts[start : start + step]) for start in range(0, len(counts), step)]
    most = max(sums) or 1
    return "  -1 |" + "".join(" ▁▂▃▄▅▆▇█"[-(-8 * value // most)] for value in sums) + "| 1"
