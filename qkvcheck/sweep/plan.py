"""Plan: what a sweep was asked to do; what changes a number stands here, and in its manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from qkvcheck.errors import SettingsError
from qkvcheck.sweep.corpus.sources import MOST_BYTES
from qkvcheck.sweep.groups import ROLES, bytes_of
from qkvcheck.sweep.state import DRAWN, LEAST_GROUPS, MOST_GROUPS

CLUSTERINGS = ("auto", "first-word", "preceding-token", "position", "prefix", "label", "document")
"""How contexts are clustered; ``auto`` is ``first-word``, and ``document`` the record that they stand in."""
HELD_AT_ONCE = 2
"""Sets of groups that are in memory at once: what was merged before, and what is merged to it."""
_PROCESS = 450_000_000
"""Bytes of a process with torch and nothing else, as measured."""


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep was asked to do.

    Attributes
    ----------
    model, tokenizer, bos, layout, dtype, device
        As `qkvcheck.models.load_model` takes them.
    targets : tuple of (str or int)
        Tokens that are looked for.
    layers : tuple of int
        Zero-based.
    window : int
        Tokens before a target that are its context, at most.
    column : str
        Key or column of the texts.
    clusters : str
        One of `CLUSTERINGS`.
    groups : int
        Groups of the jackknife, at most.
    drawn : int
        Contexts of which rows and texts are kept for pictures.
    seed : int
        Of all hashes, and the first untrained network's.
    untrained_seeds : int
        Untrained networks on the same contexts.
    dedupe : bool
        Whether contexts of the same tokens count once.
    records : int
        Records of a shard.
    limit : int or None
        Records after which the rest is left.
    most_bytes : int
        Bytes of the longest record that is taken.
    batch_size : int
        Token positions a forward.
    load : tuple of str
        Files or modules to import first.
    """

    model: str
    targets: tuple[str | int, ...]
    layers: tuple[int, ...]
    window: int
    groups: int
    tokenizer: str | None = None
    bos: str = "auto"
    layout: str | None = None
    dtype: str = "float32"
    device: str = "cpu"
    column: str = "text"
    clusters: str = "auto"
    drawn: int = DRAWN
    seed: int = 0
    untrained_seeds: int = 1
    dedupe: bool = False
    records: int = 2048
    limit: int | None = None
    most_bytes: int = MOST_BYTES
    batch_size: int = 512
    load: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether records have to say to which cluster they belong."""
        return self.clusters == "label"

    @property
    def places(self) -> int:
        """Layers times roles."""
        return len(self.layers) * len(ROLES)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return data

    @property
    def sha256(self) -> str:
        """Hash of all of it."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Memory:
    """What a process of a sweep takes.

    Attributes
    ----------
    groups : int
        Groups that fit.
    one : int
        Bytes that one more group takes.
    base : int
        Bytes without any.
    """

    groups: int
    one: int
    base: int

    @property
    def whole(self) -> int:
        """Bytes at most."""
        return self.base + self.groups * self.one


def memory_of(*, places: int, width: int, targets: int, untrained: int, weights: int, most: int) -> Memory:
    """Return how many groups fit into `most` bytes of a process, at most `MOST_GROUPS`.

    Parameters
    ----------
    places, width : int
        Layers times roles, and numbers of Q, K and V together.
    targets, untrained : int
        Targets, and untrained networks: of the first of these each group is kept too, of others one.
    weights : int
        Bytes of the model's weights.
    most : int
        Bytes of the process.

    Raises
    ------
    SettingsError
        If fewer than `LEAST_GROUPS` would fit; the message tells what is needed.

    Examples
    --------
    >>> memory_of(places=2, width=384, targets=1, untrained=0, weights=10**7, most=2 * 10**9).groups
    200
    """
    one = HELD_AT_ONCE * targets * (1 + bool(untrained)) * bytes_of(places, width)
    rest = HELD_AT_ONCE * targets * max(0, untrained - 1) * bytes_of(places, width)
    rows = 4 * 64_000_000  # a batch's rows, their unit rows, and a shard's
    base = _PROCESS + weights * (1 + untrained) + rows + rest
    fit = (most - base) // one
    if fit < LEAST_GROUPS:
        needed = base + LEAST_GROUPS * one
        raise SettingsError(
            f"--max-memory {size_text(most)} leaves room for {max(0, fit)} groups of the jackknife; it needs at least "
            f"{LEAST_GROUPS}, which take {size_text(needed)} ({size_text(one)} a group at {places // 2} layer(s) of "
            f"width {width}). Give more memory, or fewer --layers, --target or --untrained-seeds."
        )
    return Memory(min(MOST_GROUPS, int(fit)), one, base)


def size_text(count: float) -> str:
    """Return bytes in words.

    Examples
    --------
    >>> size_text(4e9), size_text(2.5e6)
    ('4.0 GB', '2.5 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


_UNITS = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12,
          "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}  # fmt: skip


def parse_size(text: str, *, flag: str) -> int:
    """Return the bytes that a text such as ``4GB`` means.

    Raises
    ------
    SettingsError
        If it means none.

    Examples
    --------
    >>> parse_size("4GB", flag="--max-memory"), parse_size("1.5 MiB", flag="--max-memory")
    (4000000000, 1572864)
    """
    number = text.strip().rstrip("abgikmtABGIKMT ")
    unit = text.strip()[len(number) :].strip().lower()
    try:
        value = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        value = 0.0
    if not 1 <= value < 2**60:
        raise SettingsError(f"{flag} {text!r} is no size; give one such as 4GB or 500MB.")
    return int(value)
