"""StableLM: transformers, models/stablelm/modeling_stablelm.py: StableLmAttention.q_proj, k_proj, v_proj."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture


class StableLm(Architecture):
    """StableLM, which may norm each head of queries and keys, and turns a part of them."""

    def between_of(self, config: Any, layer: int) -> tuple[str, ...]:
        """Return what a layer does to queries and keys between projection and score."""
        del layer
        return ("norm", "rotary") if config.qk_layernorm else ("rotary",)


register_architecture(
    StableLm(
        family="stablelm",
        between=("rotary",),
        fingerprint_fields=(*FIELDS, "qk_layernorm", "use_parallel_residual"),
        trie=True,
        prefix="model.",
    )
)
