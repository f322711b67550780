"""Stages: what hooks keep of one forward: queries, keys and values as projected, or as scores are made of them.

At the stage "projection" a hook stands on each projection. At the stage "attention" nothing of a family has to be
known but its attention module: while that runs, the products that torch is asked for are looked at. The first one
multiplies queries by keys, the last one probabilities by values; or one call of torch's own attention takes all three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qkvcheck.errors import CaptureError
from qkvcheck.groups import Stage
from qkvcheck.models import Heads, HookedModel

if TYPE_CHECKING:
    import torch

_PRODUCTS = ("matmul", "__matmul__", "bmm")


class Done(Exception):  # noqa: N818 (no error: it ends a forward)
    """Raised in the last hook, to end the forward there; never leaves this room."""


class Reader(Protocol):
    """Keeps rows of one forward."""

    def reading(self) -> Any:
        """Return a context manager under which the forward runs."""

    def rows(self) -> np.ndarray:
        """Return what was kept: (wanted, layer, width) float32."""


def reader_of(hooked: HookedModel, layers: Sequence[int], places: np.ndarray, *, stage: Stage) -> Reader:
    """Return what keeps the wanted rows of one forward.

    Parameters
    ----------
    hooked : HookedModel
        The model.
    layers : sequence of int
        Zero-based layers.
    places : ndarray of int64
        (wanted, 2): row and token of what is wanted.
    stage : Stage
        Where they are taken.
    """
    import torch

    at = tuple(torch.as_tensor(part, device=hooked.device) for part in places.T)
    return (_Projections if stage is Stage.PROJECTION else _Attention)(hooked, layers, at)


class _Projections:
    def __init__(self, hooked: HookedModel, layers: Sequence[int], at: tuple[torch.Tensor, ...]) -> None:
        self._hooked, self._layers, self._at = hooked, tuple(layers), at
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        self._calls: dict[int, int] = defaultdict(int)
        self._wanted: dict[torch.nn.Module, list[tuple[int, int, int]]] = defaultdict(list)
        for layer in sorted({*layers}):
            site = hooked.architecture.site(hooked.model, layer)
            for part, module in enumerate(site.projections):
                self._wanted[module].append((site.call, layer, part))
        self._needed = sum(map(len, self._wanted.values()))

    @contextmanager
    def reading(self) -> Iterator[None]:
        with ExitStack() as stack:
            for module, wanted in self._wanted.items():
                handle = module.register_forward_hook(self._hook(wanted))
                stack.callback(handle.remove)
            yield

    def _hook(self, wanted: list[tuple[int, int, int]]) -> Callable[..., None]:
        def hook(module: Any, _inputs: Any, output: torch.Tensor) -> None:
            call = self._calls[id(module)]
            self._calls[id(module)] += 1
            for its_call, layer, part in wanted:
                if its_call == call:
                    # Indexing makes an owned copy: a view would keep the whole batch alive.
                    chosen = output[self._at].detach()
                    self._kept[layer, part] = chosen.to("cpu").float().numpy()
            if len(self._kept) == self._needed:
                raise Done

        return hook

    def rows(self) -> np.ndarray:
        architecture = self._hooked.architecture
        for module, wanted in self._wanted.items():
            calls, last = self._calls[id(module)], max(call for call, _, _ in wanted)
            if calls <= last or not (architecture.again or calls == last + 1):
                raise CaptureError(
                    f"the projection of layer {wanted[0][1]} ran {calls} times in one forward of {self._hooked.spec}; "
                    f"it must run {'once' if last == 0 else f'{last + 1} times'}. This model's layout is not what "
                    "qkvcheck knows of its family."
                )
        parts = 1 + max(part for _, part in self._kept)
        joined = [np.concatenate([self._kept[layer, part] for part in range(parts)], -1) for layer in self._layers]
        order = architecture.order(self._hooked.config)
        width = sum(architecture.heads(self._hooked.config).widths)
        _check_width(self._hooked, joined[0].shape[-1], width)
        return np.stack([rows if order is None else rows[..., order] for rows in joined], axis=1)


def _check_width(hooked: HookedModel, found: int, needed: int) -> None:
    if found != needed:
        raise CaptureError(
            f"the projections of {hooked.spec} put out {found} numbers, and its configuration asks for {needed}. This "
            "model's layout is not what qkvcheck knows of its family."
        )


class _Attention:
    def __init__(self, hooked: HookedModel, layers: Sequence[int], at: tuple[torch.Tensor, ...]) -> None:
        self._hooked, self._layers, self._at = hooked, tuple(layers), at
        self._kept: dict[int, np.ndarray] = {}
        self._calls: dict[int, int] = defaultdict(int)
        self._wanted: dict[torch.nn.Module, dict[int, int]] = defaultdict(dict)
        for layer in sorted({*layers}):
            site = hooked.architecture.site(hooked.model, layer)
            self._wanted[site.attention][site.call] = layer

    @contextmanager
    def reading(self) -> Iterator[None]:
        with ExitStack() as stack:
            products = stack.enter_context(_products())
            for module, wanted in self._wanted.items():
                for handle in self._hooks(module, wanted, products):
                    stack.callback(handle.remove)
            yield

    def _hooks(self, module: Any, wanted: Mapping[int, int], products: list[tuple[Any, ...]]) -> list[Any]:
        def before(*_: Any) -> None:
            products.clear()

        def after(*_: Any) -> None:
            layer = wanted.get(self._calls[id(module)])
            self._calls[id(module)] += 1
            if layer is not None:
                self._kept[layer] = self._rows(layer, products)
            products.clear()
            if len(self._kept) == len({*self._layers}):
                raise Done

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def _rows(self, layer: int, products: Sequence[tuple[Any, ...]]) -> np.ndarray:
        heads = self._hooked.architecture.heads(self._hooked.config)
        found = _queries_keys_values(products, heads)
        if found is None:
            raise CaptureError(
                f"attention of layer {layer} of {self._hooked.spec} shows no product of queries and keys; capture at "
                "the stage projection, or load the model with sdpa or eager attention."
            )
        heads = self._hooked.architecture.heads(self._hooked.config)
        row, token = self._at
        kept = []
        for tensor, count in zip(found, heads.counts.values(), strict=True):
            one = tensor if tensor.ndim == 4 else tensor.unflatten(0, (-1, heads.query))
            # Keys and values may have been repeated for the queries that read them.
            one = one[:, :: one.shape[1] // count] if one.shape[1] >= count else one
            kept.append(one.detach()[row, :, token].flatten(1).to("cpu").float().numpy())
        kept[0] *= self._hooked.architecture.query_factor(self._hooked.model, layer)
        joined = np.concatenate(kept, axis=-1)
        _check_width(self._hooked, joined.shape[-1], sum(heads.widths))
        return joined

    def rows(self) -> np.ndarray:
        absent = [layer for layer in self._layers if layer not in self._kept]
        if absent:
            raise CaptureError(
                f"attention of layer {absent[0]} did not run in a forward of {self._hooked.spec}. This model's layout "
                "is not what qkvcheck knows of its family."
            )
        return np.stack([self._kept[layer] for layer in self._layers], axis=1)


def _queries_keys_values(products: Sequence[tuple[Any, ...]], heads: Heads) -> tuple[Any, Any, Any] | None:
    """Return (batch, head, token, width) or (batch x head, token, width) of each; None where there are none."""
    whole = [one for one in products if len(one) == 3]
    if whole:
        return whole[0][0], whole[0][1], whole[0][2]
    # What stands before it turns places into angles.
    scores = [n for n, (left, _) in enumerate(products) if _of_queries(left, heads)]
    if not scores or scores[0] == len(products) - 1:
        return None
    (query, key_across), (_, value) = products[scores[0]], products[-1]
    return query, key_across.transpose(-1, -2), value


def _of_queries(left: torch.Tensor, heads: Heads) -> bool:
    many = left.shape[1] == heads.query if left.ndim == 4 else left.shape[0] % heads.query == 0
    return bool(many and left.shape[-1] == heads.width)


@contextmanager
def _products() -> Iterator[list[tuple[Any, ...]]]:
    """Note what torch multiplies: (left, right), or (query, key, value) where it does the whole of attention."""
    from torch.overrides import TorchFunctionMode

    found: list[tuple[Any, ...]] = []

    class Noting(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            name = getattr(func, "__name__", "")
            if name == "scaled_dot_product_attention":
                given = [*args, *(kwargs[part] for part in ("query", "key", "value")[len(args) :])]
                found.append(tuple(given[:3]))
            elif name in _PRODUCTS and len(args) == 2 and min(args[0].ndim, args[1].ndim) >= 3:
                found.append((args[0], args[1]))
            elif name == "baddbmm":
                given = [*args, *(kwargs[part] for part in ("batch1", "batch2") if part in kwargs)]
                found.append((given[-2], given[-1]))
            return func(*args, **kwargs)

    with Noting():
        yield found
