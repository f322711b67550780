"""Overview: which claims hold, at a glance, and what the controls leave of those that do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qkvcheck.claims import ALSO_UNTRAINED, NOT_TRAINING, UNTRAINED, Decision, Kind, Role
from qkvcheck.groups import group_text
from qkvcheck.record import Finding
from qkvcheck.report.tally import decision
from qkvcheck.statistics import Specificity

BY_CONSTRUCTION = "about the measurement itself, so true of any network"
ALSO_RANDOM = "met with random weights as well, so it is no sign of training"
NOT_BETTER = "not met better than by networks with random weights"
OF_TRAINING = "and networks with random weights do not meet it"
TRAINING_OPEN = "whether because of training is open"
_COUNTED = {
    OF_TRAINING: "{} beyond random weights",
    TRAINING_OPEN: "{} open whether by training",
    NOT_BETTER: "{} no better than random weights",
    ALSO_RANDOM: "{} met by random weights too",
    BY_CONSTRUCTION: "{} about the measurement itself",
}
_REMARKS = tuple(_COUNTED)


@dataclass(frozen=True)
class Standing:
    """Claims that stand alike.

    Attributes
    ----------
    verdict : Decision
        How they stand.
    claims : tuple of str
        Their ids, in the order of the report.
    exploratory : bool
        Whether they were written after numbers had been seen.
    remark : str
        What the controls leave of claims that are supported; else empty.
    """

    verdict: Decision
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
    # What is true of any network is no finding; it comes last.
    order = (Decision.SUPPORTED, Decision.INCONCLUSIVE, Decision.NOT_JUDGED, Decision.REFUTED, Decision.SUPPORTED)
    for identity, findings in claims.items():
        found = decision(findings)
        if found is None:
            continue
        remark = supported_remark(findings) if found == Decision.SUPPORTED else ""
        exploratory = findings[0].verdict.exploratory
        place = len(order) - 1 if remark == BY_CONSTRUCTION else order.index(found)
        grouped.setdefault((exploratory, place, _REMARKS.index(remark) if remark else 0), []).append(identity)
    return [
        Standing(
            verdict=order[place],
            claims=tuple(of),
            exploratory=exploratory,
            remark=_REMARKS[remark] if order[place] == Decision.SUPPORTED else "",
        )
        for (exploratory, place, remark), of in sorted(grouped.items())
    ]


def supported_remark(findings: Sequence[Finding]) -> str:
    """Return what the controls leave of a claim that is supported; the weakest of its deciding cells counts."""
    deciding = [f.verdict for f in findings if f.verdict.role == Role.DECIDES]
    if all(verdict.threshold is None for verdict in deciding):
        return BY_CONSTRUCTION
    notes = {note for verdict in deciding for note in verdict.qualifier}
    if ALSO_UNTRAINED in notes:
        return ALSO_RANDOM
    if NOT_TRAINING in notes:
        return NOT_BETTER
    against = [verdict.control(UNTRAINED) for verdict in deciding]
    if all(control is not None and control.specificity == Specificity.SPECIFIC for control in against):
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
    return "No claim about the model as a whole is shown to hold better here than in networks with random weights."


def contrast_sentences(claims: Mapping[str, Sequence[Finding]]) -> list[str]:
    """Return what training changed in claims that are not supported: a refuted claim can tell of it as well.

    Parameters
    ----------
    claims : mapping of str to sequence of Finding
        As `qkvcheck.report.by_claim` returns them.
    """
    met: list[str] = []
    met_by_one: list[str] = []
    farther: list[str] = []
    parts: list[str] = []
    for identity, findings in claims.items():
        stands = decision(findings)
        if stands in (None, Decision.SUPPORTED):
            continue
        deciding = [f.verdict for f in findings if f.verdict.role == Role.DECIDES]
        beside = [(verdict, verdict.control(UNTRAINED)) for verdict in deciding]
        if stands == Decision.REFUTED and all(c is not None and c.passes for _, c in beside):
            # Of large models one untrained network is the rule: it speaks for itself only.
            several = all(c is not None and (c.seeds or 1) > 1 for _, c in beside)
            (met if several else met_by_one).append(identity)
        # Where the claim itself is the difference from untrained networks, that says it already.
        if all(
            c is not None and c.specificity == Specificity.REVERSED and v.kind != Kind.AGAINST_UNTRAINED
            for v, c in beside
        ):
            farther.append(identity)
        parts += [
            f"{identity} in {'' if verdict.head is None else f'head {verdict.head}, '}{group_text(verdict.group)}"
            for verdict, control in beside
            if verdict.verdict == Decision.SUPPORTED
            and control is not None
            and control.specificity == Specificity.SPECIFIC
        ]
    told = []
    if met:
        told.append(f"Refuted here, but met by most networks with random weights: {', '.join(met)}.")
    if met_by_one:
        told.append(f"Refuted here, but met by the one network with random weights: {', '.join(met_by_one)}.")
    if farther:
        told.append(
            f"Networks with random weights come closer to these, by more than the margin: {', '.join(farther)}."
        )
    if parts:
        told.append(f"Supported in part, and in that part beyond random weights: {', '.join(parts)}.")
    return told


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
            for verdict in (Decision.SUPPORTED, Decision.REFUTED, Decision.INCONCLUSIVE, Decision.NOT_JUDGED)
        }
        total = sum(counts.values())
        remarks = {s.remark: len(s.claims) for s in found if s.remark and s.exploratory is exploratory}
        which = ", ".join(_COUNTED[remark].format(count) for remark, count in remarks.items())
        if total:
            told = ", ".join(
                f"{count} {verdict.lower()}{f' ({which})' if verdict == Decision.SUPPORTED else ''}"
                for verdict, count in counts.items()
                if count
            )
            parts.append(f"{total} {kind}{'s' if total != 1 else ''}: {told}")
    return ". ".join(parts) or "No claim was decided"
