"""GPT-2: transformers, models/gpt2/modeling_gpt2.py: GPT2Attention.c_attn, a Conv1D of shape (in, 3 x width)."""

from qkvcheck.models.architecture import Architecture, register_architecture

register_architecture(
    Architecture(
        family="gpt2",
        layers="h",
        projection="attn.c_attn",
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
        norm="ln_1",
        causal=True,
        trie=True,
    )
)
