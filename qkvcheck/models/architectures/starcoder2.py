"""StarCoder2: transformers, models/starcoder2/modeling_starcoder2.py: Starcoder2Attention.q_proj, k_proj, v_proj."""

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture

register_architecture(
    Architecture(
        family="starcoder2",
        between=("rotary",),
        fingerprint_fields=(*FIELDS, "norm_epsilon"),
        trie=True,
        prefix="model.",
    )
)
