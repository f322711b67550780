"""Phi: transformers, models/phi/modeling_phi.py: PhiAttention.q_proj, k_proj, v_proj; a part of each is turned."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture


class Phi(Architecture):
    """Phi, which may norm each head of queries and keys."""

    def between_of(self, config: Any, layer: int) -> tuple[str, ...]:
        """Return what a layer does to queries and keys between projection and score."""
        del layer
        return ("norm", "rotary") if config.qk_layernorm else ("rotary",)


register_architecture(
    Phi(
        family="phi",
        output="dense",
        between=("rotary",),
        fingerprint_fields=(*FIELDS, "qk_layernorm"),
        trie=True,
        prefix="model.",
    )
)
