"""Baselines: verdicts on record for a model, to compare a run with, and to add to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkvcheck.documents import write_document
from qkvcheck.errors import ClaimError
from qkvcheck.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, Verdict, verdict_from_dict

SCHEMA = "qkvcheck/baseline/1"
RECORD_COMMAND = "record it with --qkv-update=all"


@dataclass(frozen=True)
class Baseline:
    """Verdicts on record.

    Attributes
    ----------
    path : Path
        The file.
    conditions : mapping
        What two runs must share to be comparable: fingerprint, corpus hash, dtype, device kind.
    verdicts : mapping of str to mapping
        By cell key: verdict, estimate, interval, n (distinct).
    """

    path: Path
    conditions: Mapping[str, Any]
    verdicts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Finding:
    """A verdict beside what is on record of it.

    Attributes
    ----------
    verdict : Verdict
        Of this run.
    recorded : str or None
        The verdict on record; None if there is none.
    change : str or None
        What changed since, in words.
    """

    verdict: Verdict
    recorded: str | None = None
    change: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"verdict": self.verdict.to_dict(), "recorded": self.recorded, "change": self.change}


def finding_from_dict(data: Mapping[str, Any]) -> Finding:
    """Rebuild a finding from what `Finding.to_dict` returned, after a trip through JSON."""
    return Finding(verdict_from_dict(data["verdict"]), data["recorded"], data["change"])


def conditions_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes two runs comparable; library versions are recorded, not compared."""
    return {
        "fingerprint": run["model"]["fingerprint"],
        "corpus_sha256": run["corpus"]["sha256"],
        "dtype": run["settings"]["dtype"],
        "device": run["settings"]["device"],
    }


def read_baseline(path: str | Path) -> Baseline:
    """Read a file of recorded verdicts.

    Raises
    ------
    ClaimError
        If it is missing or is no such file.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ClaimError(f"baseline {str(path)!r} can't be read ({error.strerror}); {RECORD_COMMAND}.") from None
    except ValueError as error:
        raise ClaimError(f"baseline {str(path)!r} is not JSON ({error}); restore it, or {RECORD_COMMAND}.") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ClaimError(f"baseline {str(path)!r} is not of schema {SCHEMA!r}; {RECORD_COMMAND}.")
    return Baseline(path, data["conditions"], data["verdicts"])


def difference(baseline: Baseline, run: Mapping[str, Any]) -> str | None:
    """Return why a run is not comparable with the record, or None if it is."""
    now = conditions_of(run)
    changed = [name for name, value in now.items() if baseline.conditions.get(name) != value]
    return f"other {', '.join(changed)}" if changed else None


def compare(baseline: Baseline | None, verdict: Verdict) -> Finding:
    """Put a verdict beside what is on record of it."""
    entry = None if baseline is None else baseline.verdicts.get(verdict.key)
    if entry is None:
        return Finding(verdict)
    recorded = entry["verdict"]
    if recorded == verdict.verdict:
        return Finding(verdict, recorded)
    was, now = (_number(value) for value in (entry["estimate"], verdict.estimate))
    return Finding(verdict, recorded, f"on record as {recorded} ({was}), now {verdict.verdict} ({now})")


def write_baseline(path: str | Path, run: Mapping[str, Any], verdicts: Iterable[Verdict], *, mode: str) -> str:
    """Write verdicts into a baseline file; nothing on record is deleted.

    Parameters
    ----------
    path : str or Path
        The file; it is replaced as a whole.
    run : mapping
        As `qkvcheck.session.describe_run` returns it.
    verdicts : iterable of Verdict
        Those of this run. NOT JUDGED is not recorded.
    mode : {"new", "all"}
        Only add entries, or overwrite too.

    Returns
    -------
    str
        What was written, in words.

    Raises
    ------
    ClaimError
        If mode is ``"new"`` and the file on record was made under other conditions.
    """
    path = Path(path)
    entries: dict[str, Any] = {}
    replaced = ""
    if path.exists():
        old = read_baseline(path)
        reason = difference(old, run)
        if reason is None:
            entries = dict(old.verdicts)
        elif mode == "new":
            raise ClaimError(f"baseline {str(path)!r} was recorded with {reason}; {RECORD_COMMAND} to replace it.")
        else:
            replaced = f"; the {len(old.verdicts)} recorded there with {reason} are replaced"
    written = 0
    for verdict in verdicts:
        if verdict.verdict in (SUPPORTED, REFUTED, INCONCLUSIVE) and (mode == "all" or verdict.key not in entries):
            entries[verdict.key] = {
                "verdict": verdict.verdict,
                "estimate": _rounded(verdict.estimate),
                "low": _rounded(verdict.low),
                "high": _rounded(verdict.high),
                "n": verdict.n_distinct if verdict.n_distinct is not None else verdict.n,
            }
            written += 1
    data = {
        "schema": SCHEMA,
        "model": run["model"]["spec"],
        "conditions": conditions_of(run),
        "versions": run["versions"],
        "verdicts": entries,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_document(path, data)
    return f"{written} verdicts recorded in {path}{replaced}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6f}")


def _number(value: float | None) -> str:
    return "no estimate" if value is None else f"{value:.4f}"
