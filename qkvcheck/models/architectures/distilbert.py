"""DistilBERT: transformers, models/distilbert/modeling_distilbert.py: q_lin, k_lin, v_lin; the norm comes after."""

from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Loader, Position, register_architecture


class DistilBert(Architecture):
    """DistilBERT, which transformers 4 scales another way with eager attention than with sdpa."""

    def query_factor(self, model: Any, layer: int) -> float:
        """Return by what queries are multiplied to be those of the stage "attention"."""
        scaled = type(self.site(model, layer).attention).__name__ == "MultiHeadSelfAttention"
        return float(self.heads(model.config).width ** 0.5) if scaled else 1.0


register_architecture(
    DistilBert(
        family="distilbert",
        layers="transformer.layer",
        attention="attention",
        names=("q_lin", "k_lin", "v_lin"),
        output="out_lin",
        norm=None,
        position=Position.LEARNED,
        causal=False,
        loader=Loader.MASKED,
        fingerprint_fields=(*FIELDS, "hidden_dim", "activation", "sinusoidal_pos_embds"),
        prefix="distilbert.",
    )
)
