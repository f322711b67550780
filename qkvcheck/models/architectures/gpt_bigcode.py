"""GPT-BigCode: transformers, models/gpt_bigcode/modeling_gpt_bigcode.py: GPTBigCodeAttention.c_attn."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Heads, Position, Split, register_architecture


class GptBigCode(Architecture):
    """GPT-BigCode: one key for all queries (multi_query), or head after head."""

    def heads(self, config: Any) -> Heads:
        """Return how many heads a configuration asks for."""
        plain = super().heads(config)
        return plain._replace(key=1 if config.multi_query else plain.query)

    def split_of(self, config: Any) -> Split:
        """Return how queries, keys and values lie in what the projection puts out."""
        return Split.BLOCKS if config.multi_query else Split.GROUPS

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        return super().scaling(config, layer) if config.scale_attn_weights else 1.0


register_architecture(
    GptBigCode(
        family="gpt_bigcode",
        layers="h",
        attention="attn",
        names=("c_attn",),
        output="c_proj",
        norm="ln_1",
        position=Position.LEARNED,
        fingerprint_fields=(*FIELDS, "multi_query", "scale_attn_weights", "n_inner"),
        trie=True,
        prefix="transformer.",
    )
)
