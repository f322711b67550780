"""ModernBERT: transformers, models/modernbert/modeling_modernbert.py: ModernBertAttention.Wqkv; windows."""

from qkvcheck.models.architecture import FIELDS, Architecture, Loader, Split, register_architecture

register_architecture(
    Architecture(
        family="modernbert",
        attention="attn",
        names=("Wqkv",),
        output="Wo",
        norm="attn_norm",
        split=Split.BLOCKS,
        between=("rotary",),
        causal=False,
        loader=Loader.MASKED,
        fingerprint_fields=(*FIELDS, "local_attention", "global_attn_every_n_layers", "norm_eps"),
        prefix="model.",
    )
)
