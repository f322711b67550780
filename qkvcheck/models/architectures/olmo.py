"""OLMo and OLMo-2: transformers, models/olmo/modeling_olmo.py, models/olmo2/modeling_olmo2.py: q_proj, k_proj, v_proj.

OLMo may clip all three, in place. OLMo-2 norms queries and keys as a whole, and has its norms behind.
"""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, register_architecture


class Olmo(Architecture):
    """OLMo, whose norms have no weights."""

    def clip(self, config: Any) -> float | None:
        """Return how far from 0 the numbers that a projection puts out may be."""
        return None if config.clip_qkv is None else float(config.clip_qkv)


register_architecture(
    Olmo(
        family="olmo",
        norm=None,
        between=("rotary",),
        fingerprint_fields=(*FIELDS, "clip_qkv"),
        trie=True,
        prefix="model.",
    )
)
register_architecture(Architecture(family="olmo2", norm=None, between=("norm", "rotary"), trie=True, prefix="model."))
