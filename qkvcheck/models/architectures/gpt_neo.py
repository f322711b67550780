"""GPT-Neo: transformers, models/gpt_neo/modeling_gpt_neo.py: GPTNeoSelfAttention.q_proj, k_proj, v_proj; unscaled."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Position, register_architecture


class GptNeo(Architecture):
    """GPT-Neo, whose scores are multiplied by nothing."""

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        del config, layer
        return 1.0


register_architecture(
    GptNeo(
        family="gpt_neo",
        layers="h",
        attention="attn.attention",
        output="out_proj",
        norm="ln_1",
        position=Position.LEARNED,
        fingerprint_fields=(*FIELDS, "attention_types", "window_size"),
        prefix="transformer.",
    )
)
