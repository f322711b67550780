"""LLaMA: transformers, models/llama/modeling_llama.py: LlamaAttention.q_proj, k_proj, v_proj; grouped queries."""

from qkvcheck.models.architecture import Architecture, register_architecture

register_architecture(Architecture(family="llama", between=("rotary",), trie=True, prefix="model."))
