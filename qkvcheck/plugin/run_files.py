"""Run files: the files that a run writes at its end, and what it has to say of the record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qkvcheck.claims import Decision
from qkvcheck.errors import QkvcheckError, SettingsError, first_line, some_of
from qkvcheck.files import check_output, file_part
from qkvcheck.plugin.comparing import check_not_replaced
from qkvcheck.plugin.outcomes import Gathered
from qkvcheck.record import ADD_COMMAND, RECORD_COMMAND, Results, stale_keys, write_baseline, write_results
from qkvcheck.report import Line

if TYPE_CHECKING:
    from qkvcheck.plugin.session import Session


def check_outputs(session: Session, *, tests: Iterable[Path]) -> None:
    """Find a file that can't be written, or would replace what is read, before the first test.

    Parameters
    ----------
    session : Session
        Of the run.
    tests : iterable of Path
        Files of the tests.

    Raises
    ------
    SettingsError
        If there is one, if two outputs are one file, or if a library is missing for one.
    """
    settings = session.settings
    if settings.report is not None:
        from qkvcheck.report import missing_libraries

        why = missing_libraries()
        if why is not None:
            raise SettingsError(f"--qkv-report: {why}.")
    given = (settings.model.partition("#")[0], settings.tokenizer, settings.corpus, settings.activations)
    read: list[str | Path] = [*(one for one in given if one), *(settings.load or ()), *session.files, *tests]
    read += [] if settings.compare is None else [settings.compare]
    outputs = {"--qkv-json": settings.json, "--qkv-report": settings.report, "--qkv-baseline": settings.baseline}
    for flag, path in outputs.items():
        if flag != "--qkv-baseline":
            others = [one for name, one in outputs.items() if name != flag and one is not None]
            if path is not None and Path(path).resolve() in (Path(one).resolve() for one in others):
                raise SettingsError(f"{flag} {path!r} is written and read by another option too; name another file.")
            check_output(flag, path, inputs=read)
        elif settings.update:
            check_output(flag, path, inputs=read)
    if settings.update and settings.baseline is None and session.baselines is not None:
        folder = next(one for one in (session.baselines, *session.baselines.parents) if one.exists())
        check_output("qkv_baselines", folder / "record.json")


def write_files(session: Session, gathered: Sequence[Gathered]) -> list[Line]:
    """Write results, page and recorded verdicts; return what to say of it. One that fails leaves the others."""
    twice = [text for entry in gathered for text in entry.twice]
    if twice:
        return [Line(f"NOT WRITTEN: {some_of(twice)}; give one of the claims another id.", "red")]
    notes = []
    for write in _files(session, gathered):
        try:
            notes.append(Line(write()))
        except (QkvcheckError, OSError) as error:
            notes.append(Line(f"NOT WRITTEN: {first_line(error)}", "red"))
    return notes


def _files(session: Session, gathered: Sequence[Gathered]) -> Iterator[Callable[[], str]]:
    """Yield what writes each file that was asked for, and returns what to say of it."""
    settings = session.settings
    if settings.json is not None:
        for path, entry in zip(_json_paths(Path(settings.json), gathered), gathered, strict=True):
            yield partial(_write_json, path, entry)
    if settings.report is not None:
        yield partial(_write_report, settings.report, gathered)
    if settings.update is not None:
        records = [session.baseline_path(entry.run) for entry in gathered]
        for record, entry in zip(records, gathered, strict=True):
            yield partial(_record, session, record, entry, shared=records.count(record) > 1)


def _json_paths(path: Path, gathered: Sequence[Gathered]) -> list[Path]:
    """Return one file a model; of several models each is named."""
    if len(gathered) == 1:
        return [path]
    parts = [file_part(Path(entry.run.origin.slug).name) for entry in gathered]
    count = Counter(parts)
    names = [
        part if count[part] == 1 else f"{part}-{entry.run.origin.fingerprint[:8]}-{entry.run.corpus.sha256[:8]}"
        for part, entry in zip(parts, gathered, strict=True)
    ]
    return [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names]


def _write_json(path: Path, entry: Gathered) -> str:
    write_results(path, entry.run, entry.findings)
    return f"Results written to {path}"


def _write_report(path: str, gathered: Sequence[Gathered]) -> str:
    from qkvcheck.report import write_page

    write_page(path, [Results(entry.run, tuple(entry.found[key] for key in sorted(entry.found))) for entry in gathered])
    return f"Report written to {path}"


def _record(session: Session, path: Path | None, entry: Gathered, *, shared: bool) -> str:
    if path is None:
        raise SettingsError("nothing is recorded: name a file with --qkv-baseline or set qkv_baselines.")
    if shared:
        raise SettingsError(
            f"{entry.run.origin.spec} is not recorded: {path} would hold two models of this run; run them one by one, "
            "or give qkvcheck.from_model a name for each."
        )
    check_not_replaced(session, entry.run)
    verdicts = [finding.verdict for finding in entry.findings]
    return write_baseline(path, entry.run, verdicts, mode=session.settings.update or "new")


def record_notes(session: Session, entry: Gathered, *, whole: bool) -> tuple[list[Line], bool]:
    """Return what a run leaves to be said of the record, and whether that fails the run.

    Parameters
    ----------
    session, entry
        Of the run.
    whole : bool
        Whether every claim of the project was run: only then are cells on record that were not met stale.
    """
    if session.settings.update is not None:
        return [], False
    baseline, _ = session.baseline_for(entry.run)
    if baseline is None:
        return [], False
    notes, fails = [], False
    unknown = [
        key
        for key, found in entry.found.items()
        if found.recorded is None and found.verdict.verdict != Decision.NOT_JUDGED
    ]
    if unknown:
        colour = "red" if baseline.required else "yellow"
        notes.append(Line(f"Not on record: {some_of(sorted(unknown))}; {ADD_COMMAND}.", colour))
    if not baseline.conditions.whole:
        lacks = "does not say which tokens were measured, as an earlier version wrote it"
        notes.append(Line(f"{baseline.path.name} {lacks}; {RECORD_COMMAND}.", "yellow"))
    stale = stale_keys(baseline, entry.findings) if whole else []
    if stale:
        fails = baseline.required
        named = f"On record in {baseline.path.name} and no longer run: {some_of(stale)}"
        advice = "name the claims as they were, or take the lines out of the file"
        notes.append(Line(f"{named}; {advice}.", "red" if fails else "yellow"))
    return notes, fails
