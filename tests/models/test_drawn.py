"""Fresh weights: the same whether drawn in part or whole, by one thread or more, and as the library would draw them."""

from __future__ import annotations

import pytest
import torch

from qkvcheck.models import load_model, untrained_twin
from qkvcheck.models.weights import drawn
from qkvcheck.models.weights.drawn import PIECE, Drawn, draw, drawable_in_part
from qkvcheck.models.weights.files import loader_of, without_weights
from qkvcheck.models.weights.held import Held
from tests.models.families import Case, build
from tests.models.test_families import HERE
from tests.models.test_families import pytestmark as pytestmark


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_every_family_is_drawn_as_the_library_does(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same parameters, none left open, of the same mean and spread; its first layers alone bit by bit."""
    hooked = build(case, None)
    config, architecture = hooked.config, hooked.architecture
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        library = weights_of(loader_of(architecture).from_config(config))
    if case.name not in DRAWN_IN_ONE_GO:
        monkeypatch.setattr(drawn, "_in_one_go", None)
    whole = draw(config, architecture, seed=5)
    found = weights_of(whole)
    assert {name: (one.shape, one.dtype) for name, one in found.items()} == {
        name: (one.shape, one.dtype) for name, one in library.items()
    }
    for name, one in found.items():
        other = library[name].double()
        one = one.double()
        assert one.isfinite().all(), name
        if other.std(correction=0) == 0:
            assert torch.equal(one, other), name
        else:
            assert not torch.equal(one, other), name
            sure = 6 * float(other.std()) / other.numel() ** 0.5
            assert abs(float(one.mean() - other.mean())) < 1.5 * sure, name
            assert abs(float(one.std() - other.std())) < 1.5 * sure, name
    assert all(torch.equal(one, found[name]) for name, one in weights_of(draw(config, architecture, seed=5)).items())
    assert any(
        not torch.equal(one, found[name]) for name, one in weights_of(draw(config, architecture, seed=6)).items()
    )
    drawn_ones = [one for one in found.values() if one.numel() > 20 and one.std() > 0]
    assert len({one.double().abs().sum().item() for one in drawn_ones}) == len(drawn_ones)  # no two modules alike
    if drawable_in_part(config, architecture):
        part = weights_of(draw(config, architecture, seed=5, layers=1))
        assert part.keys() < found.keys()
        assert all(torch.equal(one, found[name]) for name, one in part.items())


DRAWN_IN_ONE_GO: set[str] = set()
"""What has parameters that its constructor draws and its initialiser leaves alone."""


def test_layers_are_drawn_when_they_are_asked_for() -> None:
    twin = untrained_twin(load_model("embedded"), seed=4)
    assert not twin.held.is_whole
    part = twin.reaching(2)
    assert part.depth == 3
    found = weights_of(part.model)
    assert not twin.held.is_whole
    whole = weights_of(twin.model)
    assert twin.held.is_whole
    assert all(torch.equal(one, whole[name]) for name, one in found.items())
    assert twin.fingerprint == load_model("embedded#untrained=4").fingerprint


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.empty(3 * PIECE + 7)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(11)
            found.append(drawn._normal(tensor.clone(), 1.0, 2.0))
    assert torch.equal(*found)
    pieces = found[0].split(PIECE)
    assert len(pieces) == 4
    assert not torch.equal(pieces[0], pieces[1])
    assert abs(float(found[0].mean()) - 1) < 0.01
    assert abs(float(found[0].std()) - 2) < 0.01


def test_a_large_tensor_that_is_drawn_twice_is_drawn_anew() -> None:
    """As an initialiser does that throws away what lies too far out, until nothing does."""
    tensor = torch.empty(2 * PIECE)
    with torch.random.fork_rng(devices=[]), drawn._in_pieces():
        torch.manual_seed(2)
        once = tensor.normal_().clone()
        assert not torch.equal(tensor.normal_(), once)
        torch.nn.init.trunc_normal_(tensor, std=1.0, a=-1.0, b=1.0)
    assert float(tensor.abs().max()) <= 1


def test_neither_the_generator_nor_a_setting_of_torch_is_touched() -> None:
    hooked = load_model("embedded")
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    before = torch.are_deterministic_algorithms_enabled(), hooked.config.n_layer
    draw(hooked.config, hooked.architecture, seed=1, layers=3)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (torch.are_deterministic_algorithms_enabled(), hooked.config.n_layer) == before


def test_the_usual_device_changes_nothing() -> None:
    """A default device of the user's own: weights are drawn on the CPU, where a seed gives the same ones."""
    hooked = load_model("embedded")
    usual = weights_of(untrained_twin(hooked, seed=3).model)
    torch.set_default_device("meta")
    try:
        found = weights_of(untrained_twin(hooked, seed=3).model)
    finally:
        torch.set_default_device(None)
    assert found.keys() == usual.keys()
    assert all(torch.equal(found[name], usual[name]) for name in usual)


def test_what_an_initialiser_leaves_alone_is_drawn_by_the_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that nothing writes would hold what was in memory: then the whole is drawn as the library does it."""
    hooked = load_model("embedded")
    kind = type(hooked.model)
    original = kind._init_weights

    def forgets(self: torch.nn.Module, module: torch.nn.Module) -> None:
        if type(module).__name__ != "Conv1D":
            original(self, module)

    monkeypatch.setattr(kind.__mro__[1], "_init_weights", forgets)
    model = draw(hooked.config, hooked.architecture, seed=1, layers=3)
    assert len(hooked.architecture.layers_of(model)) == 12
    assert all(bool(one.isfinite().all()) for one in model.parameters())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        plain = loader_of(hooked.architecture).from_config(hooked.config)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), plain.parameters(), strict=True))


def test_a_model_held_in_part_reads_no_file() -> None:
    hooked = load_model("embedded")
    outline = without_weights(hooked.config, hooked.architecture)
    held = Held(outline, Drawn(hooked.config, hooked.architecture, 0, torch.float64, torch.device("cpu")))
    assert held.files is None
    assert held.dtype == torch.float64
    assert next(held.first(1).parameters()).dtype == torch.float64


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_an_outline_has_every_parameter_of_the_model(case: Case) -> None:
    """A tied head is one of them only once."""
    hooked = build(case, None)
    outline = without_weights(hooked.config, hooked.architecture)
    names = [(name, one.shape) for name, one in outline.named_parameters()]
    assert names == [(name, one.shape) for name, one in hooked.model.named_parameters()]
    assert [name for name, _ in outline.named_buffers()] == [name for name, _ in hooked.model.named_buffers()]
