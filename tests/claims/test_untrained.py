"""Untrained networks: their seeds, their rows, and their numbers on disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np
import pytest

from qkvcheck.capture.activations import sample_of
from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims import untrained
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.claims.controls.collection import Controls
from qkvcheck.claims.untrained import Twins, Untrained, default_seeds
from qkvcheck.groups import Capture
from qkvcheck.models.loading import untrained_twin
from tests.conftest import ROOT

WORDS = load_claims(*(ROOT / "experiments" / name for name in ("claims.toml", "beyond.toml"))).words.lists()


calls: list[int] = []


@dataclass(frozen=True)
class RowsOf:
    """All rows."""

    def __call__(self, sample):
        return sample.arrays[0].tolist()


@dataclass(frozen=True)
class Total:
    """The sum of everything, under a name; it counts how often it is asked."""

    name: str

    def __call__(self, sample):
        calls.append(1)
        return float(sample.arrays[0].sum())


@pytest.fixture(scope="module")
def samples(embedded, replication) -> Samples:
    return Samples(embedded, replication, Plan((5, 6), WORDS, fresh_count=59, fresh_seed=1))


@pytest.fixture(scope="module")
def found(samples):
    return Controls(samples, seed=0, untrained_seeds=2).of("target")


def test_untrained_seeds(samples, embedded, found):
    seeds = found["untrained"].at(6, samples.target)
    assert seeds.count == 2
    rows = seeds.measure(RowsOf())
    for seed, values in enumerate(rows):
        twin = capture(untrained_twin(embedded, seed=seed), samples.contexts, layers=(5, 6))
        np.testing.assert_allclose(np.array(values), twin.at(6), atol=1e-6)
    assert seeds.measure(RowsOf(), first=1) == rows[:1]


def test_an_untrained_model_is_not_its_own_control(full_size, samples):
    assert Twins(Samples(full_size, samples.contexts, samples.plan), seed=0, count=3).seeds == [1, 2, 3]
    assert (default_seeds(2_559_744), default_seeds(124_439_808)) == (19, 19)


def test_a_large_twin_has_the_numbers_of_one_that_is_held(samples, monkeypatch):
    """To the bit, though its target is cut out of the capture of every layer and its weights are gone."""
    names = [Capture(name) for name in ("target", "every_layer", "words", "generic_removed", "fresh", "matched")]

    def rows(**given):
        networks = Twins(samples, seed=0, count=2, **given)
        return [networks.captured(seed, name) for seed in networks.seeds for name in names]

    held = rows()
    monkeypatch.setattr(untrained, "HELD", 1)
    for one, other in zip(held, rows(ahead=lambda: names), strict=True):
        pairs = zip(*((part if isinstance(part, tuple) else (part,)) for part in (one, other)), strict=True)
        for first, second in pairs:
            np.testing.assert_array_equal(first.values, second.values)
            assert (first.layers, first.clusters, first.seen) == (second.layers, second.clusters, second.seen)


def test_untrained_numbers_are_kept_on_disk(samples, tmp_path):
    def numbers(name, what="a", layer=6, folder=tmp_path):
        calls.clear()
        untrained = Untrained(Twins(samples, seed=0, count=2, folder=folder), Capture(name))
        return untrained.at(layer, samples.captured(name)).measure(Total(what)), len(calls)

    first, made = numbers("target")
    assert made == 2
    assert numbers("target") == (first, 0)
    assert numbers("target", what="b") == (first, 2)
    assert numbers("target", layer=5)[1] == 2
    assert numbers("generic_removed")[1] == 2
    assert numbers("target", folder=None) == (first, 2)
    for damage in ("{ broken", "[]", '{"value": 1.0}'):  # more of it: tests/fuzz/test_cache.py
        for path in tmp_path.iterdir():
            path.write_text(damage)
        assert numbers("target") == (first, 2)
    assert numbers("target") == (first, 0)


def test_sample_of_takes_a_layer(samples):
    sample = sample_of((samples.fresh, samples.target), layer=5)
    np.testing.assert_array_equal(sample.arrays[1], samples.target.at(5))
    assert sample.cluster_kind == "first token"
    assert [len(clusters) for clusters in sample.clusters] == [59, 54]
    assert sample.arrays[0].shape == (59, 384)


def test_numbers_on_disk_go_with_the_code_of_every_room():
    """Another version of any module computes anew; hashing this room alone would serve stale numbers in silence."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "qkvcheck").rglob("*.py")):
        digest.update(os.fsencode(path.relative_to(ROOT / "qkvcheck")) + path.read_bytes())
    assert untrained._own_code() == digest.hexdigest()
