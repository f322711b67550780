"""The registry of statistics: names, what a project registers of its own, and what each gives without a cluster."""

from __future__ import annotations

import gc
import importlib
import sys

import numpy as np
import pytest

from qkvcheck.capture.activations import Activations
from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.claims.kept import digest
from qkvcheck.claims.layers import judge_layers
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics import formulas, registry
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import Statistic, register_statistic, statistic_named, statistics_by_name
from qkvcheck.statistics.sample import Sample, distinct

OUTSIDE = """
from qkvcheck.statistics.registry import Statistic

class Largest(Statistic):
    name, words, reading = "largest", "the largest number", "any number."

    def compute(self, parts, measure):
        return float({formula})
"""


@pytest.fixture
def registered(monkeypatch):
    """The registry, to be left as it was."""
    monkeypatch.setattr(registry, "_STATISTICS", dict(statistics_by_name()))
    return registry._STATISTICS


def made(name: str, value: float, *, qualname: str = "Made") -> type[Statistic]:
    """Return a statistic that is always the same number."""
    told = {"name": name, "words": "a number", "reading": "any number.", "compute": lambda *_: value}
    return type("Made", (Statistic,), {**told, "__qualname__": qualname})


def test_names_are_those_of_their_classes():
    known = statistics_by_name()
    assert {name: statistic.name for name, statistic in known.items()} == {name: name for name in known}
    assert {"variance", "row_mean", "stability", "least_row_mean"} <= set(known)
    assert all(statistic.identity == name for name, statistic in known.items() if _is_ours(statistic))


def _is_ours(statistic: Statistic) -> bool:
    return type(statistic).__module__.startswith("qkvcheck.")


@pytest.mark.usefixtures("registered")
def test_a_second_class_of_the_same_name_is_refused():
    before = statistic_named("variance")
    with pytest.raises(ClaimError, match=r"'variance' is registered already, by qkvcheck\..*\.Variance; rename it"):
        register_statistic(made("variance", 1.0))
    assert statistic_named("variance") is before
    register_statistic(made("mine", 1.0))
    with pytest.raises(ClaimError, match=r"'mine' is registered already, by .*Made; rename it"):
        register_statistic(made("mine", 2.0, qualname="Other"))
    assert statistic_named("mine").compute([], "cosine") == 1.0


@pytest.mark.usefixtures("registered")
def test_the_same_class_may_be_made_anew():
    """As a module that is imported again, or a cell of a notebook that is run again, does."""
    comparison = Comparison("Q", "cosine")
    sample = Sample((np.eye(3),), {"Q": slice(0, 3)})
    for value in (1.0, 2.0):
        register_statistic(made("mine", value))
        found = measure(statistic_named("mine"), sample, comparison)
        assert found.replicates.whole == value
        assert found.replicates.without.tolist() == [value] * 3


@pytest.mark.parametrize(
    ("name", "near"), [("varience", "variance"), ("row_men", "row_mean"), ("stabilty", "stability")]
)
def test_a_misspelt_name_is_told_the_nearest(name, near):
    with pytest.raises(ClaimError) as caught:
        statistic_named(name, claim="P5")
    told = str(caught.value)
    assert told.startswith(f"claim P5: statistic {name!r} is not known; allowed: ")
    assert told.endswith(f"Did you mean {near!r}?")
    with pytest.raises(ClaimError, match=r"^statistic 'zzz' is not known; allowed: [a-z_, ]+\.$"):
        statistic_named("zzz")


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Import a statistic of a project's own from its file, as written last."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two sources of one second would be taken for the same

    def load(formula: str) -> Statistic:
        (tmp_path / "outside_of_qkvcheck.py").write_text(OUTSIDE.format(formula=formula))
        sys.modules.pop("outside_of_qkvcheck", None)
        importlib.invalidate_caches()
        return importlib.import_module("outside_of_qkvcheck").Largest()

    yield load
    sys.modules.pop("outside_of_qkvcheck", None)


def test_identity_outside_the_package_changes_with_its_source(imported):
    first = imported("parts[0][0].max()").identity
    second = imported("parts[0][0].max() + 1").identity
    again = imported("parts[0][0].max()").identity
    assert first == again != second
    assert first.startswith("largest ")


HELPED = """
from outside_helper import scaled
from qkvcheck.statistics.registry import Statistic

class Scaled(Statistic):
    name, words, reading = "scaled", "the largest number, scaled", "any number."

    def compute(self, parts, measure):
        return scaled(float(parts[0][0].max()))
"""


@pytest.mark.parametrize("through", [False, True])
def test_identity_changes_with_what_its_module_takes_from_its_project(tmp_path, monkeypatch, through):
    """A helper, or a helper's helper, of the same project; not numpy."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = []
    for factor in (2, 3, 2):
        last = tmp_path / ("outside_factor.py" if through else "outside_helper.py")
        if through:
            text = "import numpy\nimport outside_factor\n\ndef scaled(x):\n    return outside_factor.times(x)\n"
            (tmp_path / "outside_helper.py").write_text(text)
        last.write_text(f"def {'times' if through else 'scaled'}(x):\n    return {factor} * x\n")
        (tmp_path / "outside_helped.py").write_text(HELPED)
        for name in ("outside_helped", "outside_helper", "outside_factor"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        found.append(importlib.import_module("outside_helped").Scaled().identity)
    for name in ("outside_helped", "outside_helper", "outside_factor"):
        sys.modules.pop(name, None)
    assert found[0] == found[2] != found[1]


def test_identity_without_a_source_is_that_of_no_other():
    """As in a notebook: nothing that was kept of another class may be taken for its own."""
    code = "from qkvcheck.statistics.registry import Statistic\n" + OUTSIDE.format(formula=1)
    found = []
    for _ in range(5):  # a class that is gone leaves its address to the next
        room: dict = {"__name__": "no_such_module"}
        exec(code, room)
        statistic = room["Largest"]()
        found.append(statistic.identity)
        assert statistic.identity == found[-1]
        del statistic, room
        gc.collect()
    assert len(set(found)) == 5


@pytest.mark.parametrize("measure_name", ["cosine", "pearson"])
@pytest.mark.parametrize("name", ["row_mean", "row_variance"])
def test_rows_without_each_cluster_are_what_brute_force_gives(name, measure_name, rng):
    """Statistics over pairs of contexts, with clusters of several rows, one at a time left out by hand."""
    x = rng.normal(size=(20, 9)) + rng.normal(size=9)
    clusters = tuple(f"c{row % 7}" for row in range(20))
    rows = distinct(Sample((x,), {"Q": slice(0, 5), "K": slice(5, 9)}, (clusters,), "label"))
    comparisons = [Comparison("Q", measure_name), Comparison("K", measure_name)]
    found = statistic_named(name).replicate(rows, comparisons, rows.clusters)
    by_hand = getattr(formulas, name)
    for comparison, part in zip(comparisons, (slice(0, 5), slice(5, 9)), strict=True):
        assert found[comparison].whole == pytest.approx(by_hand(x[:, part], measure=measure_name), abs=1e-12)
        for cluster, value in zip(rows.clusters, found[comparison].without, strict=True):
            kept = x[np.array([c != cluster for c in clusters])][:, part]
            assert value == pytest.approx(by_hand(kept, measure=measure_name), abs=1e-12)


def test_a_cluster_that_the_rows_lack_leaves_the_number_as_it_is(rng):
    rows = distinct(Sample((rng.normal(size=(8, 6)),), {"Q": slice(0, 6)}))
    for name, group in (("row_mean", "Q"), ("variance", "QQ"), ("offset_share", "QQ")):
        comparison = Comparison(group, "cosine")
        found = statistic_named(name).replicate(rows, [comparison], ("elsewhere", rows.clusters[0]))[comparison]
        assert found.without[0] == found.whole != found.without[1]


class Asked:
    """Untrained networks that keep under which name they were asked."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def at(self, _layer, _captured, **_):
        return self

    def measure(self, number, *, first=None):
        del first
        self.names.append(digest(number))
        return [[0.0, 0.0]]


def test_numbers_of_untrained_networks_are_kept_under_the_identity(rng, registered, imported):
    """Another source must not find what was kept on disk of the one before."""
    comparison, untrained = Comparison("QQ", "cosine"), Asked()
    captured = Activations(rng.normal(size=(30, 2, 4)), ("context", "layer", "width"), (0, 1), {"Q": slice(0, 4)})
    claim = Claim("mine", "large", "largest", Direction.ABOVE, 0.0, groups=("QQ",), primary=(comparison,))
    for formula in ("parts[0][0].max()", "parts[0][0].max() + 1"):
        registered["largest"] = imported(formula)
        judge_layers(claim, cells(claim, layers=[0])[0], captured, untrained=untrained)
    assert len(untrained.names) == 4
    assert untrained.names[0] == untrained.names[1] != untrained.names[2]
