"""What may be asked of similarity: kernels by name, blocks, groups, bins; with no kernel run."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from qkvcheck.errors import ClaimError
from qkvcheck.statistics import similarity
from qkvcheck.statistics.similarity import check_request, kernel_named, pair_group, summarise_group, summarise_groups

PLACES = {"Q": slice(0, 3), "K": slice(3, 5)}


@pytest.fixture
def modules(monkeypatch) -> dict[str, SimpleNamespace]:
    """Kernels that are never imported, with numba installed and no wish in the environment."""
    made: dict[str, SimpleNamespace] = {}

    def load(name):
        short = name.removeprefix("qkvcheck.statistics.kernels.")
        assert short in ("reference", "torch_", "numba_")
        return made.setdefault(short, SimpleNamespace(
            tally=lambda: short, obstacle_to=lambda device: "it is not there" if device == "cuda:9" else None,
        ))  # fmt: skip

    monkeypatch.setattr(similarity, "import_module", load)
    monkeypatch.setattr(similarity, "find_spec", lambda name: name == "numba")
    monkeypatch.delenv("QKV_KERNEL", raising=False)
    return made


@pytest.mark.parametrize(
    ("pairs", "chosen"), [(0, "torch_"), (499_999, "torch_"), (500_000, "numba_"), (10**7, "numba_")]
)
def test_numba_is_taken_where_it_pays(modules, pairs, chosen):
    assert kernel_named("auto", pairs=pairs)() == kernel_named(pairs=pairs)() == chosen
    assert kernel_named()() == "torch_"
    assert set(modules) == {"torch_", chosen}


def test_without_numba_torch_is_taken(modules, monkeypatch):
    monkeypatch.setattr(similarity, "find_spec", lambda _name: None)
    assert kernel_named(pairs=10**7)() == "torch_"
    with pytest.raises(ClaimError) as caught:
        kernel_named("numba")
    assert str(caught.value) == "kernel 'numba' needs numba, which is not installed: pip install 'qkvcheck[fast]'."
    assert kernel_named("reference")() == "reference"
    assert "numba_" not in modules


@pytest.mark.usefixtures("modules")
def test_the_environment_chooses_where_nothing_is_named(monkeypatch):
    for wish, chosen in (("reference", "reference"), ("numba", "numba_"), ("torch", "torch_"), ("auto", "torch_")):
        monkeypatch.setenv("QKV_KERNEL", wish)
        assert kernel_named()() == chosen
        assert kernel_named("reference")() == "reference"
    monkeypatch.setenv("QKV_KERNEL", "")
    assert kernel_named(pairs=10**7)() == "numba_"


def test_torch_takes_a_device(modules):
    found = kernel_named("torch:cuda:1")
    assert isinstance(found, partial)
    assert (found.func, found.keywords) == (modules["torch_"].tally, {"device": "cuda:1"})
    with pytest.raises(ClaimError) as caught:
        kernel_named("torch:cuda:9")
    assert str(caught.value) == "kernel 'torch:cuda:9' can't run here: it is not there. Check QKV_KERNEL."


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("name", ["cupy", "numba:cpu", "reference:cpu", "auto:cpu", ":cpu", "AUTO"])
def test_kernels_that_are_none(name):
    with pytest.raises(ClaimError) as caught:
        kernel_named(name)
    assert str(caught.value) == (
        f"kernel {name!r} is not known; allowed: auto, reference, torch, numba or torch:DEVICE. Check QKV_KERNEL."
    )


def test_the_number_of_pairs_reaches_the_choice(monkeypatch, rng):
    """Of all groups together, each block times block."""
    asked: list[tuple[str, int]] = []

    def named(name, *, pairs):
        asked.append((name, pairs))
        return kernel_named("reference")

    monkeypatch.setattr(similarity, "kernel_named", named)
    summarise_groups(rng.normal(size=(4, 5)), PLACES, ["QQ", "QK"], kernel="numba")
    summarise_group(rng.normal(size=(4, 5)), rng.normal(size=(4, 7)))
    assert asked == [("numba", 15), ("auto", 35)]


@pytest.mark.parametrize("bins", [0, -1, 2.0, "9", None])
def test_bins_are_whole_numbers(bins):
    with pytest.raises(ClaimError) as caught:
        check_request(PLACES, ["QQ"], width=5, bins=bins)
    assert str(caught.value) == f"{bins!r} bins were asked for; a whole number from 1 is needed."


@pytest.mark.parametrize("place", [
    slice(0, 6), slice(-1, 3), slice(3, 2), slice(0, None), slice(None, 3), slice(0, 4, 2), slice(0.0, 3),
])  # fmt: skip
def test_blocks_lie_within_the_array(place):
    with pytest.raises(ClaimError) as caught:
        check_request({"Q": place}, ["QQ"], width=5, bins=1)
    assert str(caught.value) == (
        f"block 'Q' is {place}; it must be a slice of two whole numbers within the 5 dimensions, such as slice(0, 5)."
    )


def test_what_is_allowed_is_returned():
    blocks = {"Q": slice(0, 5), "K": slice(5, 5), "V": slice(np.int64(1), np.int64(3), 1)}
    assert check_request(blocks, ["QQ", ("Q", "V")], width=5, bins=np.int64(1)) == [("Q", "Q"), ("Q", "V")]
    for group in ("Q", "QX", "QKV", ("Q", "X")):
        with pytest.raises(ClaimError) as caught:
            pair_group(group, PLACES)
        assert str(caught.value) == f"group {group!r} does not name two projections; allowed are: QQ, QK, KK."
    with pytest.raises(ClaimError, match="allowed are: none"):
        pair_group("QQ", {})


@pytest.mark.parametrize("shape", [(3,), (0, 5), (2, 3, 4)])
def test_arrays_are_contexts_by_width(shape):
    with pytest.raises(ClaimError) as caught:
        summarise_groups(np.ones(shape), PLACES, ["QQ"])
    assert str(caught.value) == (
        f"an array of shape {shape} has no similarities; give (context, width), one context at least."
    )


def test_threads_are_counted_from_one(rng):
    with pytest.raises(ClaimError, match=r"^0 threads were asked for; at least one is needed\.$"):
        summarise_group(rng.normal(size=(4, 5)), threads=0)
    one = summarise_group(rng.normal(size=(4, 5)), threads=1, kernel="reference", bins=7)
    assert (len(one.counts), one.counts.sum()) == (7, 10)


def test_empty_dimensions_are_counted_for_both_blocks():
    x = np.ones((4, 5))
    x[:, [0, 3, 4]] = 0.0
    found = summarise_groups(x, PLACES, ["QQ", "QK", "KK"], kernel="reference")
    assert [one.zero_columns for one in found] == [1, 3, 2]
    assert [one.pairs for one in found] == [3, 6, 1]
    assert [one.mean for one in found] == pytest.approx([1 / 3, 0.0, 0.0])
    assert [one.sign_balance for one in found] == [1.0, 0.0, 0.0]
