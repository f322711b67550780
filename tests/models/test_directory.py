"""Model directories: each file is held against what it may say before a library is given it, and nothing is guessed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file

from qkvcheck.errors import ModelError
from qkvcheck.models.architecture import rope_of
from qkvcheck.models.directory import bounded, check_directory, read_config
from qkvcheck.models.hub import flaws_of
from qkvcheck.models.loading import config_of, embedded_directory, from_model, load_model
from qkvcheck.models.spec import ModelSpec
from qkvcheck.models.tokens.files import check_tokenizer_files
from qkvcheck.models.weights.files import flaw_of

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
ROWS = json.loads((embedded_directory() / CONFIG).read_text("utf-8"))["vocab_size"]


@pytest.fixture
def small(tmp_path) -> Path:
    """A directory whose weights are those of one layer of four dimensions, with the embedded model's tokenizer."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(embedded_directory() / name, tmp_path)
    (tmp_path / CONFIG).write_text(json.dumps({**told(embedded_directory()), **SMALL}))
    write(tmp_path, tensors())
    return tmp_path


SMALL = {"n_embd": 4, "n_layer": 1, "n_head": 2, "n_positions": 64}


def told(directory: Path) -> dict:
    return json.loads((directory / CONFIG).read_text())


def change(directory: Path, name: str = CONFIG, **changes) -> None:
    data = json.loads((directory / name).read_text()) | changes
    (directory / name).write_text(json.dumps({key: value for key, value in data.items() if value is not ...}))


def tensors() -> dict[str, torch.Tensor]:
    from qkvcheck.models.architectures.gpt2 import Gpt2Config

    shapes = Gpt2Config(**SMALL, vocab_size=ROWS).tensors()
    return {f"transformer.{name}": torch.full(shape, 0.1) for name, shape in shapes.items()}


def write(directory: Path, held: dict[str, torch.Tensor], name: str = WEIGHTS) -> None:
    save_file(held, directory / name, metadata={"format": "pt"})


def refused(directory: Path, message: str, spec: str = "") -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_model(f"{directory}{spec}")
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) <= 500


@pytest.mark.needs_model
def test_the_small_model_is_read(small):
    hooked = load_model(str(small))
    assert (hooked.depth, hooked.dtype) == (1, "float32")
    assert load_model(f"{small}#untrained").depth == 1


# config.json ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_embd": "8"}, "n_embd is '8'; it has to be a whole number"),
        ({"n_layer": 10**9}, "n_layer is 1000000000; it has to be from 1 to 2,000"),
        ({"n_layer": 0}, "n_layer is 0"),
        ({"n_layer": 1.5}, "n_layer is 1.5"),
        ({"n_layer": None}, "n_layer is None"),
        ({"n_layer": True}, "n_layer is True"),
        ({"n_layer": 2}, "is not whole: 12 tensors .transformer.h.1.attn.c_attn.bias.* missing"),
        ({"n_head": 3}, "n_embd is 4; it has to be a multiple of n_head, which is 3"),
        ({"n_embd": 8}, "does not fit its config.json: .* of another shape"),
        ({"n_inner": 10**9}, "n_inner is 1000000000"),
        ({"n_inner": 7}, "of another shape"),
        ({"n_positions": 65}, "1 tensor .transformer.wpe.weight. of another shape"),
        ({"n_positions": 10**6}, "n_positions is 1000000"),
        ({"vocab_size": 1345}, "1 tensor .transformer.wte.weight. of another shape"),
        ({"num_hidden_layers": 2000}, "tensors .* missing"),
        ({"num_hidden_layers": 10**9}, "n_layer is 1000000000"),
        ({"layer_norm_epsilon": -1.0}, "layer_norm_epsilon is -1.0"),
        ({"layer_norm_epsilon": "1e-5"}, "layer_norm_epsilon is '1e-5'; it has to be a number"),
        ({"activation_function": "none such"}, "can't be read|no model can be made|no usable"),
        ({"scale_attn_weights": "no"}, "scale_attn_weights is 'no'; it has to be true or false"),
        ({"add_cross_attention": True}, "add_cross_attention is true"),
        ({"model_type": 3}, "family|no usable config.json"),
        ({"model_type": ...}, "family|no usable config.json"),
        ({"model_type": "llama"}, r"asks for 6,\d+,\d+,\d+ numbers, and the weights hold"),
        (
            {"model_type": "llama", "num_hidden_layers": 10**9},
            "says num_hidden_layers is 1000000000; it has to be at most",
        ),
        ({"model_type": "llama", "vocab_size": 10**12}, "says vocab_size is 1000000000000"),
        ({"quantization_config": {"load_in_8bit": True}}, "quantised"),
        ({"attn_pdrop": 2}, "attn_pdrop is 2"),
    ],
)
def test_config_that_does_not_fit(small, changes, message):
    change(small, **changes)
    refused(small, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"[]", "is no JSON object"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"n_layer": 1, "n_layer": 2}', "'n_layer' stands twice"),
        (b'{"n_layer": NaN}', "NaN is no number"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 but UTF-16"),
        (b" " * 1_000_001, "has 1,000,001 bytes; at most 1,000,000 are read"),
    ],
)
def test_config_that_is_no_document(small, content, message):
    (small / CONFIG).write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_config(small)
    assert "config.json'" in str(caught.value)


def test_config_that_asks_for_more_than_the_memory(small):
    (small / WEIGHTS).unlink()
    change(small, n_embd=2**18, n_layer=2000, n_head=1)
    refused(small, r"asks for [\d,]+ GB of weights; this machine has", "#untrained")


def test_untrained_is_bound_by_weights_that_are_there(small):
    change(small, n_layer=3)
    refused(small, "tensors .* missing", "#untrained")
    (small / WEIGHTS).write_bytes(b"cut off")  # no whole weights: they bind nothing
    assert load_model(f"{small}#untrained").depth == 3


def test_half_floats_in_a_config_cost_no_digits(small):
    """transformers would load float32 weights as what the configuration names."""
    change(small, dtype="float16", torch_dtype="float16")
    held = {name: tensor + 1e-6 for name, tensor in tensors().items()}
    write(small, held)
    loaded = load_model(str(small)).model.transformer.wpe.weight
    assert torch.equal(loaded, held["transformer.wpe.weight"])


# Weights --------------------------------------------------------------------------------------------


def test_more_layers_than_the_config_names(small):
    held = tensors()
    held |= {name.replace("h.0", "h.1"): tensor.clone() for name, tensor in held.items() if "h.0" in name}
    write(small, held)
    refused(small, "holds 12 tensors .transformer.h.1.attn.c_attn.bias, .* beyond what config.json names")


@pytest.mark.parametrize("name", ["transformer.h.0.attn.c_attn.lora_A.weight", "transformer.prompt.weight"])
def test_tensors_of_the_model_that_would_be_left_out(small, name):
    write(small, {**tensors(), name: torch.zeros(3)})
    refused(small, f"holds 1 tensor .{name}. beyond what config.json names")


@pytest.mark.needs_model
def test_heads_and_masks_of_older_releases_are_no_part_of_it(small):
    held = {name.removeprefix("transformer."): tensor for name, tensor in tensors().items()}
    write(small, {**held, "h.0.attn.bias": torch.ones(1, 1, 64, 64), "h.0.attn.masked_bias": torch.tensor(-1e4)})
    first = load_model(str(small)).fingerprint
    write(
        small,
        {**tensors(), "lm_head.weight": tensors()["transformer.wte.weight"].clone(), "score.weight": torch.ones(2, 4)},
    )
    assert load_model(str(small)).fingerprint == first


def test_weights_that_are_whole_numbers(small):
    write(small, {**tensors(), "transformer.wpe.weight": torch.ones(64, 4, dtype=torch.int8)})
    refused(small, "holds 'transformer.wpe.weight' as I8; weights are read as F64, F32, F16, BF16 alone")


def sharded(directory: Path, weight_map: object, **shards: dict[str, torch.Tensor]) -> None:
    (directory / WEIGHTS).unlink()
    for name, held in shards.items():
        write(directory, held, f"{name}.safetensors")
    (directory / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def halves() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    held = list(tensors().items())
    return dict(held[:5]), dict(held[5:])


@pytest.mark.needs_model
def test_shards_that_fit_are_read(small):
    whole = load_model(str(small)).fingerprint
    one, two = halves()
    sharded(small, {**dict.fromkeys(one, "a.safetensors"), **dict.fromkeys(two, "b.safetensors")}, a=one, b=two)
    assert load_model(str(small)).fingerprint == whole


@pytest.mark.parametrize(
    "name", [3, None, [], "../a.safetensors", "/etc/passwd", "a/b.safetensors", "..", "a.bin", "a\0b", ""]
)
def test_an_index_that_names_something_else(small, name):
    one, two = halves()
    sharded(small, {**dict.fromkeys(one, name), **dict.fromkeys(two, "b.safetensors")}, a=one, b=two)
    refused(small, "model.safetensors.index.json names .* a shard is a .safetensors file beside it")


@pytest.mark.parametrize("weight_map", [None, [], {}, "a.safetensors"])
def test_an_index_without_a_map(small, weight_map):
    sharded(small, weight_map)
    refused(small, "holds no model.safetensors|model.safetensors.index.json has no weight_map")


def test_an_index_that_does_not_fit_the_shards(small):
    one, two = halves()
    index = {**dict.fromkeys(one, "a.safetensors"), **dict.fromkeys(two, "b.safetensors")}
    sharded(small, index, a=one, b={**two, next(iter(one)): torch.zeros(1)})
    assert "both hold 'transformer.wte.weight'" in flaw_of(small)
    write(small, {**two, "more": torch.zeros(1)}, "b.safetensors")
    assert "tensor 'more' is in b.safetensors, and the index says nothing of it" in flaw_of(small)
    write(small, dict(list(two.items())[1:]), "b.safetensors")
    assert "is in none of them, and the index says b.safetensors" in flaw_of(small)
    (small / "b.safetensors").unlink()
    assert flaw_of(small) == "b.safetensors is missing"


def test_nothing_blocks(small):
    os.mkfifo(small / "chat_template.jinja")
    refused(small, "holds 'chat_template.jinja', which is a pipe")
    (small / "chat_template.jinja").unlink()
    (small / WEIGHTS).unlink()
    os.mkfifo(small / WEIGHTS)
    refused(small, "is a pipe")
    (small / WEIGHTS).unlink()
    one, two = halves()
    write(small, one)
    sharded(small, {**dict.fromkeys(one, "a.safetensors"), **dict.fromkeys(two, "b.safetensors")}, b=two)
    os.mkfifo(small / "a.safetensors")
    refused(small, "a.safetensors can't be read: it is a pipe")
    assert flaws_of(small) == {"a.safetensors": "can't be read: it is a pipe, and has to be a regular file"}


@pytest.mark.needs_model
def test_links_are_followed_and_folders_are_no_files(small, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("blobs")
    (small / WEIGHTS).rename(elsewhere / "blob")
    (small / WEIGHTS).symlink_to(elsewhere / "blob")
    (small / "dead.txt").symlink_to(elsewhere / "nothing")
    assert load_model(str(small)).depth == 1
    (small / WEIGHTS).unlink()
    (small / WEIGHTS).mkdir()
    refused(small, "is a folder")
    (small / CONFIG).unlink()
    (small / CONFIG).mkdir()
    with pytest.raises(ModelError, match="it is a folder"):
        read_config(small)


def test_an_adapter_is_not_left_out(small):
    (small / "adapter_config.json").write_text("{}")
    refused(small, "holds an adapter .adapter_config.json., which changes what the model computes")


@pytest.mark.parametrize("source", ["x" * 5000 + "/y", "~no such user/model", "a/b\0c"])
def test_names_that_no_file_can_have(source):
    with pytest.raises(ModelError) as caught:
        load_model(source)
    assert len(str(caught.value)) <= 500


# Tokenizer ------------------------------------------------------------------------------------------


def retokenize(directory: Path, **changes) -> None:
    path = directory / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    data["model"] |= changes.pop("model", {})
    path.write_text(json.dumps(data | changes))


VOCAB = {"a": 0, "b": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"vocab": {**VOCAB, "c": 10**9}}}, f"'c' with number 1000000000, and the embedding has {ROWS:,}"),
        ({"model": {"vocab": {**VOCAB, "c": 2**63}}}, "the token 'c' with number"),
        ({"model": {"vocab": {**VOCAB, "c": -1}}}, "gives the token 'c' the number -1; it is a whole number from 0"),
        ({"model": {"vocab": {**VOCAB, "c": "2"}}}, "the number '2'"),
        ({"model": {"vocab": {**VOCAB, "c": True}}}, "the number True"),
        ({"model": {"vocab": {**VOCAB, "c": 1}}}, "gives the tokens 'b' and 'c' one number, 1"),
        ({"model": {"vocab": 3}}, "has no model.vocab .3."),
        ({"model": {"vocab": [["a", 0.0]] * 2000}}, f"has 2,000 tokens, and the embedding has {ROWS:,} rows"),
        ({"model": {"dropout": 0.1}}, "model.dropout 0.1: one text would have other tokens each time"),
        ({"added_tokens": [{"id": 10**9, "content": "x"}]}, "the token 'x' with number 1000000000"),
        ({"added_tokens": [{"id": 3}]}, "its content is a text"),
        ({"added_tokens": 3}, "they are a list of objects"),
    ],
)  # fmt: skip
def test_vocabularies_that_do_not_fit(small, changes, message):
    retokenize(small, **changes)
    with pytest.raises(ModelError, match=message) as caught:
        check_tokenizer_files(small, rows=ROWS)
    assert "tokenizer.json'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", {"a": 10**9}, "with number 1000000000"),
        ("added_tokens.json", {"a": 10**9}, "with number 1000000000"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"1000000000": {"content": "a"}}}, "with number 1000000000"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"-1": {}}}, "added_tokens_decoder '-1'"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"9" * 5000: {}}}, "added_tokens_decoder '9999"),
        ("tokenizer_config.json", {"vocab_file": "/etc/passwd"}, "names a file of its own .vocab_file: '/etc/passwd'"),
        ("tokenizer_config.json", [], "is no JSON object"),
        ("special_tokens_map.json", [], "is no JSON object"),
    ],
)
def test_files_beside_the_vocabulary(small, name, content, message):
    (small / name).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=message) as caught:
        check_tokenizer_files(small, rows=ROWS)
    assert f"{name}'" in str(caught.value)


def test_a_tokenizer_larger_than_the_embedding(small, embedded):
    """Also one that becomes so by a token that its settings add."""
    change(small, "tokenizer_config.json", pad_token="[PAD]")
    refused(small, f"up to number {ROWS:,}, and the embedding has {ROWS:,} rows: they belong to different models")
    change(small, "tokenizer_config.json", pad_token=...)
    assert load_model(str(small)).depth == 1
    model = load_model(str(small)).model
    model.resize_token_embeddings(100)
    with pytest.raises(ModelError, match="the embedding has 100 rows"):
        from_model(model, embedded.encoder._tokenizer)


@pytest.mark.needs_model
def test_a_tokenizer_that_panics_is_one_line(small, monkeypatch):
    from qkvcheck.models import tokenizers

    class PanicException(BaseException):
        pass

    def panic(*_arguments, **_options):
        raise PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(tokenizers, "_load_tokenizer", panic)
    refused(small, "holds no usable tokenizer; .*called `Option::unwrap")


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ModelError, match="model directory .* can't be read"):
        check_directory(tmp_path / "none")
    bounded(tmp_path, object())  # a family that has no schema is bound by nothing here


# A configuration of another release -----------------------------------------------------------------


ROPE = {"rope_type": "default", "rope_theta": 77777.0}


@pytest.mark.parametrize("scaled", [False, True])
def test_an_older_release_turns_as_a_newer_one_wrote(tmp_path, scaled):
    """transformers 4 does not look at rope_parameters; without a word it would turn by its own 10,000."""
    rope = {**ROPE, "rope_type": "linear", "factor": 2.0} if scaled else ROPE
    told = {"model_type": "llama", "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1,
            "intermediate_size": 8, "vocab_size": 9, "rope_parameters": rope}  # fmt: skip
    (tmp_path / CONFIG).write_text(json.dumps(told))
    config = config_of(ModelSpec(str(tmp_path)), tmp_path, trust=False)
    assert rope_of(config)["rope_theta"] == 77777.0
    turned = transformers.AutoModel.from_config(config).rotary_emb.inv_freq
    assert turned[1].item() == pytest.approx(77777.0 ** (-1 / 4) / (2 if scaled else 1), rel=1e-6)


@pytest.mark.skipif(int(transformers.__version__.partition(".")[0]) >= 5, reason="transformers 5 knows all of it")
def test_what_an_older_release_cannot_be_told_is_refused(tmp_path):
    told = {"model_type": "llama", "rope_parameters": {"full_attention": ROPE, "sliding_attention": ROPE}}
    (tmp_path / CONFIG).write_text(json.dumps(told))
    with pytest.raises(ModelError, match="does not know, and would turn otherwise; install transformers 5"):
        config_of(ModelSpec(str(tmp_path)), tmp_path, trust=False)
