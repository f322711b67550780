"""Architecture: where each model family keeps queries, keys and values, and how to split what a hook sees.

A family is one file in `qkvcheck.models.architectures`; nothing else knows module names.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from operator import attrgetter
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol

from qkvcheck.errors import CaptureError
from qkvcheck.groups import PROJECTIONS

if TYPE_CHECKING:
    import torch

TRIE_ATTENTION = ("sdpa", "eager")
_ALIBI = ("bloom",)


class ConfigSchema(Protocol):
    """What a family's config.json may say; a dataclass, which says its rules as ValueErrors of ``__post_init__``."""

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of the base model."""


@dataclass(frozen=True)
class Architecture:
    """How one model family lays out its attention projections.

    Attributes
    ----------
    family : str
        The configuration's ``model_type``.
    layers : str
        Attribute path of the list of layers, from the base model.
    projection : str
        Attribute path of the fused projection, from a layer.
    fingerprint_fields : tuple of str
        Configuration fields that change what is computed.
    norm : str
        Attribute path of the layer norm before the projection, from a layer.
    causal : bool
        Whether nothing right of a token can reach it.
    schema : type, optional
        A dataclass of what its config.json may say, whose ``tensors()`` gives the shape of each tensor of the base
        model. With it a directory is checked before anything is built of it.
    prefix : str
        Before the names of the base model's tensors, in files that hold a head too.
    not_read : tuple of str
        Ends of the names of tensors that are no weights, such as masks that older releases kept.
    trie : bool
        Whether prefixes merged into a trie, under a mask of numbers to add, have been shown to give what a plain
        forward gives. Where positions enter as a bias between tokens (ALiBi), or layers look at a window, they don't:
        the numbers are wrong, and nothing fails.
    """

    family: str
    layers: str
    projection: str
    fingerprint_fields: tuple[str, ...]
    norm: str
    causal: bool = False
    trie: bool = False
    schema: type[ConfigSchema] | None = field(default=None, compare=False)  # it decides no number
    prefix: str = ""
    not_read: tuple[str, ...] = ()

    def depth(self, model: Any) -> int:
        """Return the number of layers of a loaded model."""
        return len(attrgetter(self.layers)(model.base_model))

    def projection_module(self, model: Any, layer: int) -> torch.nn.Module:
        """Return the module whose output is the fused Q | K | V of a layer (zero-based)."""
        module: torch.nn.Module = attrgetter(self.projection)(attrgetter(self.layers)(model.base_model)[layer])
        return module

    def weights_alone(self, model: Any, layer: int) -> torch.Tensor:
        """Return what the projection of a layer puts out for the bias of the norm before it: no token enters."""
        import torch

        norm = attrgetter(self.norm)(attrgetter(self.layers)(model.base_model)[layer])
        with torch.inference_mode():
            alone: torch.Tensor = self.projection_module(model, layer)(norm.bias[None])[0]
        return alone

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
        if biased or self.family in _ALIBI:
            return "positions enter as a bias between tokens (ALiBi), which is laid over the tokens of a row"
        if any("local" in kinds for kinds, _ in getattr(config, "attention_types", None) or ()):
            return "some layers look at a window of the row (local attention)"
        window = getattr(config, "sliding_window", None)
        if window is not None and depth > window:
            return f"attention reaches {window} tokens back, and a context has {depth}"
        return None

    def most_nodes(self, model: Any) -> int:
        """Return how many nodes of a trie one forward may hold."""
        # Some releases add a causal triangle of the size of the position table to eager attention.
        eager = getattr(model.config, "_attn_implementation", None) == "eager"
        return int(model.config.max_position_embeddings) if eager else sys.maxsize

    def projections(self, config: Any) -> dict[str, slice]:
        """Return where Q, K and V stand in the last axis of the projection's output."""
        width = int(config.hidden_size)
        return {name: slice(i * width, (i + 1) * width) for i, name in enumerate(PROJECTIONS)}


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
    return known[family]
