"""Doctor: what this machine has to work with, from versions and devices to what ``auto`` would choose."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from qkvcheck.errors import ClaimError, ModelError
from qkvcheck.models import (
    GPT2_SMALL,
    PACKAGED,
    answers,
    cache_folder,
    cached,
    choose_automatically,
    embedded_directory,
    flaw_of,
    flaw_of_fetched,
    torch_obstacle,
)
from qkvcheck.statistics import KERNEL_VARIABLE, kernel_named, numba_obstacle

SCHEMA = "qkvcheck/doctor/1"
LIBRARIES = ("qkvcheck", "torch", "transformers", "huggingface_hub", "tokenizers", "safetensors", "numpy", "scipy",
             "numba", "gguf", "accelerate", "pytest", "hypothesis", "pytest-xdist")  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What was looked at.
    found : str
        What was found, in words.
    healthy : bool
        False if something there is broken.
    """

    name: str
    found: str
    healthy: bool = True


def examine(environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Look at this machine; the hub is asked once, for two seconds, unless HF_HUB_OFFLINE is set.

    Parameters
    ----------
    environment : mapping of str to str
        Where ``QKV_GPT2_TOKENIZER`` and ``QKV_MODEL`` are looked up.
    """
    return [
        Check("python", platform.python_version()),
        *(_library(name) for name in LIBRARIES),
        Check("devices", _devices()),
        _kernel(environment),
        Check("cache", _cache()),
        *(_cached_model(name) for name in GPT2_SMALL),
        Check("own cache", _own_cache()),
        *(Check(name, flaw_of_fetched(model) or "fetched and whole") for name, model in PACKAGED.items()),
        _embedded(),
        Check("auto", _automatic()),
        _tokenizer(environment),
        Check("hub", _hub()),
    ]


def as_document(checks: list[Check]) -> dict[str, Any]:
    """Return the checks as plain data."""
    return {"schema": SCHEMA, "checks": [asdict(check) for check in checks]}


def _library(name: str) -> Check:
    obstacle = torch_obstacle() if name == "transformers" else None
    return Check(name, _version(name)) if obstacle is None else Check(name, f"NOT USABLE: {obstacle}", healthy=False)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> str:
    import torch

    found = [f"cpu ({torch.get_num_threads()} threads)"]
    found += [f"cuda:{n} ({torch.cuda.get_device_name(n)})" for n in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return ", ".join(found)


def _kernel(environment: Mapping[str, str]) -> Check:
    named = environment.get(KERNEL_VARIABLE)
    if named:
        try:
            kernel_named(named)
        except ClaimError as error:
            return Check("kernel", f"NOT USABLE: {error}", healthy=False)
        return Check("kernel", f"{named} (from {KERNEL_VARIABLE})")
    missing = numba_obstacle()
    if missing is not None:
        return Check("kernel", f"torch; several times faster would be {missing}")
    return Check("kernel", "numba for many pairs of dimensions, torch for few")


def machine() -> dict[str, str]:
    """Return what a time depends on: processor, threads, and the libraries that compute."""
    import torch

    numba = _version("numba")
    return {
        "processor": _processor(),
        "threads": f"{torch.get_num_threads()} threads",
        "python": f"Python {platform.python_version()}",
        **{name: f"{name} {_version(name)}" for name in ("torch", "transformers", "numpy")},
        "numba": "no numba" if numba == "not installed" else f"numba {numba}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _cache() -> str:
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE)
    return f"{place}{'' if place.is_dir() else ' (not there yet)'}"


def _own_cache() -> str:
    try:
        place = cache_folder()
    except ModelError as error:
        return f"NOT USABLE: {error}"
    return f"{place}{'' if place.is_dir() else ' (not there yet)'}"


def _cached_model(repository: str) -> Check:
    found = cached(repository)
    if found.directory is not None:
        return Check(repository, f"whole in the cache: {found.directory}")
    if found.flaw is not None:
        return Check(repository, f"NOT WHOLE in the cache: {found.flaw}; download it again", healthy=False)
    return Check(repository, "not in the cache")


def _embedded() -> Check:
    flaw = flaw_of(embedded_directory())
    if flaw is not None:
        return Check("embedded", f"NOT WHOLE: {flaw}; install qkvcheck again", healthy=False)
    return Check("embedded", "whole")


def _automatic() -> str:
    spec, reason = choose_automatically()
    return f"chooses {spec} ({reason})"


def _tokenizer(environment: Mapping[str, str]) -> Check:
    given = environment.get("QKV_GPT2_TOKENIZER")
    if not given:
        return Check("tokenizer", "QKV_GPT2_TOKENIZER is not set; gpt2#untrained knows the words of our corpora alone")
    from qkvcheck.models import load_encoder

    try:
        load_encoder(None, named=given, source=given, gpt2=True, trust_remote_code=False)
    except ModelError as error:
        return Check("tokenizer", f"NOT USABLE: {error}", healthy=False)
    return Check("tokenizer", f"QKV_GPT2_TOKENIZER: {given}")


def _hub() -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return f"{constants.ENDPOINT} is not asked, for HF_HUB_OFFLINE is set"
    reason = answers()
    return f"{constants.ENDPOINT} {'answers' if reason is None else reason}"
