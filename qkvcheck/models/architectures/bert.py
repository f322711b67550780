"""BERT: transformers, models/bert/modeling_bert.py: BertSelfAttention.query, key, value; the norm comes after."""

from qkvcheck.models.architecture import Architecture, Loader, Position, register_architecture

register_architecture(
    Architecture(
        family="bert",
        layers="encoder.layer",
        attention="attention",
        names=("self.query", "self.key", "self.value"),
        output="output.dense",
        norm=None,
        position=Position.LEARNED,
        causal=False,
        loader=Loader.MASKED,
        prefix="bert.",
    )
)
