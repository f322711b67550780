"""Directory: the files of a model, each held against what it may say before any library is given it.

A configuration is bound by what the weights hold: nothing is built that is not there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import prod
from pathlib import Path
from typing import Any

from qkvcheck.errors import DocumentError, ModelError, shown
from qkvcheck.inputs import Given, from_document
from qkvcheck.models.architecture import Architecture, ConfigSchema, architectures_by_family
from qkvcheck.models.weights.files import check_tensors, flaw_of, headers_of, numbers_asked

SMALL = 1_000_000
"""Bytes of a config.json."""
FLOAT_BYTES = 4
LAYER_FIELDS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""What a config.json calls the number of layers."""
MOST_LAYERS, MOST_NUMBER = 1000, 2**26
"""Of a family without a schema: layers, and any whole number of its configuration but the id of a token."""


def check_directory(directory: Path, *, tokenizer: bool = False) -> None:
    """Refuse a directory with entries that block whoever opens them, such as a pipe.

    Parameters
    ----------
    directory : Path
        Of a model, or of a tokenizer.
    tokenizer : bool
        Which of them, for the message.
    """
    given = Given(
        directory,
        "tokenizer directory" if tokenizer else "model directory",
        ModelError,
        "give a directory written by save_pretrained",
    )
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                mode = entry.stat().st_mode if Path(entry.path).exists() else stat.S_IFREG  # a link to nowhere
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    raise given.refused(
                        f"holds {shown(entry.name)}, which is a pipe, a socket or a device", do="remove it"
                    )
    except OSError as error:
        raise given.refused(f"can't be read ({error.strerror})") from None


def read_config(directory: Path) -> dict[str, Any]:
    """Return what a directory's config.json says, checked against the schema of its family.

    Raises
    ------
    ModelError
        If it can't be read, or says what the family does not allow.
    """
    given = _given(directory)
    data = given.read_json(limit=SMALL)
    if not isinstance(data, dict):
        raise given.refused(f"is no JSON object ({shown(data)})")
    if data.get("quantization_config") is not None:
        raise given.refused("says that the weights are quantised (quantization_config); plain numbers are read alone")
    if (directory / "adapter_config.json").exists():
        raise ModelError(
            f"model directory {shown(str(directory))} holds an adapter (adapter_config.json), which changes what the "
            "model computes; merge it into the weights (merge_and_unload) and save the model."
        )
    architecture = _architecture(data.get("model_type"))
    if architecture is not None and architecture.schema is not None:
        _schema(given, architecture.schema, data)
    return data


def bounded(directory: Path, config: Any) -> None:
    """Refuse a configuration that asks for other tensors than the directory's weights hold.

    Parameters
    ----------
    directory : Path
        Of the model.
    config : transformers.PretrainedConfig
        What was made of its config.json: other names of a field are resolved there.

    Raises
    ------
    ModelError
        If it does; or, where there are no whole weights, if what would be drawn does not fit into the memory.
    """
    architecture = _architecture(getattr(config, "model_type", None))
    if architecture is None or architecture.schema is None:
        return
    given = _given(directory)
    names = [one.name for one in fields(architecture.schema)]  # type: ignore[arg-type] # a dataclass, as it says
    told = {name: value for name in names if (value := getattr(config, name, None)) is not None}
    expected = _schema(given, architecture.schema, told).tensors()
    if flaw_of(directory) is None:
        check_tensors(directory, headers_of(directory), expected, architecture)
        return
    _bound_memory(given, sum(map(prod, expected.values())))


def bounded_by_count(directory: Path, config: Any, architecture: Architecture) -> None:
    """Refuse a configuration that asks for more numbers than the directory's weights hold.

    For a family without a schema: names of tensors may be others in files than in the library, but not their number.

    Parameters
    ----------
    directory : Path
        Of the model.
    config : transformers.PretrainedConfig
        What was made of its config.json.
    architecture : Architecture
        Of its family.

    Raises
    ------
    ModelError
        If it does; or, where there are no whole weights, if what would be drawn does not fit into the memory.
    """
    given = _given(directory)
    for name, value in _numbers(config.to_dict()):
        most = MOST_LAYERS if name in LAYER_FIELDS else MOST_NUMBER
        if value > most and not name.endswith("_token_id"):
            raise given.refused(f"says {name} is {value}; it has to be at most {most:,}")
    asked = numbers_asked(config, architecture)
    if flaw_of(directory) is None:
        held = sum(prod(entry.shape) for entry in headers_of(directory).values())
        if asked > held:
            raise given.refused(
                f"asks for {asked:,} numbers, and the weights hold {held:,}",
                do="copy config.json and weights from the same place",
            )
        return
    _bound_memory(given, asked)


def _bound_memory(given: Given, numbers: int) -> None:
    """Refuse a configuration that asks for more numbers than fit into the memory."""
    needed, there = FLOAT_BYTES * numbers, memory_bytes()
    if needed > there:
        raise given.refused(
            f"asks for {needed / 1e9:,.0f} GB of weights; this machine has {there / 1e9:,.0f} GB of memory"
        )


def _numbers(told: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Return every whole number of a configuration with its name, those of its parts too."""
    for name, value in told.items():
        if isinstance(value, int):
            yield str(name), value
        elif isinstance(value, Mapping):
            yield from _numbers(value)


def _given(directory: Path) -> Given:
    return Given(
        directory / "config.json", "model configuration", ModelError, "give a directory written by save_pretrained"
    )


def _architecture(family: object) -> Architecture | None:
    known = architectures_by_family()
    return known.get(family) if isinstance(family, str) else None


def _schema(given: Given, schema: type[ConfigSchema], data: Mapping[str, Any]) -> ConfigSchema:
    try:
        return from_document(schema, data)
    except DocumentError as error:
        raise given.refused(f"{error}") from None


def memory_bytes() -> int:
    """Return the bytes of this machine's memory; where it does not tell, 64 GB."""
    try:
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return 64_000_000_000
