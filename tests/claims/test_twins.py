"""Untrained twins with no model: which seeds, what is computed when, and what is kept on disk."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from qkvcheck.capture import samples as samples_module
from qkvcheck.capture.activations import Activations
from qkvcheck.capture.samples import Samples
from qkvcheck.capture.stored import CaptureStore
from qkvcheck.claims import untrained
from qkvcheck.claims.kept import digest
from qkvcheck.claims.untrained import Twins, Untrained, default_seeds
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Capture
from tests.claims.test_kept import CONTEXTS, PLAN, hooked

asked: list[int] = []
networks: list[weakref.ref] = []


class Network(SimpleNamespace):
    """One of which it can be told whether anybody holds it."""


@dataclass(frozen=True)
class Total:
    """The sum of everything, times a factor; it counts how often it is asked."""

    factor: int = 1

    def __call__(self, sample):
        asked.append(self.factor)
        return [self.factor * float(sample.arrays[0].sum())]


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """Twins whose rows are their seed, and the seeds that were drawn."""
    seeds: list[int] = []

    def twin(model, *, seed):
        seeds.append(seed)
        made = Network(**{**vars(model), "seed": seed, "depth": 8})
        networks.append(weakref.ref(made))
        return made

    def capture(model, contexts, *, layers, **_asked):
        values = np.full((len(contexts), len(layers), 4), float(model.seed)) + np.array(layers)[:, None] / 10
        return Activations(values, ("context", "layer", "width"), tuple(layers), {"Q": slice(0, 4)})

    monkeypatch.setattr(untrained, "untrained_twin", twin)
    monkeypatch.setattr(samples_module, "capture", capture)
    asked.clear()
    networks.clear()
    return seeds


def captured(**provenance) -> Activations:
    told = {"recipe": "r", **provenance}
    return Activations(np.zeros((2, 2, 4)), ("context", "layer", "width"), (5, 6), {"Q": slice(0, 4)}, provenance=told)


def seeds_of(folder=None, *, count=3, layer=6, given=None, capture=Capture.TARGET, announce=None, seed=0):
    networks = Twins(Samples(hooked(), CONTEXTS, PLAN), seed=seed, count=count, folder=folder, announce=announce)
    return Untrained(networks, capture).at(layer, captured() if given is None else given)


def test_each_seed_has_its_own_number(drawn):
    found = seeds_of()
    assert found.count == 3
    assert found.measure(Total()) == [[8 * (seed + 0.6)] for seed in range(3)]
    assert found.measure(Total(), first=2) == [[8 * 0.6], [8 * 1.6]]
    assert found.measure(Total(2))[2] == [16 * 2.6]
    assert drawn == [0, 1, 2]  # each network once
    assert asked == [1, 1, 1, 2, 2, 2]
    assert seeds_of(layer=5, seed=4).measure(Total()) == [[8 * (seed + 0.5)] for seed in (4, 5, 6)]


def test_the_model_is_not_among_its_twins():
    own = SimpleNamespace(**{**vars(hooked()), "spec": SimpleNamespace(untrained_seed=2)})
    for first, want in ((0, [0, 1, 3]), (2, [3, 4, 5]), (3, [3, 4, 5])):
        assert Twins(Samples(own, CONTEXTS, PLAN), seed=first, count=3).seeds == want
    assert Twins(Samples(hooked(), CONTEXTS, PLAN), seed=2, count=3).seeds == [2, 3, 4]


def test_how_many_seeds_a_size_gets():
    # SmolLM2-135M and GPT-2 small get 19, GPT-2 medium one
    sizes = (1, 134_515_008, 124_439_808, 200_000_000, 200_000_001, 354_823_168)
    assert [default_seeds(count) for count in sizes] == [19, 19, 19, 19, 1, 1]


class TestLargeNetworks:
    """Those of which not all are held."""

    @pytest.fixture(autouse=True)
    def sized(self, monkeypatch):
        def refuse(samples):
            del samples
            raise NotCapturedError("not in these")

        monkeypatch.setattr(untrained, "HELD", 9)
        monkeypatch.setattr(Samples, "matched", property(refuse))

    @staticmethod
    def networks(*ahead: Capture, count=3) -> Twins:
        return Twins(Samples(hooked(parameters=10), CONTEXTS, PLAN), seed=0, count=count, ahead=lambda: ahead)

    @staticmethod
    def alive() -> int:
        gc.collect()
        return sum(one() is not None for one in networks)

    def test_each_is_drawn_once_for_all_that_will_be_asked(self, drawn):
        twins = self.networks(Capture.TARGET, Capture.EVERY_LAYER)
        numbers = [Untrained(twins, capture).at(6, captured()).measure(Total()) for capture in
                   (Capture.TARGET, Capture.EVERY_LAYER, Capture.TARGET)]  # fmt: skip
        assert numbers == [[[8 * (seed + 0.6)] for seed in range(3)]] * 3
        assert drawn == [0, 1, 2]
        assert self.alive() == 0  # their weights are gone, those of the last one too

    def test_what_was_not_foreseen_is_drawn_again(self, drawn):
        twins = self.networks(Capture.TARGET)
        for capture in (Capture.TARGET, Capture.EVERY_LAYER):
            Untrained(twins, capture).at(6, captured()).measure(Total())
        assert drawn == [0, 1, 2, 0, 1, 2]

    def test_what_makes_no_sense_says_so_each_time(self, drawn):
        twins = self.networks(Capture.TARGET, Capture.MATCHED)
        for seed in (0, 1, 2):
            assert twins.captured(seed, Capture.TARGET).values.shape[0] == len(CONTEXTS)
        for seed in (0, 1, 2, 0):
            with pytest.raises(NotCapturedError, match="not in these"):
                twins.captured(seed, Capture.MATCHED)
        assert drawn == [0, 1, 2]
        assert self.alive() == 0  # an error that is kept holds nothing


class TestManyContexts:
    """Captures that are together more than is held."""

    @pytest.fixture(autouse=True)
    def sized(self, monkeypatch):
        monkeypatch.setattr(untrained, "IN_MEMORY", 0)
        monkeypatch.setattr(untrained, "CaptureStore", partial(CaptureStore, in_memory=0))

    def test_each_network_is_drawn_and_run_once_and_its_rows_are_read_again(self, drawn):
        seeds = seeds_of()
        assert [seeds.measure(Total(factor)) for factor in (1, 2)] == [
            [[factor * 8 * (seed + 0.6)] for seed in range(3)] for factor in (1, 2)
        ]
        assert drawn == [0, 1, 2]
        gc.collect()
        assert [one() for one in networks] == [None, None, None]
        assert len(seeds._sampled) == 1  # one network's rows at a time

    def test_few_contexts_are_held_as_before(self, monkeypatch):
        monkeypatch.setattr(untrained, "IN_MEMORY", 10**9)
        assert not seeds_of()._untrained.twins.streams


def test_a_number_is_kept_on_disk_under_its_name(drawn, tmp_path):
    folder = tmp_path / "not" / "yet"
    first = seeds_of(folder)
    numbers = first.measure(Total())
    files = {path.name for path in folder.iterdir()}
    assert files == {f"untrained-{digest(first.key(Total(), seed))}.json" for seed in range(3)}
    assert [json.loads((folder / name).read_text())["value"] in numbers for name in files] == [True] * 3
    drawn.clear()
    asked.clear()
    assert seeds_of(folder).measure(Total()) == numbers
    assert (drawn, asked) == ([], [])  # no network was made, and nothing computed
    assert seeds_of(folder).measure(Total(3)) == [[3 * value] for (value,) in numbers]
    assert asked == [3, 3, 3]
    next(folder.iterdir()).write_text("{ broken")
    for path in folder.iterdir():
        path.write_text("{ broken")
    asked.clear()
    assert seeds_of(folder).measure(Total()) == numbers
    assert asked == [1, 1, 1]
    assert seeds_of(folder).measure(Total()) == numbers
    assert asked == [1, 1, 1]  # written anew


@pytest.mark.parametrize("given", [captured(recipe=""), (captured(), captured(recipe=""))])
@pytest.mark.usefixtures("drawn")
def test_what_nobody_knows_the_recipe_of_is_not_kept(tmp_path, given):
    found = seeds_of(tmp_path, given=given)
    assert found.measure(Total()) == found.measure(Total())
    assert asked == [1] * 6
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(drawn):
    told: list[str] = []
    seeds_of(announce=told.append).measure(Total(), first=2)
    assert told == ["untrained twin 1 of 3", "untrained twin 2 of 3"]
    assert drawn == [0, 1]


def test_a_twin_is_sampled_as_the_model_is(drawn):
    networks = Twins(Samples(hooked(), CONTEXTS, PLAN), seed=1, count=2)
    found = networks.samples(1)
    assert (found.plan, found.contexts, found.hooked.seed) == (PLAN, CONTEXTS, 1)
    assert networks.samples(1) is found
    assert drawn == [1]
    assert networks.identity(1) == networks.identity(1) != networks.identity(2)
    assert networks.sampled == digest((CONTEXTS, PLAN)) != digest((CONTEXTS, replace(PLAN, exact_layout=True)))
