"""Compared: what a run has to say of another checkpoint or its record, in lines for a terminal and first on a page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from qkvcheck.claims import Decision, Kind, number_text
from qkvcheck.errors import some_of
from qkvcheck.record import Baseline, Finding, Outcome, Run, Shift
from qkvcheck.report.terminal import WIDTH, Line, wrapped

NOT_TOLD = "not told from no change"
NAMED = 3
"""Cells that the page names in its first lines; its table marks each."""


def compared_lines(
    checkpoint: Baseline,
    run: Run,
    findings: Sequence[Finding],
    *,
    failing: Collection[str],
    every: bool = True,
    width: int = WIDTH,
) -> list[Line]:
    """Return a line a cell that moved since a checkpoint.

    Parameters
    ----------
    checkpoint : Baseline
        What the run is compared with.
    run : Run
        This one.
    findings : sequence of Finding
        Of the run.
    failing : collection of str
        Keys of cells whose tests fail for it.
    every : bool
        Whether shifts that fail nothing are listed, and what stands in one of the two only.
    width : int
        Of the terminal, in columns.
    """
    shifts = sorted((one.verdict.key, one.compared) for one in findings if one.compared is not None)
    moved = [(key, shift) for key, shift in shifts if shift.outcome != Outcome.SAME]
    shown = [(key, shift) for key, shift in moved if every or key in failing]
    if not shown and not every:
        return []
    there, here = checkpoint.conditions.fingerprint, run.origin.fingerprint
    weights = "the same weights" if there == here else "other weights"
    head = f"compared with {checkpoint.path} ({checkpoint.model or 'model not said'}, {there[:12]}): {weights}, same "
    lines = [Line(""), Line(f"{head}contexts and settings", "bold")]
    wide = max((len(key) for key, _ in shown), default=0)
    lines += [Line(f"  {key:<{wide}}  {shift.text}", _colour(shift, fails=key in failing)) for key, shift in shown]
    if not every:
        return _fitted(lines, width)
    verb = "cell stays" if len(shifts) - len(moved) == 1 else "cells stay"
    lines.append(Line(f"  {len(shifts)} compared: {_tally(moved)}{len(shifts) - len(moved)} {verb} as it was"))
    judged = [one.verdict.key for one in findings if one.verdict.verdict != Decision.NOT_JUDGED]
    new = sorted(key for key in judged if key not in checkpoint.verdicts)
    if new:
        lines.append(Line(f"  not there to compare with: {some_of(new)}", "yellow"))
    return _fitted(lines, width)


@dataclass(frozen=True)
class Moved:
    """What differs from what a run was held against, as the page leads with it.

    Attributes
    ----------
    lead : str
        What happened.
    text : str
        To which cells.
    fails : bool
        Whether it fails a run that is not strict.
    """

    lead: str
    text: str
    fails: bool


def moved_sentences(findings: Sequence[Finding]) -> list[Moved]:
    """Return what a page says first of a run that was compared with another checkpoint, or differs from its record.

    Parameters
    ----------
    findings : sequence of Finding
        Of the run; empty where it was held against nothing, or is as on record.
    """
    told = []
    changed = [f"{_cell(one)}: {one.change}" for one in findings if one.change is not None]
    if changed:
        told.append(Moved(f"Not as on record ({len(changed)}):", f"{_some(changed)}.", fails=True))
    compared = [one for one in findings if one.compared is not None]
    flipped = [_turned(one) for one in compared if one.flipped]
    beyond = [_moved(one) for one in compared if one.beyond]
    for cells, verb in ((flipped, "turned"), (beyond, "moved beyond the margin")):
        if cells:
            lead = f"Since the checkpoint that it is compared with, {len(cells)} of {len(compared)} cells {verb}:"
            told.append(Moved(lead, f"{_some(cells)}.", fails=True))
    if compared and not flipped and not beyond:
        lead = f"Compared with another checkpoint ({len(compared)} {'cell' if len(compared) == 1 else 'cells'}):"
        told.append(Moved(lead, f"no verdict turned; {_stays(compared)}.", fails=False))
    return told


def _some(told: Sequence[str]) -> str:
    """Return the first few, which have commas of their own."""
    more = f"; and {len(told) - NAMED} more" if len(told) > NAMED else ""
    return "; ".join(told[:NAMED]) + more


def _stays(compared: Sequence[Finding]) -> str:
    """Return what numbers did that fail nothing: of a margin is spoken only where there is one."""
    shifts = [one.compared for one in compared if one.compared is not None]
    moved = sum(one.outcome == Outcome.MOVED and not _not_told(one) for one in shifts)
    held = sum(one.outcome in (Outcome.WITHIN, Outcome.OPEN) for one in shifts)
    unsettled = sum(one.outcome == Outcome.OPEN for one in shifts)
    told = [f"{moved} of {len(shifts)} numbers moved, without a margin" if moved else ""]
    told += [f"{held - unsettled} of {held} within their margin" if held else ""]
    told += [f"{unsettled} of {held} not settled: the interval reaches over the margin" if unsettled else ""]
    return ", ".join(filter(None, told)) or "no number moved that can be told from no change"


def _cell(finding: Finding) -> str:
    verdict = finding.verdict
    head = "" if verdict.head is None else f" head {verdict.head}"
    where = "all layers" if verdict.kind == Kind.EVERY_LAYER else f"layer {verdict.layer}"
    return f"{verdict.claim} ({verdict.group}, {where}{head})"


def _turned(finding: Finding) -> str:
    shift = finding.compared
    assert shift is not None  # only of those that were compared
    known = shift.recorded is not None and shift.estimate is not None
    numbers = f" ({number_text(shift.recorded)} -> {number_text(shift.estimate)})" if known else ""
    return f"{_cell(finding)} {shift.was.lower()} -> {shift.now.lower()}{numbers}"


def _moved(finding: Finding) -> str:
    shift = finding.compared
    assert shift is not None  # only of those that were compared
    return f"{_cell(finding)} {number_text(shift.recorded)} -> {number_text(shift.estimate)}"


def _fitted(lines: Sequence[Line], width: int) -> list[Line]:
    return [part for line in lines for part in (wrapped(line.text, line.colour, width=width) or [line])]


def _tally(moved: Sequence[tuple[str, Shift]]) -> str:
    words = {
        Outcome.FLIP: "flipped",
        Outcome.BEYOND: "beyond the margin",
        Outcome.OPEN: "not settled",
        Outcome.WITHIN: "within the margin",
        Outcome.MOVED: "moved, without a margin",
    }
    told = [NOT_TOLD if _not_told(shift) else words[shift.outcome] for _, shift in moved]
    return "".join(f"{told.count(text)} {text}, " for text in (*words.values(), NOT_TOLD) if text in told)


def _not_told(shift: Shift) -> bool:
    return shift.outcome == Outcome.MOVED and shift.may_be_none


def _colour(shift: Shift, *, fails: bool) -> str:
    if fails:
        return "red"
    return "yellow" if shift.outcome == Outcome.OPEN else ""
