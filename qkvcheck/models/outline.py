"""Outline: what a model is, from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qkvcheck.models.directory import LAYER_FIELDS, read_config
from qkvcheck.models.loading import DTYPES, config_of, planned_architecture
from qkvcheck.models.locating import locate
from qkvcheck.models.spec import ModelSpec, parse_spec
from qkvcheck.models.weights.files import without_weights

_BYTES = dict(zip(DTYPES, (4, 8, 2, 2), strict=True))


@dataclass(frozen=True)
class Outline:
    """What a model is, before a weight of it is loaded.

    Attributes
    ----------
    spec, family : str
        What was asked for, and its family.
    layers, parameters, body_parameters : int
        How many; the last without embeddings and head.
    heads : dict of str to int
        Of Q, K and V.
    width : int
        Of Q, K and V together.
    weight_bytes : int
        Of the weights in a number format.
    """

    spec: str
    family: str
    layers: int
    parameters: int
    body_parameters: int
    heads: dict[str, int]
    width: int
    weight_bytes: int


def outline_of(spec: str | ModelSpec, *, dtype: str = "float32", trust_remote_code: bool = False) -> Outline:
    """Return what a model is, from its configuration alone.

    Parameters
    ----------
    spec : str or ModelSpec
        As for `qkvcheck.models.load_model`; of a hub model that is not in the cache, the configuration is fetched.
    dtype : str
        Number format of the weights.
    trust_remote_code : bool
        Whether code that comes with a model may run.

    Raises
    ------
    ModelError
        If its configuration can't be had.

    Examples
    --------
    >>> outline = outline_of("gpt2-xl#untrained")
    >>> outline.layers, outline.heads, outline.width, outline.parameters
    (48, {'Q': 25, 'K': 25, 'V': 25}, 4800, 1557611200)
    """
    asked = parse_spec(spec) if isinstance(spec, str) else spec
    config = configuration_of(asked, trust_remote_code=trust_remote_code)
    architecture = planned_architecture(config)
    model = without_weights(config, architecture)
    parameters = {name: parameter.numel() for name, parameter in model.named_parameters()}
    layers = f"{architecture.layers}."
    heads = architecture.heads(config)
    total = sum(parameters.values())
    return Outline(
        spec=str(asked),
        family=architecture.family,
        layers=architecture.depth(model),
        parameters=total,
        body_parameters=sum(count for name, count in parameters.items() if layers in name),
        heads=heads.counts,
        width=sum(heads.widths),
        weight_bytes=total * _BYTES[dtype],
    )


def depth_of(spec: str | ModelSpec) -> int:
    """Return how many layers a model has, from its configuration alone.

    Parameters
    ----------
    spec : str or ModelSpec
        As for `load_model`; of a hub model that is not in the cache, the configuration is fetched.

    Raises
    ------
    ModelError
        If its configuration can't be had.

    Examples
    --------
    >>> depth_of("embedded"), depth_of("gpt2-xl#untrained")
    (12, 48)
    """
    asked = parse_spec(spec) if isinstance(spec, str) else spec
    resolved, directory = _located(asked)
    if directory is not None and not resolved.tiny:
        told = read_config(directory)
        for name in LAYER_FIELDS:
            if isinstance(told.get(name), int):
                return int(told[name])
    return int(config_of(resolved, directory, trust=False).num_hidden_layers)


def configuration_of(spec: ModelSpec, *, trust_remote_code: bool = False) -> Any:
    """Return the configuration of a model; of a hub model that is not in the cache it is fetched, alone.

    Raises
    ------
    ModelError
        If it can't be had.
    """
    resolved, directory = _located(spec)
    return config_of(resolved, directory, trust=trust_remote_code)


def _located(spec: ModelSpec) -> tuple[ModelSpec, Path | None]:
    resolved, directory, _ = locate(replace(spec, untrained_seed=spec.untrained_seed or 0), False, None)
    return resolved, directory
