"""Weights that are read as far as somebody asks for: what is in memory, and that nothing else tells the difference."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from qkvcheck.capture import capture
from qkvcheck.contexts import ContextSet
from qkvcheck.errors import ModelError
from qkvcheck.groups import Stage
from qkvcheck.models import HookedModel, embedded_directory, load_model
from qkvcheck.models.weights.fingerprint import parameters_in, parameters_of
from qkvcheck.models.weights.held import IN_PART, Files, Held, first_layers, readable_in_part, stamp_of
from tests.models.families import CASES, LINE, Case, build, contexts_of
from tests.models.test_families import HERE, SEQUENCES
from tests.models.test_families import pytestmark as pytestmark

WHOLE = {4: {"albert", "albert, two within a layer"}, 5: {"albert", "albert, two within a layer"}}
WHOLE[5] |= {"gpt_neox", "mixtral", "xlm-roberta", "camembert"}
"""What a line of transformers reads whole: ALBERT, and what it calls otherwise in files than in the model."""


OFTEN = {"gpt2", "llama", "gpt_neox", "falcon, every head", "gemma3_text", "phi3", "bert", "t5", "albert"}
"""A family of each layout, position and kind; the others are in the lane `long`."""


def copied(source: Path, folder: Path) -> Path:
    """Copy a model's files into a folder that is there."""
    return Path(shutil.copytree(source, folder, dirs_exist_ok=True))


def held_of(hooked: HookedModel, folder: Path) -> HookedModel | None:
    """Return a model with its weights in files, if its first layers can be read alone."""
    hooked.model.save_pretrained(folder)
    config = hooked.config
    outline = readable_in_part(folder, config, hooked.architecture)
    if outline is None:
        return None
    place = torch.device("cpu")
    files = Files(folder, config, hooked.architecture, torch.float32, place, stamp_of(folder))
    return replace(hooked, held=Held(outline, files))


@pytest.mark.parametrize(
    "case",
    [case if case.name in OFTEN else pytest.param(case, marks=pytest.mark.long) for case in HERE],
    ids=lambda case: case.name,
)
def test_the_first_layers_alone_give_what_the_whole_gives(case: Case, tmp_path: Path) -> None:
    """Every family, both stages, layer by layer; the fingerprint's tensors from the files too."""
    whole = build(case, None)
    found = held_of(whole, tmp_path)
    assert (found is None) == (case.name in WHOLE[LINE])
    if found is None:
        return
    contexts = contexts_of(SEQUENCES)
    for stage in Stage:
        for layer in range(whole.depth - 1):
            part = replace(found, held=Held(found.held.outline, found.held.files))
            own = capture(whole, contexts, layers=[layer], stage=stage).values
            assert np.array_equal(capture(part, contexts, layers=[layer], stage=stage).values, own)
            assert len(part.architecture.layers_of(part.held.first(0))) == layer + 1
    files = found.held.files
    assert files is not None
    told = list(parameters_in(tmp_path, found.held.outline, torch.float32))
    own_ones = list(parameters_of(whole.model))
    assert [name for name, _ in told] == [name for name, _ in own_ones]
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(told, own_ones, strict=True))


def test_every_family_read_in_part_has_a_case() -> None:
    assert {case.family for case in CASES} - {"albert"} == IN_PART


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's own files in a folder."""
    folder = tmp_path_factory.mktemp("deep")
    return copied(embedded_directory(), folder)


def test_nothing_past_the_layer_asked_for_is_in_memory(deep: Path, replication: ContextSet) -> None:
    hooked = load_model(str(deep))
    assert hooked.held.first(0) is None
    assert (hooked.depth, hooked.dtype, hooked.device.type) == (12, "float32", "cpu")
    capture(hooked, replication, layers=[2])
    assert len(hooked.architecture.layers_of(hooked.held.first(0))) == 3
    assert hooked.depth == 12
    held = hooked.held.first(0)
    capture(hooked, replication, layers=[1])
    assert hooked.held.first(0) is held  # nothing is read again
    capture(hooked, replication, layers=[7])
    assert len(hooked.architecture.layers_of(hooked.held.first(0))) == 8
    assert len(hooked.architecture.layers_of(hooked.model)) == 12


def test_the_whole_has_the_same_fingerprint_and_count(deep: Path, embedded: HookedModel) -> None:
    hooked, whole = load_model(str(deep)), load_model(str(deep))
    assert whole.model is not None
    assert hooked.fingerprint == whole.fingerprint == embedded.fingerprint
    assert hooked.held.first(0) is None
    assert hooked.parameters == sum(one.numel() for one in whole.model.parameters())


def test_a_last_layer_with_no_number_is_seen_by_the_fingerprint(deep: Path, tmp_path: Path) -> None:
    copied(deep, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(name for name in tensors if ".11." in name and name.endswith("c_attn.weight"))
    tensors[name][0, 0] = float("nan")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    hooked = load_model(str(tmp_path))
    with pytest.raises(ModelError, match=r"NaN or infinite numbers in 1 tensor .*c_attn"):
        _ = hooked.fingerprint
    with pytest.raises(ModelError, match="NaN or infinite numbers"):
        _ = hooked.model


def test_a_tensor_of_the_last_layer_that_is_missing_is_told_at_once(deep: Path, tmp_path: Path) -> None:
    copied(deep, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop(next(name for name in tensors if ".11." in name))
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="is not whole: 1 tensor"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("kinds", [["a", "b", "c"], ["a"]])
def test_what_a_configuration_tells_layer_by_layer_is_cut(kinds: list[str]) -> None:
    from transformers import LlamaConfig

    config = LlamaConfig(num_hidden_layers=3)
    config.kinds_of_layers = kinds
    few: Any = first_layers(config, 2)
    assert few.num_hidden_layers == 2
    assert few.kinds_of_layers == (["a", "b"] if len(kinds) == 3 else ["a"])
    assert (config.num_hidden_layers, config.kinds_of_layers) == (3, kinds)


@pytest.mark.parametrize("ask", ["model", "fingerprint", "capture"])
def test_weights_that_change_under_a_run_are_refused(
    deep: Path, tmp_path: Path, replication: ContextSet, ask: str
) -> None:
    """A training run that writes its next checkpoint into the same folder: half of either would be measured."""
    copied(deep, tmp_path)
    hooked = load_model(str(tmp_path))
    capture(hooked, replication, layers=[1])
    tensors = {name: 1.5 * one for name, one in load_file(tmp_path / "model.safetensors").items()}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="changed while they were in use"):
        _ = capture(hooked, replication, layers=[5]) if ask == "capture" else getattr(hooked, ask)
    if ask != "fingerprint":  # what was held before is gone, and is not taken for what it was
        with pytest.raises(ModelError, match="changed while they were in use"):
            capture(hooked, replication, layers=[1])


def test_what_was_reached_is_the_same_until_more_is_read(tmp_path):
    hooked = held_of(build(next(case for case in CASES if case.family == "llama"), None), tmp_path)
    assert hooked is not None
    first = hooked.reaching(0)
    assert hooked.reaching(0).held is first.held  # what was counted of it is not counted again for each forward
    assert first.parameters == sum(p.numel() for p in first.model.parameters()) < hooked.parameters
    further = hooked.reaching(1)
    assert further.held is not first.held
    assert further.parameters > first.parameters
    assert hooked.reaching(0).held is further.held
