"""Phi-3: transformers, models/phi3/modeling_phi3.py: Phi3Attention.qkv_proj, queries, keys, values."""

from qkvcheck.models.architecture import Architecture, Split, register_architecture

register_architecture(
    Architecture(
        family="phi3", names=("qkv_proj",), split=Split.BLOCKS, between=("rotary",), trie=True, prefix="model."
    )
)
