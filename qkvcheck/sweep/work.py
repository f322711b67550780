"""Work: one shard from its records to states: read, found, captured; the same in every process, bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from qkvcheck.capture import capture
from qkvcheck.contexts import Context, ContextSet, resolve_target
from qkvcheck.models import HookedModel, load_model, untrained_twin
from qkvcheck.sweep.corpus.shards import Scanned, Shard, shards_of
from qkvcheck.sweep.corpus.sources import Fault, Reader
from qkvcheck.sweep.corpus.windows import Counts, Window, clusters_in, found_in
from qkvcheck.sweep.plan import SweepPlan
from qkvcheck.sweep.state import Shape, State, merge_states, state_of, to_draw

FAULTS_TOLD = 20
"""Lines of faults that are kept; all are counted."""
_BATCH_BYTES = 64_000_000


@dataclass(eq=False)
class Node:
    """What a shard, or several of them, came to.

    Attributes
    ----------
    states : list of (State or None)
        Of each target in each network: the network under test, then untrained ones. None where nothing was found.
    counts : Counts
        What was met.
    faults : int
        How many records can't be used.
    told : list of str
        The first of them.
    shards : int
        How many shards it holds.
    """

    states: list[State | None]
    counts: Counts = field(default_factory=Counts)
    faults: int = 0
    told: list[str] = field(default_factory=list)
    shards: int = 1

    def merged(self, other: Node) -> Node:
        """Return both together; this one is used up."""
        states: list[State | None] = []
        for mine, theirs in zip(self.states, other.states, strict=True):
            both = mine is not None and theirs is not None
            states.append(merge_states(mine, theirs) if both else mine or theirs)  # type: ignore[arg-type]
        self.counts.add(other.counts)
        told = [*self.told, *other.told][:FAULTS_TOLD]
        return Node(states, self.counts, self.faults + other.faults, told, self.shards + other.shards)


Capture = Callable[[HookedModel, Sequence[Context], SweepPlan], np.ndarray]
"""Returns (context, place, width) of some contexts; places are layers, at each the target and the token before it."""


def captured(hooked: HookedModel, contexts: Sequence[Context], plan: SweepPlan) -> np.ndarray:
    """Return the target and the token before it at every layer, from one forward: (context, place, width) float32."""
    every = ContextSet((*contexts, *contexts), "", 0, "--corpus", "")
    positions = [context.target_index for context in contexts]
    positions += [position - 1 for position in positions]
    found = capture(hooked, every, layers=plan.layers, positions=positions, batch_size=plan.batch_size)
    both = np.stack([found.values[: len(contexts)], found.values[len(contexts) :]], axis=2)
    return both.reshape(len(contexts), plan.places, -1)


class Bench:
    """What a process keeps from shard to shard: the networks, and files that are open.

    Parameters
    ----------
    plan : SweepPlan
        What was asked for.
    files : sequence of Scanned
        The corpus.
    hooked : HookedModel, optional
        The model, where it is at hand.
    capture : callable
        How rows are had.
    """

    def __init__(
        self,
        plan: SweepPlan,
        files: Sequence[Scanned],
        *,
        hooked: HookedModel | None = None,
        capture: Capture = captured,
    ) -> None:
        self.plan, self.files, self._capture = plan, files, capture
        self._given = hooked
        self._reader: tuple[int, Reader] | None = None
        self.shards = shards_of(files, records=plan.records, limit=plan.limit)

    @cached_property
    def hooked(self) -> HookedModel:
        """The model under test."""
        _one_thread()
        if self._given is not None:
            return self._given
        p = self.plan
        return load_model(
            p.model, tokenizer=p.tokenizer, device=p.device, dtype=p.dtype, bos=p.bos, layout=p.layout
        )  # fmt: skip

    @cached_property
    def networks(self) -> list[HookedModel]:
        """The model under test, and untrained ones of its shape."""
        return [self.hooked, *(untrained_twin(self.hooked, seed=seed) for seed in seeds_of(self.plan, self.hooked))]

    @cached_property
    def targets(self) -> list[int]:
        """Ids of the targets."""
        return [resolve_target(target, self.hooked.encoder)[1] for target in self.plan.targets]

    def shapes(self) -> list[Shape]:
        """Return how the states of each target in each network are kept."""
        own = Shape(self.plan.groups, self.plan.drawn, self.plan.seed, dict(self.hooked.projections))
        twins = [replace(own, drawn=0), *[replace(own, drawn=0, groups=1)] * max(0, self.plan.untrained_seeds - 1)]
        return [own, *twins[: self.plan.untrained_seeds]] * len(self.plan.targets)

    def _records(self, shard: Shard) -> Iterator[tuple[list[Window] | Fault, Counts]]:
        path, p = Path(self.files[shard.file].path), self.plan
        if self._reader is None or self._reader[0] != shard.file:
            self._reader = shard.file, Reader(path, column=p.column, most=p.most_bytes, labelled=p.labelled)
        for found in self._reader[1].between(shard.start, shard.stop, offset=shard.offset):
            counts = Counts()
            if not isinstance(found, Fault):
                found_here = found_in(
                    found, self.hooked.encoder, self.targets, p, counts, file=shard.file, path=str(path)
                )  # fmt: skip
                yield found_here, counts
            else:
                yield found, counts

    def keys(self, shard: Shard) -> np.ndarray:
        """Return the hash of every context of a shard, in order: (context,) of uint64."""
        every = [w.key for found, _ in self._records(shard) if not isinstance(found, Fault) for w in found]
        return np.array(every, dtype=np.uint64)

    def node(self, shard: Shard, *, kept: np.ndarray | None = None) -> Node:
        """Return what a shard comes to.

        Parameters
        ----------
        shard : Shard
            Which records.
        kept : ndarray of bool, optional
            Of each context of the shard, in order, whether it counts; without it all do.
        """
        node = Node([None] * len(self.shapes()))
        waiting: list[Window] = []
        met = 0
        for found, counts in self._records(shard):
            node.counts.add(counts)
            if isinstance(found, Fault):
                node.faults += 1
                node.told = [*node.told, str(found)][:FAULTS_TOLD]
                continue
            for window in found:
                if kept is None or kept[met]:
                    waiting.append(window)
                else:
                    node.counts.repeated += 1
                met += 1
            while len(waiting) >= self.batch:
                self._take(node, waiting[: self.batch])
                del waiting[: self.batch]
        if waiting:
            self._take(node, waiting)
        return node

    @cached_property
    def batch(self) -> int:
        """Contexts that are captured at once."""
        width = max(part.stop for part in self.hooked.projections.values())
        return max(1, _BATCH_BYTES // (4 * self.plan.places * int(width)))

    def _take(self, node: Node, windows: Sequence[Window]) -> None:
        """Capture some windows, and add them to the states of a node."""
        contexts = [window.context for window in windows]
        clusters = clusters_in(windows, self.plan)
        shapes, count = self.shapes(), 1 + self.plan.untrained_seeds
        for number, network in enumerate(self.networks):
            rows = self._capture(network, contexts, self.plan)
            for target in range(len(self.plan.targets)):
                own = [at for at, window in enumerate(windows) if window.target == target]
                if not own:
                    continue
                place = target * count + number
                keys = np.array([windows[at].key for at in own], dtype=np.uint64)
                drawn = to_draw(keys, shapes[place])
                texts = {int(at): self.hooked.encoder.decode(windows[own[int(at)]].tokens) for at in drawn}
                new = state_of(
                    rows if len(own) == len(rows) else rows[own],
                    [clusters[at] for at in own],
                    keys,
                    texts,
                    [contexts[at].target_index for at in own],
                    shapes[place],
                )
                before = node.states[place]
                node.states[place] = new if before is None else merge_states(before, new)


def seeds_of(plan: SweepPlan, hooked: HookedModel) -> list[int]:
    """Return the seeds of the untrained networks: none of them draws the model itself again."""
    own, count = hooked.spec.untrained_seed, plan.untrained_seeds
    return [seed for seed in range(plan.seed, plan.seed + count + 1) if seed != own][:count]


def _one_thread() -> None:
    """Let torch compute with one thread, so that the same bits come out however many processes work."""
    import torch

    torch.set_num_threads(1)
    with suppress(RuntimeError):  # it has computed in parallel before
        torch.set_num_interop_threads(1)
