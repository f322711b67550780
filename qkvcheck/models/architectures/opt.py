"""OPT: transformers, models/opt/modeling_opt.py: OPTAttention.q_proj, k_proj, v_proj; queries are scaled at once."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Position, register_architecture


class Opt(Architecture):
    """OPT, whose queries are divided by the root of their width before the score."""

    def scaling(self, config: Any, layer: int) -> float:
        """Return by what scores are multiplied."""
        del config, layer
        return 1.0

    def norm_of(self, model: Any, layer: int) -> Any:
        """Return the norm before the projection; the smallest and the largest early model have it behind."""
        return super().norm_of(model, layer) if model.config.do_layer_norm_before else None


register_architecture(
    Opt(
        family="opt",
        layers="decoder.layers",
        output="out_proj",
        norm="self_attn_layer_norm",
        position=Position.LEARNED,
        between=("scaling",),
        fingerprint_fields=(*FIELDS, "ffn_dim", "word_embed_proj_dim", "do_layer_norm_before"),
        trie=True,
        prefix="model.",
    )
)
