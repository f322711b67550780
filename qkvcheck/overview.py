"""Overview: which claims hold, at a glance, and what the controls leave of those that do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qkvcheck.baseline import Finding
from qkvcheck.claims import DECIDES
from qkvcheck.report import decision
from qkvcheck.verdicts import (
    ALSO_UNTRAINED,
    EXPLORATORY,
    INCONCLUSIVE,
    NOT_JUDGED,
    NOT_TRAINING,
    REFUTED,
    SUPPORTED,
    UNTRAINED,
)

BY_CONSTRUCTION = "about the measurement itself, so true of any network"
ALSO_RANDOM = "networks with random weights meet it as well, so it says nothing of what was learned"
NOT_BETTER = "not met better than by networks with random weights"
OF_TRAINING = "and networks with random weights do not meet it"
TRAINING_OPEN = "whether because of training is open"
_REMARKS = (OF_TRAINING, TRAINING_OPEN, NOT_BETTER, ALSO_RANDOM, BY_CONSTRUCTION)


@dataclass(frozen=True)
class Standing:
    """Claims that stand alike.

    Attributes
    ----------
    verdict : str
        SUPPORTED, REFUTED, INCONCLUSIVE or NOT JUDGED.
    claims : tuple of str
        Their ids, in the order of the report.
    exploratory : bool
        Whether they were written after numbers had been seen.
    remark : str
        What the controls leave of claims that are supported; else empty.
    """

    verdict: str
    claims: tuple[str, ...]
    exploratory: bool
    remark: str


def standings(claims: Mapping[str, Sequence[Finding]]) -> list[Standing]:
    """Sort claims by how they stand: those fixed beforehand first, the supported ones before the others.

    Parameters
    ----------
    claims : mapping of str to sequence of Finding
        As `qkvcheck.report.by_claim` returns them; a claim none of whose deciding cells was run is left out.
    """
    grouped: dict[tuple[bool, int, int], list[str]] = {}
    verdicts = (SUPPORTED, INCONCLUSIVE, NOT_JUDGED, REFUTED)
    for identity, findings in claims.items():
        found = decision(findings)
        if found is None:
            continue
        remark = supported_remark(findings) if found == SUPPORTED else ""
        exploratory = EXPLORATORY in findings[0].verdict.qualifier
        place = (exploratory, verdicts.index(found), _REMARKS.index(remark) if remark else 0)
        grouped.setdefault(place, []).append(identity)
    return [
        Standing(
            verdict=verdicts[verdict],
            claims=tuple(of),
            exploratory=exploratory,
            remark=_REMARKS[remark] if verdicts[verdict] == SUPPORTED else "",
        )
        for (exploratory, verdict, remark), of in sorted(grouped.items())
    ]


def supported_remark(findings: Sequence[Finding]) -> str:
    """Return what the controls leave of a claim that is supported; the weakest of its deciding cells counts."""
    deciding = [f.verdict for f in findings if f.verdict.role == DECIDES]
    if all(verdict.threshold is None for verdict in deciding):
        return BY_CONSTRUCTION
    notes = {note for verdict in deciding for note in verdict.qualifier}
    if ALSO_UNTRAINED in notes:
        return ALSO_RANDOM
    if NOT_TRAINING in notes:
        return NOT_BETTER
    against = [control for verdict in deciding for control in verdict.controls if control.name == UNTRAINED]
    if len(against) == len(deciding) and all(control.specificity == "specific" for control in against):
        return OF_TRAINING
    return TRAINING_OPEN


def learned_sentence(found: Sequence[Standing]) -> str:
    """Return in one sentence whether a claim that is supported says something of what was learned.

    Parameters
    ----------
    found : sequence of Standing
        As `standings` returns them.
    """
    learned = [claim for standing in found if standing.remark == OF_TRAINING for claim in standing.claims]
    if learned:
        return f"Supported beyond what random weights do: {', '.join(learned)}."
    return "Of the claims about the model none is shown to hold beyond what networks with random weights do."


def lead_sentence(found: Sequence[Standing]) -> str:
    """Return how many claims stand how; the exploratory ones apart.

    Parameters
    ----------
    found : sequence of Standing
        As `standings` returns them.
    """
    parts = []
    for exploratory, kind in ((False, "claim"), (True, "exploratory claim")):
        counts = {
            verdict: sum(len(s.claims) for s in found if s.verdict == verdict and s.exploratory is exploratory)
            for verdict in (SUPPORTED, REFUTED, INCONCLUSIVE, NOT_JUDGED)
        }
        total = sum(counts.values())
        if total:
            told = ", ".join(f"{count} {verdict.lower()}" for verdict, count in counts.items() if count)
            parts.append(f"{total} {kind}{'s' if total != 1 else ''}: {told}")
    return ". ".join(parts) or "No claim was decided"
