"""GPT-NeoX and Pythia: transformers, models/gpt_neox/modeling_gpt_neox.py: one projection, head after head."""

from qkvcheck.models.architecture import Architecture, Split, register_architecture

register_architecture(
    Architecture(
        family="gpt_neox",
        attention="attention",
        names=("query_key_value",),
        output="dense",
        split=Split.GROUPS,
        between=("rotary",),
        trie=True,
        prefix="gpt_neox.",
    )
)
