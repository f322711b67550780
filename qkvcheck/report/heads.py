"""Heads: the verdicts of a claim over several heads, summed up in one line or one sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from qkvcheck.claims import STAND_IN, Decision, Verdict, number_text
from qkvcheck.record import Finding

SEVERITY = (Decision.REFUTED, Decision.INCONCLUSIVE, Decision.NOT_JUDGED, Decision.SUPPORTED)
"""What is told first."""
LISTED = 4
"""Heads that are named; more are counted."""
Family = Sequence[Finding]
"""Findings of one claim in one cell, each at another head; or one of a cell without heads."""


def worst(verdicts: Iterable[Verdict]) -> Decision:
    """Return of several verdicts the one that is told first (`SEVERITY`)."""
    found = {verdict.verdict for verdict in verdicts}
    return next(decision for decision in SEVERITY if decision in found)


def kind_of(decision: str) -> str:
    """Return the class of a verdict in the page."""
    return decision.lower().replace(" ", "-")


def head_families(findings: Iterable[Finding]) -> list[Family]:
    """Return findings in their order, those that differ in their head alone put together."""
    found: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        v = finding.verdict
        alone = v.key if v.head is None else ""
        found.setdefault((v.claim, v.layer, v.group, v.measure, v.role, alone), []).append(finding)
    return [sorted(family, key=lambda f: f.verdict.head or 0) for family in found.values()]


def estimated(family: Family) -> list[Verdict]:
    """Return the verdicts that have an estimate, the lowest first."""
    every = [finding.verdict for finding in family if finding.verdict.estimate is not None]
    return sorted(every, key=lambda verdict: verdict.estimate or 0.0)


def middle(values: Iterable[float | None]) -> float | None:
    """Return the median of the numbers that are there, or None if none is."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def spread_text(family: Family) -> str:
    """Return the least estimate with its head, the median, and the largest with its head."""
    every = estimated(family)
    if not every:
        return "-"
    least, largest = every[0], every[-1]
    between = median(verdict.estimate or 0.0 for verdict in every)
    return f"{least.estimate:.3f} {_name(least)} {between:.3f} {largest.estimate:.3f} {_name(largest)}"


def spread_sentence(family: Family) -> str:
    """Return the same for people."""
    every = estimated(family)
    if not every:
        return "not measured"
    least, largest = every[0], every[-1]
    between = median(verdict.estimate or 0.0 for verdict in every)
    return (
        f"from {number_text(least.estimate)} (head {least.head}) to {number_text(largest.estimate)} "
        f"(head {largest.head}), median {number_text(between)}"
    )


def family_label(family: Family) -> str:
    """Return how many heads came out how; what is not the rule is named.

    Qualifiers are told with the number of heads that have them, if not all do.
    """
    verdicts = [finding.verdict for finding in family]
    by_decision = {d: [v for v in verdicts if v.verdict == d] for d in SEVERITY}
    told = {decision: of for decision, of in by_decision.items() if of}
    words = ", ".join(
        decision.lower()
        if len(told) == 1
        else f"{len(of)} {decision.lower()} ({named_heads(of)})"
        if len(of) < len(verdicts) / 2
        else f"{len(of)} {decision.lower()}"
        for decision, of in told.items()
    )
    changed = [finding.verdict for finding in family if finding.change is not None]
    if changed:
        words += f" (CHANGED: {named_heads(changed)})"
    else:
        flipped = [finding.verdict for finding in family if finding.flipped]
        words += f" (FLIPPED: {named_heads(flipped)})" if flipped else ""
    refuted = [f for f in family if f.verdict.verdict == Decision.REFUTED and f.change is None]
    recorded = [f.verdict for f in refuted if f.recorded == Decision.REFUTED]
    if recorded:
        words += " (recorded)" if len(recorded) == len(refuted) else f" ({len(recorded)} of the refuted recorded)"
    if any(STAND_IN in verdict.qualifier for verdict in verdicts):
        words += " on the stand-in"
    notes = dict.fromkeys(note for verdict in verdicts for note in verdict.qualifier if note != STAND_IN)
    counts = {note: sum(note in verdict.qualifier for verdict in verdicts) for note in notes}
    return ", ".join([words, *(n if count == len(verdicts) else f"{n} ({count})" for n, count in counts.items())])


def named_heads(verdicts: Iterable[Verdict]) -> str:
    """Return heads by their names; of many the first few, and how many more there are."""
    names = [_name(verdict) for verdict in verdicts]
    more = len(names) - LISTED
    return " ".join(names) if more <= 0 else f"{' '.join(names[:LISTED])} and {more} more"


def _name(verdict: Verdict) -> str:
    return f"H{verdict.head or 0:02d}"


def reason_lines(family: Family) -> list[str]:
    """Return why heads stand as they do, heads of one reason together; and how many contexts would settle open ones."""
    by_reason: dict[str, list[Verdict]] = {}
    for verdict in (finding.verdict for finding in family):
        if verdict.reason:
            by_reason.setdefault(verdict.reason, []).append(verdict)
    lines = [f"{named_heads(of)}: {reason}" for reason, of in list(by_reason.items())[:LISTED]]
    if len(by_reason) > LISTED:
        lines.append(f"and {len(by_reason) - LISTED} more reasons of other heads (-v)")
    needing = sorted((v for f in family if (v := f.verdict).n_needed is not None), key=lambda v: v.n_needed or 0)
    if needing:
        least, most = needing[0], needing[-1]
        span = f"{least.n_needed:,} ({_name(least)})"
        span += f" to {most.n_needed:,} ({_name(most)})" if most is not least else ""
        lines.append(
            f"{least.claim} is open at layer {least.layer}, {least.group}, in {len(needing)} of {len(family)} heads: "
            f"some {span} distinct contexts would just settle {'it' if most is least else 'them'}, if nothing moves"
        )
    return lines
