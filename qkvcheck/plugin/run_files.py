"""Run files: what a run writes at its end, and how it stands to the record and to another checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qkvcheck.claims import Claim, Decision
from qkvcheck.errors import ClaimError, QkvcheckError, SettingsError, first_line, nearest, shown, some_of
from qkvcheck.files import check_output, file_part, is_there
from qkvcheck.plugin.outcomes import Gathered
from qkvcheck.plugin.session import target_part
from qkvcheck.record import (
    ADD_COMMAND,
    RECORD_COMMAND,
    Baseline,
    Finding,
    Results,
    Run,
    check_same_claims,
    difference,
    other_than_weights,
    read_checkpoint,
    shift_of,
    stale_keys,
    write_baseline,
    write_results,
)
from qkvcheck.report import Line, compared_lines

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
    pages = {"--qkv-report": settings.report, "--qkv-report-short": settings.report_short}
    asked = [flag for flag, path in pages.items() if path is not None]
    if asked:
        from qkvcheck.report import missing_libraries

        why = missing_libraries()
        if why is not None:
            raise SettingsError(f"{asked[0]}: {why}.")
    given = (settings.model.partition("#")[0], settings.tokenizer, settings.corpus, settings.activations)
    read: list[str | Path] = [*(one for one in given if one), *(settings.load or ()), *session.files, *tests]
    read += [] if settings.compare is None else [settings.compare]
    outputs = {"--qkv-json": settings.json, **pages, "--qkv-baseline": settings.baseline}
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
        for path, entry in zip(_paths(settings.json, gathered), gathered, strict=True):
            yield partial(_write_json, path, entry)
    if settings.report is not None:
        yield partial(_write_report, settings.report, gathered, short=False)
    if settings.report_short is not None:
        for path, entry in zip(_paths(settings.report_short, gathered), gathered, strict=True):
            yield partial(_write_report, path, [entry], short=True)  # what compares several has no short version
    if settings.update is not None:
        records = [session.baseline_path(entry.run) for entry in gathered]
        for record, entry in zip(records, gathered, strict=True):
            yield partial(_record, session, record, entry, shared=records.count(record) > 1)


def _paths(named: str, gathered: Sequence[Gathered]) -> list[Path]:
    """Return one file a model and target; of several each is named."""
    path = Path(named)
    if len(gathered) == 1:
        return [path]
    parts = [file_part(Path(entry.run.origin.slug).name) for entry in gathered]
    if all(entry.run.corpus.of_several for entry in gathered):
        parts = [f"{part}-{target_part(entry.run)}" for part, entry in zip(parts, gathered, strict=True)]
    count = Counter(parts)
    names = [
        part if count[part] == 1 else f"{part}-{entry.run.origin.fingerprint[:8]}-{entry.run.corpus.sha256[:8]}"
        for part, entry in zip(parts, gathered, strict=True)
    ]
    return [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in names]


def _write_json(path: Path, entry: Gathered) -> str:
    write_results(path, entry.run, entry.findings)
    return f"Results written to {path}"


def _write_report(path: str | Path, gathered: Sequence[Gathered], *, short: bool) -> str:
    from qkvcheck.report import write_page

    results = [Results(entry.run, tuple(entry.found[key] for key in sorted(entry.found))) for entry in gathered]
    write_page(path, results, short=short)
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


# Another checkpoint, and a record that does not apply ----------------------------------------------


def checkpoint_of(session: Session, run: Run) -> Baseline | None:
    """Return the checkpoint that a run is compared with; None where none was named.

    Raises
    ------
    ClaimError
        If it can't be read, or differs from the run in more than weights.
    """
    checkpoint = _named(session)
    reason = None if checkpoint is None else other_than_weights(checkpoint, run)
    if checkpoint is not None and reason is not None:
        raise ClaimError(
            f"--qkv-compare {str(checkpoint.path)!r} is not comparable with this run ({reason}); what is compared may "
            "differ in weights alone: judge that checkpoint on these contexts with these settings."
        )
    return checkpoint


def _named(session: Session) -> Baseline | None:
    path = session.settings.compare
    if path is None:
        return None
    if Path(path) not in session.checkpoints:
        session.checkpoints[Path(path)] = read_checkpoint(path)
    return session.checkpoints[Path(path)]


def check_comparison(session: Session, claims: Iterable[Claim] = ()) -> None:
    """Find what makes no sense in what was asked for, before any model is loaded.

    Raises
    ------
    QkvcheckError
        If the file can't be read, a claim has another statistic or bound there, the same file is to be the record, or a
        margin is of a statistic that nobody knows.
    """
    settings = session.settings
    checkpoint = _named(session)
    if checkpoint is None:
        return
    if settings.baseline is not None and Path(settings.baseline).resolve() == checkpoint.path.resolve():
        raise SettingsError(
            f"--qkv-compare and --qkv-baseline both name {shown(settings.baseline)}: a record is of the same weights, "
            "what is compared of others; leave one of the two out."
        )
    check_margins({} if session.claims is None else session.claims.margins)
    check_same_claims(checkpoint, claims)


def check_margins(margins: Mapping[str, float]) -> None:
    """Raise `ClaimError` for a margin of a statistic that is not registered."""
    from qkvcheck.statistics import statistics_by_name

    known = statistics_by_name()
    for name in margins:
        if name not in known:
            raise ClaimError(
                f"compare.margins of the claims file names {name!r}, which is no statistic; allowed: "
                f"{', '.join(known)}.{nearest(name, known)}"
            )


def check_not_replaced(session: Session, run: Run) -> None:
    """Raise `SettingsError` where a run would record over the file that it is compared with."""
    path, record = session.settings.compare, session.baseline_path(run)
    if not session.settings.update or path is None or record is None:
        return
    if Path(path).resolve() == record.resolve():
        raise SettingsError(
            f"--qkv-update would replace {str(record)!r}, which --qkv-compare names; compare first and record in a "
            "second run, or name another file with --qkv-baseline."
        )


def with_comparison(session: Session, run: Run, finding: Finding) -> Finding:
    """Return a finding with how it stands to the checkpoint that was named, if that holds its cell."""
    checkpoint = checkpoint_of(session, run)
    verdict = finding.verdict
    entry = None if checkpoint is None else checkpoint.verdicts.get(verdict.key)
    if entry is None:
        return finding
    margins = {} if session.claims is None else session.claims.margins
    asked = session.settings.compare_margin
    margin = margins.get(verdict.statistic) if asked is None else asked
    return replace(finding, compared=shift_of(entry, verdict, margin=margin))


def comparison_lines(session: Session, entry: Gathered, *, every: bool, width: int) -> list[Line]:
    """Return what moved since the checkpoint that was named; without `every` only what fails."""
    checkpoint = checkpoint_of(session, entry.run)
    if checkpoint is None:
        return []
    strict = session.settings.strict
    failing = {f.verdict.key for f in entry.findings if f.shift_fails(strict=strict)}
    return compared_lines(checkpoint, entry.run, entry.findings, failing=failing, every=every, width=width)


def gate_lines(session: Session, gathered: Sequence[Gathered]) -> tuple[list[Line], bool]:
    """Return what to say last where no record applies to a run or a gate judged nothing, and whether that fails it.

    A run that records has nothing to be reminded of, nor has one that is compared with another checkpoint.
    """
    settings = session.settings
    if settings.update is not None:
        return [], False
    empty = _judged_nothing(session, gathered)
    if empty is not None:
        return [Line(empty, "red")], True
    if settings.compare is not None:
        return [], False
    without = [entry.run for entry in gathered if session.baseline_for(entry.run)[0] is None]
    if not settings.require_baseline and not any(_at_hand(session, run) for run in without):
        return [], False
    lead = (
        "--qkv-require-baseline fails this run"
        if settings.require_baseline
        else 'The gate "did a library move it" is off'
    )
    colour = "red" if settings.require_baseline else "yellow"
    off = dict.fromkeys(_why_off(session, run) for run in without)
    return [Line(f"{lead}: {why}. {advice}", colour) for why, advice in off], settings.require_baseline and bool(off)


def _judged_nothing(session: Session, gathered: Sequence[Gathered]) -> str | None:
    """Return why a gate that was asked for is none, if no claim of the run was judged: that must not pass for green."""
    gate = session.settings.gate
    if gate is None:
        return None
    found = [finding for entry in gathered for finding in entry.findings]
    if any(finding.verdict.verdict != Decision.NOT_JUDGED for finding in found):
        return None
    what = f"all that was found is NOT JUDGED ({len(found)})" if found else "no test with a claim was run"
    off = " (QKV_REQUIRE_BASELINE=no where the ini file asks for it)" if gate == "--qkv-require-baseline" else ""
    return f"{gate} fails this run: {what}; choose tests with claims that can be judged, or leave it out{off}."


def _at_hand(session: Session, run: Run) -> bool:
    path = session.baseline_path(run)
    return path is not None and is_there(path)


def _why_off(session: Session, run: Run) -> tuple[str, str]:
    """Return why no record applies, and what to do."""
    baseline, why = session.baseline_for(run)
    path = session.baseline_path(run)
    if path is None or not _at_hand(session, run):
        return why or "this project keeps no record (qkv_baselines)", f"To have one, {RECORD_COMMAND}."
    baseline = session.recorded_at(path)
    if other_than_weights(baseline, run) is not None or difference(baseline, run) is None:
        return why or "", f"To have one, {RECORD_COMMAND}."
    advice = f'For "did training move it" hold these weights against it with --qkv-compare={path}'
    return why or "", f"{advice}; to replace it, {RECORD_COMMAND}."
