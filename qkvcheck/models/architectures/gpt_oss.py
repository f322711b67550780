"""GPT-OSS: transformers, models/gpt_oss/modeling_gpt_oss.py: GptOssAttention.q_proj, k_proj, v_proj; sinks.

Which experts compute a token may hang on its last digit: it takes no trie.
"""

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture

register_architecture(
    Architecture(
        family="gpt_oss",
        between=("rotary",),
        fingerprint_fields=(*FIELDS, "num_experts_per_tok", "num_local_experts"),
        prefix="model.",
    )
)
