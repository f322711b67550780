"""Capture: run contexts through a model and keep what its attention projections put out.

This is the plain, padded forward with a hook on each projection asked for. It ends at the last of them:
later layers and the language-model head never run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qkvcheck.activations import Activations
from qkvcheck.contexts import ContextSet
from qkvcheck.errors import CaptureError
from qkvcheck.models import HookedModel

if TYPE_CHECKING:
    import torch

TARGET, PRECEDING, ALL = "target", "preceding", "all"
BATCH_SIZE = 64


class _Done(Exception):  # noqa: N818 (no error: it ends a forward)
    """Raised in the last hook, to end the forward there; never leaves this module."""


@dataclass(frozen=True)
class _Batch:
    """A right-padded batch: ids and mask (context, token), and the token wanted of each row, if one is."""

    token_ids: np.ndarray
    mask: np.ndarray
    wanted: np.ndarray | None


def capture(
    hooked: HookedModel,
    contexts: ContextSet,
    *,
    layers: Sequence[int],
    positions: str | Sequence[int] = TARGET,
    batch_size: int = BATCH_SIZE,
) -> Activations:
    """Return queries, keys and values of the contexts, as the projections put them out.

    Parameters
    ----------
    hooked : HookedModel
        The model; mode, gradients, dtype and hooks are left as they were found.
    contexts : ContextSet
        What to run.
    layers : sequence of int
        Zero-based layers.
    positions : {"target", "preceding", "all"} or sequence of int
        The target's position; the one before it; every position, right-padded to the longest context;
        or one position a context.
    batch_size : int
        Contexts a forward.

    Returns
    -------
    Activations
        float32, (context, layer, width), or (context, layer, token, width) for ``"all"``.

    Raises
    ------
    CaptureError
        If a layer or position does not exist, a context is too long, or a hook does not fire exactly once.
    """
    wanted = _wanted_positions(contexts, positions)
    layers = tuple(layers)
    _check_request(hooked, contexts, layers, wanted, batch_size)
    length = max(len(context.token_ids) for context in contexts.contexts)
    parts = []
    masks = []
    for start in range(0, len(contexts), batch_size):
        rows = range(start, min(start + batch_size, len(contexts)))
        batch = _pad(hooked, contexts, rows, length=length, wanted=wanted)
        parts.append(_forward(hooked, batch, layers))
        masks.append(batch.mask)
    every = wanted is None
    return Activations(
        values=np.concatenate(parts),
        axes=("context", "layer", "token", "width") if every else ("context", "layer", "width"),
        layers=layers,
        blocks=hooked.blocks,
        mask=np.concatenate(masks).astype(bool) if every else None,
        provenance={
            "model": str(hooked.spec),
            "corpus": contexts.name,
            "corpus_sha256": contexts.sha256,
            "recipe": _recipe(contexts, wanted, layers),
        },
    )


def _recipe(contexts: ContextSet, wanted: np.ndarray | None, layers: tuple[int, ...]) -> str:
    """Return a hash of what is run and where it is captured, whatever the weights."""
    places = None if wanted is None else wanted.tolist()
    run = [[context.token_ids for context in contexts.contexts], places, layers]
    return hashlib.sha256(json.dumps(run).encode()).hexdigest()


def capture_words(
    hooked: HookedModel,
    contexts: ContextSet,
    words: Sequence[str],
    *,
    layers: Sequence[int],
    batch_size: int = BATCH_SIZE,
) -> Activations:
    """Put each word in the target's place of each context, and capture there.

    Parameters
    ----------
    hooked, contexts, layers, batch_size
        As for `capture`.
    words : sequence of str
        Words of one token each, with their leading space.

    Returns
    -------
    Activations
        float32, (context, layer, word, width).

    Raises
    ------
    CaptureError
        If a word is not one token.
    """
    tokens = [hooked.encoder.encode(word) for word in words]
    for word, ids in zip(words, tokens, strict=True):
        if len(ids) != 1:
            raise CaptureError(f"word {word!r} is {len(ids)} tokens in {hooked.encoder.name}; it must be exactly one.")
    continued = tuple(
        context.continued(ids[0], word=word)
        for context in contexts.contexts
        for word, ids in zip(words, tokens, strict=True)
    )
    grid = ContextSet(continued, contexts.target, contexts.target_id, contexts.name, contexts.sha256)
    flat = capture(hooked, grid, layers=layers, batch_size=batch_size)
    shaped = flat.values.reshape(len(contexts), len(words), len(flat.layers), -1)
    return Activations(
        values=np.ascontiguousarray(shaped.transpose(0, 2, 1, 3)),
        axes=("context", "layer", "word", "width"),
        layers=flat.layers,
        blocks=flat.blocks,
        provenance={**flat.provenance, "words": " ".join(word.strip() for word in words)},
    )


def _wanted_positions(contexts: ContextSet, positions: str | Sequence[int]) -> np.ndarray | None:
    if isinstance(positions, str):
        if positions == ALL:
            return None
        if positions not in (TARGET, PRECEDING):
            raise CaptureError(
                f"positions {positions!r} is not known; allowed: 'target', 'preceding', 'all' or one index a context."
            )
        return np.array(contexts.target_indices) - (positions == PRECEDING)
    if len(positions) != len(contexts):
        raise CaptureError(f"{len(positions)} positions were given for {len(contexts)} contexts; give one a context.")
    return np.array(positions)


def _check_request(
    hooked: HookedModel, contexts: ContextSet, layers: tuple[int, ...], wanted: np.ndarray | None, batch_size: int
) -> None:
    check_layers(hooked, layers)
    if batch_size < 1:
        raise CaptureError(f"batch size {batch_size} is too small; it must be at least 1. Mend --qkv-batch-size.")
    lengths = np.array([len(context.token_ids) for context in contexts.contexts])
    if wanted is not None and ((wanted < 0) | (wanted >= lengths)).any():
        row = int(np.flatnonzero((wanted < 0) | (wanted >= lengths))[0])
        raise CaptureError(
            f"position {int(wanted[row])} does not exist in {contexts.contexts[row].text!r} "
            f"({int(lengths[row])} tokens, from 0); choose another."
        )
    limit = getattr(hooked.model.config, "max_position_embeddings", None)
    if limit is not None and int(lengths.max()) > limit:
        text = contexts.contexts[int(lengths.argmax())].text
        raise CaptureError(
            f"context {text[:60]!r} has {int(lengths.max())} tokens; the model has {limit} positions. Shorten it."
        )


def check_layers(hooked: HookedModel, layers: Sequence[int]) -> None:
    """Raise `CaptureError` unless every layer exists in the model."""
    wrong = [layer for layer in layers if not 0 <= layer < hooked.depth]
    if wrong or not layers:
        raise CaptureError(
            f"layer {wrong[0] if wrong else 'list (empty)'} does not exist in {hooked.spec}; allowed are 0 to "
            f"{hooked.depth - 1} (zero-based: layer 6 is the seventh block). Mend --qkv-layers."
        )


def _pad(hooked: HookedModel, contexts: ContextSet, rows: range, *, length: int, wanted: np.ndarray | None) -> _Batch:
    token_ids = np.full((len(rows), length), hooked.encoder.pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    for slot, row in enumerate(rows):
        ids = contexts.contexts[row].token_ids
        token_ids[slot, : len(ids)] = ids
        mask[slot, : len(ids)] = 1
    return _Batch(token_ids, mask, None if wanted is None else wanted[rows.start : rows.stop])


def _forward(hooked: HookedModel, batch: _Batch, layers: tuple[int, ...]) -> np.ndarray:
    """Run one batch up to the last layer asked for; return (context, layer[, token], width) float32."""
    import torch

    device = hooked.device
    caught: dict[int, list[np.ndarray]] = {layer: [] for layer in layers}
    rows = torch.arange(len(batch.token_ids), device=device)
    wanted = None if batch.wanted is None else torch.as_tensor(batch.wanted, device=device)
    last = max(layers)

    def keep(layer: int) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            chosen = output if wanted is None else output[rows, wanted]
            # An owned copy: a view would keep the whole batch alive.
            caught[layer].append(chosen.detach().to("cpu", torch.float32, copy=True).numpy())
            if layer == last:
                raise _Done

        return hook

    with _hooks(hooked, {layer: keep(layer) for layer in set(layers)}), _evaluating(hooked.model), suppress(_Done):
        hooked.model.base_model(
            input_ids=torch.as_tensor(batch.token_ids, device=device),
            attention_mask=torch.as_tensor(batch.mask, device=device),
            use_cache=False,
        )
    for layer, found in caught.items():
        if len(found) != 1:
            raise CaptureError(
                f"the projection of layer {layer} ran {len(found)} times in one forward of {hooked.spec}; it must run "
                "once. This model's layout is not what qkvcheck knows of its family."
            )
    return np.stack([caught[layer][0] for layer in layers], axis=1)


@contextmanager
def _hooks(hooked: HookedModel, hooks: dict[int, Callable[..., None]]) -> Iterator[None]:
    handles = [
        hooked.layout.projection_module(hooked.model, layer).register_forward_hook(hook)
        for layer, hook in hooks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Set evaluation mode without gradients, for the time of a forward."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)
