"""Running: a sweep from its files to the total, in this process or on workers; both do the same tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qkvcheck.errors import ContextError
from qkvcheck.statistics import duration_text
from qkvcheck.sweep import tasks
from qkvcheck.sweep.corpus.shards import Scanned, Shard, faults_of, scan, shards_of
from qkvcheck.sweep.plan import SweepPlan, size_text
from qkvcheck.sweep.progress import Progress
from qkvcheck.sweep.store import BLOCK, Store, manifest_of
from qkvcheck.sweep.work import Node

LONG_SECONDS = 30.0
"""Work that takes longer is told at its start."""
MEASURED_SECONDS = 2.0
"""So long the first shards are timed for that."""


class Runner(Protocol):
    """Does tasks: here, or on workers."""

    def keys(self, folder: str, numbers: Sequence[int]) -> Iterator[tasks.Done]:
        """Hash the contexts of shards; yield as each is done."""

    def shards(self, folder: str, numbers: Sequence[int], count: int) -> Iterator[tasks.Done]:
        """Make shards, merge blocks and totals; yield as each shard is done."""


class Here:
    """Does tasks in this process, one after the other."""

    def keys(self, folder: str, numbers: Sequence[int]) -> Iterator[tasks.Done]:
        """Hash the contexts of shards."""
        for number in numbers:
            yield tasks.do_keys(folder, number)

    def shards(self, folder: str, numbers: Sequence[int], count: int) -> Iterator[tasks.Done]:
        """Make shards, merge blocks and totals."""
        for number in numbers:
            yield tasks.do_shard(folder, number)
            if (number + 1) % BLOCK == 0 or number + 1 == count:
                tasks.do_block(folder, number // BLOCK)
                tasks.do_total(folder, number // BLOCK)


@dataclass(frozen=True)
class Swept:
    """What a sweep came to.

    Attributes
    ----------
    node : Node
        States and counts.
    files : list of Scanned
        The corpus.
    told : list of str
        What is wrong with files.
    shards : int
        How many there are.
    """

    node: Node
    files: list[Scanned]
    told: list[str]
    shards: int


def scan_all(paths: Sequence[Path], plan: SweepPlan, progress: Progress, *, strict: bool) -> list[Scanned]:
    """Look at every file once.

    Raises
    ------
    ContextError
        If none of them holds a record; or, where that is strict, if one can't be read whole.
    """
    whole = sum(path.stat().st_size for path in paths)
    progress.begin("looking at files", whole / 1e6, unit="MB")
    files = []
    for path in paths:
        files.append(
            scan(
                path,
                records=plan.records,
                most=plan.most_bytes,
                told=lambda size: progress.step(size / 1e6),
                column=plan.column,
                labelled=plan.labelled,
            )
        )
    progress.clear()
    told = [str(fault) for fault in faults_of(files)]
    if strict and told:
        raise ContextError(f"--strict: {told[0]}.")
    if not any(file.records for file in files):
        raise ContextError(f"there is no record to read: {'; '.join(told[:2])}. Check --corpus.")
    for line in told:
        progress.say(f"qkvcheck: left out: {line}")
    return files


def run_sweep(
    plan: SweepPlan,
    files: Sequence[Scanned],
    folder: Path,
    *,
    fingerprint: str,
    progress: Progress,
    runner: Runner,
    resume: bool = False,
    strict: bool = False,
) -> Swept:
    """Capture and merge every shard; what was done before is not done again.

    Parameters
    ----------
    plan : SweepPlan
        What was asked for.
    files : sequence of Scanned
        The corpus.
    folder : Path
        Where checkpoints are kept.
    fingerprint : str
        Of the model.
    progress : Progress
        Where progress is shown.
    runner : Runner
        What does the tasks.
    resume, strict : bool
        Whether a sweep there goes on; whether a record that can't be used ends it.

    Raises
    ------
    QkvcheckError
        If the folder holds another sweep, no target is found, or it is strict and a record can't be used.
    """
    folder = folder.resolve()  # workers may stand elsewhere
    store = Store(folder)
    went_on = store.begin(manifest_of(plan, files, fingerprint=fingerprint), resume=resume)
    tasks.bench_in.cache_clear()
    shards = shards_of(files, records=plan.records, limit=plan.limit)
    left = _left(store, shards)
    if went_on:
        progress.say(f"qkvcheck: {len(shards) - len(left):,} of {len(shards):,} shards were done before.")
    numbers = [shard.number for shard in left]
    if plan.dedupe and numbers and not store.path(tasks.KEPT, len(shards) - 1).exists():
        progress.begin("finding repeated contexts", len(shards), unit="shards")
        for _ in runner.keys(str(folder), range(len(shards))):
            progress.step()
        tasks.choose_kept(store, len(shards))
    _capture(store, left, shards, runner, progress, strict=strict)
    progress.clear()
    node = tasks.total_of(folder, len(shards))
    told = [str(fault) for fault in faults_of(files)]
    return Swept(node, list(files), [*told, *node.told], len(shards))


def _left(store: Store, shards: Sequence[Shard]) -> list[Shard]:
    """Return the shards that are not part of the total; delete what a killed process left half."""
    last = store.last_total()
    done = (last + 1) * BLOCK

    def wanted(path: Path) -> bool:
        kind, _, number = path.stem.partition("-")
        per = {tasks.SHARD: BLOCK, tasks.BLOCKS: 1}.get(kind)
        if kind == tasks.TOTAL:
            return int(number) == last
        return per is None or int(number) // per > last

    store.clear(wanted)
    return [shard for shard in shards if shard.number >= done]


def _capture(
    store: Store, left: Sequence[Shard], shards: Sequence[Shard], runner: Runner, progress: Progress, *, strict: bool
) -> None:
    records = sum(shard.stop - shard.start for shard in left)
    progress.begin("capturing", records, unit="records")
    first, contexts, said = 0.0, 0, False
    numbers = [shard.number for shard in left]
    for at, done in enumerate(runner.shards(str(store.folder), numbers, len(shards))):
        contexts += done.contexts
        if strict and done.faults:
            raise ContextError(
                f"--strict: {done.faults} record(s) can't be used; the first is told by a run without --strict."
            )
        progress.step(left[at].stop - left[at].start, note=f"{contexts:,} contexts")
        first = first or time.monotonic()  # until then networks were made, once
        spent = time.monotonic() - first
        if at and spent > MEASURED_SECONDS and not said:
            said = True
            _estimate(spent / at, len(left), contexts / (at + 1), progress, size=store.sizes())


def _estimate(each: float, shards: int, contexts: float, progress: Progress, *, size: int) -> None:
    """Say what is to come, from the first shards, where it is long."""
    if each * shards > LONG_SECONDS:
        progress.say(
            f"qkvcheck: some {contexts * shards:,.0f} contexts in {shards:,} shards; about "
            f"{duration_text(each * shards)} at this rate; checkpoints take {size_text(size)} now."
        )
