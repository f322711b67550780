"""GPT-2: transformers, models/gpt2/modeling_gpt2.py: GPT2Attention.c_attn, a Conv1D of shape (in, 3 x width)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from qkvcheck.models.architecture import Architecture, Position, Split, register_architecture


@dataclass(frozen=True)
class Gpt2Config:
    """What a config.json of the family may say of what is computed; what it does not name keeps its default."""

    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_positions: int = 1024
    vocab_size: int = 50257
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    attn_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    resid_pdrop: float = 0.1
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    reorder_and_upcast_attn: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        most = {"n_embd": 2**18, "n_layer": 2000, "n_head": 2**14, "n_positions": 2**14, "vocab_size": 2**26}
        for name, limit in most.items():
            value = getattr(self, name)
            if not 1 <= value <= limit:
                raise ValueError(f"{name} is {value}; it has to be from 1 to {limit:,}")
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd is {self.n_embd}; it has to be a multiple of n_head, which is {self.n_head}")
        if not 1 <= self.inner <= 2**20:
            raise ValueError(f"n_inner is {self.n_inner}; it has to be from 1 to {2**20:,}, or null")
        if not 0 < self.layer_norm_epsilon < 1:
            raise ValueError(f"layer_norm_epsilon is {self.layer_norm_epsilon}; it has to be between 0 and 1")
        if not (math.isfinite(self.initializer_range) and self.initializer_range > 0):
            raise ValueError(f"initializer_range is {self.initializer_range}; it has to be above 0")
        for name in ("attn_pdrop", "embd_pdrop", "resid_pdrop"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it has to be from 0 to 1")
        if self.add_cross_attention:
            raise ValueError("add_cross_attention is true; a model that attends to another text can't be judged")

    @property
    def inner(self) -> int:
        """Width between the two layers of the perceptron."""
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of the base model."""
        width = self.n_embd
        layer: dict[str, tuple[int, ...]] = {
            **{f"ln_{n}.{part}": (width,) for n in (1, 2) for part in ("weight", "bias")},
            "attn.c_attn.weight": (width, 3 * width),
            "attn.c_attn.bias": (3 * width,),
            "attn.c_proj.weight": (width, width),
            "attn.c_proj.bias": (width,),
            "mlp.c_fc.weight": (width, self.inner),
            "mlp.c_fc.bias": (self.inner,),
            "mlp.c_proj.weight": (self.inner, width),
            "mlp.c_proj.bias": (width,),
        }
        return {
            "wte.weight": (self.vocab_size, width),
            "wpe.weight": (self.n_positions, width),
            **{f"h.{n}.{name}": shape for n in range(self.n_layer) for name, shape in layer.items()},
            "ln_f.weight": (width,),
            "ln_f.bias": (width,),
        }


class Gpt2(Architecture):
    """GPT-2, whose scores may be divided by the number of the layer."""

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        plain = super().scaling(config, layer) if config.scale_attn_weights else 1.0
        return plain / (layer + 1) if config.scale_attn_by_inverse_layer_idx else plain


register_architecture(
    Gpt2(
        family="gpt2",
        layers="h",
        attention="attn",
        names=("c_attn",),
        output="c_proj",
        norm="ln_1",
        split=Split.BLOCKS,
        position=Position.LEARNED,
        fingerprint_fields=(
            "model_type",
            "vocab_size",
            "n_positions",
            "n_embd",
            "n_layer",
            "n_head",
            "n_inner",
            "activation_function",
            "layer_norm_epsilon",
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "reorder_and_upcast_attn",
        ),
        trie=True,
        bos=False,
        schema=Gpt2Config,
        prefix="transformer.",
        not_read=(".attn.bias", ".attn.masked_bias"),
    )
)
