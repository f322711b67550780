"""Tasks: the pieces of a sweep that any process can do, in any order that their needs allow, and do again unharmed.

A task reads and writes checkpoints; what it returns is small. One that finds its work done, by itself before a kill or
by another process, leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from qkvcheck.errors import SettingsError
from qkvcheck.settings import load_extensions
from qkvcheck.sweep.store import BLOCK, Store
from qkvcheck.sweep.work import Bench, Node

SHARD, BLOCKS, TOTAL, KEYS, KEPT = "shard", "block", "total", "keys", "kept"


@dataclass(frozen=True)
class Done:
    """What a task tells.

    Attributes
    ----------
    contexts, faults : int
        Of a shard.
    """

    contexts: int = 0
    faults: int = 0


@lru_cache(maxsize=1)
def bench_in(folder: str) -> tuple[Store, Bench]:
    """Return store and bench of the sweep in a folder; a process has one at a time."""
    store = Store(Path(folder))
    plan, files = store.read()
    load_extensions(plan.load)
    return store, Bench(plan, files)


def blocks_of(shards: int) -> int:
    """Return how many blocks so many shards make.

    Examples
    --------
    >>> blocks_of(0), blocks_of(8), blocks_of(9)
    (0, 1, 2)
    """
    return -(-shards // BLOCK)


def do_keys(folder: str, number: int) -> Done:
    """Write the hashes of a shard's contexts."""
    store, bench = bench_in(folder)
    path = store.path(KEYS, number)
    if not (path.exists() or store.path(KEPT, number).exists()):
        store.write_arrays(path, {"keys": bench.keys(bench.shards[number])})
    return Done()


def choose_kept(store: Store, shards: int) -> None:
    """Write of every shard which of its contexts are the first of their kind in the whole corpus.

    All hashes are held at once: 24 bytes a context.
    """
    keys = []
    for number in range(shards):
        with np.load(store.path(KEYS, number)) as file:
            keys.append(file["keys"])
    first = np.zeros(sum(map(len, keys)), dtype=bool)
    first[np.unique(np.concatenate([*keys, np.empty(0, np.uint64)]), return_index=True)[1]] = True
    start = 0
    for number, own in enumerate(keys):
        store.write_arrays(store.path(KEPT, number), {"kept": np.packbits(first[start : start + len(own)])})
        start += len(own)


def _kept(store: Store, number: int) -> np.ndarray:
    with np.load(store.path(KEPT, number)) as file:
        return np.unpackbits(file["kept"]).astype(bool)


def do_shard(folder: str, number: int) -> Done:
    """Make the checkpoint of a shard."""
    store, bench = bench_in(folder)
    block = number // BLOCK
    path = store.path(SHARD, number)
    if block <= store.last_total() or store.path(BLOCKS, block).exists():
        return Done()
    found = store.load(path, bench.shapes()) if path.exists() else None
    if found is None:
        kept = _kept(store, number) if bench.plan.dedupe else None
        found = bench.node(bench.shards[number], kept=kept)
        store.write(path, found)
    return Done(sum(state.n for state in found.states[:: 1 + bench.plan.untrained_seeds] if state), found.faults)


def do_block(folder: str, number: int) -> Done:
    """Merge the shards of a block in their order."""
    store, bench = bench_in(folder)
    path = store.path(BLOCKS, number)
    members = range(number * BLOCK, min((number + 1) * BLOCK, len(bench.shards)))
    if number > store.last_total() and not path.exists():
        try:
            store.write(path, _merged(store, bench, [store.path(SHARD, one) for one in members]))
        except SettingsError:  # another process, taken for lost, has merged and deleted them meanwhile
            if not path.exists() and number > store.last_total():
                raise
    for one in members:
        store.path(SHARD, one).unlink(missing_ok=True)
    return Done()


def do_total(folder: str, number: int) -> Done:
    """Merge a block to all before it."""
    store, bench = bench_in(folder)
    if number > store.last_total():
        before = [store.path(TOTAL, number - 1)] if number else []
        store.write(store.path(TOTAL, number), _merged(store, bench, [*before, store.path(BLOCKS, number)]))
    store.path(BLOCKS, number).unlink(missing_ok=True)
    for one in range(max(0, number - 2), number):
        store.path(TOTAL, one).unlink(missing_ok=True)
    return Done()


def _merged(store: Store, bench: Bench, paths: list[Path]) -> Node:
    node: Node | None = None
    for path in paths:
        found = store.load(path, bench.shapes())
        if found is None:
            raise SettingsError(
                f"checkpoint {path.name} is missing or damaged, and what it was made of is gone; sweep anew."
            )
        node = found if node is None else node.merged(found)
    assert node is not None  # a block holds a shard
    return node


def total_of(folder: Path, shards: int) -> Node:
    """Return what the whole sweep came to."""
    store, bench = bench_in(str(folder))
    return _merged(store, bench, [store.path(TOTAL, blocks_of(shards) - 1)])
