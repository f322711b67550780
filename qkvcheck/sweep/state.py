"""State: what a sweep knows of the contexts it has seen, of one target in one network; states merge."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from qkvcheck.sweep.groups import Group, Packed, group_of, merged, shrunk

MOST_GROUPS, LEAST_GROUPS = 200, 20
SKETCHED = 4096
"""Hashes of contexts that are kept, so as to tell how many differ: up to so many exactly."""
DRAWN = 200
"""Contexts of which rows and texts are kept, for pictures."""
_ALL = float(2**64)


@dataclass(frozen=True)
class Shape:
    """What states must have in common to be merged.

    Attributes
    ----------
    groups : int
        Groups at most; with more clusters than that they are shared out among so many.
    drawn : int
        Contexts of which rows and texts are kept.
    seed : int
        Of the hashes by which clusters are shared out and contexts drawn.
    projections : mapping of str to slice
        Where Q, K and V stand along the width.
    """

    groups: int
    drawn: int
    seed: int
    projections: Mapping[str, slice]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Contexts drawn evenly of all that differ: those whose seeded hashes are the least.

    Attributes
    ----------
    keys : ndarray of uint64
        Their hashes, in order.
    rows : ndarray of float32
        (context, place, width).
    texts : tuple of str
        What was said.
    """

    keys: np.ndarray
    rows: np.ndarray
    texts: tuple[str, ...]

    def merged(self, other: Drawn, most: int) -> Drawn:
        """Return the least of both, each once."""
        every = np.concatenate([self.keys, other.keys])
        keys, first = np.unique(every, return_index=True)
        keys, first = keys[:most], first[:most]
        texts = (*self.texts, *other.texts)
        rows = np.concatenate([self.rows, other.rows])[first]
        return Drawn(keys, rows, tuple(texts[at] for at in first))


@dataclass(frozen=True, eq=False)
class State:
    """What is known of some contexts.

    Attributes
    ----------
    shape : Shape
        How they are kept.
    groups : mapping of str to Group
        By cluster, or with more clusters than groups by the share that a hash gave each.
    shared : bool
        Whether clusters share groups.
    keys : ndarray of uint64
        Least hashes of contexts, each once, in order.
    drawn : Drawn
        Contexts for pictures.
    places : Counter of int
        How many targets stand so many tokens behind the beginning.
    """

    shape: Shape
    groups: Mapping[str, Group]
    shared: bool
    keys: np.ndarray
    drawn: Drawn
    places: Counter[int] = field(default_factory=Counter)

    @property
    def n(self) -> int:
        """Contexts."""
        return sum(group.n for group in self.groups.values())

    @property
    def distinct(self) -> int:
        """How many contexts differ: exact up to `SKETCHED`, beyond that from the hashes, to some 1.6 percent.

        The k-th least of evenly spread numbers in [0, 1) stands near k / (number + 1) (Bar-Yossef et al. 2002).
        """
        if len(self.keys) < SKETCHED:
            return len(self.keys)
        return min(self.n, round((SKETCHED - 1) / (float(self.keys[-1]) / _ALL)))

    @property
    def exact(self) -> bool:
        """Whether `distinct` was counted, and not estimated."""
        return len(self.keys) < SKETCHED


def key_of(tokens: Sequence[int], seed: int) -> int:
    """Return a seeded hash of tokens, from 0 to 2^64."""
    told = hashlib.blake2b(np.asarray(tokens, dtype="<i4").tobytes(), digest_size=8, key=str(seed).encode())
    return int.from_bytes(told.digest(), "little")


def share_of(cluster: str, shape: Shape) -> str:
    """Return the group that a cluster has with others, by a seeded hash.

    Examples
    --------
    >>> share_of("word 000040", Shape(200, 0, 0, {}))
    'group 160 of 200'
    """
    told = hashlib.blake2b(cluster.encode(), digest_size=8, key=str(shape.seed).encode()).digest()
    return f"group {int.from_bytes(told, 'little') % shape.groups:03d} of {shape.groups}"


def state_of(
    rows: np.ndarray,
    clusters: Sequence[str],
    keys: np.ndarray,
    texts: Mapping[int, str],
    places: Sequence[int],
    shape: Shape,
) -> State:
    """Return the state of some contexts.

    Parameters
    ----------
    rows : ndarray of float32
        (context, place, width).
    clusters : sequence of str
        Of each context.
    keys : ndarray of uint64
        Of each context, as `key_of` gives them.
    texts : mapping of int to str
        Of those contexts that may be drawn (`to_draw`), by their numbers.
    places : sequence of int
        Where each target stands.
    shape : Shape
        How they are kept.
    """
    labels, shared = list(clusters), len(set(clusters)) > shape.groups
    if shared:
        labels = [share_of(cluster, shape) for cluster in labels]
    members: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        members.setdefault(label, []).append(number)
    groups = {label: shrunk(group_of(rows[members[label]], shape.projections)) for label in sorted(members)}
    chosen = to_draw(keys, shape)
    drawn = Drawn(keys[chosen], rows[chosen], tuple(texts[int(at)] for at in chosen))
    return State(shape, groups, shared, np.unique(keys)[:SKETCHED], drawn, Counter(places))


def to_draw(keys: np.ndarray, shape: Shape) -> np.ndarray:
    """Return which contexts have the least keys, the first of those with the same one."""
    return np.unique(keys, return_index=True)[1][: shape.drawn]


def merge_states(first: State, second: State) -> State:
    """Return both together, which are used up; for the same bits again, merge the same in the same order."""
    shape = first.shape
    shared = first.shared or second.shared or len({*first.groups, *second.groups}) > shape.groups
    one, other = (_shared_out(state) if shared else state.groups for state in (first, second))
    groups = {}
    for label in sorted({*one, *other}):
        mine, theirs = one.get(label), other.get(label)
        if mine is not None and theirs is not None:
            groups[label] = merged(mine, theirs)
        else:
            groups[label] = mine or theirs  # type: ignore[assignment] # one of them is there
    return State(
        shape,
        groups,
        shared,
        np.unique(np.concatenate([first.keys, second.keys]))[:SKETCHED],
        first.drawn.merged(second.drawn, shape.drawn),
        first.places + second.places,
    )


def _shared_out(state: State) -> dict[str, Group]:
    if state.shared:
        return dict(state.groups)
    found: dict[str, Group] = {}
    for cluster in sorted(state.groups):
        label = share_of(cluster, state.shape)
        group = state.groups[cluster]
        found[label] = merged(found[label], group) if label in found else group
    return found


def to_arrays(state: State) -> dict[str, np.ndarray]:
    """Return a state as arrays alone, as they are written; `from_arrays` reads them."""
    about: dict[str, Any] = {
        "labels": list(state.groups),
        "n": [group.n for group in state.groups.values()],
        "as_rows": [not isinstance(group.kept, Packed) for group in state.groups.values()],
        "shared": state.shared,
        "texts": list(state.drawn.texts),
        "places": sorted(state.places.items()),
    }
    arrays = {
        "about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
        "keys": state.keys,
        "drawn_keys": state.drawn.keys,
        "drawn_rows": state.drawn.rows,
    }
    every = list(state.groups.values())
    if every:
        arrays |= {"units": np.stack([g.units for g in every]), "lengths": np.stack([g.lengths for g in every])}
    rows = [group.kept for group in every if not isinstance(group.kept, Packed)]
    if rows:
        arrays["rows"] = np.concatenate(rows)
    moments = [group.kept for group in every if isinstance(group.kept, Packed)]
    if moments:
        # One by one: a stack of them would be in memory twice.
        arrays |= {f"{name}-{at}": getattr(one, name) for name in _MOMENTS for at, one in enumerate(moments)}
    return arrays


_MOMENTS = tuple(one.name for one in fields(Packed))


def from_arrays(arrays: Mapping[str, np.ndarray], shape: Shape) -> State:
    """Return the state that `to_arrays` gave as arrays, bit by bit."""
    about = json.loads(bytes(np.asarray(arrays["about"])))
    groups: dict[str, Group] = {}
    row = moment = 0
    for number, (label, n, as_rows) in enumerate(zip(about["labels"], about["n"], about["as_rows"], strict=True)):
        kept: np.ndarray | Packed
        if as_rows:
            kept = arrays["rows"][row : row + n]
            row += n
        else:
            kept = Packed(*(arrays[f"{name}-{moment}"] for name in _MOMENTS))
            moment += 1
        groups[label] = Group(n, arrays["units"][number], arrays["lengths"][number], kept)
    drawn = Drawn(arrays["drawn_keys"], arrays["drawn_rows"], tuple(about["texts"]))
    places = Counter({int(place): int(count) for place, count in about["places"]})
    return State(shape, groups, bool(about["shared"]), arrays["keys"], drawn, places)
