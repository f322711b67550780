"""The name under which a number of an untrained network is kept: another one for whatever changes the number."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import fields, make_dataclass, replace
from enum import Enum
from importlib import metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from qkvcheck.capture.activations import Activations
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims import seed_numbers, untrained
from qkvcheck.claims.claim import Criterion, Direction
from qkvcheck.claims.kept import KeptNumber, digest
from qkvcheck.claims.seed_numbers import SeedAtPlace, SeedHistogram, SeedPlugIns, SeedReplicates, SeedValues
from qkvcheck.claims.untrained import Twins, Untrained
from qkvcheck.contexts.context import Context, ContextSet
from qkvcheck.groups import Capture, Comparison, Turns
from qkvcheck.models import twins
from qkvcheck.models.architecture import Architecture
from qkvcheck.models.twins import TwinIdentity, twin_identity
from qkvcheck.statistics.registry import Statistic, statistic_named

QQ, QK = Comparison("QQ", "cosine"), Comparison("QK", "cosine")
CONTEXTS = ContextSet(
    (Context("I saw her.", (40, 2497, 607, 13), 2), Context("We saw her.", (1135, 2497, 607, 13), 2)),
    " her", 607, "two", "0" * 64,
)  # fmt: skip
PLAN = Plan((5, 6), {"pronouns": (" him",), "others": (" it",)})
PLUG_INS = SeedPlugIns(statistic_named("variance"), (QQ, QK), Criterion(Direction.ABOVE, 0.4, 0.01), "dimensions", 20)
CAPTURED = Activations(
    np.zeros((2, 2, 6), np.float32), ("context", "layer", "width"), (5, 6), {"Q": slice(0, 2), "K": slice(2, 4)},
    provenance={"recipe": "r", "dtype": "float32", "clusters": "label"}, clusters=("a", "b"), seen=("a", "b"),
    subsets={"pronouns": (0, 1)}, factors={"position": ("position 0002", "position 0002")}, turns=(Turns(), Turns()),
)  # fmt: skip


class Config:
    """A configuration like those of transformers."""

    _attn_implementation = "sdpa"

    def __init__(self, **values):
        self.values = {"n_embd": 8, "_name_or_path": "somewhere", **values}

    def to_json_string(self, *, use_diff):
        assert use_diff is False  # what is as usual may be unusual in another release
        return json.dumps(self.values)


def hooked(config: Config | None = None, **changes) -> SimpleNamespace:
    told = {
        "held": SimpleNamespace(outline=SimpleNamespace()),
        "config": config or Config(),
        "dtype": "float32",
        "device": torch.device("cpu"),
        "architecture": Architecture("made-up", layers="h", attention="attn"),
        "spec": SimpleNamespace(untrained_seed=None),
        "parameters": 1,
        "projections": {"Q": slice(0, 4)},
    }
    return SimpleNamespace(**{**told, **changes})


def key(*, model=None, contexts=CONTEXTS, plan=PLAN, captured=CAPTURED, number=PLUG_INS, layer=6, head=None, seed=3,
        capture=Capture.TARGET) -> KeptNumber:  # fmt: skip
    networks = Twins(Samples(model or hooked(), contexts, plan), seed=0, count=5)
    return Untrained(networks, capture).at(layer, captured, head=head).key(number, seed)


def varied(value: object) -> object:
    """Return something else of the same type."""
    if isinstance(value, Enum):
        return next(other for other in type(value) if other is not value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, Statistic):
        return statistic_named("mean_square")
    if value is None:
        return 0.5
    if isinstance(value, Comparison):
        return Comparison("VV", "cosine")
    if isinstance(value, Criterion):
        return replace(value, threshold=value.threshold + 1)
    if isinstance(value, dict):
        return {**value, "Q": 99}
    if isinstance(value, tuple):
        return (varied(value[0]), *value[1:])
    raise AssertionError(f"no other {value!r} is known; say here what one is")


def test_the_same_is_found_again():
    """Made anew from equal parts, as a later process does."""
    assert digest(key()) == digest(key(contexts=replace(CONTEXTS), plan=replace(PLAN), captured=replace(CAPTURED)))
    assert len({digest(key(seed=seed)) for seed in range(4)}) == 4
    assert len({digest(key(head=head)) for head in (None, 0, 1)}) == 3


NUMBERS = {
    "plug-ins": PLUG_INS,
    "replicates": SeedReplicates(statistic_named("variance"), (QQ, QK), ("a", "b")),
    "histogram": SeedHistogram(QQ),
    "values": SeedValues((statistic_named("variance"), statistic_named("mean_square")), QQ),
    "at a place": SeedAtPlace(statistic_named("variance"), (QQ, QK), "position 0002"),
}
OF_NUMBERS = [(name, one.name) for name, number in NUMBERS.items() for one in fields(number)]


def test_every_computation_is_varied():
    """One that is added has to be added to the table above."""
    made = {one for name, one in vars(seed_numbers).items() if name.startswith("Seed") and callable(one)}
    ours = {one for one in made if isinstance(one, type) and "__dataclass_fields__" in vars(one)}
    assert ours == {type(number) for number in NUMBERS.values()}


@pytest.mark.parametrize(("name", "field"), OF_NUMBERS)
def test_whatever_a_computation_reads_is_in_the_name(name, field):
    number = NUMBERS[name]
    other = replace(number, **{field: varied(getattr(number, field))})
    assert digest(key(number=other)) != digest(key(number=number))


@pytest.mark.parametrize("field", [one.name for one in fields(Criterion)])
def test_threshold_direction_and_pole_share_are_in_the_name(field):
    criterion = replace(PLUG_INS.criterion, **{field: varied(getattr(PLUG_INS.criterion, field))})
    assert digest(key(number=replace(PLUG_INS, criterion=criterion))) != digest(key())


def test_computations_with_the_same_fields_are_told_apart():
    """By their class, and by the module where one of the same name stands."""
    made = []
    for name, module in (("One", "a"), ("Other", "a"), ("One", "b")):
        made.append(make_dataclass(name, [("comparison", Comparison)], frozen=True))
        made[-1].__module__ = module
    assert len({digest(one(QQ)) for one in made} | {digest({"comparison": QQ})}) == 4
    assert digest(made[0](QQ)) == digest(made[0](QQ)) != digest(made[0](QK))


def test_computations_of_one_statistic_are_told_apart():
    assert len({digest(key(number=number)) for number in NUMBERS.values()}) == len(NUMBERS)


@pytest.mark.parametrize("field", [one.name for one in fields(Plan)])
def test_the_plan_is_in_the_name(field):
    """Layers, word lists, fresh contexts, clusters, batches and the layout."""
    value = getattr(PLAN, field)
    other = {"pronouns": (" them",), "others": (" it",)} if field == "words" else varied(value)
    assert digest(key(plan=replace(PLAN, **{field: other}))) != digest(key())


@pytest.mark.parametrize("field", [one.name for one in fields(Context)])
def test_the_contexts_are_in_the_name(field):
    """Token ids, the target's index, and the rest."""
    first, second = CONTEXTS.contexts
    other = replace(first, **{field: varied(getattr(first, field))})
    assert digest(key(contexts=replace(CONTEXTS, contexts=(other, second)))) != digest(key())


@pytest.mark.parametrize("field", ["target", "target_id", "sha256"])
def test_the_target_is_in_the_name(field):
    assert digest(key(contexts=replace(CONTEXTS, **{field: varied(getattr(CONTEXTS, field))}))) != digest(key())
    assert digest(key(contexts=CONTEXTS.subset([1, 0]))) != digest(key())


@pytest.mark.parametrize("field", [one.name for one in fields(Activations) if one.init and one.name != "values"])
def test_what_is_told_of_the_activations_is_in_the_name(field):
    """Clusters, word lists, layers, what was run; the trained network's values are not."""
    others = {
        "projections": {"Q": slice(0, 3), "K": slice(3, 4)},
        "provenance": {**CAPTURED.provenance, "recipe": "other"},
        "subsets": {"pronouns": (0, 2)},
        "mask": np.ones((2, 3), dtype=bool),
        "heads": {"Q": 2},
    }
    other = replace(CAPTURED, **{field: others[field] if field in others else varied(getattr(CAPTURED, field))})
    assert digest(key(captured=other)) != digest(key())
    assert digest(key(captured=(CAPTURED, CAPTURED))) != digest(key())
    assert digest(key(captured=replace(CAPTURED, values=CAPTURED.values + 1))) == digest(key())


@pytest.mark.parametrize("changes", [{"capture": Capture.WORDS}, {"layer": 5}, {"seed": 4}])
def test_capture_layer_and_seed_are_in_the_name(changes):
    assert digest(key(**changes)) != digest(key())


@pytest.mark.parametrize("changes", [
    {"dtype": "bfloat16"}, {"device": torch.device("meta")}, {"config": Config(n_embd=16)},
    {"architecture": replace(hooked().architecture, norm="ln_2")},
], ids=lambda one: next(iter(one)))  # fmt: skip
def test_the_network_is_in_the_name(changes):
    assert digest(key(model=hooked(**changes))) != digest(key())


def test_where_a_model_was_loaded_from_is_not():
    assert digest(key(model=hooked(Config(_name_or_path="elsewhere")))) == digest(key())


def test_attention_is_in_the_name(monkeypatch):
    before = digest(key())
    monkeypatch.setattr(Config, "_attn_implementation", "eager")
    assert digest(key()) != before


@pytest.mark.parametrize("library", ["torch", "transformers", "tokenizers", "numpy", "scipy", "numba"])
def test_versions_are_in_the_name(monkeypatch, library):
    before, version = digest(key()), metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0" if name == library else version(name))
    assert digest(key()) != before


def test_a_library_that_is_not_there_is_in_the_name(monkeypatch):
    before, version = digest(key()), metadata.version

    def without_numba(name):
        if name == "numba":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_numba)
    assert digest(key()) != before


def test_python_machine_precision_kernel_and_our_own_code_are_in_the_name(monkeypatch):
    monkeypatch.delenv("QKV_KERNEL", raising=False)
    before = digest(key())
    for change in (
        lambda: monkeypatch.setattr(platform, "python_version", lambda: "9.9"),
        lambda: monkeypatch.setattr(platform, "machine", lambda: "other"),
        lambda: monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium"),
        lambda: monkeypatch.setitem(os.environ, "QKV_KERNEL", "reference"),
        lambda: monkeypatch.setattr(untrained, "_own_code", lambda: "other"),
        lambda: monkeypatch.setattr(twins, "_code_of", lambda _network: "other"),
    ):
        change()
        assert digest(key()) != before
        monkeypatch.undo()
        monkeypatch.delenv("QKV_KERNEL", raising=False)
        assert digest(key()) == before


def test_code_that_came_with_a_model_is_in_the_name():
    """A directory may bring its network's class; without a source it is like no other."""
    found = []
    for text in ("class Net:\n    x = 1\n", "class Net:\n    x = 2\n"):
        room: dict = {"__name__": "no_such_module"}
        exec(text, room)
        found.append(twins._code_of(room["Net"]))
    assert len(set(found)) == 2
    assert twins._code_of(Twins) == twins._code_of(Twins)
    assert twins._code_of(Twins) != twins._code_of(Untrained)


@pytest.mark.parametrize("field", [one.name for one in fields(TwinIdentity)])
def test_every_field_of_a_network_is_in_the_name(field):
    own = twin_identity(hooked(), seed=3)
    others = {"config": {"n_embd": 9}, "architecture": replace(own.architecture, causal=False), "libraries": {}}
    other = replace(own, **{field: others[field] if field in others else varied(getattr(own, field))})
    assert digest(other) != digest(own)


@pytest.mark.parametrize("field", [one.name for one in fields(KeptNumber)])
def test_every_field_of_a_number_is_in_the_name(field):
    own = key()
    assert digest(replace(own, **{field: varied(getattr(own, field))})) != digest(own)
    assert own.twin == digest(twin_identity(hooked(), seed=3))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True), (1, "1"), (None, "None"), (1.0, 1.5), (0.1, 0.1 + 1e-16), ([], {}), ((1,), ((1,),)),
        ({"a": 1}, {"a": 2}), ({"a": 1}, {"b": 1}), ({"a": 1}, [["a", 1]]), (slice(0, 1), slice(0, 1, 2)),
        (slice(0, 1), [0, 1]), (np.zeros(2), np.zeros(3)), (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(4), np.zeros((2, 2))), (np.zeros(2), np.array([0.0, 1e-300])), (float("nan"), None),
        (Direction.ABOVE, "above"), (Direction.ABOVE, Capture.TARGET), (QQ, QK), (Criterion(Direction.ABOVE, 1.0), QQ),
        (SeedHistogram(QQ), (QQ,)), (statistic_named("variance"), "variance"),
    ],
)  # fmt: skip
def test_what_differs_has_another_name(one, other):
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)


def test_the_order_of_a_mapping_changes_nothing():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [lambda: 1, object(), {"a": {1, 2}}, [len], np.array([object()]), Criterion])
def test_what_cannot_be_told_apart_is_refused(value):
    """Never by its address, or by its name alone."""
    with pytest.raises(TypeError, match="can't be kept: give what tells it apart"):
        digest(value)
