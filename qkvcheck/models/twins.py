"""Twin identity: what decides the numbers of an untrained twin, apart from what it is given to read."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from uuid import uuid4

from qkvcheck.models.architecture import Architecture
from qkvcheck.models.loading import HookedModel

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "numba", "llvmlite")
"""Those in which numbers are drawn or computed."""


@dataclass(frozen=True)
class TwinIdentity:
    """Everything that decides the weights of an untrained twin and how its numbers are computed.

    Attributes
    ----------
    seed : int
        From which its weights are drawn.
    config : mapping
        Its configuration.
    architecture : Architecture
        Where its queries, keys and values are.
    dtype, device, hardware : str
        Number format, device, and what that is.
    attention : str or None
        The implementation of attention.
    precision : str
        How torch multiplies float32 matrices.
    code : str
        Hash of the source of the network's class: a directory may bring its own.
    libraries : mapping of str to str or None
        Versions.
    python : str
        Version.
    """

    seed: int
    config: Mapping[str, object]
    architecture: Architecture
    dtype: str
    device: str
    hardware: str
    attention: str | None
    precision: str
    code: str
    libraries: Mapping[str, str | None]
    python: str


def twin_identity(hooked: HookedModel, *, seed: int) -> TwinIdentity:
    """Return what decides the numbers of a model's untrained twin.

    Parameters
    ----------
    hooked : HookedModel
        The model.
    seed : int
        Of the twin.
    """
    import torch

    config = json.loads(hooked.config.to_json_string(use_diff=False))
    config.pop("_name_or_path", None)
    device = hooked.device
    on_gpu = getattr(device, "type", "cpu") == "cuda"
    return TwinIdentity(
        seed=seed,
        config=config,
        architecture=hooked.architecture,
        dtype=hooked.dtype,
        device=str(device),
        hardware=torch.cuda.get_device_name(device) if on_gpu else f"{platform.machine()} {platform.processor()}",
        attention=getattr(hooked.config, "_attn_implementation", None),
        precision=torch.get_float32_matmul_precision(),
        code=_code_of(type(hooked.held.outline)),
        libraries={name: _version(name) for name in LIBRARIES},
        python=platform.python_version(),
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _code_of(network: type) -> str:
    """Return a hash of the module that holds a class; where there is no source, what no other has."""
    try:
        source = inspect.getsource(inspect.getmodule(network) or network)
    except (OSError, TypeError):
        source = uuid4().hex
    return hashlib.sha256(f"{network.__module__}.{network.__qualname__}\n{source}".encode()).hexdigest()
