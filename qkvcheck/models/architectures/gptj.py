"""GPT-J: transformers, models/gptj/modeling_gptj.py: GPTJAttention.q_proj, k_proj, v_proj; neighbours are turned."""

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture

register_architecture(
    Architecture(
        family="gptj",
        layers="h",
        attention="attn",
        output="out_proj",
        norm="ln_1",
        between=("rotary",),
        neighbours=True,
        fingerprint_fields=(*FIELDS, "rotary_dim", "n_inner"),
        trie=True,
        prefix="transformer.",
    )
)
