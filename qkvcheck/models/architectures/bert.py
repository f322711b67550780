"""BERT, RoBERTa, ELECTRA: transformers, models/bert/modeling_bert.py: BertSelfAttention.query, key, value.

The norm comes after. RoBERTa counts positions from behind its padding token's number.
"""

from dataclasses import replace
from typing import Any

from qkvcheck.models.architecture import FIELDS, Architecture, Loader, Position, register_architecture


class Roberta(Architecture):
    """RoBERTa, whose table of positions begins with rows that no token has."""

    def longest(self, config: Any) -> int | None:
        """Return how many tokens a context may have."""
        return int(config.max_position_embeddings) - int(config.pad_token_id) - 1


BERT = register_architecture(
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
register_architecture(
    replace(BERT, family="electra", fingerprint_fields=(*FIELDS, "embedding_size"), prefix="electra.")
)
for family in ("roberta", "xlm-roberta", "camembert"):
    register_architecture(
        Roberta(
            **{
                **vars(BERT),
                "family": family,
                "fingerprint_fields": (*FIELDS, "pad_token_id"),
                "prefix": "roberta.",
            }
        )
    )
