"""Proof: what is known of a model's layout, shown to be so on a few tokens, once a model.

Two looks at one layer have to agree: what its projections put out, in the order that the architecture says, and what
attention multiplies. They come by different ways, and the second one needs no layout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from qkvcheck.capture.forwards import Forward
from qkvcheck.errors import CaptureError, shown
from qkvcheck.groups import PROJECTIONS, Stage
from qkvcheck.models import TRIE_ATTENTION, UNTOLD, Architecture, HookedModel

if TYPE_CHECKING:
    import torch

PROVEN_AT = 0
"""The layer (zero-based) that costs least; a family's others are laid out alike, and the tests look at each."""
ROWS, TOKENS = 3, 4
TOLERANCE = {"float64": 1e-4, "float32": 1e-4, "bfloat16": 2e-2, "float16": 4e-3}
"""Of the largest number, by the format of the weights."""
_PROVEN: WeakKeyDictionary[torch.nn.Module, set[Architecture]] = WeakKeyDictionary()


def prove(hooked: HookedModel, run: Callable[[Forward, Stage], np.ndarray]) -> None:
    """Show once a model that its projections are what attention multiplies, up to what comes between.

    Values have to be equal, and so have queries and keys: where nothing comes between; at the first position, where
    they are turned alone; up to a factor, where they are scaled. Where a norm comes between, the tests alone show it.
    With attention that shows no products (flash attention), too.

    Parameters
    ----------
    hooked : HookedModel
        The model.
    run : callable
        Takes a forward and a stage; returns its rows at layer `PROVEN_AT`.

    Raises
    ------
    CaptureError
        If they differ.
    """
    proven = _PROVEN.setdefault(hooked.model, set())
    if hooked.architecture in proven:
        return
    if getattr(hooked.config, "_attn_implementation", None) in (None, *TRIE_ATTENTION):
        forward = _few_tokens(hooked)
        early, late = (run(forward, stage) for stage in (Stage.PROJECTION, Stage.ATTENTION))
        wrong = _unequal(hooked, early, late)
        if wrong is not None:
            raise CaptureError(
                f"layer {PROVEN_AT} of {shown(str(hooked.spec), most=80)}: what is put out there as {wrong} is "
                f"not what attention multiplies. The layout known of {hooked.architecture.family} does not fit it; "
                "name its own with --qkv-layout, or judge activations captured elsewhere with --qkv-activations."
            )
    proven.add(hooked.architecture)


def _few_tokens(hooked: HookedModel) -> Forward:
    rows = hooked.model.get_input_embeddings().weight.shape[0]
    token_ids = (7 + 13 * np.arange(ROWS * TOKENS, dtype=np.int64).reshape(ROWS, TOKENS)) % rows
    places = np.argwhere(np.ones_like(token_ids))
    return Forward(token_ids, np.ones_like(token_ids, dtype=bool), places, np.arange(ROWS * TOKENS))


def _unequal(hooked: HookedModel, early: np.ndarray, late: np.ndarray) -> str | None:
    """Return which of queries, keys and values differ, in words, or None."""
    architecture, config = hooked.architecture, hooked.config
    limit = architecture.clip(config)
    early = early if limit is None else np.clip(early, -limit, limit)
    between = architecture.between_of(config, PROVEN_AT)
    heads = hooked.heads
    for name, words in zip(PROJECTIONS, ("queries", "keys", "values"), strict=True):
        steps = () if name == "V" else between
        if "norm" in steps:
            continue
        part = hooked.projections[name]
        found, wanted = (rows[..., part].astype(np.float64).reshape(ROWS, TOKENS, -1) for rows in (early, late))
        if UNTOLD in steps:
            if not _is_scaled(found[:, 0].reshape(ROWS, heads[name], -1), wanted[:, 0].reshape(ROWS, heads[name], -1)):
                return words
            continue
        if "rotary" in steps:
            found, wanted = found[:, :1], wanted[:, :1]
        if "scaling" in steps:
            found = found * (np.linalg.norm(wanted) / max(np.linalg.norm(found), np.finfo(np.float64).tiny))
        if not np.abs(found - wanted).max() <= TOLERANCE[hooked.dtype] * max(np.abs(wanted).max(), 1e-30):
            return words
    return None


def _is_scaled(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Return whether each token and head was multiplied by a number, and each dimension by one: as a norm does.

    (row, head, width), of the first position: there nothing is turned.
    """
    least = np.abs(found) > 1e-3 * np.abs(found).max()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = wanted / found
        expected = ratio[:, :, :1] * ratio[:1] / ratio[:1, :, :1]
    sure = least & least[:, :, :1] & least[:1] & least[:1, :, :1]
    return bool(sure.any() and (np.abs(ratio - expected) <= 1e-2 * np.abs(expected))[sure].all())
