"""States: clusters are groups of their own while they fit, else shared out; contexts are drawn evenly; none is lost."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from qkvcheck.sweep.state import (
    SKETCHED,
    Shape,
    from_arrays,
    key_of,
    merge_states,
    share_of,
    state_of,
    to_arrays,
    to_draw,
)
from tests.sweep.made_up import BLOCKS

RNG = np.random.default_rng(0)
SHAPE = Shape(4, 5, 0, BLOCKS)


def state(labels, *, shape=SHAPE, keys=None):
    count = len(labels)
    rows = RNG.normal(size=(count, 2, 12)).astype(np.float32)
    keys = np.array(
        [key_of((n, int(RNG.integers(1 << 30))), 0) for n in range(count)] if keys is None else keys, np.uint64
    )
    texts = {int(at): f"text {keys[at]}" for at in to_draw(keys, shape)}
    return state_of(rows, labels, keys, texts, [2] * count, shape), rows


def test_each_cluster_is_a_group_while_they_fit():
    found, rows = state(["b", "a", "b", "c", "d"])
    assert (list(found.groups), found.shared) == (["a", "b", "c", "d"], False)
    assert (found.groups["b"].kept == rows[[0, 2]]).all()


def test_more_clusters_than_groups_are_shared_out():
    labels = [f"cluster {n % 9}" for n in range(40)]
    found, _ = state(labels)
    assert found.shared
    assert {label: group.n for label, group in found.groups.items()} == dict(
        Counter(share_of(label, SHAPE) for label in labels)
    )


@pytest.mark.parametrize("cuts", [[10, 20], [1, 2, 3, 38], [39]])
def test_however_it_is_cut_the_same_contexts_share_a_group(cuts):
    labels = [f"cluster {n % 7}" for n in range(40)]
    keys = np.arange(40)[::-1] * 12345
    whole = state(labels, keys=keys)[0]
    found = None
    for start, stop in zip([0, *cuts], [*cuts, 40], strict=True):
        piece = state(labels[start:stop], keys=keys[start:stop])[0]
        found = piece if found is None else merge_states(found, piece)
    assert {label: group.n for label, group in found.groups.items()} == {k: g.n for k, g in whole.groups.items()}
    assert (found.keys == whole.keys).all()
    assert (found.drawn.keys == whole.drawn.keys).all()
    assert found.drawn.texts == whole.drawn.texts
    assert found.places == whole.places == Counter({2: 40})


def test_repeated_contexts_are_drawn_and_counted_once():
    found = state(["a"] * 6, keys=[5, 3, 5, 9, 3, 1])[0]
    assert found.drawn.keys.tolist() == [1, 3, 5, 9]
    assert (found.n, found.distinct, found.exact) == (6, 4, True)


def test_distinct_contexts_beyond_the_sketch_are_told_to_a_few_percent():
    keys = np.random.default_rng(1).integers(0, 2**64 - 1, size=50_000, dtype=np.uint64)
    both = merge_states(*(state(["a"] * 50_000, keys=keys, shape=Shape(4, 0, 0, BLOCKS))[0] for _ in range(2)))
    assert len(both.keys) == SKETCHED
    assert not both.exact
    assert both.distinct == pytest.approx(50_000, rel=0.05)  # 3 standard errors of 1.6 percent


@pytest.mark.parametrize("count", [3, 40])
def test_arrays_hold_every_bit(count):
    found = state([f"cluster {n % 3}" for n in range(count)])[0]
    again = from_arrays({name: array.copy() for name, array in to_arrays(found).items()}, SHAPE)
    assert list(again.groups) == list(found.groups)
    one, other = to_arrays(found), to_arrays(again)
    assert one.keys() == other.keys()
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    assert all(one[name].dtype == other[name].dtype for name in one)


def test_draws_hang_on_the_seed_alone():
    assert key_of((1, 2, 3), 0) == key_of([1, 2, 3], 0) != key_of((1, 2, 3), 1)


def test_merged_clusters_that_fit_stay_apart():
    one, other = state(["a", "b", "c"])[0], state(["b", "c", "a", "d"])[0]
    found = merge_states(one, other)
    assert {label: group.n for label, group in found.groups.items()} == {"a": 2, "b": 2, "c": 2, "d": 1}
    assert not found.shared
    assert merge_states(found, state(["e"])[0]).shared


def test_a_context_of_two_shards_is_drawn_once():
    one, other = state(["a", "a"], keys=[7, 3])[0], state(["a", "a"], keys=[3, 1])[0]
    rows = {3: one.drawn.rows[0].copy()}
    found = merge_states(one, other).drawn
    assert found.keys.tolist() == [1, 3, 7]
    assert (found.rows[1] == rows[3]).all()  # of the first shard that has it
    assert found.texts == ("text 1", "text 3", "text 7")
