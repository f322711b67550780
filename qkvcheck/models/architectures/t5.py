"""T5, its encoder: transformers, models/t5/modeling_t5.py: T5Attention.q, k, v; unscaled, relative positions."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Heads, Loader, Position, register_architecture


class T5(Architecture):
    """The encoder of T5, whose heads have a width of their own."""

    def heads(self, config: Any) -> Heads:
        """Return how many heads a configuration asks for."""
        return Heads(config.num_heads, config.num_heads, config.d_kv, config.d_kv)

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        del config, layer
        return 1.0


register_architecture(
    T5(
        family="t5",
        layers="encoder.block",
        attention="layer.0.SelfAttention",
        names=("q", "k", "v"),
        output="o",
        norm="layer.0.layer_norm",
        position=Position.BIAS,
        causal=False,
        loader=Loader.ENCODER,
        fingerprint_fields=(
            *FIELDS,
            "d_kv",
            "d_ff",
            "feed_forward_proj",
            "relative_attention_num_buckets",
            "relative_attention_max_distance",
        ),
    )
)
