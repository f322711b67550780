"""Checkpoint: verdicts of other weights, read from a record or from results, and whether they can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from qkvcheck.claims import Claim, Decision, threshold_text
from qkvcheck.errors import ClaimError
from qkvcheck.inputs import read_json, reading
from qkvcheck.record.baseline import (
    READ,
    Baseline,
    Conditions,
    baseline_of,
    conditions_of,
    difference_of,
    entry_of,
    read_baseline,
)
from qkvcheck.record.change import Entry, other_measurement
from qkvcheck.record.results import SCHEMA, results_of
from qkvcheck.record.run import Run

FORMS = "a record (--qkv-update) or results (--qkv-json)"


def read_checkpoint(path: str | Path) -> Baseline:
    """Read verdicts of some weights: a record, or the results of a run.

    Parameters
    ----------
    path : str or Path
        What ``--qkv-update`` or ``--qkv-json`` wrote.

    Raises
    ------
    ClaimError
        If it can't be read or is neither.
    """
    with reading("file to compare with", path, advice=f"name {FORMS}"):
        data = read_json(path, schemas=(*READ, SCHEMA))
        if data["schema"] != SCHEMA:
            return baseline_of(Path(path), data)
        run, findings = results_of(data)
    judged = [one.verdict for one in findings if one.verdict.verdict != Decision.NOT_JUDGED]
    entries = {verdict.key: entry_of(verdict) for verdict in judged}
    return Baseline(Path(path), conditions_of(run), entries, run.versions, model=run.origin.spec)


def other_than_weights(checkpoint: Baseline, now: Run | Conditions) -> str | None:
    """Return what besides the weights differs between a checkpoint and a run, or None if nothing does."""
    conditions = conditions_of(now) if isinstance(now, Run) else now
    alike = replace(checkpoint.conditions, fingerprint=conditions.fingerprint)
    return difference_of(replace(checkpoint, conditions=alike), conditions)


def near_record(paths: Iterable[Path], run: Run) -> str | None:
    """Return the first record of a run's contexts in another number format or on another device, in words.

    Parameters
    ----------
    paths : iterable of Path
        Files of recorded verdicts; what can't be read is passed over.
    run : Run
        To which none of them applies.
    """
    now = conditions_of(run)
    for path in paths:
        try:
            then = read_baseline(path)
        except ClaimError:
            continue
        alike = then.conditions.corpus_sha256 == now.corpus_sha256
        reason = other_than_weights(then, now)
        if alike and reason is not None and (then.conditions.dtype, then.conditions.device) != (now.dtype, now.device):
            return f"{path.name} has {reason}"
    return None


def check_same_claims(checkpoint: Baseline, claims: Iterable[Claim]) -> None:
    """Raise `ClaimError` where a claim has another statistic or bound than when the checkpoint was judged.

    Records of earlier versions say neither, and are taken as they are.
    """
    for claim in claims:
        ours = Entry(Decision.NOT_JUDGED, statistic=claim.statistic, bound=threshold_text(claim, digits=".12g"))
        form = re.compile(rf"{re.escape(claim.id)}-L\d")
        for key, entry in checkpoint.verdicts.items():
            told = other_measurement(entry, ours) if form.match(key) else None
            if told is not None:
                raise ClaimError(
                    f"{str(checkpoint.path)!r} can't be compared with: claim {claim.id} has another {told}; judge that "
                    "checkpoint with this claim, or give the claim another id."
                )
