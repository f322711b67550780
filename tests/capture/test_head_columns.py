"""Heads that are cut from a capture, against what each family's own attention makes its heads of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qkvcheck.capture.activations import sample_of
from qkvcheck.capture.hooks import capture
from qkvcheck.models.architecture import architectures_by_family
from tests.capture.test_forwards import VOCABULARY, contexts_of, hook

LAYER = 1
SEQUENCES = [[1, 2, 3], [2, 5], [4, 1, 0, 6], [3, 3, 2, 1]]
FAMILIES = {
    "llama": {"hidden_size": 18, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 9,
              "num_key_value_heads": 3, "head_dim": 4, "max_position_embeddings": 32},
    "gpt_neox": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
                 "max_position_embeddings": 32},
    "gpt2": {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 32},
}  # fmt: skip


def random_model(family: str):
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(family, vocab_size=VOCABULARY, **FAMILIES[family])
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def heads_by_family(family: str, model, ids: list[int]) -> list[dict[str, np.ndarray]]:
    """Return Q, K and V of each query head at the last token, shaped as that family's own forward shapes them."""
    layers = {"llama": "model.layers", "gpt_neox": "gpt_neox.layers", "gpt2": "transformer.h"}
    layer = model.get_submodule(layers[family])[LAYER]
    modules = {
        "llama": lambda: (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
        "gpt_neox": lambda: (layer.attention.query_key_value,),
        "gpt2": lambda: (layer.attn.c_attn,),
    }[family]()
    seen: list[np.ndarray] = []
    handles = [m.register_forward_hook(lambda _m, _i, out: seen.append(out[0, -1].detach().numpy())) for m in modules]
    with torch.no_grad():
        model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    if family == "llama":  # view(heads, head_dim); repeat_kv gives each key head to the next three query heads
        queries, keys, values = (out.reshape(-1, 4) for out in seen)
        return [{"Q": queries[h], "K": keys[h // 3], "V": values[h // 3]} for h in range(9)]
    if family == "gpt_neox":  # view(heads, 3 * head_dim), then three chunks
        by_head = seen[0].reshape(4, 12)
        return [{"Q": row[:4], "K": row[4:8], "V": row[8:]} for row in by_head]
    queries, keys, values = (part.reshape(4, 4) for part in np.split(seen[0], 3))  # split, then view(heads, head_dim)
    return [{"Q": queries[h], "K": keys[h], "V": values[h]} for h in range(4)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_is_what_the_family_attends_with(family):
    model = random_model(family)
    hooked = hook(model, architectures_by_family()[family])
    captured = capture(hooked, contexts_of(SEQUENCES), layers=[LAYER])
    assert dict(captured.heads) == hooked.heads
    for row, ids in enumerate(SEQUENCES):
        for head, expected in enumerate(heads_by_family(family, model, ids)):
            sample = sample_of(captured, layer=LAYER, head=head)
            for name, numbers in expected.items():
                np.testing.assert_allclose(sample.part(name)[0][row], numbers, atol=1e-5)
