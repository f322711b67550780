"""Tally: how many claims stand how, and of whose claims; and findings claim by claim. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from qkvcheck.claims import ALSO_UNTRAINED, Decision, Role, Tag
from qkvcheck.groups import group_order
from qkvcheck.record import Finding, Run
from qkvcheck.report.heads import worst

_OWN = (Tag.PAPER, Tag.READING)
TAG_WORDS = {
    Tag.PAPER: "the paper says it in these terms",
    Tag.READING: "a sentence of the paper's as we read it",
    Tag.EXTENSION: "beyond what the paper says",
    Tag.MEASUREMENT: "true of any network: it checks the setup",
}
SHORT = {Decision.INCONCLUSIVE: "open", Decision.NOT_JUDGED: "not judged"}


def tally(run: Run, findings: Sequence[Finding]) -> str:
    """Return `tally_sentences` in one line."""
    return ". ".join(tally_sentences(run, findings))


def tally_sentences(run: Run, findings: Sequence[Finding]) -> list[str]:
    """Count the claims: where they are tagged the paper's own and then all by their tag, else those fixed beforehand.

    Parameters
    ----------
    run : Run
        What is judged.
    findings : sequence of Finding
        Of the run, in any order; each claim counts by the cells that decide it.

    Returns
    -------
    list of str
        A sentence or two, without the full stop.
    """
    if is_tagged(findings):
        return [*_own(run, findings), f"Supported: {_by_tag(findings)}"]
    fixed = [f for f in findings if not f.verdict.exploratory]
    further = [f for f in findings if f.verdict.exploratory]
    if not fixed:
        return [_count(run, further, kind="exploratory claim")]
    text = _count(run, fixed, kind="claim")
    return [text, f"Beside them {_count(run, further, kind='exploratory claim')}"] if further else [text]


def is_tagged(findings: Iterable[Finding]) -> bool:
    """Tell whether it is known of any claim whose it is."""
    return any(finding.verdict.tag is not None for finding in findings)


def _own(run: Run, findings: Sequence[Finding]) -> list[str]:
    """Count the paper's own claims, in its terms or as they are read; those that are exploratory are left out."""
    own = by_claim(f for f in findings if f.verdict.tag in _OWN and not f.verdict.exploratory).values()
    counts = Counter(found for claim in own if (found := decision(claim)) is not None)
    if not counts:
        return []
    also = _also_untrained(own)
    told = [f"{counts[Decision.SUPPORTED]} supported{f' ({also} also untrained)' if also else ''}"]
    told += [f"{counts[found]} {found.lower()}" for found in (Decision.REFUTED, *SHORT) if counts[found]]
    where = f" on {run.origin.called}" if run.origin.called else ""
    return [f"Of the paper's own {_counted(sum(counts.values()), 'claim')}{where}: {', '.join(told)}"]


def _also_untrained(claims: Iterable[Sequence[Finding]]) -> int:
    """Return how many of the supported claims hold in untrained networks too."""
    return sum(
        any(ALSO_UNTRAINED in f.verdict.qualifier for f in claim if f.verdict.role == Role.DECIDES)
        for claim in claims
        if decision(claim) == Decision.SUPPORTED
    )


def _by_tag(findings: Sequence[Finding]) -> str:
    """Return how many claims of each tag are supported; exploratory ones and those without a tag by themselves."""
    names = [*(str(tag) for tag in Tag), "without tag", "exploratory"]
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for claim in by_claim(findings).values():
        first, found = claim[0].verdict, decision(claim)
        if found is not None:
            counts["exploratory" if first.exploratory else str(first.tag or "without tag")][found] += 1
    return ", ".join(_share(name, count) for name, count in counts.items() if count)


def _share(name: str, counts: Counter[str]) -> str:
    """Return how many of some claims are supported; those that are neither supported nor refuted are told."""
    further = [f"{counts[found]} {word}" for found, word in SHORT.items() if counts[found]]
    beside = f" ({', '.join(further)})" if further else ""
    return f"{name} {counts[Decision.SUPPORTED]} of {sum(counts.values())}{beside}"


def _count(run: Run, findings: Sequence[Finding], *, kind: str) -> str:
    """Count claims, each by the cells that decide it: all of them have to hold."""
    claims = by_claim(findings).values()
    decided = Counter(decision(claim) for claim in claims)
    where = f" on {run.origin.called}" if run.origin.called else ""
    parts = [f"{decided[Decision.SUPPORTED]} supported{where}", f"{decided[Decision.REFUTED]} refuted{where}"]
    parts += [f"{decided[Decision.INCONCLUSIVE]} inconclusive{where}"] if decided[Decision.INCONCLUSIVE] else []
    parts += [f"{decided[Decision.NOT_JUDGED]} not judged"] if decided[Decision.NOT_JUDGED] else []
    untrained = _also_untrained(claims)
    beside = f"; {untrained} of the supported also in an untrained network" if untrained else ""
    total = sum(count for found, count in decided.items() if found is not None)
    return f"{_counted(total, kind)}: {', '.join(parts)}{beside}"


def _counted(total: int, kind: str) -> str:
    return f"{total} {kind}{'s' if total != 1 else ''}"


def decision(findings: Iterable[Finding]) -> str | None:
    """Return a claim's verdict, or None if none of the cells that decide it was run."""
    deciding = [f.verdict for f in findings if f.verdict.role == Role.DECIDES]
    return worst(deciding) if deciding else None


def by_claim(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return findings claim by claim, those fixed beforehand first, each in the order of the table."""
    grouped: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=_position):
        grouped.setdefault(finding.verdict.claim, []).append(finding)
    return grouped


def _position(finding: Finding) -> tuple[bool, float, str, int, str, int, int]:
    verdict = finding.verdict
    order = math.inf if verdict.order is None else verdict.order
    place = (verdict.layer, verdict.measure, group_order(verdict.group), -1 if verdict.head is None else verdict.head)
    return verdict.exploratory, order, verdict.claim, *place
