"""Recording: the files that a run writes at its end: results, and verdicts on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qkvcheck.baseline import Finding, write_baseline
from qkvcheck.errors import QkvcheckError
from qkvcheck.report import Line
from qkvcheck.results import write_results

if TYPE_CHECKING:
    from qkvcheck.session import Session


def write_files(session: Session, run: dict[str, Any], findings: Sequence[Finding]) -> list[Line]:
    """Write results and recorded verdicts; return what to say of it."""
    notes = []
    try:
        if session.settings.json is not None:
            write_results(session.settings.json, run, findings)
            notes.append(Line(f"Results written to {session.settings.json}"))
        path = session.baseline_path(run)
        if session.settings.update is not None and path is not None:
            notes.append(Line(write_baseline(path, run, [f.verdict for f in findings], mode=session.settings.update)))
        elif session.settings.update is not None:
            notes.append(Line("Nothing recorded: name a file with --qkv-baseline or set qkv_baselines.", "red"))
    except (QkvcheckError, OSError) as error:
        notes.append(Line(f"NOT WRITTEN: {error}", "red"))
    return notes
