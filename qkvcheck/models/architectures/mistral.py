"""Mistral and Mixtral: transformers, models/mistral/modeling_mistral.py: MistralAttention.q_proj, k_proj, v_proj.

Which experts compute a token may hang on its last digit: Mixtral takes no trie.
"""

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture

register_architecture(Architecture(family="mistral", between=("rotary",), trie=True, prefix="model."))
register_architecture(
    Architecture(
        family="mixtral",
        between=("rotary",),
        fingerprint_fields=(*FIELDS, "num_experts_per_tok", "num_local_experts"),
        prefix="model.",
    )
)
