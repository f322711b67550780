"""GGUF files: converted once, loaded as a directory, and refused in one line where something would be lost."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from qkvcheck.errors import ModelError
from qkvcheck.models import loading, told_of_bos
from qkvcheck.models.gguf import converted as conversion
from qkvcheck.models.gguf.converted import convert_gguf, copy_of, hash_of
from qkvcheck.models.loading import embedded_directory, load_model
from tests.gguf_files import LAYERS, WIDTH, llama, vocabulary, write_gguf

pytestmark = pytest.mark.needs_model


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """A cache with nothing in it."""
    place = tmp_path / "cache"
    monkeypatch.setenv("QKV_CACHE", str(place))
    return place


def refused(spec: object, *words: str) -> str:
    with pytest.raises(ModelError) as caught:
        _ = load_model(str(spec)).model
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) <= 500
    for word in words:
        assert word in text, text
    return text


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_the_numbers_are_those_of_the_file(tmp_path, kind):
    """Dequantised by the gguf package itself, and in the order of transformers: queries and keys are permuted there."""
    model, kind = llama(), gguf.GGMLQuantizationType[kind]
    path = write_gguf(tmp_path / "tiny.gguf", model=model, kind=kind)
    hooked = load_model(str(path))
    ours = dict(hooked.model.named_parameters())
    assert ours.keys() == dict(model.named_parameters()).keys()
    for name, theirs in model.named_parameters():
        weight = theirs.detach().numpy()
        if weight.ndim == 2:  # rows are quantised one by one, so that their order changes nothing
            weight = gguf.dequantize(gguf.quantize(weight, kind), kind)
        np.testing.assert_array_equal(ours[name].detach().numpy(), weight)
    assert hooked.depth == LAYERS
    assert hooked.projections["K"] == slice(WIDTH, WIDTH + WIDTH // 2)
    assert hooked.origin.startswith(f"GGUF file {path}, {kind.name}, converted copy ")
    assert hooked.slug == "tiny.gguf"


def test_the_tokenizer_is_that_of_the_file(tmp_path, embedded):
    hooked = load_model(str(write_gguf(tmp_path / "tiny.gguf")))
    text = "Anna gave her the book, and she smiled at him."
    assert hooked.encoder.encode(text) == embedded.encoder.encode(text)


def test_a_second_run_converts_nothing(tmp_path, monkeypatch):
    path = write_gguf(tmp_path / "tiny.gguf")
    said: list[str] = []
    first = load_model(str(path), announce=said.append)
    assert said == [f"converting tiny.gguf (Q8_0, {sum(p.numel() for p in first.model.parameters()) / 1e6:,.0f} M numbers), once"]  # fmt: skip  # noqa: E501
    monkeypatch.setattr(conversion, "_convert", None)
    monkeypatch.setattr(conversion, "checked_header", None)
    moved = tmp_path / "folder" / "other name.gguf"
    moved.parent.mkdir()
    shutil.move(path, moved)
    again = load_model(str(moved.parent))  # a directory that holds the one file
    assert again.fingerprint == first.fingerprint
    assert again.spec.source == str(moved.parent)


def test_the_copy_is_a_model_directory(cache, tmp_path):
    """Without a trace of the quantisation; and the fingerprint is that of the dequantised numbers."""
    hooked = load_model(str(write_gguf(tmp_path / "tiny.gguf")))
    (copy,) = (cache / "gguf").iterdir()
    config = json.loads((copy / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert "quantization_config" not in config
    assert load_model(str(copy)).fingerprint == hooked.fingerprint
    other = llama()
    with torch.no_grad():
        other.model.norm.weight[0] += 1
    changed = load_model(str(write_gguf(tmp_path / "other.gguf", model=other)))
    assert changed.fingerprint != hooked.fingerprint


def test_untrained_twin(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf")
    twin = load_model(f"{path}#untrained=3")
    assert twin.is_untrained
    assert str(twin.spec) == f"{path}#untrained=3"
    assert twin.fingerprint != load_model(str(path)).fingerprint
    assert twin.fingerprint == load_model(f"{path}#untrained=3").fingerprint


@pytest.mark.parametrize("told", [True, False, None])
def test_what_the_file_says_of_bos_is_kept(tmp_path, told):
    copy = convert_gguf(write_gguf(tmp_path / "tiny.gguf", add_bos=told))
    assert copy.add_bos is told
    assert told_of_bos(copy.directory) is told
    # The same under each line of transformers, which write what they like there.
    assert json.loads((copy.directory / "tokenizer_config.json").read_text()).get("add_bos_token") is told
    assert told_of_bos(embedded_directory()) is None


def test_a_copy_that_is_not_whole_is_made_again(cache, tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf")
    first = load_model(str(path)).fingerprint
    (copy,) = (cache / "gguf").iterdir()
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert copy_of(hash_of(path)) is None
    assert load_model(str(path)).fingerprint == first
    assert sorted(cache.joinpath("gguf").iterdir()) == [copy]


def test_what_is_wrong_in_the_copy_names_the_file(tmp_path):
    model = llama()
    with torch.no_grad():
        model.model.norm.weight[3] = float("nan")
    path = write_gguf(tmp_path / "tiny.gguf", model=model)
    refused(path, "GGUF file 'tiny.gguf': ", "holds NaN or infinite numbers in 1 tensor (model.norm.weight)")


def test_several_files_in_a_directory(tmp_path):
    for name in ("b", "a"):
        write_gguf(tmp_path / f"{name}.gguf")
    refused(tmp_path, "holds 2 GGUF files (a.gguf, b.gguf); name one of them with --qkv-model")


def test_safetensors_beside_it_are_taken(tmp_path, embedded):
    folder = Path(shutil.copytree(embedded_directory(), tmp_path / "both"))
    write_gguf(folder / "tiny.gguf")
    assert load_model(str(folder)).fingerprint == embedded.fingerprint


def test_no_tokenizer_inside(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", tokenizer=False)
    refused(path, "holds no tokenizer; name a directory", "--qkv-tokenizer")
    named = load_model(str(path), tokenizer=str(embedded_directory()))
    assert named.encoder.encode(" her")
    assert len(vocabulary()[0]) == named.model.config.vocab_size


def test_a_tokenizer_that_is_not_known(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf", tokenizer_model="syllables")
    refused(path, "holds a tokenizer that transformers can't read", "--qkv-tokenizer")


def test_unknown_architecture(cache, tmp_path):
    text = refused(write_gguf(tmp_path / "tiny.gguf", family="perceptron"), "can't be read by transformers", "perceptron")  # fmt: skip  # noqa: E501
    assert "tiny.gguf" in text
    assert not list((cache / "gguf").iterdir())


@pytest.mark.parametrize("absent", [["gguf"], ["accelerate"], ["gguf", "accelerate"]])
def test_extra_not_installed(tmp_path, monkeypatch, absent):
    path = write_gguf(tmp_path / "tiny.gguf")
    find = conversion.util.find_spec
    monkeypatch.setattr(conversion.util, "find_spec", lambda name: None if name in absent else find(name))
    refused(path, f"needs {' and '.join(absent)}: pip install 'qkvcheck[gguf]'")


def test_biases_that_the_family_has_not_are_not_left_out(tmp_path):
    bias = {"blk.0.attn_q.bias": np.ones(WIDTH, dtype=np.float32)}
    refused(write_gguf(tmp_path / "tiny.gguf", extra=bias), "some would be left out or filled in")


def test_scaled_rotary_embeddings_are_not_left_out(tmp_path):
    factors = {"rope_freqs.weight": np.ones(8, dtype=np.float32)}
    refused(write_gguf(tmp_path / "a.gguf", extra=factors), "rope_freqs.weight", "left out")
    scaled = {"llama.rope.scaling.type": "linear"}
    refused(write_gguf(tmp_path / "b.gguf", more=scaled), "scaled as 'linear', which transformers' reader leaves out")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"llama.expert_count": 4_000_000_000}, "'llama.expert_count' is 4,000,000,000, and no tensor is that large"),
        ({"llama.leading_dense_block_count": 4_000_000_000}, "no tensor is that large"),
        ({"split.count": 3}, "is one of 3 parts of a model; merge them"),
    ],
)
def test_counts_that_the_file_can_not_hold(tmp_path, more, message):
    refused(write_gguf(tmp_path / "tiny.gguf", more=more), message)


def test_layers_that_are_not_there(tmp_path):
    refused(write_gguf(tmp_path / "tiny.gguf", layers=3), "says that it has 3 layers, and holds tensors of 2")


def test_more_than_the_machine_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "memory_bytes", lambda: 100_000)
    refused(write_gguf(tmp_path / "tiny.gguf"), "dequantised; this machine has")


def test_a_file_that_is_not_there_or_no_gguf(tmp_path):
    refused(tmp_path / "none.gguf", "does not exist; check --qkv-model")
    page = tmp_path / "page.gguf"
    page.write_bytes(b"<html>sign in</html>")
    refused(page, "is not GGUF: it begins with b'<htm' and not with b'GGUF'")
    other = tmp_path / "model.bin"
    other.write_bytes(b"x")
    refused(other, "is a file; give the directory that holds config.json and model.safetensors, or a .gguf file")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes with names")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    refused(tmp_path / "pipe.gguf", "it is a pipe, and has to be a regular file")


def test_a_cache_that_can_not_be_written(tmp_path, monkeypatch):
    path = write_gguf(tmp_path / "tiny.gguf")
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("QKV_CACHE", str(tmp_path / "cache"))
    refused(path, "can't be written", "QKV_CACHE")


def test_a_disk_that_is_full(cache, tmp_path, monkeypatch):
    import safetensors.torch

    def full(*_: object, **__: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    path = write_gguf(tmp_path / "tiny.gguf")
    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full)
        refused(path, "No space left on device", "free some space there")
    assert not list((cache / "gguf").iterdir())
    assert load_model(str(path)).depth == LAYERS


def test_loading_knows_nothing_of_gguf_but_the_directory(tmp_path, monkeypatch):
    """The same path as any directory's: what is checked there is checked here."""
    copy = convert_gguf(write_gguf(tmp_path / "tiny.gguf")).directory
    seen = []
    monkeypatch.setattr(loading, "refuse_pickles", seen.append)
    load_model(str(tmp_path / "tiny.gguf"))
    assert seen == [copy]
