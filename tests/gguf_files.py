"""Tiny GGUF files: a LLaMA of two layers, random weights, the embedded model's tokenizer; as llama.cpp writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from qkvcheck.models.loading import embedded_directory

HEADS, KEY_HEADS, WIDTH, LAYERS = 4, 2, 64, 2
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
OTHERS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def vocabulary() -> tuple[list[str], list[str], set[str]]:
    """Tokens in order, merges, and the special ones."""
    told = json.loads((embedded_directory() / "tokenizer.json").read_text("utf-8"))
    tokens = dict(told["model"]["vocab"])
    special = {one["content"]: one["id"] for one in told["added_tokens"]}
    tokens.update(special)
    merges = [one if isinstance(one, str) else " ".join(one) for one in told["model"]["merges"]]
    return sorted(tokens, key=tokens.__getitem__), merges, set(special)


def llama(*, seed: int = 3) -> LlamaForCausalLM:
    """The network that the file holds."""
    config = LlamaConfig(
        vocab_size=len(vocabulary()[0]), hidden_size=WIDTH, intermediate_size=96, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, max_position_embeddings=64, rms_norm_eps=1e-5,
        rope_theta=10_000.0, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """Queries or keys as llama.cpp orders them (convert_hf_to_gguf.py, permute)."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def tensors_of(model: LlamaForCausalLM) -> dict[str, np.ndarray]:
    """Its weights under the names of the file."""
    found = {}
    for name, parameter in model.named_parameters():
        weight, (base, _, end) = parameter.detach().numpy(), name.rpartition(".")
        if base in OTHERS:
            found[f"{OTHERS[base]}.{end}"] = weight
            continue
        _, _, layer, part = base.split(".", 3)
        heads = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KEY_HEADS}.get(part)
        found[f"blk.{layer}.{NAMES[part]}.{end}"] = weight if heads is None else permuted(weight, heads)
    return found


def write_gguf(
    path: Path,
    *,
    model: LlamaForCausalLM | None = None,
    family: str = "llama",
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.Q8_0,
    tokenizer: bool = True,
    add_bos: bool | None = None,
    more: Mapping[str, Any] | None = None,
    extra: Mapping[str, np.ndarray] | None = None,
    layers: int = LAYERS,
    tokenizer_model: str = "gpt2",
) -> Path:
    """Write the file; matrices in the format `kind`, the rest as F32."""
    tensors = tensors_of(model or llama()) | dict(extra or {})
    writer = gguf.GGUFWriter(path, family)
    writer.add_block_count(layers)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(96)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary()[0]))
    if tokenizer:
        _write_tokenizer(writer, tokenizer_model)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)
    for key, value in (more or {}).items():
        (writer.add_string if isinstance(value, str) else writer.add_uint32)(key, value)
    for name, weight in tensors.items():
        packed = weight.ndim == 2 and name not in (extra or {})
        writer.add_tensor(name, gguf.quantize(weight, kind) if packed else weight, raw_dtype=kind if packed else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_tokenizer(writer: gguf.GGUFWriter, model: str) -> None:
    tokens, merges, special = vocabulary()
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens.index(sorted(special)[0]))
