"""Models: specs, directories that are whole or not, untrained twins, fingerprints."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from qkvcheck.commands import machine as doctor
from qkvcheck.errors import ModelError
from qkvcheck.models import loading as models
from qkvcheck.models.loading import ModelSpec, embedded_directory, from_model, load_model, parse_spec, untrained_twin

SIZE = (embedded_directory() / "model.safetensors").stat().st_size
NUMBERS = json.loads((embedded_directory() / "training.json").read_text("utf-8"))["parameters"]


@pytest.fixture
def copy(tmp_path) -> Path:
    """A directory with a copy of the embedded model."""
    return Path(shutil.copytree(embedded_directory(), tmp_path / "model"))


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("auto", ModelSpec("auto")),
        ("smollm2#untrained=3", ModelSpec("smollm2", 3)),
        ("gpt2#untrained", ModelSpec("gpt2", 0)),
        ("gpt2#untrained=3", ModelSpec("gpt2", 3)),
        ("llama#tiny", ModelSpec("llama", 0, tiny=True)),
        ("some/directory#tiny=3", ModelSpec("some/directory", 3, tiny=True)),
        ("org/name@v2", ModelSpec("org/name@v2")),
    ],
)
def test_spec(text, spec):
    assert parse_spec(text) == spec
    assert str(spec) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpt2#untrained=x", "has seed 'x'; the seed must be a whole number from 0, of at most 18 digits, as in"),
        ("gpt2#untrained=", "has seed ''"),
        ("gpt2#untrained=-1", "has seed '-1'"),
        ("gpt2#fresh", "unknown variant '#fresh'; allowed are #untrained and #tiny, with =SEED or not"),
        ("", "names no model"),
        ("./nowhere", "model directory './nowhere' does not exist"),
        ("/nowhere/at/all", "does not exist; give an existing directory, auto, embedded or a hub id"),
    ],
)
def test_bad_spec_is_one_line(text, message):
    with pytest.raises(ModelError) as caught:
        load_model(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_directory_gives_the_same_model(copy, embedded):
    loaded = load_model(str(copy))
    assert loaded.fingerprint == embedded.fingerprint
    assert not loaded.is_stand_in
    assert loaded.slug == "model"


def tensors_of(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors")


def write(directory: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def spoil_no_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


def spoil_pickle(directory: Path) -> None:
    torch.save(tensors_of(directory), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()


def spoil_missing_tensor(directory: Path) -> None:
    tensors = tensors_of(directory)
    del tensors["transformer.h.6.attn.c_attn.weight"]
    write(directory, tensors)


def spoil_cut_off(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def spoil_cut_off_in_the_header(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def spoil_too_long(directory: Path) -> None:
    with (directory / "model.safetensors").open("ab") as file:
        file.write(b"more")


def spoil_other_bytes(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(b"<html>sign in</html>" * 100)


def spoil_shape(directory: Path) -> None:
    tensors = tensors_of(directory)
    name = "transformer.h.6.mlp.c_fc.weight"
    tensors[name] = tensors[name][:, :-1].contiguous()
    write(directory, tensors)


def spoil_not_a_number(directory: Path) -> None:
    tensors = tensors_of(directory)
    tensors["transformer.h.6.attn.c_attn.bias"][3] = float("nan")
    write(directory, tensors)


def spoil_infinite(directory: Path) -> None:
    tensors = tensors_of(directory)
    tensors["transformer.wpe.weight"][3, 3] = float("inf")
    write(directory, tensors)


def spoil_shard(directory: Path) -> None:
    index = {
        "metadata": {},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
    }
    (directory / "model.safetensors").rename(directory / "model-00001-of-00002.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def spoil_depth(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "n_layer": 13}))


def spoil_no_config(directory: Path) -> None:
    (directory / "config.json").unlink()


def spoil_family(directory: Path) -> None:
    (directory / "config.json").write_text('{"model_type": "bert"}')


def spoil_tokenizer(directory: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (directory / name).unlink()


@pytest.mark.needs_model
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_no_weights, "holds no model.safetensors; weights are read from safetensors only"),
        (spoil_pickle, "only pytorch_model.bin, a pickle, which can run code"),
        (spoil_missing_tensor, "is not whole: 1 tensor (transformer.h.6.attn.c_attn.weight) missing"),
        (spoil_cut_off, f"is not whole: model.safetensors has {SIZE - 1000:,} bytes and should have {SIZE:,}"),
        (spoil_cut_off_in_the_header, "model.safetensors is cut off or is no safetensors file"),
        (spoil_too_long, f"has {SIZE + 4:,} bytes and should have {SIZE:,}"),
        (spoil_other_bytes, "is cut off or is no safetensors file"),
        (spoil_shape, "does not fit its config.json: 1 tensor (transformer.h.6.mlp.c_fc.weight) of another shape"),
        (spoil_not_a_number, "holds NaN or infinite numbers in 1 tensor (transformer.h.6.attn.c_attn.bias)"),
        (spoil_infinite, "holds NaN or infinite numbers in 1 tensor (transformer.wpe.weight)"),
        (spoil_shard, "model-00002-of-00002.safetensors is missing"),
        (spoil_depth, "is not whole: 12 tensors (transformer.h.12."),
        (spoil_no_config, "/config.json' can't be read: it does not exist"),
        (spoil_family, f"asks for 108,891,648 numbers, and the weights hold {NUMBERS:,}"),
        (spoil_tokenizer, "holds no usable tokenizer"),
    ],
)
def test_model_that_is_not_whole_is_refused(copy, spoil, message):
    spoil(copy)
    with pytest.raises(ModelError) as caught:
        _ = load_model(str(copy)).model
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_untrained_residual_projections_are_scaled_as_gpt2_has_them(embedded):
    """transformers 5.0 to 5.14 leave the scale out."""
    twin = untrained_twin(embedded).model
    expected = twin.config.initializer_range / (2 * twin.config.n_layer) ** 0.5
    spreads = [p.std().item() for name, p in twin.named_parameters() if name.endswith("c_proj.weight")]
    assert len(spreads) == 24
    assert spreads == pytest.approx([expected] * 24, rel=0.05)


@pytest.mark.parametrize("spec", ["embedded", "embedded#untrained", "gpt2#untrained"])
def test_torch_that_transformers_refuses_is_named(monkeypatch, spec):
    """Not the file that can't be read for it."""
    versions = {"transformers": "5.24.0", "torch": "2.4.0"}
    monkeypatch.setattr("transformers.utils.is_torch_available", lambda: False)
    monkeypatch.setattr(models.metadata, "version", versions.__getitem__)
    monkeypatch.setattr(models.metadata, "requires", lambda _name: ["torchvision", 'torch>=2.6; extra == "torch"'])
    with pytest.raises(ModelError) as caught:
        load_model(spec)
    told = "transformers 5.24.0 can't use torch 2.4.0: it needs torch>=2.6"
    assert str(caught.value) == f"{told}. Install a newer torch or an older transformers."
    assert doctor._library("transformers") == doctor.Check("transformers", f"NOT USABLE: {told}", healthy=False)


@pytest.mark.parametrize(("spec", "method"), [("embedded", "from_pretrained"), ("gpt2#untrained", "from_config")])
def test_libraries_that_do_not_fit_are_not_laid_to_the_file(monkeypatch, spec, method):
    """transformers 5.14 says that it takes torch 2.4, and imports what torch 2.5 brought."""

    def lacking(*_arguments, **_options):
        raise ImportError("cannot import name 'DTensor' from 'torch.distributed.tensor'")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, method, lacking)
    with pytest.raises(ModelError) as caught:
        _ = load_model(spec).model
    assert str(caught.value) == (
        "transformers can't make the model with the libraries installed here (cannot import name 'DTensor' from "
        "'torch.distributed.tensor'); install versions that fit together."
    )


def test_what_transformers_says_it_needs_is_found(monkeypatch):
    monkeypatch.setattr("transformers.utils.is_torch_available", lambda: False)
    assert ": it needs torch>=2." in models.torch_obstacle()


@pytest.mark.long
@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6), reason="transformers reads no pickle with torch < 2.6"
)
def test_command_that_converts_a_pickle_works(copy, embedded):
    """What the refusal tells to do, done."""
    spoil_pickle(copy)
    with pytest.raises(ModelError) as caught:
        load_model(str(copy))
    command = str(caught.value).partition("convert it, in that folder: python -c ")[2].strip('"')
    done = subprocess.run([sys.executable, "-c", command], check=False, capture_output=True, text=True, cwd=copy)
    assert done.returncode == 0, done.stderr
    assert load_model(str(copy)).fingerprint == embedded.fingerprint


def test_shards_load(copy, embedded):
    loaded = load_model(str(copy)).model
    (copy / "model.safetensors").unlink()
    loaded.save_pretrained(copy, max_shard_size="3MB")
    assert len(list(copy.glob("model-*.safetensors"))) > 1
    assert load_model(str(copy)).fingerprint == embedded.fingerprint


@pytest.mark.needs_model
def test_code_of_a_model_runs_only_if_allowed(copy):
    """A directory with code of its own: refused, and the code not run."""
    ran = copy / "ran"
    (copy / "own.py").write_text(
        "from pathlib import Path\n"
        "from transformers import GPT2Config\n"
        f"Path({str(ran)!r}).touch()\n"
        "class OwnConfig(GPT2Config):\n    model_type = 'own'\n"
    )
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps({**config, "model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}})
    )
    with pytest.raises(ModelError) as caught:
        load_model(str(copy))
    assert "\n" not in str(caught.value)
    assert not ran.exists()
    with pytest.raises(ModelError, match="model family 'own' is not known to qkvcheck, and transformers has no"):
        load_model(str(copy), trust_remote_code=True)
    assert ran.exists()


def test_file_instead_of_a_directory(copy):
    with pytest.raises(ModelError, match="is a file; give the directory"):
        load_model(str(copy / "config.json"))


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("tpu9", "device 'tpu9' is not known; allowed are cpu, cuda"),
        ("cuda:99", "is not available here|does not exist"),
    ],
)
def test_device_that_is_not_there(device, message):
    with pytest.raises(ModelError, match=message):
        load_model("embedded", device=device)


def test_unknown_dtype():
    with pytest.raises(ModelError, match="dtype 'int3' is not known; allowed: float32"):
        load_model("embedded", dtype="int3")


@pytest.mark.needs_time
def test_unknown_tokenizer_directory(tmp_path):
    with pytest.raises(ModelError, match="tokenizer directory .*none.* does not exist"):
        load_model("embedded", tokenizer=str(tmp_path / "none"))


def test_untrained_is_drawn_from_its_seed(embedded):
    again = [load_model("embedded#untrained=3") for _ in range(2)]
    other = load_model("embedded#untrained=4")
    assert again[0].fingerprint == again[1].fingerprint
    assert len({again[0].fingerprint, other.fingerprint, embedded.fingerprint}) == 3
    assert again[0].is_untrained
    assert again[0].slug == "embedded-untrained-3"
    assert again[0].parameters == embedded.parameters


@pytest.mark.needs_model
def test_untrained_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    want = torch.rand(3)
    torch.manual_seed(1)
    load_model("embedded#untrained")
    assert torch.equal(torch.rand(3), want)


@pytest.mark.needs_model
def test_twin_of_an_untrained_model_is_another_one():
    model = load_model("embedded#untrained=0")
    assert untrained_twin(model, seed=0).fingerprint == load_model("embedded#untrained=1").fingerprint
    assert untrained_twin(model, seed=0).fingerprint != model.fingerprint


def test_full_size_is_gpt2_small(full_size):
    assert full_size.parameters == 124_439_808
    assert full_size.depth == 12
    assert full_size.projections == {"Q": slice(0, 768), "K": slice(768, 1536), "V": slice(1536, 2304)}


def test_fingerprint_sees_weights_tokenizer_and_architecture(copy, embedded):
    first = load_model(str(copy))
    with torch.no_grad():
        first.model.transformer.h[11].mlp.c_proj.bias[0] += 1e-6
    assert first.fingerprint != embedded.fingerprint
    second = load_model(str(copy))
    second.model.config.layer_norm_epsilon = 1e-6
    assert second.fingerprint != embedded.fingerprint
    third = load_model(str(copy))
    third.model.config.use_cache = False
    third.model.config.architectures = None
    assert third.fingerprint == embedded.fingerprint


def test_model_in_memory(embedded):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_directory())
    wrapped = from_model(embedded.model, tokenizer, name="mine")
    assert wrapped.model is embedded.model
    assert wrapped.fingerprint == embedded.fingerprint
    assert wrapped.slug == "mine"
    assert not wrapped.is_stand_in


def test_padding_is_left_as_the_tokenizer_had_it(embedded):
    tokenizer = embedded.encoder._tokenizer
    before = (tokenizer.pad_token, tokenizer.padding_side)
    short, long = "We saw her", "We saw her with a red coat"
    padded = embedded.encoder.pad([short, long])
    ids = embedded.encoder.encode(short)
    assert padded[1].tolist() == embedded.encoder.encode(long)
    assert padded[0].tolist() == ids + [embedded.encoder.pad_id] * (padded.shape[1] - len(ids))
    assert (tokenizer.pad_token, tokenizer.padding_side) == before


def test_decode_turns_encode_around(embedded, full_size):
    for encoder in (embedded.encoder, full_size.encoder):
        text = "He gave her a red coat."
        assert encoder.decode(encoder.encode(text)) == text
