"""Capture: run contexts through a model and keep what its attention projections put out.

One forward serves all layers asked for, with a hook on each projection, and ends at the last of them: later layers and
the language-model head never run. Which token positions it computes is arranged in `forwards`; the plain,
padded arrangement is the reference, and the others agree with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qkvcheck.capture.activations import Activations
from qkvcheck.capture.forwards import EQUAL_LENGTHS, PADDED, TRIE, Forward, Wanted, equal_lengths, padded, trie
from qkvcheck.capture.freedom import factors_of, turns_of
from qkvcheck.capture.proof import PROVEN_AT, prove
from qkvcheck.capture.stages import Done, reader_of
from qkvcheck.contexts import ContextSet
from qkvcheck.errors import CaptureError
from qkvcheck.groups import Stage
from qkvcheck.models import HookedModel, evaluating, one_thread
from qkvcheck.statistics import work

if TYPE_CHECKING:
    import torch

TARGET, PRECEDING, ALL = "target", "preceding", "all"
BATCH_SIZE = 512
"""Token positions a forward."""
TINY = 10_000_000
"""Up to so many parameters a model is computed with one thread."""


def capture(
    hooked: HookedModel,
    contexts: ContextSet,
    *,
    layers: Sequence[int],
    positions: str | Sequence[int] = TARGET,
    batch_size: int = BATCH_SIZE,
    exact_layout: bool = False,
    stage: Stage = Stage.PROJECTION,
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
        The target's position (of a target of several tokens the last one's); the one before the target; every position,
        right-padded with zeros to the longest context; or one position a context.
    batch_size : int
        Token positions a forward, at most (one context at least). It bounds memory.
    exact_layout : bool
        Compute every context whole, padded to the longest: slow, and the reference for all other layouts.
    stage : Stage
        As projected, or as attention computes scores of them: after norm and rotation of queries and keys.

    Returns
    -------
    Activations
        float32, (context, layer, width), or (context, layer, token, width) for ``"all"``. Their provenance tells the
        ``layout`` and how many token positions were ``computed``.

    Raises
    ------
    CaptureError
        If a layer or position does not exist, a context is too long, or a hook does not fire exactly once; or, at a
        model's first capture, if its layout is not what is known of its family.
    """
    wanted = _wanted_positions(contexts, positions)
    layers = tuple(layers)
    _check_request(hooked, contexts, layers, wanted, batch_size)
    hooked = hooked.reaching(max(layers))
    check_layout(hooked)
    length = max(len(context.token_ids) for context in contexts.contexts)
    every = wanted is None
    asked = _every_position(contexts, length) if wanted is None else _one_position(contexts, wanted)
    asked = [row.within(hooked.special.before, hooked.special.after) for row in asked]
    layout, forwards = _arrange(hooked, asked, batch_size=batch_size, exact_layout=exact_layout)
    width = max(part.stop for part in hooked.projections.values())
    values = np.zeros((len(contexts) * (length if every else 1), len(layers), width), dtype=np.float32)
    computed = 0
    with work("contexts", sum(len(row.slots) for row in asked)) as told:
        for forward in forwards:
            values[forward.slots] = _run(hooked, forward, layers, stage)
            computed += forward.computed
            told.advance(len(forward.slots))
    if every:
        values = np.ascontiguousarray(values.reshape(len(contexts), length, len(layers), width).transpose(0, 2, 1, 3))
    lengths = np.array([len(context.token_ids) for context in contexts.contexts])
    return Activations(
        values=values,
        axes=("context", "layer", "token", "width") if every else ("context", "layer", "width"),
        layers=layers,
        projections=hooked.projections,
        mask=np.arange(length) < lengths[:, None] if every else None,
        provenance={
            "model": str(hooked.spec),
            "corpus": contexts.name,
            "corpus_sha256": contexts.sha256,
            "tokens_sha256": tokens_sha256(hooked, contexts),
            "recipe": _recipe(hooked, contexts, wanted, layers, stage),
            "layout": layout,
            "computed": str(computed),
            "dtype": hooked.dtype,
            **({"special_tokens": hooked.special.text} if hooked.special else {}),
        },
        seen=None if wanted is None else _seen(contexts, wanted, causal=hooked.architecture.causal),
        heads=hooked.heads,
        stage=stage,
        factors={} if wanted is None else factors_of(contexts, wanted.tolist()),
        turns=turns_of(hooked, layers, stage=stage),
    )


def _every_position(contexts: ContextSet, length: int) -> list[Wanted]:
    """Want every position of every context; context k begins at slot k times `length`."""
    return [
        Wanted(ids, tuple(range(len(ids))), tuple(range(row * length, row * length + len(ids))))
        for row, ids in enumerate(context.token_ids for context in contexts.contexts)
    ]


def _one_position(contexts: ContextSet, positions: np.ndarray) -> list[Wanted]:
    return [
        Wanted(context.token_ids, (position,), (row,))
        for row, (context, position) in enumerate(zip(contexts.contexts, positions.tolist(), strict=True))
    ]


def _arrange(
    hooked: HookedModel, wanted: list[Wanted], *, batch_size: int, exact_layout: bool
) -> tuple[str, Iterator[Forward]]:
    """Choose the layout that computes least and is exact for the model."""
    if exact_layout:
        return PADDED, padded(wanted, pad_id=hooked.encoder.pad_id, batch_size=batch_size)
    if hooked.architecture.causal:
        wanted = [row.cut() for row in wanted]
    deepest = max(len(row.token_ids) for row in wanted)
    if hooked.architecture.trie_obstacle(hooked.model, depth=deepest) is None:
        return TRIE, trie(wanted, batch_size=min(batch_size, hooked.architecture.most_nodes(hooked.model)))
    return EQUAL_LENGTHS, equal_lengths(wanted, batch_size=batch_size)


def _seen(contexts: ContextSet, wanted: np.ndarray, *, causal: bool) -> tuple[str, ...]:
    """Return, for each context, a hash of the tokens that can reach the wanted position."""
    told = []
    for context, position in zip(contexts.contexts, wanted.tolist(), strict=True):
        reached = context.token_ids[: position + 1] if causal else (position, *context.token_ids)
        told.append(hashlib.sha256(json.dumps(reached).encode()).hexdigest()[:32])
    return tuple(told)


def tokens_sha256(hooked: HookedModel, contexts: ContextSet) -> str:
    """Return a hash of what a model is given: token ids, the target's place, and what stands around every context."""
    if not hooked.special:
        return contexts.tokens_sha256
    around = [hooked.special.before, hooked.special.after, contexts.tokens_sha256]
    return hashlib.sha256(json.dumps(around).encode()).hexdigest()


def _recipe(
    hooked: HookedModel, contexts: ContextSet, wanted: np.ndarray | None, layers: tuple[int, ...], stage: Stage
) -> str:
    """Return a hash of what is run and where it is captured, whatever the weights."""
    places = None if wanted is None else wanted.tolist()
    run: list[object] = [[context.token_ids for context in contexts.contexts], places, layers]
    if stage is not Stage.PROJECTION:
        run.append(stage)
    if hooked.special:
        run.append([hooked.special.before, hooked.special.after])
    return hashlib.sha256(json.dumps(run).encode()).hexdigest()


def capture_words(
    hooked: HookedModel,
    contexts: ContextSet,
    words: Sequence[str],
    *,
    layers: Sequence[int],
    batch_size: int = BATCH_SIZE,
    exact_layout: bool = False,
) -> Activations:
    """Put each word in the target's place of each context, and capture there.

    Parameters
    ----------
    hooked, contexts, layers, batch_size, exact_layout
        As for `capture`.
    words : sequence of str
        Words of one token each, with their leading space; the target itself may be several.

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
        if len(ids) != 1 and (word, tuple(ids)) != (contexts.target, contexts.target_ids):
            raise CaptureError(f"word {word!r} is {len(ids)} tokens in {hooked.encoder.name}; it must be exactly one.")
    continued = tuple(
        context.continued(*ids, word=word, whole=not hooked.architecture.causal)
        for context in contexts.contexts
        for word, ids in zip(words, tokens, strict=True)
    )
    grid = replace(contexts, contexts=continued)
    flat = capture(hooked, grid, layers=layers, batch_size=batch_size, exact_layout=exact_layout)
    shaped = flat.values.reshape(len(contexts), len(words), len(flat.layers), -1)
    return Activations(
        values=np.ascontiguousarray(shaped.transpose(0, 2, 1, 3)),
        axes=("context", "layer", "word", "width"),
        layers=flat.layers,
        projections=flat.projections,
        provenance={**flat.provenance, "words": " ".join(word.strip() for word in words)},
        seen=None if flat.seen is None else flat.seen[:: len(words)],  # a context is what stands before its first word
        heads=flat.heads,
        factors={name: told[:: len(words)] for name, told in flat.factors.items()},
        turns=flat.turns,
    )


def _wanted_positions(contexts: ContextSet, positions: str | Sequence[int]) -> np.ndarray | None:
    if isinstance(positions, str):
        if positions == ALL:
            return None
        if positions not in (TARGET, PRECEDING):
            raise CaptureError(
                f"positions {positions!r} is not known; allowed: 'target', 'preceding', 'all' or one index a context."
            )
        return np.array(contexts.preceding_indices if positions == PRECEDING else contexts.target_indices)
    if len(positions) != len(contexts):
        raise CaptureError(f"{len(positions)} positions were given for {len(contexts)} contexts; give one a context.")
    found = np.array(positions)
    if len(found) and (found.ndim != 1 or not np.issubdtype(found.dtype, np.integer)):
        raise CaptureError(f"positions {list(positions)[:3]!r} are no whole numbers; give one index a context.")
    return found


def _check_request(
    hooked: HookedModel, contexts: ContextSet, layers: tuple[int, ...], wanted: np.ndarray | None, batch_size: int
) -> None:
    check_layers(hooked, layers)
    empty = next((c for c in contexts.contexts if not c.token_ids), None)
    if len(contexts) == 0 or empty is not None:
        what = "there is no context" if empty is None else f"context {empty.text!r} has no token"
        raise CaptureError(f"{what}; nothing can be captured. Correct the corpus.")
    if batch_size < 1:
        raise CaptureError(f"batch size {batch_size} is too small; it must be at least 1. Check --qkv-batch-size.")
    lengths = np.array([len(context.token_ids) for context in contexts.contexts])
    if wanted is not None and ((wanted < 0) | (wanted >= lengths)).any():
        row = int(np.flatnonzero((wanted < 0) | (wanted >= lengths))[0])
        raise CaptureError(
            f"position {int(wanted[row])} does not exist in {contexts.contexts[row].text!r} "
            f"({int(lengths[row])} tokens, from 0); choose another."
        )
    limit = hooked.architecture.longest(hooked.config)
    longest = int(lengths.max()) + len(hooked.special)
    if limit is not None and longest > limit:
        text = contexts.contexts[int(lengths.argmax())].text
        raise CaptureError(f"context {text[:60]!r} has {longest} tokens; the model has {limit} positions. Shorten it.")


def check_layout(hooked: HookedModel) -> None:
    """Raise `CaptureError` unless the model's projections are what its attention multiplies; looked at once a model."""
    prove(hooked, lambda forward, at: _run(hooked, forward, (PROVEN_AT,), at))


def check_layers(hooked: HookedModel, layers: Sequence[int]) -> None:
    """Raise `CaptureError` unless every layer exists in the model."""
    wrong = [layer for layer in layers if not 0 <= layer < hooked.depth]
    if wrong or not layers:
        raise CaptureError(
            f"layer {wrong[0] if wrong else 'list (empty)'} does not exist in {hooked.spec}; allowed are 0 to "
            f"{hooked.depth - 1} (layers count from 0). Check --qkv-layers."
        )


def _run(hooked: HookedModel, forward: Forward, layers: tuple[int, ...], stage: Stage) -> np.ndarray:
    """Run one forward up to the last layer asked for; return (wanted, layer, width) float32."""
    import torch

    device = hooked.device
    reader = reader_of(hooked, layers, forward.places, stage=stage)
    with reader.reading(), evaluating(hooked.model), _threads_for(hooked), suppress(Done):
        hooked.architecture.base_of(hooked.model)(
            input_ids=torch.as_tensor(forward.token_ids, device=device),
            attention_mask=_attention_mask(hooked, forward),
            **({"use_cache": False} if hooked.architecture.causal else {}),
            **({} if forward.depths is None else {"position_ids": torch.as_tensor(forward.depths, device=device)}),
        )
    return reader.rows()


def _threads_for(hooked: HookedModel) -> AbstractContextManager[None]:
    """Compute a tiny model with one thread: several wait for each other, for long where others work beside them."""
    return nullcontext() if hooked.parameters > TINY else one_thread()


def _attention_mask(hooked: HookedModel, forward: Forward) -> torch.Tensor:
    """Return the mask a model takes: which tokens are no padding, or what to add to the scores of each pair."""
    import torch

    if forward.visible is None:
        return torch.as_tensor(forward.present.astype(np.int64), device=hooked.device)
    # Numbers to add, never true and false: under eager attention a mask of truth values is added as 0 and 1.
    dtype = hooked.held.dtype
    hidden = torch.as_tensor(~forward.visible, device=hooked.device)[None, None]
    return torch.zeros(hidden.shape, dtype=dtype, device=hooked.device).masked_fill_(hidden, torch.finfo(dtype).min)
