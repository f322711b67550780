"""SmolLM3: transformers, models/smollm3/modeling_smollm3.py: SmolLM3Attention.q_proj, k_proj, v_proj."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture


class SmolLm3(Architecture):
    """SmolLM3, some layers of which turn nothing."""

    def between_of(self, config: Any, layer: int) -> tuple[str, ...]:
        """Return what a layer does to queries and keys between projection and score."""
        return ("rotary",) if config.no_rope_layers[layer] else ()


register_architecture(
    SmolLm3(
        family="smollm3",
        between=("rotary",),
        fingerprint_fields=(*FIELDS, "no_rope_layers", "use_sliding_window"),
        trie=True,
        prefix="model.",
    )
)
