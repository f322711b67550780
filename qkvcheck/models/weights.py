"""Weights: whether a directory's safetensors files are whole, and loading them with nothing filled in silently.

transformers fills a missing tensor with fresh random numbers and merely warns. Here such a model is refused.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, first_line

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_HEADER_LIMIT = 100_000_000  # of the safetensors format
_NAMED = 3


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files that a directory's model consists of, whether or not they are there."""
    index = directory / INDEX
    if not (directory / SINGLE).exists() and index.exists():
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            return [index]
        return [directory / name for name in sorted(names)]
    return [directory / SINGLE]


def flaws_of(directory: Path) -> dict[str, str]:
    """Return what is wrong with a directory's weight files, by name; empty if they are whole.

    Reads headers only: a safetensors file begins with the length of its header and says there where its
    last tensor ends.
    """
    flaws = {path.name: _flaw_of_file(path) for path in weight_files(directory)}
    return {name: flaw for name, flaw in flaws.items() if flaw is not None}


def flaw_of(directory: Path) -> str | None:
    """Return the first flaw of a directory's weight files in words, or None if they are whole."""
    return next((f"{name} {flaw}" for name, flaw in flaws_of(directory).items()), None)


def _flaw_of_file(path: Path) -> str | None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or not 2 <= length <= min(_HEADER_LIMIT, size - 8):
                return "is cut off or is no safetensors file"
            header = json.loads(file.read(length))
        end = max((t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"), default=0)
    except FileNotFoundError:
        return "is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "is no readable safetensors file"
    expected = 8 + length + end
    if size != expected:
        return f"has {size:,} bytes and should have {expected:,}"
    return None


def load_weights(directory: Path, config: Any, *, trust_remote_code: bool) -> Any:
    """Load a causal language model from a directory's safetensors files.

    Parameters
    ----------
    directory : Path
        With ``model.safetensors``, or the shards that ``model.safetensors.index.json`` names.
    config : transformers.PretrainedConfig
        Of the model.
    trust_remote_code : bool
        Whether code that comes with it may run.

    Raises
    ------
    ModelError
        If the weights are pickled, cut off, missing, of another shape, or not finite, or the installed libraries don't
        fit together.
    """
    from transformers import AutoModelForCausalLM

    _refuse_pickles(directory)
    flaw = flaw_of(directory)
    if flaw is not None:
        raise ModelError(f"the model in {str(directory)!r} is not whole: {flaw}. Copy or download it again.")
    try:
        with _quiet():
            loaded = AutoModelForCausalLM.from_pretrained(
                directory,
                config=config,
                local_files_only=True,
                use_safetensors=True,
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
    _refuse_filled_in(directory, info)
    _refuse_not_finite(directory, model)
    return model


def libraries_unfit(error: ImportError) -> ModelError:
    """Return what to raise if transformers lacks something in another library: no file is to blame."""
    return ModelError(
        f"transformers can't make the model with the libraries installed here ({first_line(error)}); install versions "
        "that fit together."
    )


def _refuse_pickles(directory: Path) -> None:
    if any(path.exists() for path in weight_files(directory)):
        return
    pickled = sorted(path.name for path in directory.glob("*.bin")) + sorted(p.name for p in directory.glob("*.pt*"))
    found = f"only {pickled[0]}, a pickle, which can run code when it is read" if pickled else "no model.safetensors"
    place = str(directory)
    convert = (
        'python -c "from transformers import AutoModelForCausalLM as M; '
        f'M.from_pretrained({place!r}).save_pretrained({place!r})"'
    )
    raise ModelError(
        f"model directory {place!r} holds {found}; weights are read from safetensors only. "
        + (f"If you trust the file, convert it: {convert}" if pickled else "Save the model there with save_pretrained.")
    )


def _refuse_filled_in(directory: Path, info: Any) -> None:
    """Refuse tensors that were not in the files, or had another shape there."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            f"the model in {str(directory)!r} is not whole: {_some(missing, 'tensor')} missing. They would be filled "
            "with random numbers, so it is refused; copy or download it again."
        )
    # transformers 5 gives name and shapes, transformers 4 the name.
    mismatched = sorted(key if isinstance(key, str) else str(key[0]) for key in info["mismatched_keys"])
    if mismatched:
        raise ModelError(
            f"the model in {str(directory)!r} does not fit its config.json: {_some(mismatched, 'tensor')} of another "
            "shape. Copy config.json and weights from the same place."
        )


def _refuse_not_finite(directory: Path, model: Any) -> None:
    broken = sorted(name for name, parameter in model.named_parameters() if not bool(parameter.isfinite().all()))
    if broken:
        raise ModelError(
            f"the model in {str(directory)!r} holds NaN or infinite numbers in {_some(broken, 'tensor')}. "
            "Copy or download it again."
        )


def _some(names: list[str], what: str) -> str:
    listed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''} ({listed})"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
