"""Outcome: a sweep's verdicts as files: results and page as pytest's, and what was met on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qkvcheck.claims import ClaimsFile
from qkvcheck.contexts import resolve_target
from qkvcheck.errors import ContextError, slug
from qkvcheck.files import write_document
from qkvcheck.models import HookedModel
from qkvcheck.record import (
    Finding,
    ModelOrigin,
    Results,
    Run,
    RunCorpus,
    RunSettings,
    cited_by,
    versions_of,
    write_results,
)
from qkvcheck.sweep.judged.verdicts import NOT_SWEPT, Judge
from qkvcheck.sweep.plan import SweepPlan
from qkvcheck.sweep.running import Swept
from qkvcheck.sweep.state import State

LIBRARIES = ("qkvcheck", "torch", "transformers", "tokenizers", "numpy", "scipy")
SCHEMA = "qkvcheck/swept/1"


def states_of(swept: Swept, plan: SweepPlan, target: int) -> list[State]:
    """Return the states of one target: in the network under test, then in untrained ones.

    Raises
    ------
    ContextError
        If it was never found.
    """
    count = 1 + plan.untrained_seeds
    found = swept.node.states[target * count : (target + 1) * count]
    states = [state for state in found if state is not None]
    if len(states) < count:
        counts = swept.node.counts
        given = plan.targets[target]
        hint = f" Does it need a leading space ({' ' + str(given)!r})?" if not str(given).startswith(" ") else ""
        raise ContextError(
            f"target {given!r} was never found with anything before it, in {counts.records:,} records "
            f"({swept.node.faults:,} could not be used); choose another --target, or --column.{hint}"
        )
    return states


def describe(plan: SweepPlan, hooked: HookedModel, swept: Swept, state: State, claims: ClaimsFile, target: int) -> Run:
    """Return what a result says of a sweep: as of any run; its texts are of the contexts that were drawn."""
    text, number = resolve_target(plan.targets[target], hooked.encoder)
    names = [Path(file.path).name for file in swept.files]
    corpus = RunCorpus(
        name=names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
        sha256=hashlib.sha256("\n".join(file.sha256 for file in swept.files).encode()).hexdigest(),
        contexts=state.n,
        distinct_prefixes=state.n if plan.dedupe else state.distinct,
        padded_shape=[state.n, max(part.stop for part in hooked.projections.values())],
        target=text,
        texts=list(state.drawn.texts),
        target_id=number,
        special_tokens=hooked.special.told,
    )
    settings = RunSettings(
        layers=list(plan.layers),
        dtype=hooked.dtype,
        device=hooked.device.type,
        seed=plan.seed,
        controls="all",
        clusters=plan.clusters,
        claims_sha256=claims.sha256,
        plan_sha256=plan.sha256,
        heads=None,
    )
    return Run(ModelOrigin.of(hooked), corpus, versions_of(*LIBRARIES), settings, cited_by(claims))


def met(swept: Swept, state: State, plan: SweepPlan, why: str) -> dict[str, Any]:
    """Return what was met on the way, as plain data."""
    return {
        "schema": SCHEMA,
        "contexts": state.n,
        "distinct": state.n if plan.dedupe else state.distinct,
        "distinct_is_exact": plan.dedupe or state.exact,
        "groups": len(state.groups),
        "groups_shared": state.shared,
        "groups_why": why,
        "drawn": len(state.drawn.keys),
        "places": {str(place): count for place, count in sorted(state.places.items())},
        "shards": swept.shards,
        "faults": swept.node.faults,
        "faults_told": swept.told,
        "counts": asdict(swept.node.counts),
        "files": [file.to_dict() | {"offsets": len(file.offsets)} for file in swept.files],
        "plan": plan.to_dict(),
    }


def met_lines(swept: Swept, state: State, plan: SweepPlan, why: str) -> list[str]:
    """Return the same for a person."""
    counts = swept.node.counts
    about = "" if plan.dedupe or state.exact else "about "
    distinct = state.n if plan.dedupe else state.distinct
    lines = [
        f"contexts  {state.n:,} of up to {plan.window} tokens before the target, {about}{distinct:,} of them distinct, "
        f"in {counts.records:,} records of {len(swept.files):,} file(s)",
        f"          {len(state.groups):,} groups of {'clusters' if state.shared else 'one cluster each'}: {why}",
    ]
    left = {
        "repeated, counted once": counts.repeated,
        "with nothing before the target": counts.bare,
    }
    said = [f"{count:,} {words}" for words, count in left.items() if count]
    if said:
        lines.append(f"left out  {'; '.join(said)}")
    if swept.told:
        lines.append(f"faults    {swept.node.faults:,} record(s) can't be used; {swept.told[0]}")
    return lines


def conclude(
    plan: SweepPlan,
    hooked: HookedModel,
    swept: Swept,
    claims: ClaimsFile,
    folder: Path,
    *,
    target: int,
    why: str,
    told: Any = None,
) -> tuple[Results, State]:
    """Judge every claim for one target, and write ``results.json`` and ``swept.json``.

    Parameters
    ----------
    plan, hooked, swept, claims
        What was asked for, the model, what the sweep came to, and what is claimed.
    folder : Path
        Where the files go.
    target : int
        Which of the targets.
    why : str
        Why there are so many groups.
    told : callable, optional
        Called for each group that is left out.
    """
    states = states_of(swept, plan, target)
    judge = Judge(plan, hooked, states, claims, told)
    findings = [Finding(verdict) for verdict in judge.verdicts()]
    run = describe(plan, hooked, swept, states[0], claims, target)
    write_results(folder / "results.json", run, findings)
    write_document(folder / "swept.json", met(swept, states[0], plan, why))
    return Results(run, tuple(sorted(findings, key=lambda finding: finding.verdict.key))), states[0]


def folder_of(folder: Path, plan: SweepPlan, target: int) -> Path:
    """Return where the files of a target go: of several each has its own folder."""
    if len(plan.targets) == 1:
        return folder
    own = folder / f"target-{target}-{slug(str(plan.targets[target])).strip('-')}"
    own.mkdir(exist_ok=True)
    return own


def unjudged_lines(findings: Sequence[Finding]) -> list[str]:
    """Return which claims a sweep can't judge, and what they need; none is left out in silence."""
    needed: dict[str, list[str]] = {}
    for finding in findings:
        reason = finding.verdict.reason or ""
        if reason.startswith(NOT_SWEPT):
            ids = needed.setdefault(reason.removeprefix(NOT_SWEPT), [])
            if finding.verdict.claim not in ids:
                ids.append(finding.verdict.claim)
    return [f"{', '.join(ids)}: {NOT_SWEPT}{what}" for what, ids in needed.items()]
