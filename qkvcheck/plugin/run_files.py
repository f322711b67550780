"""Run files: the files that a run writes at its end, and what it has to say of the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qkvcheck.claims import Decision
from qkvcheck.errors import QkvcheckError
from qkvcheck.record import ADD_COMMAND, Finding, Results, Run, stale_keys, write_baseline, write_results
from qkvcheck.report import Line

if TYPE_CHECKING:
    from qkvcheck.plugin.session import Session

SHOWN = 5
"""Names of cells that are listed before the rest is counted."""


def write_files(session: Session, run: Run, findings: Sequence[Finding]) -> list[Line]:
    """Write results and recorded verdicts; return what to say of it."""
    notes = []
    try:
        if session.settings.json is not None:
            write_results(session.settings.json, run, findings)
            notes.append(Line(f"Results written to {session.settings.json}"))
        if session.settings.report is not None:
            from qkvcheck.report import write_page

            write_page(session.settings.report, [Results(run, tuple(sorted(findings, key=lambda f: f.verdict.key)))])
            notes.append(Line(f"Report written to {session.settings.report}"))
        path = session.baseline_path(run)
        if session.settings.update is not None and path is not None:
            notes.append(Line(write_baseline(path, run, [f.verdict for f in findings], mode=session.settings.update)))
        elif session.settings.update is not None:
            notes.append(Line("Nothing recorded: name a file with --qkv-baseline or set qkv_baselines.", "red"))
    except (QkvcheckError, OSError) as error:
        notes.append(Line(f"NOT WRITTEN: {error}", "red"))
    return notes


def record_notes(session: Session, run: Run, findings: Sequence[Finding], *, whole: bool) -> tuple[list[Line], bool]:
    """Return what a run leaves to be said of the record, and whether that fails the run.

    Parameters
    ----------
    session, run, findings
        Of the run.
    whole : bool
        Whether every claim of the project was run: only then are cells on record that were not met stale.
    """
    if session.settings.update is not None:
        return [], False
    baseline, _ = session.baseline_for(run)
    if baseline is None:
        return [], False
    notes, fails = [], False
    unknown = [f.verdict.key for f in findings if f.recorded is None and f.verdict.verdict != Decision.NOT_JUDGED]
    if unknown:
        notes.append(
            Line(f"Not on record: {_listed(unknown)}; {ADD_COMMAND}.", "red" if baseline.required else "yellow")
        )
    stale = stale_keys(baseline, findings) if whole else []
    if stale:
        fails = baseline.required
        named = f"On record in {baseline.path.name} and no longer run: {_listed(stale)}"
        advice = "name the claims as they were, or take the lines out of the file"
        notes.append(Line(f"{named}; {advice}.", "red" if fails else "yellow"))
    return notes, fails


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{', '.join(sorted(keys)[:SHOWN])}{more}"
