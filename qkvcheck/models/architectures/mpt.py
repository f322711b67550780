"""MPT: transformers, models/mpt/modeling_mpt.py: MptAttention.Wqkv, queries, keys, values; may be clipped; ALiBi."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Position, Split, register_architecture

ATTENTION = ("attn_config.alibi", "attn_config.alibi_bias_max", "attn_config.clip_qkv", "attn_config.softmax_scale")


class Mpt(Architecture):
    """MPT, which says how it attends in a configuration of its own."""

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        return float(config.attn_config.softmax_scale or super().scaling(config, layer))

    def clip(self, config: Any) -> float | None:
        """Return how far from 0 the numbers that a projection puts out may be."""
        return config.attn_config.clip_qkv or None

    def longest(self, config: Any) -> int | None:
        """Return how many tokens a context may have."""
        return int(config.max_seq_len)


register_architecture(
    Mpt(
        family="mpt",
        layers="blocks",
        attention="attn",
        names=("Wqkv",),
        output="out_proj",
        norm="norm_1",
        split=Split.BLOCKS,
        position=Position.BIAS,
        fingerprint_fields=(*FIELDS, "expansion_ratio", "max_seq_len", *ATTENTION),
        prefix="transformer.",
    )
)
