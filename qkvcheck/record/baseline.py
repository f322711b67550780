"""Baselines: verdicts on record for a model, to compare a run with, and to add to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qkvcheck.claims import Decision, Kind, Verdict, number_text, threshold_text
from qkvcheck.errors import ClaimError, some_of
from qkvcheck.files import is_there, locked, replace_text
from qkvcheck.inputs import from_document, read_json, reading
from qkvcheck.record.change import Entry, NoiseFloor, change_of, change_text, claims_of, other_measurement
from qkvcheck.record.finding import Finding
from qkvcheck.record.run import UNKNOWN, Run

SCHEMA = "qkvcheck/baseline/3"
READ = ("qkvcheck/baseline/1", "qkvcheck/baseline/2", SCHEMA)
"""Schemas that are read; the first one kept no replicates, and neither of the first two which tokens were measured."""
HASHES = {
    "fingerprint": "weights, architecture or tokenizer",
    "corpus_sha256": "contexts",
    "tokens_sha256": "tokens of the same contexts (another target, another place of it, or a beginning token)",
    "plan_sha256": "word lists, fresh contexts or clusters",
}
"""Of what a condition is the hash."""
RECORD_COMMAND = "record it with --qkv-update=all"
ADD_COMMAND = "add it with --qkv-update=new"


@dataclass(frozen=True)
class Conditions:
    """What two runs must share to be comparable; library versions are recorded, not compared."""

    fingerprint: str
    corpus_sha256: str
    dtype: str
    device: str
    tokens_sha256: str | None = None
    plan_sha256: str | None = None

    @property
    def whole(self) -> bool:
        """Whether they say which tokens were measured; earlier versions did not keep that."""
        return self.tokens_sha256 is not None and self.plan_sha256 is not None


@dataclass(frozen=True)
class Baseline:
    """Verdicts on record.

    Attributes
    ----------
    path : Path
        The file.
    conditions : Conditions
        What two runs must share to be comparable.
    verdicts : mapping of str to Entry
        By cell key.
    versions : mapping of str to str
        Of the libraries then.
    noise : NoiseFloor or None
        None if no noise floor was measured.
    required : bool
        Whether a verdict that is not on record fails: the file was named, or a record was asked for.
    model : str
        What was asked for, for readers.
    """

    path: Path
    conditions: Conditions
    verdicts: Mapping[str, Entry]
    versions: Mapping[str, str] = field(default_factory=dict)
    noise: NoiseFloor | None = None
    required: bool = False
    model: str = ""


def conditions_of(run: Run) -> Conditions:
    """Return what makes two runs comparable."""
    return Conditions(
        fingerprint=run.origin.fingerprint,
        corpus_sha256=run.corpus.sha256,
        dtype=run.settings.dtype,
        device=run.settings.device or UNKNOWN,
        tokens_sha256=run.corpus.tokens_sha256 or UNKNOWN,
        plan_sha256=run.settings.plan_sha256 or UNKNOWN,
    )


def read_baseline(path: str | Path) -> Baseline:
    """Read a file of recorded verdicts.

    Raises
    ------
    ClaimError
        If it is missing or is no such file.
    """
    path = Path(path)
    advice = f"restore it, or {RECORD_COMMAND}" if is_there(path) else RECORD_COMMAND
    with reading("baseline", path, advice=advice):
        return baseline_of(path, read_json(path, schemas=READ))


def baseline_of(path: Path, data: Mapping[str, Any]) -> Baseline:
    """Return the verdicts on record that a document holds.

    Raises
    ------
    DocumentError
        If it is no such document.
    """
    found = from_document(_Document, {name: value for name, value in data.items() if name != "noise" or value})
    return Baseline(path, found.conditions, found.verdicts, found.versions, found.noise, model=found.model)


@dataclass(frozen=True)
class _Document:
    """What a file of recorded verdicts holds."""

    conditions: Conditions
    verdicts: Mapping[str, Entry]
    versions: Mapping[str, str] = field(default_factory=dict)
    noise: NoiseFloor | None = None
    model: str = ""


def difference(baseline: Baseline, run: Run) -> str | None:
    """Return why a run is not comparable with the record, or None if it is."""
    return difference_of(baseline, conditions_of(run))


def difference_of(baseline: Baseline, now: Conditions) -> str | None:
    """Say which conditions are other than on record; hashes are named by what they are of."""
    then = asdict(baseline.conditions)
    changed = [name for name, value in asdict(now).items() if then[name] not in (value, None)]  # None: was not kept
    if {"fingerprint", "corpus_sha256"} & set(changed):
        changed = [name for name in changed if name != "tokens_sha256"]  # other contexts are other tokens
    named = [HASHES.get(name, f"{name} ({then[name]} on record, {asdict(now)[name]} now)") for name in changed]
    return f"other {', other '.join(named)}" if named else None


def compare(baseline: Baseline | None, verdict: Verdict, *, versions: Mapping[str, str] | None = None) -> Finding:
    """Compare a verdict with what is on record of it.

    A change is another verdict, or the same with an estimate moved beyond what noise explains (`change`); and a claim
    whose statistic or bound is another one than on record, whatever its verdict. A verdict that is not on record is one
    only where the file was named.

    Parameters
    ----------
    baseline : Baseline or None
        The record that applies.
    verdict : Verdict
        Of this run.
    versions : mapping of str to str, optional
        Of this run's libraries.
    """
    if baseline is None:
        return Finding(verdict)
    entry = baseline.verdicts.get(verdict.key)
    if entry is None:
        missing = baseline.required and verdict.verdict != Decision.NOT_JUDGED
        change = f"not on record in {baseline.path.name}; {ADD_COMMAND}" if missing else None
        return Finding(verdict, None, change)
    told = [text for text in (_other_claim(entry, verdict), _other_verdict(entry, verdict)) if text]
    moved = None
    if entry.statistic in (None, verdict.statistic):
        moved = change_of(entry, verdict, noise=baseline.noise, then=baseline.versions, now=versions or {})
    if not told and moved is not None and moved.beyond:
        told = [change_text(moved)]
    return Finding(verdict, entry.verdict, "; ".join(told) or None, moved)


def _other_claim(entry: Entry, verdict: Verdict) -> str | None:
    """Return what the claim was on record with, if that is not what it is now."""
    other = other_measurement(entry, Entry(entry.verdict, statistic=verdict.statistic, bound=_bound(verdict)))
    return None if other is None else f"the claim has another {other}"


def _other_verdict(entry: Entry, verdict: Verdict) -> str | None:
    if entry.verdict == verdict.verdict:
        return None
    was, now = (_estimate(value) for value in (entry.estimate, verdict.estimate))
    return f"on record as {entry.verdict} ({was}), now {verdict.verdict} ({now})"


def stale_keys(baseline: Baseline, findings: Iterable[Finding]) -> list[str]:
    """Return what is on record and was not met in a run; it says something of a full run only."""
    met = {finding.verdict.key for finding in findings}
    return sorted(key for key in baseline.verdicts if key not in met)


def write_baseline(path: str | Path, run: Run, verdicts: Iterable[Verdict], *, mode: str) -> str:
    """Write verdicts into a baseline file; nothing on record is deleted.

    Parameters
    ----------
    path : str or Path
        The file; it is replaced as a whole.
    run : Run
        What the verdicts are of.
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
    with locked(path):  # another process may be adding its own verdicts
        return _add(path, run, verdicts, mode=mode)


def _add(path: Path, run: Run, verdicts: Iterable[Verdict], *, mode: str) -> str:
    old, told_of_file = _on_file(path, may_replace=mode == "all")
    reason = None if old is None else difference(old, run)
    if old is not None and reason is not None and mode == "new":
        raise ClaimError(f"baseline {str(path)!r} was recorded with {reason}; {RECORD_COMMAND} to replace it.")
    kept = old if reason is None else None
    entries = {} if kept is None else dict(kept.verdicts)
    made = {
        verdict.key: entry_of(verdict)
        for verdict in verdicts
        if verdict.verdict != Decision.NOT_JUDGED and (mode == "all" or verdict.key not in entries)
    }
    told = _replaced_text(entries, made)
    if old is not None and reason is not None:
        told = f"; the {len(old.verdicts)} recorded there with {reason} are replaced"
    conditions = conditions_of(run)
    if kept is not None and not kept.conditions.whole and set(entries) - set(made):
        conditions = kept.conditions  # what stays was recorded before tokens were kept
    noise = None if kept is None else kept.noise
    _write(path, run.origin.spec, Baseline(path, conditions, {**entries, **made}, run.versions, noise))
    return f"{len(made)} {'verdict' if len(made) == 1 else 'verdicts'} recorded in {path}{told_of_file}{told}"


def _replaced_text(entries: Mapping[str, Entry], made: Mapping[str, Entry]) -> str:
    """Say how many verdicts on record are replaced, and which of them were others."""
    again = [key for key in made if key in entries]
    turned = [f"{key} was {entries[key].verdict}" for key in again if entries[key].verdict != made[key].verdict]
    if not again:
        return ""
    listed = f", {len(turned)} of them by another verdict: {some_of(turned)}" if turned else ""
    return f"; {len(again)} there before are replaced{listed}"


def _on_file(path: Path, *, may_replace: bool) -> tuple[Baseline | None, str]:
    """Return the record that is on file, if any, and what to say where it can't be read and is replaced."""
    if not os.path.lexists(path):
        return None, ""
    try:
        return read_baseline(path), ""
    except ClaimError:
        # Its advice is to record anew: that has to work. What is no file can't be replaced by one.
        if not may_replace or not path.is_file():
            raise
        return None, "; what was there could not be read, and is replaced"


def write_noise(path: str | Path, noise: NoiseFloor, conditions: Conditions) -> None:
    """Put a measured noise floor beside the verdicts on record.

    Raises
    ------
    ClaimError
        If the file can't be read, or was recorded under other conditions.
    """
    with locked(Path(path)):
        baseline = read_baseline(path)
        reason = difference_of(baseline, conditions)
        if reason is not None:
            raise ClaimError(f"baseline {str(path)!r} was recorded with {reason}; measure the noise of the same model.")
        _write(baseline.path, baseline.model, replace(baseline, noise=noise))


def entry_of(verdict: Verdict) -> Entry:
    """Return what a record keeps of a verdict."""
    n = verdict.n_distinct if verdict.n_distinct is not None else verdict.n
    searched = verdict.kind == Kind.SEARCH
    entry = Entry(
        verdict.verdict,
        None if searched else _rounded(verdict.estimate),
        _rounded(verdict.low),
        _rounded(verdict.high),
        None if searched else n,
        statistic=verdict.statistic,
        bound=_bound(verdict),
        cluster_kind=verdict.cluster_kind,
        claims=claims_of(verdict),
    )
    if searched:  # what a search meets hangs on hypothesis's version; its verdict alone is compared
        return entry
    kept = verdict.evidence.replicates
    if kept is None:
        return entry
    # A jackknife multiplies what is left out by the number of clusters, and with it what was rounded off.
    fine = [float(f"{value:.9f}") for value in (kept.whole, *kept.without)]
    return replace(entry, plug_in=fine[0], replicates=fine[1:])


def _bound(verdict: Verdict) -> str:
    return threshold_text(verdict, digits=".12g")


def _write(path: Path, spec: str, baseline: Baseline) -> None:
    """Write one verdict a line, so that a change reviews well."""
    lines = [
        f"  {json.dumps(key)}: {json.dumps(entry.to_dict(), sort_keys=True, allow_nan=False)}"
        for key, entry in sorted(baseline.verdicts.items())
    ]
    noise = {} if baseline.noise is None else asdict(baseline.noise)
    head = {"conditions": asdict(baseline.conditions), "model": spec, "noise": noise, "schema": SCHEMA}
    parts = [f' "{name}": {json.dumps(value, sort_keys=True, allow_nan=False)}' for name, value in head.items()]
    parts.append(' "verdicts": {\n' + ",\n".join(lines) + "\n }")
    parts.append(f' "versions": {json.dumps(dict(baseline.versions), sort_keys=True)}')
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6f}")


def _estimate(value: float | None) -> str:
    return "no estimate" if value is None else number_text(value)
