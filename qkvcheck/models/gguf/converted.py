"""Converted: a GGUF file as a model directory in qkvcheck's cache: dequantised once, by transformers' own reader.

The copy has the hash of the file in its name, so that a file that changed gets another one. It is loaded as any model
directory is. What transformers would leave out or fill in without a word is refused here.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, first_line, shown
from qkvcheck.models.directory import memory_bytes
from qkvcheck.models.gguf.header import GgufHeader, check_magic, given_gguf, read_header
from qkvcheck.models.gguf.store import cache_folder, making, move
from qkvcheck.models.weights.files import libraries_unfit, quiet

FORMAT = 1
"""Of the copy: a larger number has them all made anew."""
NEEDED = ("gguf", "accelerate")
NOTE = "converted.json"
_FLOAT_BYTES = 4
_KEPT = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True)
class Converted:
    """A copy of a GGUF file.

    Attributes
    ----------
    directory : Path
        With config.json, model.safetensors and, unless `tokenizer_flaw` says why not, tokenizer.json.
    quantisation : str
        In which format most numbers of the file are.
    add_bos : bool or None
        Whether the file says that texts begin with its BOS token; None if it says nothing.
    tokenizer_flaw : str or None
        Why there is no tokenizer.
    """

    directory: Path
    quantisation: str
    add_bos: bool | None
    tokenizer_flaw: str | None


@dataclass(frozen=True)
class _Note:
    """What stands in the copy beside the model."""

    file: str
    sha256: str
    quantisation: str
    add_bos: bool | None
    tokenizer_flaw: str | None
    versions: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


def convert_gguf(path: Path, *, sha256: str | None = None, announce: Callable[[str], None] | None = None) -> Converted:
    """Return the copy of a GGUF file, which is made if it is not there.

    Parameters
    ----------
    path : Path
        The file.
    sha256 : str, optional
        Its hash, where that is known.
    announce : callable, optional
        Told that it is being made.

    Raises
    ------
    ModelError
        If the file is damaged, transformers can't read it as it is, or the cache can't be written.
    """
    if sha256 is None:
        check_magic(path)
        sha256 = hash_of(path)
    found = copy_of(sha256)
    if found is not None:
        return found
    say = announce or (lambda _: None)
    header = checked_header(path)
    place = _place(sha256)
    with making(place, waits=lambda: say(f"another process is converting {path.name}: waiting for it")) as temporary:
        if copy_of(sha256) is None:
            say(f"converting {path.name} ({header.quantisation}, {header.numbers / 1e6:,.0f} M numbers), once")
            _convert(header, sha256, temporary)
            move(temporary, place)
    found = copy_of(sha256)
    if found is None:
        raise ModelError(f"the converted copy of {shown(str(path))} is not whole in {place}; run again.")
    return found


def copy_of(sha256: str) -> Converted | None:
    """Return the copy of the file with a hash, if it is there and whole."""
    place = _place(sha256)
    note = _note(place)
    if note is None or note.sha256 != sha256:
        return None
    return Converted(place, note.quantisation, note.add_bos, note.tokenizer_flaw)


def _note(directory: Path) -> _Note | None:
    """Return what stands beside a converted model, if its files are as long as it says."""
    try:
        note = _Note(**json.loads((directory / NOTE).read_text("utf-8")))
        whole = all((directory / name).stat().st_size == size for name, size in note.sizes.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return note if whole else None


@contextlib.contextmanager
def naming_gguf(directory: Path | None) -> Iterator[None]:
    """Name the GGUF file in what is said of its converted copy, which nobody has seen."""
    try:
        yield
    except ModelError as error:
        note = None if directory is None else _note(directory)
        if note is None:
            raise
        raise ModelError(f"GGUF file {shown(note.file)}: {error}") from None


def gguf_obstacle() -> str | None:
    """Return which packages are missing that read a GGUF file and how to get them, or None."""
    missing = [name for name in NEEDED if util.find_spec(name) is None]
    return f"needs {' and '.join(missing)}: pip install 'qkvcheck[gguf]'" if missing else None


def told_of_bos(directory: Path) -> bool | None:
    """Return whether a GGUF file said that texts begin with its BOS token, from its converted copy.

    It is None where the file said nothing, and for any other directory. What transformers makes of it is another
    matter: for one file 4.57.6 says True and 5.24.0 says False.
    """
    note = _note(directory)
    return None if note is None else note.add_bos


def hash_of(path: Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with given_gguf(path).opened() as (file, _):
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def checked_header(path: Path) -> GgufHeader:
    """Return what a file says of itself, with what transformers would not see to refused.

    Raises
    ------
    ModelError
        If it is damaged, or holds what would be lost.
    """
    check_magic(path)
    missing = gguf_obstacle()
    if missing is not None:
        raise ModelError(f"{shown(str(path))} is a GGUF file, and to read it qkvcheck {missing}.")
    from gguf import GGML_QUANT_SIZES

    header = read_header(path, {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()})
    given, own = given_gguf(path), f"{header.family}."
    largest = max(max(tensor.shape) for tensor in header.tensors)
    counts = {
        key.removeprefix(own): value
        for key, value in header.fields.items()
        if key.startswith(own) and isinstance(value, int) and not isinstance(value, bool)
    }
    for key, value in counts.items():
        # Whatever is built of such a number is in the tensors too; without them it could be of any size.
        if key.endswith(("_count", "_length")) and key != "context_length" and value > largest:
            raise given.refused(f"is damaged: {shown(own + key)} is {value:,}, and no tensor is that large")
    layers = counts.get("block_count")
    if layers is not None and layers != header.blocks:
        raise given.refused(f"says that it has {layers:,} layers, and holds tensors of {header.blocks:,}")
    needed, there = _FLOAT_BYTES * header.numbers, memory_bytes()
    if needed > there:
        raise given.refused(
            f"takes {needed / 1e9:,.0f} GB dequantised; this machine has {there / 1e9:,.0f} GB of memory",
            do="take a smaller model",
        )
    return header


def _place(sha256: str) -> Path:
    # Each line of transformers writes its own configuration: 4.57.6 reads one of 5.24.0 with another rotary base.
    line = metadata.version("transformers").partition(".")[0]
    return cache_folder() / "gguf" / f"{sha256[:32]}-{FORMAT}-tf{line}"


def _convert(header: GgufHeader, sha256: str, folder: Path) -> None:
    """Write configuration, weights, tokenizer, and last the note that says that they are whole."""
    with _reading(header):
        config = _config(header)
        tokenizer, flaw = _tokenizer(header)
        model = _model(header, config)
    _check_rotary(header, model.config)
    _write_config(model, folder)
    _write_weights(model, folder)
    if tokenizer is not None:
        _write_tokenizer(tokenizer, header, folder)
    names = (*NEEDED, "transformers")
    note = _Note(
        header.path.name,
        sha256,
        header.quantisation,
        header.add_bos,
        flaw,
        {name: metadata.version(name) for name in names},
        {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    )
    (folder / NOTE).write_text(json.dumps(asdict(note), indent=1) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _reading(header: GgufHeader) -> Iterator[None]:
    """Silence transformers' reader, and turn whatever it raises into one line."""
    given = given_gguf(header.path)
    try:
        with quiet(), contextlib.redirect_stderr(io.StringIO()):  # a bar of its own that no setting turns off
            yield
    except ModelError:
        raise
    except ImportError as error:
        raise libraries_unfit(error) from None
    except Exception as error:  # it raises what it likes
        version = metadata.version("transformers")
        raise given.refused(
            f"can't be read by transformers {version} ({first_line(error)})",
            do="take a file of another architecture, or the model's safetensors",
        ) from None


def _named(header: GgufHeader) -> dict[str, Any]:
    return {
        "pretrained_model_name_or_path": str(header.path.parent),
        "gguf_file": header.path.name,
        "local_files_only": True,
    }


def _config(header: GgufHeader) -> Any:
    """Return the configuration that transformers makes of the file, if a model of it has as many numbers as the file.

    Else some would be left out, as biases that the family has not, or filled in.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(**_named(header))
    with torch.device("meta"):
        expected = sum(one.numel() for one in AutoModelForCausalLM.from_config(config).parameters())
    if expected != header.numbers:
        known = any(tensor.name == _ROPE_FACTORS for tensor in header.tensors)
        what = f" (the factors of its rotary embedding, {_ROPE_FACTORS}, among them)" if known else ""
        raise given_gguf(header.path).refused(
            f"holds {header.numbers:,} numbers, and what transformers makes of it has {expected:,}{what}: some would "
            "be left out or filled in",
            do="take the model's safetensors",
        )
    return config


def _tokenizer(header: GgufHeader) -> tuple[Any, str | None]:
    """Return the tokenizer that is in the file, or why there is none."""
    from transformers import AutoTokenizer

    if not header.has_tokenizer:
        return None, "holds no tokenizer"
    try:
        tokenizer = AutoTokenizer.from_pretrained(**_named(header))
    except ImportError:
        raise
    except Exception as error:  # it raises what it likes
        return None, f"holds a tokenizer that transformers can't read ({first_line(error)})"
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return None, "holds a tokenizer that can't be written as tokenizer.json"
    return tokenizer, None


def _model(header: GgufHeader, config: Any) -> Any:
    """Return the network with every number of the file, and no other."""
    import torch
    import transformers

    more = {}
    if hasattr(transformers, "GgufConfig"):  # it could leave the weights packed
        more["quantization_config"] = transformers.GgufConfig(gguf_file=header.path.name, dequantize=True)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        **_named(header), config=config, dtype=torch.float32, output_loading_info=True, **more
    )
    wrong = sorted(str(name) for kind in ("missing_keys", "mismatched_keys", "unexpected_keys") for name in info[kind])
    if wrong:
        raise given_gguf(header.path).refused(
            f"does not fit what transformers makes of it: {len(wrong)} tensors such as {shown(wrong[0])} are missing, "
            "of another shape or of no use",
            do="take the model's safetensors",
        )
    packed = [name for name, one in model.named_parameters() if not one.is_floating_point()]
    if packed:
        raise given_gguf(header.path).refused(f"is left packed by transformers ({shown(packed[0])})")
    return model


def _check_rotary(header: GgufHeader, config: Any) -> None:
    """Refuse a scaled rotary embedding that transformers' reader has left out."""
    told = header.fields.get(f"{header.family}.rope.scaling.type", "none")
    parameters = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    got = parameters.get("rope_type", parameters.get("type", "default")) if isinstance(parameters, dict) else "default"
    if told != "none" and got == "default":
        raise given_gguf(header.path).refused(
            f"has a rotary embedding scaled as {shown(told)}, which transformers' reader leaves out",
            do="take the model's safetensors",
        )


def _write_config(model: Any, folder: Path) -> None:
    data = json.loads(model.config.to_json_string(use_diff=True))
    for name in ("quantization_config", "_name_or_path", "_model_name_or_path", "transformers_version"):
        data.pop(name, None)
    data["architectures"] = [type(model).__name__]
    (folder / "config.json").write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_tokenizer(tokenizer: Any, header: GgufHeader, folder: Path) -> None:
    """Write the tokenizer; whether texts begin with a BOS token stands in it as the file says."""
    tokenizer.save_pretrained(folder)
    for path in list(folder.iterdir()):
        if path.name not in _KEPT:  # chat templates, in files or folders
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    path = folder / "tokenizer_config.json"
    data = json.loads(path.read_text("utf-8"))
    data.pop("add_bos_token", None)  # each line of transformers makes another one up
    if header.add_bos is not None:
        data["add_bos_token"] = header.add_bos
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _write_weights(model: Any, folder: Path) -> None:
    """Write every tensor once: those that are tied have two names and one place."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors, places = {}, set()
    for name, tensor in model.state_dict().items():
        place = (tensor.data_ptr(), tuple(tensor.shape))
        if place not in places or tensor.numel() == 0:
            places.add(place)
            tensors[name] = tensor.detach().contiguous()
    try:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(first_line(error)) from None
