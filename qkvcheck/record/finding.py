"""Finding: a verdict of this run, and what is on record of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from qkvcheck.claims import STAND_IN, Decision, Role, Verdict, estimate_text, threshold_text, verdict_from_dict
from qkvcheck.inputs import from_document
from qkvcheck.record.change import Change
from qkvcheck.record.shift import Outcome, Shift


@dataclass(frozen=True)
class Finding:
    """A verdict, and what is on record of it.

    Attributes
    ----------
    verdict : Verdict
        Of this run.
    recorded : Decision or None
        The verdict on record; None if there is none.
    change : str or None
        What changed since, in words; it fails a run.
    moved : Change or None
        The numbers behind it.
    compared : Shift or None
        How it stands to the verdict of other weights; None where nothing is compared (``--qkv-compare``).
    """

    verdict: Verdict
    recorded: Decision | None = None
    change: str | None = None
    moved: Change | None = None
    compared: Shift | None = None

    @property
    def refuted_before(self) -> bool:
        """Whether a claim that is refuted was so already, on record or in the checkpoint that is compared."""
        before = (self.recorded, None if self.compared is None else self.compared.was)
        return self.verdict.verdict == Decision.REFUTED and Decision.REFUTED in before

    @property
    def flipped(self) -> bool:
        """Whether the checkpoint that is compared has another verdict; for better or worse, that fails a run."""
        return self._stands(Outcome.FLIP)

    @property
    def beyond(self) -> bool:
        """Whether its estimate moved beyond the margin since the checkpoint that is compared, which fails a run."""
        return self._stands(Outcome.BEYOND)

    @property
    def differs(self) -> bool:
        """Whether it differs from what it is held against, record or checkpoint, so that it fails a run."""
        return self.change is not None or self.flipped or self.beyond

    def _stands(self, outcome: Outcome) -> bool:
        return self.compared is not None and self.compared.outcome == outcome

    def shift_fails(self, *, strict: bool) -> bool:
        """Tell whether its test fails for how it stands to another checkpoint; `strict` is for cells that decide."""
        return self.compared is not None and self.compared.fails(strict=strict and self.verdict.role == Role.DECIDES)

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return {
            "verdict": self.verdict.to_dict(),
            "recorded": self.recorded,
            "change": self.change,
            "moved": None if self.moved is None else asdict(self.moved),
            **({} if self.compared is None else {"compared": asdict(self.compared)}),
        }


@dataclass(frozen=True)
class _OnRecord:
    """What a document says of a verdict on record."""

    recorded: Decision | None
    change: str | None
    moved: Change | None = None
    compared: Shift | None = None


def finding_from_dict(data: Mapping[str, Any], *, at: str = "") -> Finding:
    """Rebuild a finding from what `Finding.to_dict` returned, after a trip through JSON.

    Raises
    ------
    DocumentError
        If something is missing or is not what its type says; `at` names where the finding stands.
    """
    on_record = from_document(_OnRecord, data, at=at)
    verdict = verdict_from_dict(data["verdict"], at=at)
    return Finding(verdict, on_record.recorded, on_record.change, on_record.moved, on_record.compared)


def label(finding: Finding) -> str:
    """Return a verdict in words, with what qualifies it."""
    verdict = finding.verdict
    words = str(verdict.verdict)
    if verdict.verdict != Decision.NOT_JUDGED:
        words = words.lower()
    words += _against(finding)
    if verdict.lead is not None:
        words = f"{verdict.lead}, {words}"
    where = [f"on the {note}" if note == STAND_IN else note for note in verdict.qualifier if _says_where(note)]
    return ", ".join([" ".join([words, *where]), *(note for note in verdict.qualifier if not _says_where(note))])


def _against(finding: Finding) -> str:
    """Return how a verdict stands to the record, or to the checkpoint that is compared, where that is to be said."""
    if finding.change is not None:
        return " (NEW)" if finding.recorded is None else " (CHANGED)"
    if finding.compared is not None and finding.flipped:
        return f" (FLIPPED from {finding.compared.was.lower()})"
    if finding.beyond:
        return " (BEYOND the margin)"
    return " (recorded)" if finding.verdict.verdict == finding.recorded == Decision.REFUTED else ""


def _says_where(note: str) -> bool:
    return note == STAND_IN or note.startswith("on ")


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
