"""Kept: the name under which a number is kept: a hash of everything it depends on.

What a number depends on is a dataclass, and its name is made of all fields of it, at any depth: a field that is added
is in the name. What can't be told apart for certain has no name, and raises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum

import numpy as np

from qkvcheck.groups import Capture
from qkvcheck.statistics import Statistic


@dataclass(frozen=True)
class KeptNumber:
    """Everything that a number of an untrained twin depends on.

    Attributes
    ----------
    code : str
        Hash of this package's code.
    kernel : str
        The kernel that the environment asks for.
    twin : str
        Digest of the network, how it is computed, and in which libraries (`qkvcheck.models.twins.TwinIdentity`).
    sampled : str
        Digest of the contexts, and of how they are captured.
    captured : str
        Digest of all that is told of the trained network's activations but their values: what was run and where it
        was captured, clusters, word lists.
    capture : Capture
        What is measured.
    layer : int
        Zero-based.
    head : int or None
        Zero-based; None for all of the width.
    number : str
        Digest of the computation: its class and fields.
    """

    code: str
    kernel: str
    twin: str
    sampled: str
    captured: str
    capture: Capture
    layer: int
    head: int | None
    number: str


def digest(value: object) -> str:
    """Return a hash that is another one for anything that differs.

    Raises
    ------
    TypeError
        If what is given holds something that can't be told apart for certain, such as a function.

    Examples
    --------
    >>> digest((1, "a")) == digest((1, "a")), digest((1, "a")) == digest((1, "b"))
    (True, False)
    """
    return hashlib.sha256(json.dumps(_told(value), sort_keys=True).encode()).hexdigest()


def _told(value: object) -> object:
    """Return plain data for JSON that tells a value apart from every other."""
    if isinstance(value, Enum):
        return [type(value).__qualname__, value.value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Statistic):
        return ["statistic", value.identity]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return ["array", value.dtype.str, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, slice):
        return ["slice", value.start, value.stop, value.step]
    if is_dataclass(value) and not isinstance(value, type):
        own = {one.name: _told(getattr(value, one.name)) for one in fields(value) if one.init and one.compare}
        return [f"{type(value).__module__}.{type(value).__qualname__}", own]
    if isinstance(value, Mapping):
        return ["mapping", sorted(([_told(key), _told(item)] for key, item in value.items()), key=json.dumps)]
    if isinstance(value, (list, tuple)):
        return [_told(item) for item in value]
    raise TypeError(f"a number that depends on a {type(value).__name__} can't be kept: give what tells it apart.")
