"""Gemma 1 to 3: transformers, models/gemma3/modeling_gemma3.py: Gemma3Attention.q_proj, k_proj, v_proj, q_norm, k_norm.

Gemma 2 scales scores by a number of its configuration and caps them; Gemma 3 scales, and norms queries and keys.
"""

from dataclasses import replace
from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture

FINGERPRINT = (*FIELDS, "query_pre_attn_scalar", "attn_logit_softcapping", "use_bidirectional_attention")


class Gemma(Architecture):
    """Gemma 2 and 3, whose configuration says how scores are scaled, and whether tokens see what follows."""

    def fitted(self, config: Any) -> Architecture:
        """Return this for a configuration; EmbeddingGemma looks both ways."""
        return replace(self, causal=False) if getattr(config, "use_bidirectional_attention", False) else self

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        del layer
        return float(config.query_pre_attn_scalar**-0.5)


register_architecture(Architecture(family="gemma", between=("rotary",), trie=True, prefix="model."))
register_architecture(
    Gemma(family="gemma2", between=("rotary",), fingerprint_fields=FINGERPRINT, trie=True, prefix="model.")
)
register_architecture(
    Gemma(family="gemma3_text", between=("norm", "rotary"), fingerprint_fields=FINGERPRINT, trie=True, prefix="model.")
)
