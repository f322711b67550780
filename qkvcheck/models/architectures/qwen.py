"""Qwen2 and Qwen3: transformers, models/qwen3/modeling_qwen3.py: Qwen3Attention.q_proj, k_proj, v_proj, q_norm, k_norm.

Qwen2 has biases and no norms; in Qwen3 each head of queries and keys is normed before it is turned.
"""

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture

FINGERPRINT = (*FIELDS, "use_sliding_window", "max_window_layers")

register_architecture(
    Architecture(family="qwen2", between=("rotary",), fingerprint_fields=FINGERPRINT, trie=True, prefix="model.")
)
register_architecture(
    Architecture(family="qwen3", between=("norm", "rotary"), fingerprint_fields=FINGERPRINT, trie=True, prefix="model.")
)
