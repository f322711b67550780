"""Results: one run as a document (schema ``qkvcheck/results/1``), for machines and for later reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkvcheck.errors import ClaimError, DocumentError, shown
from qkvcheck.files import write_document
from qkvcheck.inputs import from_document, read_json, reading
from qkvcheck.record.finding import Finding, finding_from_dict, html_table
from qkvcheck.record.run import Run, run_from_dict

SCHEMA = "qkvcheck/results/1"


@dataclass(frozen=True, repr=False)
class Results:
    """One run: what was measured on, and what was found.

    Attributes
    ----------
    run : Run
        Where the activations come from, contexts, versions, settings.
    findings : tuple of Finding
        Sorted by key.

    Examples
    --------
    >>> from qkvcheck.record.run import FileOrigin, Run, RunCorpus, RunSettings
    >>> corpus = RunCorpus("mine", "0" * 64, 54, 54, [54, 96])
    >>> settings = RunSettings([6], "float32", None, 0, "all", "auto", None)
    >>> Results(Run(FileOrigin("rows.npz", "0" * 64, 1), corpus, {}, settings), ())
    Results(rows.npz, 54 contexts: 0 verdicts)
    """

    run: Run
    findings: tuple[Finding, ...]

    def to_dataframe(self) -> Any:
        """Return the verdicts as a pandas DataFrame, one row a cell, the controls' estimates in columns.

        Raises
        ------
        ClaimError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ClaimError("to_dataframe needs pandas: pip install pandas.") from None
        rows = []
        for finding in self.findings:
            row = {name: value for name, value in finding.verdict.to_dict().items() if name not in _NESTED}
            row |= {"qualifier": ", ".join(finding.verdict.qualifier), "recorded": finding.recorded}
            row |= {f"control {control.name}": control.estimate for control in finding.verdict.controls}
            rows.append(row)
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        return f"Results({self.run.origin.spec}, {self.run.corpus.contexts} contexts: {len(self.findings)} verdicts)"

    def _repr_html_(self) -> str:
        return html_table(self.findings)


_NESTED = ("controls", "evidence", "qualifier")


def load_results(path: str | Path) -> Results:
    """Read a result file, such as ``--qkv-json`` writes.

    Raises
    ------
    ClaimError
        If the file can't be read or is no result file.

    Examples
    --------
    >>> load_results("nothing.json")
    Traceback (most recent call last):
    ...
    qkvcheck.errors.ClaimError: result file 'nothing.json' can't be read (No such file or directory); ...
    """
    run, findings = read_results(path)
    return Results(run, tuple(findings))


def results_document(run: Run, findings: Iterable[Finding]) -> dict[str, object]:
    """Return a run and its verdicts as plain data; what is unknown is null.

    Parameters
    ----------
    run : Run
        What they are of.
    findings : iterable of Finding
        In any order; they are sorted by key.
    """
    verdicts = [
        {**finding.to_dict(), **finding.verdict.to_dict()}
        for finding in sorted(findings, key=lambda finding: finding.verdict.key)
    ]
    return {"schema": SCHEMA, **run.to_dict(), "verdicts": verdicts}


def write_results(path: str | Path, run: Run, findings: Iterable[Finding]) -> None:
    """Write a run as JSON, the whole file or nothing."""
    write_document(Path(path), results_document(run, findings))


def read_results(path: str | Path) -> tuple[Run, list[Finding]]:
    """Read a result file back.

    Returns
    -------
    run : Run
        Where the activations come from, contexts, versions, settings.
    findings : list of Finding
        Sorted by key.

    Raises
    ------
    ClaimError
        If the file can't be read or is no result file.
    """
    with reading("result file", path, advice="write it anew with --qkv-json"):
        return results_of(read_json(path, schemas=(SCHEMA,)))


def results_of(data: Mapping[str, Any]) -> tuple[Run, list[Finding]]:
    """Return the run and the findings that a document holds, as `read_results` does.

    Raises
    ------
    DocumentError
        If it is no such document.
    """
    run = run_from_dict(data)
    entries = from_document(_Entries, data).verdicts
    found = [
        finding_from_dict({**entry, "verdict": entry}, at=f"verdicts[{place}]") for place, entry in enumerate(entries)
    ]
    names = [finding.verdict.key for finding in found]
    if len(set(names)) < len(names):
        (twice, _), *_ = Counter(names).most_common(1)
        raise DocumentError(f"verdicts holds {shown(twice)} twice; a key has to stand once")
    return run, found


@dataclass(frozen=True)
class _Entries:
    verdicts: Sequence[Mapping[str, Any]]
