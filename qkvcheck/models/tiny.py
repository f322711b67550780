"""Tiny: a configuration shrunk, so that a family is tried in seconds; what is computed stays as it was.

Layers, heads and widths become few and small; the ratio of query heads to key heads, norms, rotation, biases and the
kinds of layers stay, and so does the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, first_line
from qkvcheck.models.directory import LAYER_FIELDS

LAYERS = 8
"""So that layer 6 (zero-based), at which claims are decided, is there."""
WIDTH = 16
MOST_QUERIES = 8
"""For each key head; where there are more, the ratio does not stay."""
GPT2_WORDS = 50257

_LAYERS = (*LAYER_FIELDS, "num_decoder_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_KEYS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim", "embedding_size", "word_embed_proj_dim", "pooler_hidden_size")
_INNER = (
    *("intermediate_size", "ffn_dim", "n_inner", "d_ff", "hidden_dim", "ffn_hidden_size"),
    *("moe_intermediate_size", "intermediate_size_mlp", "shared_expert_intermediate_size"),
)
_WIDTHS = ("head_dim", "d_kv")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_FACTORS = ("short_factor", "long_factor")


def is_family(source: str) -> bool:
    """Return whether a name is that of a family of models that the installed transformers has."""
    from transformers import CONFIG_MAPPING

    return source in CONFIG_MAPPING and not Path(source).expanduser().is_dir()


def usual_config(family: str) -> Any:
    """Return the library's usual configuration of a family, for GPT-2's tokens."""
    from transformers import AutoConfig

    return AutoConfig.for_model(family, vocab_size=GPT2_WORDS, **_within(AutoConfig.for_model(family).to_dict()))


def _within(told: Mapping[str, Any]) -> dict[str, int]:
    """Return the special tokens that GPT-2's vocabulary does not have, as token 0."""
    ids = {name: value for name, value in told.items() if name.endswith("_token_id") and isinstance(value, int)}
    return {name: 0 for name, value in ids.items() if value >= GPT2_WORDS}


def shrunk(config: Any) -> Any:
    """Return a configuration of the same family with few layers and heads, and narrow ones.

    Parameters
    ----------
    config : transformers.PretrainedConfig
        Left as it is.

    Raises
    ------
    ModelError
        If the family's configuration does not allow it.

    Examples
    --------
    >>> from transformers import LlamaConfig
    >>> small = shrunk(LlamaConfig(num_attention_heads=32, num_key_value_heads=8))
    >>> small.num_hidden_layers, small.num_attention_heads, small.num_key_value_heads, small.hidden_size
    (8, 8, 2, 128)
    """
    told = dict(config.to_dict())
    before = next((told[name] for name in _LAYERS if isinstance(told.get(name), int)), None)
    queries = next((told[name] for name in _HEADS if isinstance(told.get(name), int)), None)
    family = getattr(config, "model_type", None)
    if before is None or queries is None:
        raise ModelError(f"model family {family!r} can't be shrunk: its configuration names no layers or no heads.")
    keys = next((told[name] for name in _KEYS if told.get(name)), queries)
    few = 4 if keys == queries else min(2, keys)
    heads = few * (1 if keys == queries else min(MOST_QUERIES, max(1, queries // keys)))
    made = {
        _LAYERS: LAYERS,
        _HEADS: heads,
        _KEYS: few,
        _WIDTHS: WIDTH,
        _HIDDEN: heads * WIDTH,
        _INNER: 2 * heads * WIDTH,
    }
    made[_EXPERTS] = 4
    for names, number in made.items():
        told.update({name: number for name in names if isinstance(told.get(name), int)})
    if isinstance(told.get("num_experts_per_tok"), int):
        told["num_experts_per_tok"] = min(2, told["num_experts_per_tok"])
    if isinstance(told.get("rotary_dim"), int):
        told["rotary_dim"] = WIDTH // 2
    for name, value in told.items():
        if isinstance(value, list) and len(value) == before:  # a word or a number for each layer
            told[name] = (value * LAYERS)[:LAYERS]
        if name == "attention_types" and value:  # GPT-Neo's: kinds in turn, and how often
            told[name] = [[value[0][0], LAYERS // len(value[0][0])]]
        if isinstance(value, dict):
            told[name] = {**value, **{key: value[key][: WIDTH // 2] for key in _FACTORS if value.get(key)}}
    try:
        return type(config).from_dict(told)
    except Exception as error:  # a configuration raises what it likes
        raise ModelError(f"model family {family!r} can't be shrunk ({first_line(error)}); try #untrained.") from None
