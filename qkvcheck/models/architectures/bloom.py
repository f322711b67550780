"""BLOOM: transformers, models/bloom/modeling_bloom.py: BloomAttention.query_key_value, head after head; ALiBi."""

from qkvcheck.models.architecture import FIELDS, Architecture, Position, Split, register_architecture

register_architecture(
    Architecture(
        family="bloom",
        layers="h",
        attention="self_attention",
        names=("query_key_value",),
        output="dense",
        split=Split.GROUPS,
        position=Position.BIAS,
        fingerprint_fields=(*FIELDS, "apply_residual_connection_post_layernorm"),
        prefix="transformer.",
    )
)
