"""Cohere: transformers, models/cohere/modeling_cohere.py: CohereAttention.q_proj, k_proj, v_proj; norms by head."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture


class Cohere(Architecture):
    """Cohere, which may norm queries and keys, each head with weights of its own."""

    def between_of(self, config: Any, layer: int) -> tuple[str, ...]:
        """Return what a layer does to queries and keys between projection and score."""
        del layer
        return ("norm", "rotary") if config.use_qk_norm else ("rotary",)


register_architecture(
    Cohere(
        family="cohere",
        between=("rotary",),
        neighbours=True,
        fingerprint_fields=(*FIELDS, "use_qk_norm"),
        trie=True,
        prefix="model.",
    )
)
