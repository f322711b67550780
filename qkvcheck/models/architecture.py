"""Architecture: where each model family keeps queries, keys and values, and how to split what a hook sees.

A family is one file in `qkvcheck.models.architectures`; nothing else knows module names.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from qkvcheck.errors import CaptureError
from qkvcheck.groups import PROJECTIONS, StrEnum

if TYPE_CHECKING:
    import torch

TRIE_ATTENTION = ("sdpa", "eager")
SCALING_ROPES = ("yarn", "longrope")
GROWING_ROPES = ("dynamic", "longrope")
FIELDS = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "hidden_act",
    "hidden_activation",
    "activation_function",
    "max_position_embeddings",
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "sliding_window",
    "layer_types",
)
"""Fields of a configuration that change what is computed, by the names that most families give them."""


def rope_of(config: Any) -> dict[str, Any]:
    """Return how a configuration turns queries and keys, by whichever names its release of transformers has.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> old = SimpleNamespace(rope_theta=10000.0, rope_scaling=None, partial_rotary_factor=0.25)
    >>> new = SimpleNamespace(
    ...     rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}
    ... )
    >>> rope_of(old) == rope_of(new), rope_of(new)["rope_theta"]
    (True, 10000.0)
    >>> rope_of(SimpleNamespace(rotary_pct=0.25, rotary_emb_base=10000)) == rope_of(old)
    True
    >>> rope_of(SimpleNamespace(rotary_pct=0.25, partial_rotary_factor=0.5))["partial_rotary_factor"]
    0.5
    """
    told: dict[str, Any] = dict(getattr(config, "rope_parameters", None) or {})
    if not told:
        # Where a family has a name of its own besides, the general one is what is computed with.
        names = ("rotary_emb_base", "rotary_pct", "rotary_dim", "rope_theta", "partial_rotary_factor")
        named = {name: getattr(config, name, None) for name in names}
        told = {name: value for name, value in named.items() if value is not None}
        told.update(getattr(config, "rope_scaling", None) or {})
        local = getattr(config, "rope_local_base_freq", None)
        if local is not None:  # Gemma 3: another base where a layer looks at a window
            whole = {"rope_type": "default", **told}
            told = {"full_attention": whole, "sliding_attention": {"rope_type": "default", "rope_theta": local}}
    renamed = {"rotary_pct": "partial_rotary_factor", "rotary_emb_base": "rope_theta", "type": "rope_type"}
    found = {renamed.get(name, name): _plain(told[name]) for name in told}
    return {"rope_type": "default", "partial_rotary_factor": 1.0, **found}


def _plain(value: Any) -> Any:
    """Return a whole number as files of another release have it, with a point."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def told_of(config: Any, name: str) -> Any:
    """Return what a configuration says under a name, which may lead through a part of it; None where it has none.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> config = SimpleNamespace(hidden_size=8, attn_config=SimpleNamespace(alibi=True))
    >>> told_of(config, "attn_config.alibi"), told_of(config, "hidden_size"), told_of(config, "head_dim")
    (True, 8, None)
    """
    for part in name.split("."):
        config = getattr(config, part, None)
    return config


class ConfigSchema(Protocol):
    """What a family's config.json may say; a dataclass, which says its rules as ValueErrors of ``__post_init__``."""

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of the base model."""


class Split(StrEnum):
    """How queries, keys and values lie in what the projections of a layer put out."""

    SEPARATE = "separate"
    """A layer each: ``[q]``, ``[k]``, ``[v]``, each head after head."""
    BLOCKS = "blocks"
    """One layer: all queries, all keys, all values."""
    GROUPS = "groups"
    """One layer: for each key head the queries that read it, its key, its value. With as many key heads as query
    heads: head after head."""


class Position(StrEnum):
    """How the place of a token enters."""

    LEARNED = "learned"
    """A vector added to the embedding."""
    ROTARY = "rotary"
    """Queries and keys are turned by an angle that grows with the place, after the projection."""
    BIAS = "bias"
    """Scores get a number that hangs on the distance (ALiBi, relative positions)."""


class Loader(StrEnum):
    """As what a family is loaded; its head never runs."""

    CAUSAL = "AutoModelForCausalLM"
    MASKED = "AutoModelForMaskedLM"
    ENCODER = "AutoModelForTextEncoding"
    BASE = "AutoModel"


class Heads(NamedTuple):
    """How many heads attention has, and how wide they are.

    Attributes
    ----------
    query : int
        Query heads.
    key : int
        Heads of keys and values; with grouped queries fewer than of queries.
    width : int
        Of a query and of a key.
    value_width : int
        Of a value.
    """

    query: int
    key: int
    width: int
    value_width: int

    @property
    def counts(self) -> dict[str, int]:
        """Heads of Q, K and V."""
        return dict(zip(PROJECTIONS, (self.query, self.key, self.key), strict=True))

    @property
    def widths(self) -> tuple[int, int, int]:
        """Widths of Q, K and V over all their heads."""
        return self.query * self.width, self.key * self.width, self.key * self.value_width

    @property
    def projections(self) -> dict[str, slice]:
        """Where Q, K and V stand when they are put one after the other."""
        ends = np.cumsum([0, *self.widths]).tolist()
        return {name: slice(ends[n], ends[n + 1]) for n, name in enumerate(PROJECTIONS)}


class Site(NamedTuple):
    """Where a layer's queries, keys and values are made.

    Attributes
    ----------
    attention : torch.nn.Module
        The attention module.
    projections : tuple of torch.nn.Module
        One that makes all three, or one each.
    call : int
        Which of its calls in one forward is this layer's: a family may use one module for several layers.
    """

    attention: torch.nn.Module
    projections: tuple[torch.nn.Module, ...]
    call: int = 0


@dataclass(frozen=True)
class Architecture:
    """How one model family lays out its attention projections.

    A family that needs more than these attributes is a subclass in its own file, with one of the methods below of
    its own: `heads`, `split_of`, `order`, `site`, `scaling` and the rest.

    Attributes
    ----------
    family : str
        The configuration's ``model_type``.
    layers : str
        Attribute path of the list of layers, from the base model.
    attention : str
        Attribute path of the attention module, from a layer.
    names : tuple of str
        Attribute paths, from the attention module, of the projection that makes all three, or of those of queries, keys
        and values.
    output : str
        Attribute path, from the attention module, of the projection of its output.
    norm : str or None
        Attribute path of the norm before the projection, from a layer; None where it comes after.
    split : Split
        How queries, keys and values lie in what the projections put out.
    position : Position
        How the place of a token enters.
    between : tuple of str
        What is done to queries and keys between projection and score, in its order, such as ``("norm", "rotary")``.
    neighbours : bool
        Whether rotary embedding turns dimensions 0 and 1 together; else 0 and the one half of the turned ones later.
    causal : bool
        Whether nothing right of a token can reach it.
    again : bool
        Whether its projections run again in one forward, on something else than the hidden states.
    trie : bool
        Whether prefixes merged into a trie, under a mask of numbers to add, have been shown to give what a plain
        forward gives. Where positions enter as a bias between tokens (ALiBi), or layers look at a window, they don't:
        the numbers are wrong, and nothing fails.
    bos : bool or None
        Whether it has to read a beginning token, as the cards of its models say; None where they don't.
    loader : Loader
        As what it is loaded.
    fingerprint_fields : tuple of str
        Configuration fields that change what is computed.
    schema : type, optional
        A dataclass of what its config.json may say, whose ``tensors()`` gives the shape of each tensor of the base
        model. With it a directory is checked before anything is built of it.
    prefix : str
        Before the names of the base model's tensors, in files that hold a head too.
    not_read : tuple of str
        Ends of the names of tensors that are no weights, such as masks that older releases kept.
    """

    family: str
    layers: str = "layers"
    attention: str = "self_attn"
    names: tuple[str, ...] = ("q_proj", "k_proj", "v_proj")
    output: str = "o_proj"
    norm: str | None = "input_layernorm"
    split: Split = Split.SEPARATE
    position: Position = Position.ROTARY
    between: tuple[str, ...] = ()
    neighbours: bool = False
    causal: bool = True
    again: bool = False
    trie: bool = False
    bos: bool | None = None
    loader: Loader = Loader.CAUSAL
    fingerprint_fields: tuple[str, ...] = FIELDS
    schema: type[ConfigSchema] | None = field(default=None, compare=False)  # it decides no number
    prefix: str = ""
    not_read: tuple[str, ...] = ()

    def fitted(self, config: Any) -> Architecture:
        """Return this architecture as it is for a configuration."""
        del config
        return self

    def base_of(self, model: Any) -> Any:
        """Return the model without its head."""
        base = model.base_model
        # transformers 4 names it wrongly for Gemma 3, and then gives the whole.
        return getattr(base, "model", base) if base is model else base

    def layers_of(self, model: Any) -> Any:
        """Return the list of layers of a loaded model."""
        return self.base_of(model).get_submodule(self.layers)

    def depth(self, model: Any) -> int:
        """Return the number of layers of a loaded model."""
        return len(self.layers_of(model))

    def heads(self, config: Any) -> Heads:
        """Return how many heads a configuration asks for."""
        query = int(config.num_attention_heads)
        key = int(getattr(config, "num_key_value_heads", None) or query)
        width = int(getattr(config, "head_dim", None) or config.hidden_size // query)
        return Heads(query, key, width, width)

    def split_of(self, config: Any) -> Split:
        """Return how queries, keys and values lie in what the projections put out."""
        del config
        return self.split

    def between_of(self, config: Any, layer: int) -> tuple[str, ...]:
        """Return what a layer does to queries and keys between projection and score."""
        del layer
        return self.turned(config, self.between)

    @staticmethod
    def turned(config: Any, between: tuple[str, ...]) -> tuple[str, ...]:
        """Return the same with what a configuration's way of turning does besides: for long texts it may scale too."""
        scales = "rotary" in between and rope_of(config)["rope_type"] in SCALING_ROPES
        return (*between, "scaling") if scales else between

    def clip(self, config: Any) -> float | None:
        """Return how far from 0 the numbers that a projection puts out may be before they go on; None: any."""
        del config
        return None

    def position_of(self, config: Any) -> Position:
        """Return how the place of a token enters."""
        del config
        return self.position

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied, after queries and keys are as they are at the stage "attention"."""
        del layer
        return float(self.heads(config).width ** -0.5)

    def query_factor(self, model: Any, layer: int) -> float:
        """Return by what queries, as attention multiplies them, are multiplied to be those of the stage "attention"."""
        del model, layer
        return 1.0

    def longest(self, config: Any) -> int | None:
        """Return how many tokens a context may have; None where nothing limits it."""
        limit = getattr(config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    def order(self, config: Any) -> np.ndarray | None:
        """Return where each number of Q | K | V stands in what the projections put out; None if it stands there."""
        if self.split_of(config) is not Split.GROUPS:
            return None
        heads = self.heads(config)
        group = heads.query // heads.key
        raw = np.arange(sum(heads.widths)).reshape(heads.key, group + 2, heads.width)
        return np.concatenate([raw[:, :group].ravel(), raw[:, group].ravel(), raw[:, group + 1].ravel()])

    def site(self, model: Any, layer: int) -> Site:
        """Return where the queries, keys and values of a layer (zero-based) are made."""
        attention: torch.nn.Module = self.layers_of(model)[layer].get_submodule(self.attention)
        return Site(attention, tuple(attention.get_submodule(name) for name in self.names))

    def norm_of(self, model: Any, layer: int) -> Any:
        """Return the norm before the projections of a layer; None where it comes after."""
        return None if self.norm is None else self.layers_of(model)[layer].get_submodule(self.norm)

    def weights_alone(self, model: Any, layer: int) -> torch.Tensor | None:
        """Return what the projections of a layer put out for the bias of the norm before them: no token enters.

        None where the family has no norm there, or neither it nor the projections have biases.
        """
        import torch

        norm, projections = self.norm_of(model, layer), self.site(model, layer).projections
        if getattr(norm, "weight", None) is None:
            return None
        bias = getattr(norm, "bias", None)
        if bias is None and all(getattr(one, "bias", None) is None for one in projections):
            return None
        given = torch.zeros_like(norm.weight) if bias is None else bias
        with torch.inference_mode():
            alone = torch.cat([projection(given[None, None])[0, 0] for projection in projections])
        order = self.order(model.config)
        return alone if order is None else alone[torch.as_tensor(order, device=alone.device)]

    def trie_obstacle(self, model: Any, *, depth: int) -> str | None:
        """Return why contexts of up to `depth` tokens must not be merged into a trie for this model, or None.

        Parameters
        ----------
        model : transformers.PreTrainedModel
            The loaded model.
        depth : int
            Tokens of the longest context.
        """
        if not (self.causal and self.trie):
            return f"a trie has not been shown to be exact for {self.family}"
        config = model.config
        implementation = getattr(config, "_attn_implementation", None)
        if implementation not in TRIE_ATTENTION:
            return f"{implementation} attention may take no mask of numbers; {' and '.join(TRIE_ATTENTION)} do"
        biased = getattr(getattr(config, "attn_config", None), "alibi", False) or getattr(config, "alibi", False)
        if biased or self.position_of(config) is Position.BIAS:
            return "positions enter as a bias between tokens (ALiBi), which is laid over the tokens of a row"
        if any("local" in kinds for kinds, _ in getattr(config, "attention_types", None) or ()):
            return "some layers look at a window of the row (local attention)"
        if rope_of(config)["rope_type"] in GROWING_ROPES:
            return "how far tokens are turned hangs on the longest context of a forward (dynamic rotary)"
        window = getattr(config, "sliding_window", None)
        if window is not None and depth > window:
            return f"attention reaches {window} tokens back, and a context has {depth}"
        return None

    def most_nodes(self, model: Any) -> int:
        """Return how many nodes of a trie one forward may hold."""
        # Some releases add a causal triangle of the size of the position table to eager attention.
        eager = getattr(model.config, "_attn_implementation", None) == "eager"
        return int(model.config.max_position_embeddings) if eager else sys.maxsize


_ARCHITECTURES: dict[str, Architecture] = {}


def register_architecture(architecture: Architecture) -> Architecture:
    """Register where a model family keeps queries, keys and values.

    Raises
    ------
    CaptureError
        If that family is registered otherwise.
    """
    if _ARCHITECTURES.setdefault(architecture.family, architecture) != architecture:
        raise CaptureError(f"model family {architecture.family!r} is registered already; rename it.")
    return architecture


def architectures_by_family() -> Mapping[str, Architecture]:
    """Return every registered architecture by its family."""
    _register_our_own()
    return _ARCHITECTURES


@cache
def _register_our_own() -> None:
    from qkvcheck.models import architectures

    for module in iter_modules(architectures.__path__):
        import_module(f"{architectures.__name__}.{module.name}")


def architecture_of(config: Any) -> Architecture:
    """Return the architecture of a model's family.

    Raises
    ------
    CaptureError
        If the family is not known.
    """
    family = getattr(config, "model_type", None)
    known = architectures_by_family()
    if not isinstance(family, str) or family not in known:
        raise CaptureError(
            f"model family {family!r} is not supported; supported: {', '.join(sorted(known))}. "
            "Choose such a model with --qkv-model."
        )
    return known[family].fitted(config)
