"""Captures on disk: the same numbers, no more than was asked for in memory, and nothing left behind."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from qkvcheck.capture.activations import Activations, sample_of
from qkvcheck.capture.stored import CaptureStore

pytestmark = pytest.mark.quick


def captured(seed, n=30):
    values = np.random.default_rng(seed).normal(size=(n, 2, 6)).astype(np.float32)
    return Activations(
        values,
        ("context", "layer", "width"),
        (5, 6),
        {"Q": slice(0, 6)},
        clusters=tuple(f"c{k % 12}" for k in range(n)),
        provenance={"recipe": "r"},
    )


def test_what_is_read_back_is_what_was_put_there_bit_for_bit():
    store, own = CaptureStore(in_memory=0), captured(0)
    store.put("a", own)
    found = store.get("a")
    assert found is not own
    assert (found.values == own.values).all()
    assert (found.clusters, found.provenance, found.layers) == (own.clusters, own.provenance, own.layers)
    one, two = (sample_of(which, layer=6) for which in (found, own))
    assert (one.arrays[0] == two.arrays[0]).all()


def test_several_captures_and_reasons_come_back_as_they_are():
    store, pair = CaptureStore(in_memory=0), (captured(0), captured(1, n=9))
    store.put("pair", pair)
    store.put("why", "it makes no sense here")
    assert [(a.values == b.values).all() for a, b in zip(store.get("pair"), pair, strict=True)] == [True, True]
    assert store.get("why") == "it makes no sense here"
    assert "pair" in store
    assert "other" not in store


def test_only_so_much_is_held_in_memory():
    store = CaptureStore(in_memory=captured(0).values.nbytes + 1)
    for seed in range(3):
        store.put(seed, captured(seed))
    held = [part.values.nbytes for part in store._kept.values()]
    assert held == [captured(0).values.nbytes, 0, 0]
    assert [(store.get(seed).values == captured(seed).values).all() for seed in range(3)] == [True] * 3


def test_the_folder_goes_with_the_store():
    store = CaptureStore(in_memory=0)
    store.put("a", captured(0))
    folder = store._folder
    assert len(list(folder.iterdir())) == 1
    del store
    gc.collect()
    assert not folder.exists()


def test_where_the_disk_is_full_memory_has_to_do(monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("qkvcheck.capture.stored.np.save", full)
    store = CaptureStore(in_memory=0)
    store.put("a", captured(0))
    assert (store.get("a").values == captured(0).values).all()
