"""Structure: the layout of a model whose family nobody wrote a file for, found in its modules or told by its user.

Where each layer of the longest list has sibling linear layers called like queries, keys and values, they are taken for
them; of one layer that makes all three, the split is the one that gives what the model computes. Nothing is believed:
attention probabilities of the model itself, times the values that the layout gives, have to enter a linear layer of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qkvcheck.errors import ModelError, first_line, shown
from qkvcheck.models.architecture import Architecture, Heads, Loader, Split

SIBLINGS = (
    *(tuple(f"{name}{end}" for name in "qkv") for end in ("_proj", "_lin", "_linear", "_layer", "_net", "")),
    *(tuple(f"{start}{name}" for name in "qkv") for start in ("to_", "w", "w_", "W", "W_", "proj_")),
    *(tuple(f"{name}{end}" for name in ("query", "key", "value")) for end in ("", "_proj", "_layer", "_linear")),
    ("queries", "keys", "values"),
)
FUSED = ("qkv", "qkv_proj", "Wqkv", "wqkv", "c_attn", "query_key_value", "to_qkv", "qkv_linear", "qkv_net")
FORM = "layers=model.layers attention=self_attn names=q_proj,k_proj,v_proj split=separate"
UNTOLD = "untold"
"""What comes between projection and score, where nobody told."""
_KEYS = ("layers", "attention", "names", "split")
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_TOLERANCE = 1e-4
_UNCOUNTED = Heads(1, 1, 1, 1)
_TOKENS = 5


@dataclass(frozen=True)
class FoundArchitecture(Architecture):
    """A layout that was found or told.

    Attributes
    ----------
    counted : Heads
        How many heads the model has, and how wide they are.
    """

    counted: Heads = _UNCOUNTED

    def heads(self, config: Any) -> Heads:
        """Return how many heads there are."""
        del config
        return self.counted

    def __str__(self) -> str:
        """Return it as `--qkv-layout` takes it."""
        return f"layers={self.layers} attention={self.attention} names={','.join(self.names)} split={self.split.value}"


def parse_layout(text: str, *, family: str = "") -> Architecture:
    """Read a layout such as ``layers=model.layers attention=self_attn names=q_proj,k_proj,v_proj split=separate``.

    Parameters
    ----------
    text : str
        Paths of modules: of the list of layers, from the model; of attention, from a layer; of the projections, from
        attention. ``split`` is separate, or, of one projection, blocks or groups.
    family : str
        Whose layout it is.

    Raises
    ------
    ModelError
        If it is not of that form.

    Examples
    --------
    >>> parse_layout("layers=h attention=attn names=c_attn split=blocks").names
    ('c_attn',)
    """
    told: dict[str, str] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if name not in _KEYS or not equals or name in told:
            raise _wrong(
                text, f"{shown(part, most=60)} is not one of {', '.join(f'{key}=' for key in _KEYS)}, each once"
            )
        told[name] = value
    absent = [name for name in _KEYS[:3] if name not in told]
    if absent:
        raise _wrong(text, f"{absent[0]}= is missing")
    names = tuple(told["names"].split(","))
    for path in (told["layers"], told["attention"], *names):
        if not _PATH.fullmatch(path):
            raise _wrong(text, f"{shown(path, most=60)} is no path of modules")
    split = told.get("split", "separate" if len(names) == 3 else "")
    if split not in {one.value for one in Split} or len(names) != (3 if split == "separate" else 1):
        raise _wrong(text, "split=separate goes with three names, split=blocks or split=groups with one")
    return Architecture(
        family, layers=told["layers"], attention=told["attention"], names=names, split=Split(split), norm=None
    )


def _wrong(text: str, why: str) -> ModelError:
    return ModelError(f"--qkv-layout {shown(text, most=120)}: {why}. Give it as in {FORM}")


def loader_for(config: Any) -> Loader:
    """Return as what a model of an unknown family is loaded.

    Raises
    ------
    ModelError
        If transformers has no model for it.
    """
    import transformers

    told = getattr(config, "auto_map", None) or {}
    for loader in Loader:
        if loader.value in told:
            return loader
        with suppress(Exception):  # a mapping raises what it likes
            if type(config) in getattr(transformers, loader.value)._model_mapping:
                return loader
    raise ModelError(
        f"model family {shown(getattr(config, 'model_type', None))} is not known to qkvcheck, and transformers has no "
        "model for its configuration; judge activations captured elsewhere with --qkv-activations."
    )


def found_architecture(model: Any, told: Architecture | None = None) -> FoundArchitecture:
    """Return the layout of a model of an unknown family, as its modules show it or as it was told; proven.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        The model; left as it was found.
    told : Architecture, optional
        What `parse_layout` read.

    Raises
    ------
    ModelError
        If nothing is found, several things are, or what was found or told does not compute what the model does.
    """
    family = str(getattr(model.config, "model_type", "unknown"))
    candidates = [replace(told, family=family)] if told is not None else list(_candidates(model, family))
    if told is not None:
        _check_paths(model, candidates[0])
    seen = _Seen(model, candidates[0])
    fitting = [found for one in candidates if (found := seen.fitted(one)) is not None]
    if len(fitting) > 1 and all(one.counted == fitting[0].counted and one.counted.key == 1 for one in fitting):
        fitting = fitting[:1]  # with one key head, one group is three blocks
    if len(fitting) != 1:
        what = "none of them" if not fitting else "more than one split"
        tried = (
            f"{candidates[0].layers}.0.{candidates[0].attention} was tried, and {what} gives what the model computes"
        )
        if told is not None:
            raise _wrong(str(FoundArchitecture(**vars(candidates[0]))), f"{tried} ({family})")
        raise _refused(model, tried)
    return fitting[0]


def _refused(model: Any, why: str) -> ModelError:
    family = getattr(model.config, "model_type", None)
    return ModelError(
        f"model family {shown(family)} is not known to qkvcheck, and its layout can't be found: {why}. Name it with "
        f"--qkv-layout '{FORM}', or judge activations captured elsewhere with --qkv-activations."
    )


def _is_linear(module: Any) -> bool:
    weight = getattr(module, "weight", None)
    return weight is not None and weight.ndim == 2 and not any(True for _ in module.children()) and callable(module)


def _lists(base: Any) -> Iterator[tuple[str, Any]]:
    from torch import nn

    for path, module in base.named_modules():
        if isinstance(module, nn.ModuleList) and len(module):
            yield path, module


def _projections(layer: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Return (path of attention, names of the projections) of everything in a layer that looks like it."""
    found = []
    for path, module in layer.named_modules():
        linear = {name for name, child in module.named_children() if _is_linear(child)}
        held = [names for names in (*SIBLINGS, *((name,) for name in FUSED)) if linear.issuperset(names)]
        if held:
            found.append((path, held[0]))
    return found


def _candidates(model: Any, family: str) -> Iterator[Architecture]:
    base = Architecture(family).base_of(model)
    lists = [(path, layers, _projections(layers[0])) for path, layers in _lists(base)]
    held = [(path, layers, sites) for path, layers, sites in lists if sites]
    if not held:
        raise _refused(model, f"no layer of {type(base).__name__} has linear layers called like queries, keys, values"
                       f"{_attention_of(base)}")  # fmt: skip
    longest = max(len(layers) for _, layers, _ in held)
    at = [(path, layers, sites) for path, layers, sites in held if len(layers) == longest]
    # A list within a layer of another one is no list of layers.
    at = [one for one in at if not any(one[0].startswith(f"{other[0]}.") for other in at)]
    if len(at) > 1:
        raise _refused(model, f"{at[0][0]} and {at[1][0]} both hold {longest} layers with queries, keys and values")
    path, layers, sites = at[0]
    if len(sites) > 1:
        raise _refused(model, f"each layer holds {sites[0][0]} and {sites[1][0]}, both with queries, keys and values")
    other = next((n for n, layer in enumerate(layers) if _projections(layer) != sites), None)
    if other is not None:
        raise _refused(model, f"layer 0 has {sites[0][0]} with {', '.join(sites[0][1])}, and layer {other} has not")
    attention, names = sites[0]
    for split in (Split.SEPARATE,) if len(names) == 3 else (Split.BLOCKS, Split.GROUPS):
        yield Architecture(family, layers=path, attention=attention, names=names, split=split, norm=None)


def _attention_of(base: Any) -> str:
    """Return which module looks like attention, and what linear layers it has, in words."""
    for path, module in base.named_modules():
        if "attention" in type(module).__name__.lower() or path.rpartition(".")[2] in ("attn", "attention"):
            linear = [name for name, child in module.named_modules() if _is_linear(child)]
            if linear:
                return f"; {path} ({type(module).__name__}) has {', '.join(linear[:4])}"
    return ", and none looks like attention"


def _check_paths(model: Any, told: Architecture) -> None:
    place = told.base_of(model)
    for what, path in (("layers", told.layers), ("attention", told.attention), *(("names", n) for n in told.names)):
        try:
            place_of = place.get_submodule(path)
        except AttributeError:
            there = ", ".join(name for name, _ in place.named_children())
            raise ModelError(
                f"--qkv-layout: {what}={path} is not in {type(place).__name__}, which has {shown(there, most=160)}. "
                f"Give it as in {FORM}"
            ) from None
        if what == "layers" and not (hasattr(place_of, "__len__") and len(place_of)):
            raise ModelError(f"--qkv-layout: layers={path} is a {type(place_of).__name__} and no list of layers.")
        place = place_of[0] if what == "layers" else place_of if what == "attention" else place


class _Seen:
    """What a model computed for a few tokens: its attention probabilities, and what its linear layers took and gave."""

    def __init__(self, model: Any, candidate: Architecture) -> None:
        self._model, self._base = model, candidate.base_of(model)
        self._again: set[Any] = set()
        self._given: dict[Any, np.ndarray] = {}
        self._taken: dict[Any, np.ndarray] = {}
        self._probabilities: list[np.ndarray] = []
        layers = candidate.layers_of(model)
        linear = [one for layer in layers for one in layer.modules() if _is_linear(one)]
        handles = [one.register_forward_hook(self._note) for one in linear]
        try:
            self._run()
        finally:
            for handle in handles:
                handle.remove()
        if len(self._probabilities) != len(layers):
            raise _refused(
                model, f"{candidate.layers} holds {len(layers)} layers, and the model tells attention of "
                f"{len(self._probabilities)}"
            )  # fmt: skip

    def _note(self, module: Any, inputs: Any, output: Any) -> None:
        # What chooses experts looks like a linear layer too, and gives several tensors.
        if module in self._given:
            self._again.add(module)
        elif hasattr(output, "detach") and inputs and hasattr(inputs[0], "detach"):
            self._given[module] = output.detach().double().cpu().numpy()
            self._taken[module] = inputs[0].detach().double().cpu().numpy()

    def _run(self) -> None:
        import torch

        model = self._model
        rows = model.get_input_embeddings().weight.shape[0]
        device = next(model.parameters()).device
        token_ids = torch.as_tensor([[(7 + 13 * n) % rows for n in range(_TOKENS)]], device=device)
        try:
            with evaluating(model), _eager(model):
                told = self._base(input_ids=token_ids, output_attentions=True)
            self._probabilities = [one.double().cpu().numpy() for one in told.attentions or () if one is not None]
        except Exception as error:  # a model of an unknown family raises what it likes
            raise _refused(model, f"it can't be run with eager attention ({first_line(error)})") from None

    def fitted(self, candidate: Architecture) -> FoundArchitecture | None:
        """Return a candidate with the heads that the model has; None if its values are not the model's at a layer."""
        query = self._probabilities[0].shape[1]
        found: FoundArchitecture | None = None
        for layer in range(len(self._probabilities)):
            projections = candidate.site(self._model, layer).projections
            if not all(one in self._given for one in projections):
                return None
            put_out = np.concatenate([self._given[one].reshape(_TOKENS, -1) for one in projections], axis=-1)
            heads = self._heads(candidate, [self._given[one].shape[-1] for one in projections], query)
            if heads is None or (found is not None and heads != found.counted):
                return None
            again = not self._again.isdisjoint(projections)
            causal = not np.triu(self._probabilities[layer][0, 0], 1).any()
            found = FoundArchitecture(
                **{**vars(candidate), "between": (UNTOLD,), "causal": causal, "again": again, "counted": heads}
            )
            if not self._is_mixed(found, layer, put_out):
                return None
        return found

    def _heads(self, candidate: Architecture, widths: list[int], query: int) -> Heads | None:
        if candidate.split is Split.SEPARATE:
            width = widths[0] // query
            key = widths[1] // width if width else 0
            heads = Heads(query, key, width, widths[2] // key if key else 0)
        else:
            config = self._model.config
            width = int(getattr(config, "head_dim", None) or getattr(config, "hidden_size", 0) // query)
            heads = Heads(query, (widths[0] // width - query) // 2 if width else 0, width, width)
        whole = heads.key > 0 and query % heads.key == 0 and sum(heads.widths) == sum(widths)
        return heads if whole else None

    def _is_mixed(self, found: FoundArchitecture, layer: int, put_out: np.ndarray) -> bool:
        """Return whether probabilities times the values enter a linear layer of that layer."""
        heads, order = found.counted, found.order(self._model.config)
        rows = put_out if order is None else put_out[:, order]
        values = rows[:, heads.projections["V"]].reshape(_TOKENS, heads.key, heads.value_width).transpose(1, 0, 2)
        mixed = self._probabilities[layer][0] @ np.repeat(values, heads.query // heads.key, axis=0)
        wanted = mixed.transpose(1, 0, 2).reshape(_TOKENS, -1)
        return any(
            taken.size == wanted.size
            and np.abs(taken.reshape(wanted.shape) - wanted).max() <= _TOLERANCE * max(1.0, np.abs(wanted).max())
            for one, taken in self._taken.items()
            if any(one is other for other in found.layers_of(self._model)[layer].modules())
        )


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Set evaluation mode without gradients, for the time of a forward."""
    import torch

    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, for the time of a block."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Let a model attend eagerly, so that it tells its probabilities; put back as it was."""
    before = getattr(model.config, "_attn_implementation", None)
    try:
        if before is not None:
            model.config._attn_implementation = "eager"
        yield
    finally:
        if before is not None:
            model.config._attn_implementation = before
