"""DeBERTa-v2 and v3: transformers, models/deberta_v2/modeling_deberta_v2.py: query_proj, key_proj, value_proj.

The projections run again, on relative positions; keys are divided by the root of the width and of the number of terms.
"""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Loader, Position, register_architecture

RELATIVE = ("relative_attention", "pos_att_type", "share_att_key", "position_buckets", "max_relative_positions")


class DebertaV2(Architecture):
    """DeBERTa-v2, whose keys are scaled before the score."""

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        del config, layer
        return 1.0


register_architecture(
    DebertaV2(
        family="deberta-v2",
        layers="encoder.layer",
        attention="attention",
        names=("self.query_proj", "self.key_proj", "self.value_proj"),
        output="output.dense",
        norm=None,
        position=Position.BIAS,
        between=("scaling",),
        causal=False,
        again=True,
        loader=Loader.MASKED,
        fingerprint_fields=(*FIELDS, *RELATIVE, "position_biased_input", "norm_rel_ebd", "conv_kernel_size"),
        prefix="deberta.",
    )
)
