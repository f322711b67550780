"""Locating: from a model spec to the directory that holds its files, and why that one."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, first_line, shown
from qkvcheck.models.gguf.converted import Converted, convert_gguf, copy_of
from qkvcheck.models.gguf.fetched import PACKAGED, SMOLLM2, PackagedModel, flaw_of_fetched
from qkvcheck.models.gguf.header import SUFFIX, gguf_in
from qkvcheck.models.hub import GPT2_SMALL, Announce, cached, fetch
from qkvcheck.models.spec import ModelSpec
from qkvcheck.models.tiny import is_family

EMBEDDED = "embedded"
AUTO = "auto"
STAND_IN = "stand-in"
"""The best there is without GPT-2 small: what was fetched, else what ships."""

KNOWN_CONFIGS: dict[str, dict[str, int]] = {
    "gpt2": {},
    "gpt2-medium": {"n_embd": 1024, "n_layer": 24, "n_head": 16},
    "gpt2-large": {"n_embd": 1280, "n_layer": 36, "n_head": 20},
    "gpt2-xl": {"n_embd": 1600, "n_layer": 48, "n_head": 25},
    "distilgpt2": {"n_layer": 6},
}
"""Configurations of the GPT-2 family that need no download, as differences from GPT-2 small."""


def embedded_directory() -> Path:
    """Return the directory of the embedded model."""
    return Path(str(resources.files("qkvcheck"))) / "data" / "embedded"


def embedded_training() -> dict[str, Any]:
    """Return how the embedded model was trained, and its losses in nats a token on held-out text."""
    record: dict[str, Any] = json.loads((embedded_directory() / "training.json").read_text(encoding="utf-8"))
    return record


def locate(spec: ModelSpec, with_tokenizer: bool, announce: Announce | None) -> tuple[ModelSpec, Path | None, str]:
    """Resolve ``auto``, and find the directory that holds the model's files.

    Parameters
    ----------
    spec : ModelSpec
        What was asked for.
    with_tokenizer : bool
        Whether its tokenizer has to be there too.
    announce : callable or None
        Told of a download's or a conversion's progress.

    Returns
    -------
    tuple
        The spec with `auto` resolved; the directory, None for an untrained GPT-2 without one; and where it came from.

    Raises
    ------
    ModelError
        If there is no such model, or it can't be had.
    """
    found, directory, why = _located(spec, with_tokenizer, announce)
    return replace(found, tiny=spec.tiny), directory, why


def _located(spec: ModelSpec, with_tokenizer: bool, announce: Announce | None) -> tuple[ModelSpec, Path | None, str]:
    source, seed = spec.source, spec.untrained_seed
    if spec.tiny and is_family(source):
        return spec, None, f"transformers' usual configuration of {source}"
    if source == AUTO:
        chosen, directory, why = _automatic(seed)
        if directory is not None:
            return chosen, directory, why
        directory, origin = _packaged(PACKAGED[chosen.source], with_tokenizer, announce)
        return chosen, directory, f"{origin}; {why}"
    if source == STAND_IN:
        source, reason = _stand_in()
        spec = ModelSpec(source, seed)
        if source == EMBEDDED:
            return spec, embedded_directory(), f"{_shipped()}; {reason}"
    if source == EMBEDDED:
        return spec, embedded_directory(), _shipped()
    if source in PACKAGED:
        return spec, *_packaged(PACKAGED[source], with_tokenizer, announce)
    try:
        path = Path(source).expanduser()
        is_directory, exists = path.is_dir(), path.exists()
        file = gguf_in(path) if is_directory else path if exists and path.suffix.lower() == SUFFIX else None
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"model {shown(source)} can't be looked up ({first_line(error)}); check --qkv-model."
        ) from None
    if file is not None:
        copy = _with_tokenizer(convert_gguf(file, announce=announce), str(file), with_tokenizer)
        return ModelSpec(str(path), seed), copy.directory, f"GGUF file {file}, {_told_of_copy(copy)}"
    if is_directory:
        return ModelSpec(str(path), seed), path, f"directory {path}"
    if exists:
        raise ModelError(
            f"model {source!r} is a file; give the directory that holds config.json and model.safetensors, or a "
            f"{SUFFIX} file."
        )
    if source.lower().endswith(SUFFIX):
        raise ModelError(f"GGUF file {shown(source)} does not exist; check --qkv-model.")
    if source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source:
        raise ModelError(
            f"model directory {source!r} does not exist; give an existing directory, auto, embedded or a hub id "
            "such as gpt2. Check --qkv-model."
        )
    repository, _, revision = source.partition("@")
    if seed is not None and not revision and is_known(repository):
        return spec, cached(repository, weights=False).directory, "configuration known to qkvcheck"
    directory = fetch(
        repository, revision=revision or "main", weights=seed is None, tokenizer=with_tokenizer, announce=announce
    )
    return spec, directory, f"hub model {source}"


def _shipped() -> str:
    """Say which edition of the embedded model this is; its fingerprint tells it from another one for certain."""
    return f"ships with qkvcheck, edition {embedded_training()['edition']}"


def _packaged(model: PackagedModel, with_tokenizer: bool, announce: Announce | None) -> tuple[Path, str]:
    """Return the directory of a model that `qkvcheck fetch` has got, and where it came from."""
    flaw = flaw_of_fetched(model)
    if flaw is not None:
        raise ModelError(
            f"model {model.name!r} {flaw}"
            + ("." if "pip install" in flaw else f"; get it with: qkvcheck fetch {model.name}")
        )
    copy = copy_of(model.sha256) or convert_gguf(model.place, sha256=model.sha256, announce=announce)
    copy = _with_tokenizer(copy, model.name, with_tokenizer)
    return copy.directory, f"fetched GGUF file {model.place.name}, {_told_of_copy(copy)}"


def _with_tokenizer(copy: Converted, name: str, needed: bool) -> Converted:
    """Return a copy, or raise where its file has no tokenizer and none was named."""
    if needed and copy.tokenizer_flaw is not None:
        raise ModelError(
            f"GGUF file {shown(name)} {copy.tokenizer_flaw}; name a directory that holds the tokenizer of these "
            "weights with --qkv-tokenizer."
        )
    return copy


def _told_of_copy(copy: Converted) -> str:
    return f"{copy.quantisation}, converted copy {copy.directory.name[:12]} in qkvcheck's cache"


def _automatic(seed: int | None) -> tuple[ModelSpec, Path | None, str]:
    """Choose GPT-2 small if the local cache holds it whole, else what was fetched, else the embedded model.

    Nothing is converted and no connection is opened; of what was fetched there is no directory yet.
    """
    reason = "GPT-2 small is not in the cache"
    for repository in GPT2_SMALL:
        found = cached(repository)
        if found.directory is not None:
            return ModelSpec(repository, seed), found.directory, "GPT-2 small, whole in the local cache"
        if found.flaw is not None:
            reason = f"{repository} in the cache is not whole: {found.flaw}"
    source, flaw = _stand_in()
    if source == SMOLLM2.name:
        return ModelSpec(source, seed), None, reason
    return ModelSpec(source, seed), embedded_directory(), f"{_shipped()}; {reason}, {flaw}"


def _stand_in() -> tuple[str, str]:
    """Return the stand-in that is here, and why not the other one."""
    flaw = flaw_of_fetched(SMOLLM2)
    return (SMOLLM2.name, "") if flaw is None else (EMBEDDED, f"{SMOLLM2.name} {flaw}")


def choose_automatically() -> tuple[str, str]:
    """Return what ``auto`` would choose here, and why."""
    spec, directory, reason = _automatic(None)
    return str(spec), reason if directory is not None else f"fetched; {reason}"


def is_known(repository: str) -> bool:
    """Tell whether the configuration of a hub model needs no download."""
    return repository.removeprefix("openai-community/") in KNOWN_CONFIGS
