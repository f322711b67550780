"""A tiny random model of every family, and its attention computed anew in float64 from what was captured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import transformers

from qkvcheck.contexts.context import Context, ContextSet
from qkvcheck.models.architecture import architecture_of
from qkvcheck.models.loading import HookedModel, ModelSpec
from qkvcheck.models.weights.files import loader_of
from qkvcheck.models.weights.held import Held

VOCABULARY = 40
LINE = int(transformers.__version__.partition(".")[0])
Adjust = Callable[[Any, Any, int, np.ndarray, "dict[str, np.ndarray]"], np.ndarray]
"""Takes model, attention module, layer, scores and what was captured; returns the scores with what a family adds."""


class Pads:
    """As much of a tokenizer as a capture of recorded token ids asks for."""

    name, pad_id = "numbers", 0


def contexts_of(sequences: list[list[int]]) -> ContextSet:
    """Return contexts of given tokens; the last one is the target."""
    rows = tuple(Context(" ".join(map(str, ids)), tuple(ids), len(ids) - 1) for ids in sequences)
    return ContextSet(rows, "0", 0, "made here", "0")


def _alibi(slopes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return scores + slopes[:, None, None] * np.arange(scores.shape[-1])


def _slopes(scores: np.ndarray) -> np.ndarray:
    heads = scores.shape[1]
    return 2.0 ** (-8 * np.arange(1, heads + 1) / heads)


def alibi(_model: Any, _attention: Any, _layer: int, scores: np.ndarray, _captured: Any) -> np.ndarray:
    """Press et al. 2022: a number that grows with the distance, of another slope for each head."""
    return _alibi(_slopes(scores), scores)


def scaled_alibi(model: Any, _attention: Any, _layer: int, scores: np.ndarray, _captured: Any) -> np.ndarray:
    """Falcon's, scaled as the scores are; under eager attention the library adds it twice, once with its mask."""
    width = model.config.hidden_size // model.config.num_attention_heads
    return _alibi(2 * _slopes(scores) * width**-0.5, scores)


def capped(model: Any, _attention: Any, _layer: int, scores: np.ndarray, _captured: Any) -> np.ndarray:
    """Gemma 2's."""
    cap = model.config.attn_logit_softcapping
    return np.tanh(scores / cap) * cap


def t5_distance(model: Any, _attention: Any, _layer: int, scores: np.ndarray, _captured: Any) -> np.ndarray:
    """A number of a table for each distance, apart for what stands left and right; of layer 0, for all layers."""
    first = model.base_model.encoder.block[0].layer[0].SelfAttention
    table = first.relative_attention_bias.weight.detach().numpy()
    ahead = np.arange(scores.shape[-1])[None] - np.arange(scores.shape[-1])[:, None]
    assert abs(ahead).max() < 8  # beyond, several distances share a row
    return scores + table[np.where(ahead > 0, 16, 0) + abs(ahead)].transpose(2, 0, 1)


def deberta_distance(
    model: Any, attention: Any, _layer: int, scores: np.ndarray, captured: dict[str, np.ndarray]
) -> np.ndarray:
    """Queries by keys of the distance, and keys by queries of the distance."""
    own, encoder = attention.self, model.base_model.encoder
    span, heads = own.pos_ebd_size, model.config.num_attention_heads
    width = model.config.hidden_size // heads
    with torch.no_grad():
        table = encoder.get_rel_embedding()[: 2 * span]
        key, query = (
            one(table).unflatten(-1, (heads, width)).transpose(0, 1).double().numpy()
            for one in ((own.key_proj, own.query_proj) if own.share_att_key else (own.pos_key_proj, own.pos_query_proj))
        )
    root = np.sqrt(3 * width)
    place = np.arange(scores.shape[-1])
    ahead = np.clip(place[:, None] - place[None] + span, 0, 2 * span - 1)
    from_query = np.einsum("bhiw,hijw->bhij", captured["Q"], key[:, ahead]) / root
    from_key = np.einsum("bhjw,hijw->bhij", captured["K"] * root, query[:, ahead]) / root
    return scores + from_query + from_key


def plain(_model: Any, _attention: Any, _layer: int, scores: np.ndarray, _captured: Any) -> np.ndarray:
    """Nothing."""
    return scores


def normed_by_head(attention: Any, name: str, rows: np.ndarray) -> np.ndarray:
    """Return (token, head, width) after the attention module's own norm of it."""
    norm = attention.get_submodule(
        {"Q": "q_norm", "K": "k_norm"}[name] if hasattr(attention, "q_norm") else f"{name.lower()}_layernorm"
    )
    with torch.no_grad():
        found: np.ndarray = norm(torch.as_tensor(rows[None]))[0].numpy()
    return found


def normed_across(attention: Any, name: str, rows: np.ndarray) -> np.ndarray:
    """Return the same after one norm over all heads."""
    return normed_by_head(attention, name, rows.reshape(len(rows), -1)).reshape(rows.shape)


def normed_each(attention: Any, name: str, rows: np.ndarray) -> np.ndarray:
    """Return the same where each head has a norm of its own."""
    with torch.no_grad():
        given = torch.as_tensor(rows[None].transpose(0, 2, 1, 3))
        found: np.ndarray = attention.get_submodule(f"{name.lower()}_layernorm")(given)[0].transpose(0, 1).numpy()
    return found


@dataclass(frozen=True, eq=False)
class Case:
    """A family in one of its forms.

    Attributes
    ----------
    family : str
        As configurations name it.
    options : dict
        Of its configuration.
    form : str
        Which form it is, where there are several.
    adjust : callable
        What the family adds to scores.
    norm : callable, optional
        What it does to the projections of queries and keys before they are turned.
    windows : dict of int to int
        How many tokens a layer sees, itself among them; elsewhere all.
    """

    family: str
    options: dict[str, Any]
    form: str = ""
    adjust: Adjust = plain
    norm: Callable[[Any, str, np.ndarray], np.ndarray] | None = None
    windows: dict[int, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.family}, {self.form}" if self.form else self.family


# Widths that no two meanings share: 4 query heads of 6, 2 key heads, a hidden size of 20, 3 layers, 28 within.
WIDE = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 28}
GROUPED = {**WIDE, "hidden_size": 20, "num_key_value_heads": 2, "head_dim": 6}
GROUPED_WHOLE = {**WIDE, "num_key_value_heads": 2}
OLD = {"n_embd": 24, "n_layer": 3, "n_head": 4, "n_positions": 16}
EVERY = {0: 3, 1: 3, 2: 3}
FALCON = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "bias": True}
SLIDING = ["sliding_attention", "full_attention", "sliding_attention"]

CASES = (
    Case("gpt2", OLD),
    Case("gpt2", {**OLD, "scale_attn_by_inverse_layer_idx": True}, "scaled by layer"),
    Case(
        "gpt_neo",
        {"hidden_size": 24, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 16, "window_size": 3,
         "attention_types": [[["global", "local"], 1]]},
        windows={1: 3},
    ),
    Case("gptj", {**OLD, "rotary_dim": 4}),
    Case("gpt_neox", {**WIDE, "rotary_pct": 0.34}),
    Case("codegen", {**OLD, "n_head": 8, "n_embd": 48, "rotary_dim": 4}),
    Case("opt", {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 28,
                 "word_embed_proj_dim": 20, "max_position_embeddings": 16}),
    Case("opt", {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 28,
                 "word_embed_proj_dim": 24, "max_position_embeddings": 16, "do_layer_norm_before": False},
         "norm behind"),
    Case("bloom", {"hidden_size": 24, "n_layer": 3, "n_head": 4}, adjust=alibi),
    Case("falcon", {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}, "grouped"),
    Case("falcon", {**FALCON, "new_decoder_architecture": False, "multi_query": True}, "one key"),
    Case("falcon", {**FALCON, "new_decoder_architecture": False, "multi_query": False, "alibi": True},
         "every head, ALiBi", adjust=scaled_alibi),
    Case("mpt", {"d_model": 24, "n_layers": 3, "n_heads": 4, "max_seq_len": 16, "expansion_ratio": 2}, adjust=alibi),
    Case("mpt", {"d_model": 24, "n_layers": 3, "n_heads": 4, "max_seq_len": 16, "expansion_ratio": 2,
                 "attn_config": {"clip_qkv": 1.0, "softmax_scale": 0.3}}, "clipped", adjust=alibi),
    Case("gpt_bigcode", {**OLD, "multi_query": True}, "one key"),
    Case("gpt_bigcode", {**OLD, "multi_query": False}, "every head"),
    Case("llama", {**GROUPED, "attention_bias": True}),
    Case("mistral", {**GROUPED, "sliding_window": 3}, windows=EVERY),
    Case("mixtral", {**GROUPED, "num_local_experts": 2, "sliding_window": None}),
    Case("qwen2", {**GROUPED_WHOLE, "use_sliding_window": False}),
    Case("qwen3", {**GROUPED, "attention_bias": True}, norm=normed_by_head),
    Case("phi", {**GROUPED_WHOLE, "partial_rotary_factor": 0.34}),
    Case("phi", {**GROUPED_WHOLE, "partial_rotary_factor": 0.34, "qk_layernorm": True}, "normed", norm=normed_by_head),
    Case("phi3", {**GROUPED_WHOLE, "pad_token_id": 0, "sliding_window": 3}, windows=EVERY),
    Case("gemma", {**GROUPED, "attention_bias": True}),
    Case("gemma2", {**GROUPED, "attention_bias": True, "query_pre_attn_scalar": 5, "attn_logit_softcapping": 3.0,
                    "sliding_window": 3, "layer_types": SLIDING}, adjust=capped, windows={0: 3, 2: 3}),
    Case("gemma3_text", {**GROUPED, "attention_bias": True, "query_pre_attn_scalar": 5, "sliding_window": 3,
                         "layer_types": SLIDING}, norm=normed_by_head, windows={0: 3, 2: 3}),
    Case("stablelm", {**GROUPED_WHOLE, "use_qkv_bias": True, "partial_rotary_factor": 0.34}),
    Case("stablelm", {**GROUPED_WHOLE, "qk_layernorm": True, "partial_rotary_factor": 0.34}, "normed",
         norm=normed_each),
    Case("starcoder2", {**GROUPED_WHOLE, "use_bias": True, "sliding_window": 3}, windows=EVERY),
    Case("cohere", {**GROUPED_WHOLE, "attention_bias": True}),
    Case("cohere", {**GROUPED_WHOLE, "use_qk_norm": True}, "normed", norm=normed_by_head),
    Case("olmo", {**GROUPED_WHOLE, "attention_bias": True}),
    Case("olmo", {**GROUPED_WHOLE, "clip_qkv": 0.5}, "clipped"),
    Case("olmo2", {**GROUPED_WHOLE, "attention_bias": True}, norm=normed_across),
    Case("smollm3", {**GROUPED_WHOLE, "attention_bias": True, "no_rope_layers": [1, 0, 1], "pad_token_id": 0}),
    Case("gpt_oss", {**GROUPED, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 3,
                     "layer_types": SLIDING}, windows={0: 3, 2: 3}),
    Case("bert", {**WIDE, "max_position_embeddings": 16}),
    Case("roberta", {**WIDE, "max_position_embeddings": 16}),
    Case("xlm-roberta", {**WIDE, "max_position_embeddings": 16}),
    Case("camembert", {**WIDE, "max_position_embeddings": 16}),
    Case("distilbert", {"dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 28, "max_position_embeddings": 16}),
    Case("electra", {**WIDE, "embedding_size": 20, "max_position_embeddings": 16}),
    Case("albert", {**WIDE, "num_hidden_layers": 4, "num_hidden_groups": 2, "embedding_size": 20,
                    "max_position_embeddings": 16}),
    Case("albert", {**WIDE, "num_hidden_layers": 3, "num_hidden_groups": 1, "inner_group_num": 2, "embedding_size": 20,
                    "max_position_embeddings": 16}, "two within a layer"),
    Case("deberta-v2", {**WIDE, "max_position_embeddings": 16, "relative_attention": True, "share_att_key": True,
                        "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}, adjust=deberta_distance),
    Case("modernbert", {**WIDE, "pad_token_id": 0, "attention_bias": True, "max_position_embeddings": 16,
                        "local_attention": 4, "global_attn_every_n_layers": 2}, windows={1: 3}),
    Case("t5", {"d_model": 20, "d_kv": 6, "num_heads": 4, "num_layers": 3, "d_ff": 28}, adjust=t5_distance),
)  # fmt: skip


def build(case: Case, implementation: str | None) -> HookedModel:
    """Return a case's model with weights large enough for its attention to matter, and biases that are not 0."""
    config = transformers.AutoConfig.for_model(case.family, vocab_size=VOCABULARY, **case.options)
    architecture = architecture_of(config)
    torch.manual_seed(5)
    model = loader_of(architecture).from_config(config, attn_implementation=implementation)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + 0.3 * noise if parameter.ndim == 1 else 0.3 * noise)
    return HookedModel(Held(model.eval()), Pads(), architecture, ModelSpec(case.family), "made here")


def by_head(hooked: HookedModel, values: np.ndarray) -> dict[str, np.ndarray]:
    """Return Q, K and V of (context, token, width) as (context, head, token, width of a head), float64."""
    found = {}
    for name, part in hooked.projections.items():
        block = values[..., part].astype(np.float64)
        found[name] = block.reshape(*block.shape[:2], hooked.heads[name], -1).transpose(0, 2, 1, 3)
    return found


def repeated(hooked: HookedModel, block: np.ndarray) -> np.ndarray:
    """Return keys or values with each head as often as queries read it."""
    return np.repeat(block, hooked.heads["Q"] // block.shape[1], axis=1)


def probabilities(case: Case, hooked: HookedModel, layer: int, captured: dict[str, np.ndarray]) -> np.ndarray:
    """Return attention probabilities (context, head, token, token), from queries and keys as scores get them."""
    config, attention = hooked.model.config, hooked.architecture.site(hooked.model, layer).attention
    keys = repeated(hooked, captured["K"])
    scores = captured["Q"] @ keys.swapaxes(-1, -2) * hooked.architecture.scaling(config, layer)
    scores = case.adjust(hooked.model, attention, layer, scores, captured)
    behind = np.arange(scores.shape[-1])[:, None] - np.arange(scores.shape[-1])[None]
    hidden = behind < 0 if hooked.architecture.causal else np.zeros_like(behind, dtype=bool)
    if layer in case.windows:
        hidden = hidden | (abs(behind) >= case.windows[layer])
    powers = np.exp(np.where(hidden, -np.inf, scores))
    sinks = getattr(attention, "sinks", None)  # GPT-OSS: a share that goes to no token
    more = 0 if sinks is None else np.exp(sinks.detach().double().numpy())[:, None, None]
    found: np.ndarray = powers / (powers.sum(axis=-1, keepdims=True) + more)
    return found
