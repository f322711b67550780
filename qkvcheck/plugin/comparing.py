"""Comparing: a run held against another checkpoint, and what is said where no record applies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qkvcheck.claims import Claim, Role
from qkvcheck.errors import ClaimError, SettingsError, nearest, shown
from qkvcheck.files import is_there
from qkvcheck.plugin.outcomes import Gathered
from qkvcheck.record import (
    RECORD_COMMAND,
    Baseline,
    Finding,
    Run,
    check_same_claims,
    difference,
    other_than_weights,
    read_checkpoint,
    shift_of,
)
from qkvcheck.report import Line, compared_lines

if TYPE_CHECKING:
    from qkvcheck.plugin.session import Session


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


def comparison_lines(session: Session, entry: Gathered, *, every: bool) -> list[Line]:
    """Return what moved since the checkpoint that was named; without `every` only what fails."""
    checkpoint = checkpoint_of(session, entry.run)
    if checkpoint is None:
        return []
    strict = session.settings.strict
    failing = {f.verdict.key for f in entry.findings if shift_fails(f, strict=strict)}
    return compared_lines(checkpoint, entry.run, entry.findings, failing=failing, every=every)


def shift_fails(finding: Finding, *, strict: bool) -> bool:
    """Tell whether a finding fails its test for how it stands to another checkpoint."""
    strict = strict and finding.verdict.role == Role.DECIDES
    return finding.compared is not None and finding.compared.fails(strict=strict)


def gate_lines(session: Session, gathered: Sequence[Gathered]) -> tuple[list[Line], bool]:
    """Return what to say last where no record applies to a run, and whether that fails it.

    A run that records, or that is compared with another checkpoint, has nothing to be reminded of.
    """
    settings = session.settings
    if settings.update is not None or settings.compare is not None:
        return [], False
    lines: list[Line] = []
    missing: list[str] = []
    for entry in gathered:
        if session.baseline_for(entry.run)[0] is not None:
            continue
        why, advice = _why_off(session, entry.run)
        missing.append(why)
        if _at_hand(session, entry.run):
            lines.append(Line(f'The gate "did a library move it" is off: {why}. {advice}', "yellow"))
    if not (settings.require_baseline and missing):
        return lines, False
    return [*lines, Line(f"--qkv-require-baseline fails this run: {missing[0]}; {RECORD_COMMAND}.", "red")], True


def _at_hand(session: Session, run: Run) -> bool:
    path = session.baseline_path(run)
    return path is not None and is_there(path)


def _why_off(session: Session, run: Run) -> tuple[str, str]:
    """Return why no record applies, and what to do."""
    baseline, why = session.baseline_for(run)
    path = session.baseline_path(run)
    if path is None or not _at_hand(session, run):
        return why or "this project keeps no record (qkv_baselines)", f"To have one, {RECORD_COMMAND}."
    baseline = read_checkpoint(path)
    if other_than_weights(baseline, run) is not None or difference(baseline, run) is None:
        return why or "", f"To have one, {RECORD_COMMAND}."
    advice = f'For "did training move it" hold these weights against it with --qkv-compare={path}'
    return why or "", f"{advice}; to replace it, {RECORD_COMMAND}."
