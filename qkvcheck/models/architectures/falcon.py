"""Falcon: transformers, models/falcon/modeling_falcon.py: FalconAttention.query_key_value, in three layouts."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Heads, Position, Split, register_architecture


class Falcon(Architecture):
    """Falcon: head after head (rw), one key for all queries (7B), or groups of queries (new_decoder_architecture)."""

    def heads(self, config: Any) -> Heads:
        """Return how many heads a configuration asks for."""
        plain = super().heads(config)
        if config.new_decoder_architecture:
            return plain._replace(key=int(config.num_kv_heads))
        return plain._replace(key=1 if config.multi_query else plain.query)

    def split_of(self, config: Any) -> Split:
        """Return how queries, keys and values lie in what the projection puts out."""
        return Split.BLOCKS if config.multi_query and not config.new_decoder_architecture else Split.GROUPS

    def position_of(self, config: Any) -> Position:
        """Return how the place of a token enters."""
        return Position.BIAS if config.alibi else Position.ROTARY

    def between_of(self, config: Any, layer: int) -> tuple[str, ...]:
        """Return what a layer does to queries and keys between projection and score."""
        del layer
        return () if config.alibi else ("rotary",)

    def norm_of(self, model: Any, layer: int) -> Any:
        """Return the norm before the projection; with two of them, attention's."""
        block = self.layers_of(model)[layer]
        return getattr(block, "ln_attn", None) or block.input_layernorm


register_architecture(
    Falcon(
        family="falcon",
        layers="h",
        attention="self_attention",
        names=("query_key_value",),
        output="dense",
        between=("rotary",),
        fingerprint_fields=(
            *FIELDS,
            "alibi",
            "multi_query",
            "new_decoder_architecture",
            "num_kv_heads",
            "parallel_attn",
        ),
        trie=True,
        prefix="transformer.",
    )
)
