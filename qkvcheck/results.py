"""Results: one run as a document (schema ``qkvcheck/results/1``), for machines and for later reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qkvcheck.baseline import Finding
from qkvcheck.documents import write_document

SCHEMA = "qkvcheck/results/1"


def results_document(run: Mapping[str, Any], findings: Iterable[Finding]) -> dict[str, Any]:
    """Return a run and its verdicts as plain data; what is unknown is null.

    Parameters
    ----------
    run : mapping
        As `qkvcheck.session.describe_run` returns it.
    findings : iterable of Finding
        In any order; they are sorted by key.
    """
    verdicts = [
        {**finding.verdict.to_dict(), "recorded": finding.recorded, "change": finding.change}
        for finding in sorted(findings, key=lambda finding: finding.verdict.key)
    ]
    return {"schema": SCHEMA, **run, "verdicts": verdicts}


def write_results(path: str | Path, run: Mapping[str, Any], findings: Iterable[Finding]) -> None:
    """Write a run as JSON, the whole file or nothing."""
    write_document(Path(path), results_document(run, findings))
