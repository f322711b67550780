"""Fuzz: model directories, one file of them altered or damaged: a model or one line, each in a child process."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import save_file

from qkvcheck.models.architectures.gpt2 import Gpt2Config
from qkvcheck.models.loading import embedded_directory, load_model

from .damage import NASTY, ODD, altered, damaged, fuzz, reads_or_refuses

pytestmark = pytest.mark.needs_time

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
SMALL = {"n_embd": 4, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 300}
BYTES = [chr(n) for n in range(33, 127)]
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [{"id": 99, "content": "<end>", "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True}],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    "post_processor": None,
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "vocab": {}, "merges": [["h", "e"], ["he", "r"]]},
}  # fmt: skip
for _number, _token in enumerate([*BYTES, "Ġ", "he", "her"]):
    TOKENIZER["model"]["vocab"][_token] = _number
TOKENIZER["model"]["vocab"]["<end>"] = 99
SETTINGS = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": "<end>",
    "model_max_length": 16,
    "added_tokens_decoder": {"99": {"content": "<end>", "special": True}},
}


@pytest.fixture
def whole(tmp_path) -> Path:
    """A small model that can be read, and has every file that a model may have."""
    folder = tmp_path / "whole"
    folder.mkdir()
    config = json.loads((embedded_directory() / CONFIG).read_text()) | SMALL
    documents = {
        CONFIG: config,
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": SETTINGS,
        "special_tokens_map.json": {"eos_token": "<end>"},
        "generation_config.json": {"eos_token_id": 99},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    shapes = Gpt2Config(**SMALL).tensors()
    save_file(
        {name: torch.full(shape, 0.1) for name, shape in shapes.items()}, folder / WEIGHTS, metadata={"format": "pt"}
    )
    load_model(str(folder))  # imports what the children need
    return folder


def read(path: Path) -> None:
    """Load a model, and use its tokenizer: what is given out can be used."""
    hooked = load_model(str(path))
    ids = hooked.encoder.encode("He gave her a book, Gặp \U0001f600")
    assert all(0 <= number < hooked.model.get_input_embeddings().num_embeddings for number in ids)
    hooked.encoder.decode(ids)
    hooked.encoder.fingerprint()


def checker(whole: Path, where: Path, *, name: str = "model directories") -> Callable[[dict[str, bytes]], bool]:
    def check(changed: dict[str, bytes]) -> bool:
        folder = where / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        for file, content in changed.items():
            (folder / file).write_bytes(content)
        return reads_or_refuses(read, folder, name=name, isolated=True, seconds=20, memory=2 << 30, named="")

    assert check({})
    return check


def as_json(document: object) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


SMALL_DOCUMENTS = (
    CONFIG,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
)


def test_documents_that_were_altered(whole, tmp_path, examples):
    documents = {name: json.loads((whole / name).read_text()) for name in SMALL_DOCUMENTS}
    inputs = st.sampled_from(SMALL_DOCUMENTS).flatmap(
        lambda n: st.fixed_dictionaries({n: altered(documents[n]).map(as_json)})
    )
    fuzz(inputs, checker(whole, tmp_path), examples=examples // 3)


def test_fields_of_the_configuration(whole, tmp_path, examples):
    """Every field that says what is computed, and other names of some, with values of every sort."""
    config = json.loads((whole / CONFIG).read_text())
    names = st.sampled_from(
        (*Gpt2Config.__dataclass_fields__, "hidden_size", "num_hidden_layers", "n_ctx", "dtype", "torch_dtype",
         "model_type", "auto_map", "quantization_config", "architectures", "_attn_implementation",
         "attn_implementation", "eos_token_id")
    )  # fmt: skip
    values = (
        st.sampled_from((*ODD, 10**9, 2**20, "float16", "eager", {"AutoConfig": "own.Own"}))
        | st.integers(-2, 600)
        | st.floats()
    )
    inputs = st.dictionaries(names, values, min_size=1, max_size=2).map(lambda new: {CONFIG: as_json(config | new)})
    fuzz(inputs, checker(whole, tmp_path), examples=examples // 3)


def test_vocabularies(whole, tmp_path, examples):
    """Numbers that are too large, taken twice, or none; the four sorts of models; merges of nothing."""
    numbers = st.sampled_from((0, 1, -1, 99, 299, 300, 10**6, 10**9, 2**31, 2**32, 2**63, 2**64, 1.5, "1", None, True))
    vocab = st.dictionaries(
        st.sampled_from(("h", "e", "r", "her", "Ġ", "", "\ud800", "<end>", "new")), numbers, max_size=4
    )
    kinds = st.sampled_from(("BPE", "WordPiece", "WordLevel", "Unigram", "none", None, 3))
    pieces = st.lists(st.tuples(st.text(max_size=3), st.floats() | st.none()).map(list), max_size=3)
    merges = st.lists(
        st.lists(st.sampled_from(("h", "e", "he", "", "x")), max_size=3) | st.text(max_size=4), max_size=3
    )

    def document(drawn) -> dict[str, bytes]:
        new, kind, joins, listed, extra = drawn
        model = {**TOKENIZER["model"], "type": kind, "merges": joins, **extra}
        model["vocab"] = listed if kind == "Unigram" else {**TOKENIZER["model"]["vocab"], **new}
        return {"tokenizer.json": as_json({**TOKENIZER, "model": model})}

    extra = st.sampled_from(
        ({}, {"dropout": 0.5}, {"unk_id": 10**9}, {"unk_token": "none"}, {"max_input_chars_per_word": -1})
    )
    fuzz(st.tuples(vocab, kinds, merges, pieces, extra).map(document), checker(whole, tmp_path), examples=examples // 3)


def header_of(whole: Path) -> tuple[dict, bytes]:
    content = (whole / WEIGHTS).read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def test_weights_whose_header_was_altered(whole, tmp_path, examples):
    header, data = header_of(whole)

    def document(changed) -> dict[str, bytes]:
        text = as_json(changed)
        return {WEIGHTS: struct.pack("<Q", len(text)) + text + data}

    fuzz(altered(header).map(document), checker(whole, tmp_path), examples=examples // 3)


def test_shard_indexes(whole, tmp_path, examples):
    names = [name for name in header_of(whole)[0] if name != "__metadata__"]
    (whole / WEIGHTS).rename(whole / "a.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, "a.safetensors")}
    (whole / INDEX).write_text(json.dumps(index))
    shard = st.sampled_from((*ODD, "../a.safetensors", "/dev/zero", "/etc/passwd", "b.safetensors", "config.json", "."))
    wrong = st.dictionaries(st.sampled_from((*names, "more")), shard, min_size=1, max_size=3)
    inputs = altered(index) | wrong.map(lambda new: {**index, "weight_map": {**index["weight_map"], **new}})
    fuzz(inputs.map(lambda one: {INDEX: as_json(one)}), checker(whole, tmp_path), examples=examples // 3)


def test_damaged_files(whole, tmp_path, examples):
    """Any file with bytes damaged, or made of nasty bytes alone; files that a model needs not to have among them."""
    files = [path.name for path in sorted(whole.iterdir())]
    contents = {name: (whole / name).read_bytes() for name in files}
    others = ("vocab.json", "merges.txt", "added_tokens.json", "chat_template.jinja", "adapter_config.json", INDEX)
    inputs = st.sampled_from(files).flatmap(
        lambda n: st.fixed_dictionaries({n: damaged(contents[n])})
    ) | st.dictionaries(st.sampled_from((*files, *others)), st.sampled_from(NASTY), min_size=1, max_size=1)
    fuzz(inputs, checker(whole, tmp_path), examples=examples // 3)
