"""Peers: what people would use instead, written out so that both are timed, and compared, in one run.

The lecture's procedure is re-implemented from its description (Mike X Cohen, *Token-related similarities within and
across Q, K, V matrices*, 2025); none of its code is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from qkvcheck.contexts import ContextSet
from qkvcheck.models import HookedModel
from qkvcheck.statistics import PairGroup

MODULES = {
    "lecture": (),
    "numpy": (),
    "torch": (),
    "scikit-learn": ("sklearn",),
    "padded forward": (),
    "nnsight": ("nnsight",),
    "TransformerLens": ("transformer_lens",),
}
"""Python modules that each peer needs."""


def missing(peer: str) -> str | None:
    """Return which module a peer lacks here, or None."""
    return next((module for module in MODULES[peer] if find_spec(module) is None), None)


# Histograms of similarities between dimensions ----------------------------------------------------


def histograms_of_lecture(
    x: np.ndarray, blocks: Mapping[str, slice], groups: Sequence[PairGroup], *, bins: int
) -> list[np.ndarray]:
    """Form the whole matrix in float64, choose each group's pairs by index masks, count them between given edges."""
    values = x.astype(np.float64)
    unit = values / np.linalg.norm(values, axis=0)
    cosines = unit.T @ unit
    first, second = np.triu_indices(len(cosines), k=1)
    upper = cosines[first, second]
    owner = np.empty(len(cosines), dtype=int)
    names = list(blocks)
    for number, name in enumerate(names):
        owner[blocks[name]] = number
    rows, columns = owner[first], owner[second]
    edges = np.linspace(-1, 1, bins + 1)
    return [
        np.histogram(upper[(rows == names.index(a)) & (columns == names.index(b))], bins=edges)[0] for a, b in groups
    ]


def histograms_of_numpy(
    x: np.ndarray, blocks: Mapping[str, slice], groups: Sequence[PairGroup], *, bins: int
) -> list[np.ndarray]:
    """Do the same as NumPy does it fastest: blocks of the matrix are views, and equal bins need no search."""
    values = x.astype(np.float64)
    unit = values / np.linalg.norm(values, axis=0)
    return _count_blocks(unit.T @ unit, blocks, groups, bins)


def histograms_of_scikit_learn(
    x: np.ndarray, blocks: Mapping[str, slice], groups: Sequence[PairGroup], *, bins: int
) -> list[np.ndarray]:
    """Take ``cosine_similarity`` of the transposed activations, in float32 as they come, and NumPy's histogram."""
    from sklearn.metrics.pairwise import cosine_similarity

    return _count_blocks(cosine_similarity(np.ascontiguousarray(x.T)), blocks, groups, bins)


def _count_blocks(
    cosines: np.ndarray, blocks: Mapping[str, slice], groups: Sequence[PairGroup], bins: int
) -> list[np.ndarray]:
    found = []
    for a, b in groups:
        part = cosines[blocks[a], blocks[b]]
        values = part[np.triu(np.ones(part.shape, dtype=bool), k=1)] if a == b else part
        found.append(np.histogram(values, bins=bins, range=(-1.0, 1.0))[0])
    return found


def histograms_of_torch(
    x: np.ndarray, blocks: Mapping[str, slice], groups: Sequence[PairGroup], *, bins: int
) -> list[np.ndarray]:
    """Normalise, multiply and count with torch in float32; within a block twice the pairs and the diagonal come off."""
    import torch

    with torch.inference_mode():
        unit = torch.nn.functional.normalize(torch.from_numpy(x), dim=0)
        cosines = (unit.T @ unit).clamp_(-1, 1)
        found = []
        for a, b in groups:
            counts = torch.histc(cosines[blocks[a], blocks[b]], bins=bins, min=-1, max=1).numpy().astype(np.int64)
            if a == b:
                counts[-1] -= blocks[a].stop - blocks[a].start
                counts //= 2
            found.append(counts)
    return found


def product_of_torch(unit: np.ndarray) -> Callable[[], Any]:
    """Return the plain product of unit columns as one writes it in torch."""
    import torch

    tensor = torch.from_numpy(unit)

    def run() -> Any:
        with torch.inference_mode():
            return tensor.T @ tensor

    return run


def product_of_numpy(unit: np.ndarray) -> Callable[[], Any]:
    """Return the product in NumPy, into memory that is at hand: nothing but the product and its writing."""
    left, right = np.ascontiguousarray(unit.T), unit.copy()  # of one array with itself NumPy takes a slower way
    return partial(np.matmul, left, right, out=np.empty((unit.shape[1],) * 2, dtype=unit.dtype))


# Capture ------------------------------------------------------------------------------------------


def token_rectangle(hooked: HookedModel, contexts: ContextSet) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Return token ids, padded on the right to the longest context, which of them are tokens, and the targets' places.

    What stands before and after every context stands there.
    """
    before, after = hooked.special.before, hooked.special.after
    rows = [(*before, *context.token_ids, *after) for context in contexts.contexts]
    token_ids = np.full((len(rows), max(map(len, rows))), hooked.encoder.pad_id, dtype=np.int64)
    present = np.zeros(token_ids.shape, dtype=np.int64)
    for number, row in enumerate(rows):
        token_ids[number, : len(row)] = row
        present[number, : len(row)] = 1
    return token_ids, present, [index + len(before) for index in contexts.target_indices]


class PaddedForward:
    """The whole padded forward with a hook, as most scripts do it: every layer, and the language-model head."""

    def __init__(self, hooked: HookedModel, contexts: ContextSet, layer: int) -> None:
        import torch

        self._model = hooked.model
        self._site = hooked.architecture.site(hooked.model, layer)
        self._order = hooked.architecture.order(hooked.config)
        token_ids, present, targets = token_rectangle(hooked, contexts)
        given = {"input_ids": token_ids, "attention_mask": present}
        self._input = {name: torch.from_numpy(one).to(hooked.device) for name, one in given.items()}
        self._targets = torch.tensor(targets)

    def __call__(self) -> np.ndarray:
        """Return the target's queries, keys and values: (context, width)."""
        import torch

        caught: dict[Any, list[Any]] = {module: [] for module in self._site.projections}
        rows = torch.arange(len(self._targets))

        def keep(module: Any, _inputs: Any, output: Any) -> None:
            caught[module].append(output[rows, self._targets].clone())

        handles = [module.register_forward_hook(keep) for module in caught]
        try:
            with torch.no_grad():
                self._model(**self._input)
        finally:
            for handle in handles:
                handle.remove()
        parts = [caught[module][self._site.call] for module in self._site.projections]
        found: np.ndarray = torch.cat(parts, dim=-1).cpu().numpy()
        return found if self._order is None else found[:, self._order]


class Nnsight:
    """nnsight's trace of the same model, told to stop after the projection of the layer."""

    def __init__(self, hooked: HookedModel, contexts: ContextSet, layer: int) -> None:
        import torch
        from nnsight import NNsight

        self._traced = NNsight(hooked.model)
        self._layer = layer
        token_ids, _, targets = token_rectangle(hooked, contexts)
        self._ids, self._targets = torch.from_numpy(token_ids).to(hooked.device), torch.tensor(targets)

    def __call__(self) -> np.ndarray:
        """Return the target's queries, keys and values: (context, width)."""
        import torch

        with torch.no_grad():
            with self._traced.trace(self._ids) as tracer:
                output = self._traced.transformer.h[self._layer].attn.c_attn.output.save()
                tracer.stop()
            found: np.ndarray = output[torch.arange(len(self._targets)), self._targets].cpu().numpy()
        return found


class TransformerLens:
    """TransformerLens's bridge around the same model, told which three hooks to keep and where to stop."""

    def __init__(self, hooked: HookedModel, contexts: ContextSet, layer: int, tokenizer: Any) -> None:
        import torch
        from transformer_lens.model_bridge import TransformerBridge

        self._bridge = TransformerBridge.boot_transformers("gpt2", hf_model=hooked.model, tokenizer=tokenizer)
        self._names = [f"blocks.{layer}.attn.hook_{name}" for name in "qkv"]
        self._stop = layer + 1
        token_ids, _, targets = token_rectangle(hooked, contexts)
        self._ids, self._targets = torch.from_numpy(token_ids).to(hooked.device), torch.tensor(targets)

    def __call__(self) -> np.ndarray:
        """Return the target's queries, keys and values: (context, width)."""
        import torch

        with torch.no_grad():
            _, cache = self._bridge.run_with_cache(self._ids, names_filter=self._names, stop_at_layer=self._stop)
            rows = torch.arange(len(self._targets))
            parts = [cache[name][rows, self._targets].flatten(1) for name in self._names]
            found: np.ndarray = torch.cat(parts, dim=1).cpu().numpy()
        return found
