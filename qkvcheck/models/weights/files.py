"""Weights: whether a directory's safetensors files are whole, and loading them with nothing filled in silently.

transformers fills a missing tensor with fresh random numbers and merely warns. Here such a model is refused.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from qkvcheck.errors import ModelError, QkvcheckError, first_line, shown
from qkvcheck.inputs import Given, TensorEntry, read_tensor_header
from qkvcheck.models.architecture import Architecture, Loader

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
INDEX_LIMIT = 50_000_000
"""Bytes of an index of shards."""
FLOATING = ("F64", "F32", "F16", "BF16")
_NAMED = 3
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*\.safetensors")
"""What a shard may be called: a file of the same folder."""


class _FlawError(QkvcheckError):
    """What is wrong with a file, without its name; never leaves this module."""


class _Looked(Given):
    """A file that is looked at: what is wrong with it is told without its name."""

    def refused(self, why: str, *, do: str | None = None) -> QkvcheckError:
        """Return what is wrong."""
        del do
        return _FlawError(why)


def _looked(path: Path) -> _Looked:
    return _Looked(path, "", _FlawError, "")


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files that a directory's model consists of, whether or not they are there."""
    if not (directory / SINGLE).exists() and (directory / INDEX).exists():
        try:
            return [directory / name for name in sorted(set(_weight_map(directory).values()))]
        except _FlawError:
            return [directory / INDEX]
    return [directory / SINGLE]


def _weight_map(directory: Path) -> dict[str, str]:
    """Return which shard holds which tensor, as the index says."""
    found = _looked(directory / INDEX).read_json(limit=INDEX_LIMIT)
    shards = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise _FlawError("has no weight_map")
    for name, shard in shards.items():
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            raise _FlawError(f"names {shown(shard)} for tensor {shown(name)}; a shard is a .safetensors file beside it")
    return shards


def flaws_of(directory: Path) -> dict[str, str]:
    """Return what is wrong with a directory's weight files, by name; empty if they are whole.

    Reads headers only: a safetensors file begins with the length of its header and says there where each tensor stands.
    """
    flaws = {path.name: _flaw_of_file(path) for path in weight_files(directory)}
    found = {name: flaw for name, flaw in flaws.items() if flaw is not None}
    if not found and SINGLE not in flaws:
        flaw = _flaw_of_shards(directory)
        return {} if flaw is None else {INDEX: flaw}
    return found


def flaw_of(directory: Path) -> str | None:
    """Return the first flaw of a directory's weight files in words, or None if they are whole."""
    return next((f"{name} {flaw}" for name, flaw in flaws_of(directory).items()), None)


def _flaw_of_file(path: Path) -> str | None:
    if not path.exists():
        return "is missing"
    try:
        if path.name == INDEX:
            _weight_map(path.parent)
        else:
            read_tensor_header(_looked(path))
    except _FlawError as flaw:
        return str(flaw)
    return None


def _flaw_of_shards(directory: Path) -> str | None:
    """Return how an index of shards and the shards disagree, if they do."""
    shards = _weight_map(directory)
    held: dict[str, str] = {}
    for path in weight_files(directory):
        for name in read_tensor_header(_looked(path)).tensors:
            if name in held:
                return f"does not fit the shards: {held[name]} and {path.name} both hold {shown(name)}"
            held[name] = path.name
    wrong = next((name for name in sorted({*shards, *held}) if shards.get(name) != held.get(name)), None)
    if wrong is None:
        return None
    return (
        f"does not fit the shards: tensor {shown(wrong)} is in {held.get(wrong, 'none of them')}, and the index says "
        f"{shards.get(wrong, 'nothing of it')}"
    )


def headers_of(directory: Path) -> dict[str, TensorEntry]:
    """Return the tensors of a directory's model, as the headers of its files say.

    Raises
    ------
    ModelError
        If a file is not whole.
    """
    flaw = flaw_of(directory)
    if flaw is not None:
        raise ModelError(f"the model in {shown(str(directory))} is not whole: {flaw}. Copy or download it again.")
    return {
        name: entry
        for path in weight_files(directory)
        for name, entry in read_tensor_header(_looked(path)).tensors.items()
    }


def check_tensors(
    directory: Path,
    found: Mapping[str, TensorEntry],
    expected: Mapping[str, tuple[int, ...]],
    architecture: Architecture,
) -> None:
    """Refuse weights that are not what a configuration asks for, or hold more of the base model than that.

    Parameters
    ----------
    directory : Path
        Where they are.
    found : mapping of str to TensorEntry
        What the files hold.
    expected : mapping of str to tuple of int
        The shape of each tensor of the base model.
    architecture : Architecture
        Says how files may name them.

    Raises
    ------
    ModelError
        If a tensor is missing, has another shape or type, or belongs to what the configuration does not have.
    """
    prefix = architecture.prefix if any(name.startswith(architecture.prefix) for name in found) else ""
    missing = sorted(prefix + name for name in expected if prefix + name not in found)
    # Tied to the embedding: files of some tools keep the one under the other's name.
    if missing and not (missing == [f"{prefix}wte.weight"] and "lm_head.weight" in found):
        raise _missing(directory, missing)
    shapes = {name: found[prefix + name].shape for name in expected if prefix + name in found}
    other = sorted(prefix + name for name, shape in shapes.items() if shape != expected[name])
    if other:
        raise _of_another_shape(directory, other)
    whole = sorted(name for name in shapes if found[prefix + name].dtype not in FLOATING)
    if whole:
        entry = found[prefix + whole[0]]
        raise ModelError(
            f"the model in {shown(str(directory))} holds {shown(prefix + whole[0])} as {entry.dtype}; weights are "
            f"read as {', '.join(FLOATING)} alone. Save the model with plain floating numbers."
        )
    parts = {name.partition(".")[0] for name in expected}
    more = sorted(
        name
        for name in found
        if name.removeprefix(prefix) not in expected
        and not name.endswith(architecture.not_read)
        and (name.removeprefix(prefix).partition(".")[0] in parts or (prefix and name.startswith(prefix)))
    )
    if more:
        raise ModelError(
            f"the model in {shown(str(directory))} does not fit its config.json: it holds {_some(more, 'tensor')} "
            "beyond what config.json names, which would be left out. Copy config.json and weights from the same place."
        )


def loader_of(architecture: Architecture) -> Any:
    """Return the class of transformers as which a family is loaded."""
    import transformers

    return getattr(transformers, architecture.loader)


def without_initialiser() -> contextlib.AbstractContextManager[None]:
    """Let no model that is made within fill its weights or tie them."""
    try:
        from transformers.initialization import no_init_weights
    except ImportError:  # transformers 4
        from transformers.modeling_utils import no_init_weights
    return cast("contextlib.AbstractContextManager[None]", no_init_weights())


def without_weights(config: Any, architecture: Architecture) -> Any:
    """Make the model of a configuration, with tensors that have shapes and no memory.

    Raises
    ------
    ModelError
        If none can be made of it.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), without_initialiser():
            model = loader_of(architecture).from_config(config)
        model.tie_weights()  # without an initialiser, the constructor leaves it undone
        return model
    except ImportError as error:
        raise libraries_unfit(error) from None
    except Exception as error:  # it raises what it likes
        raise ModelError(
            f"no model can be made of the configuration ({first_line(error)}); correct config.json."
        ) from None


def numbers_asked(config: Any, architecture: Architecture) -> int:
    """Return how many numbers a configuration asks for, of the model without its head."""
    base = architecture.base_of(without_weights(config, architecture))
    return sum(parameter.numel() for parameter in base.parameters())


def load_weights(
    directory: Path, config: Any, *, architecture: Architecture, dtype: Any, trust_remote_code: bool
) -> Any:
    """Load a model from a directory's safetensors files.

    Parameters
    ----------
    directory : Path
        With ``model.safetensors``, or the shards that ``model.safetensors.index.json`` names.
    config : transformers.PretrainedConfig
        Of the model.
    architecture : Architecture
        Of its family.
    dtype : torch.dtype
        What the weights become; a configuration may name another one, in which they would lose digits on the way.
    trust_remote_code : bool
        Whether code that comes with it may run.

    Raises
    ------
    ModelError
        If the weights are pickled, cut off, missing, of another shape, or not finite, or the installed libraries don't
        fit together.
    """
    from transformers import GenerationConfig

    # A generation_config of the directory says nothing of what is measured.
    own = {"generation_config": GenerationConfig()} if architecture.loader is Loader.CAUSAL else {}
    try:
        with quiet():
            loaded = loader_of(architecture).from_pretrained(
                directory,
                config=config,
                local_files_only=True,
                dtype=dtype,
                use_safetensors=True,
                **own,
                ignore_mismatched_sizes=True,  # they are told below, by name
                output_loading_info=True,
                trust_remote_code=trust_remote_code,
            )
    except ImportError as error:
        raise libraries_unfit(error) from None
    except Exception as error:
        raise ModelError(
            f"the weights in {str(directory)!r} can't be read ({first_line(error)}); "
            "the file may be damaged or belong to another model. Copy or download it again."
        ) from None
    model, info = loaded
    _refuse_filled_in(directory, info, base=None if architecture.loader is Loader.CAUSAL else model)
    _refuse_not_finite(directory, model)
    return model


def libraries_unfit(error: ImportError) -> ModelError:
    """Return what to raise if transformers lacks something in another library: no file is to blame."""
    return ModelError(
        f"transformers can't make the model with the libraries installed here ({first_line(error)}); install versions "
        "that fit together."
    )


def refuse_pickles(directory: Path) -> None:
    """Raise `ModelError` where a directory has no safetensors weights; nothing ever reads a pickle."""
    if any(path.exists() for path in weight_files(directory)):
        return
    pickled = sorted(path.name for path in directory.glob("*.bin")) + sorted(p.name for p in directory.glob("*.pt*"))
    found = f"only {pickled[0]}, a pickle, which can run code when it is read" if pickled else "no model.safetensors"
    place = str(directory)
    # Without the folder's name, which may be long: a message that is cut would hold half a command.
    convert = (
        "python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('.').save_pretrained('.')\""
    )
    raise ModelError(
        f"model directory {place!r} holds {found}; weights are read from safetensors only. "
        + (
            f"If you trust the file, convert it, in that folder: {convert}"
            if pickled
            else "Save the model there with save_pretrained."
        )
    )


def _refuse_filled_in(directory: Path, info: Any, *, base: Any = None) -> None:
    """Refuse tensors that were not in the files, or had another shape there; where `base` is given, those of its base.

    The head of an encoder, which files of sentence encoders don't hold, never runs.
    """
    missing = sorted(info["missing_keys"])
    if base is not None:
        names = {name for name, _ in base.base_model.named_parameters()}
        prefix = f"{base.base_model_prefix}."
        missing = [name for name in missing if name.removeprefix(prefix) in names]
    if missing:
        raise _missing(directory, missing)
    # transformers 5 gives name and shapes, transformers 4 the name.
    mismatched = sorted(key if isinstance(key, str) else str(key[0]) for key in info["mismatched_keys"])
    if mismatched:
        raise _of_another_shape(directory, mismatched)


def _missing(directory: Path, names: list[str]) -> ModelError:
    return ModelError(
        f"the model in {shown(str(directory))} is not whole: {_some(names, 'tensor')} missing. They would be filled "
        "with random numbers, so it is refused; copy or download it again."
    )


def _of_another_shape(directory: Path, names: list[str]) -> ModelError:
    return ModelError(
        f"the model in {shown(str(directory))} does not fit its config.json: {_some(names, 'tensor')} of another "
        "shape. Copy config.json and weights from the same place."
    )


def _refuse_not_finite(directory: Path, model: Any) -> None:
    broken = sorted(name for name, parameter in model.named_parameters() if not is_finite(parameter))
    if broken:
        raise not_finite(directory, broken)


def not_finite(directory: Path, names: list[str]) -> ModelError:
    """Return what to raise of tensors that hold numbers that are none."""
    return ModelError(
        f"the model in {str(directory)!r} holds NaN or infinite numbers in {_some(names, 'tensor')}. "
        "Copy or download it again."
    )


def is_finite(tensor: Any) -> bool:
    """Tell whether all numbers are finite; their sum, which is quicker, is finite only then, but may overflow."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _some(names: list[str], what: str) -> str:
    short = [name if len(name) <= 60 else f"{name[:57]}..." for name in names[:_NAMED]]
    listed = ", ".join([*short, *(["..."] if len(names) > _NAMED else [])])
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''} ({listed})"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the loading library for a moment: what it would warn of is checked here, and refused."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
