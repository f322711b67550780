"""The trie and the other layouts against one plain forward a context."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qkvcheck.capture import hooks as capturing
from qkvcheck.capture.forwards import Wanted, equal_lengths, padded, trie
from qkvcheck.capture.hooks import capture
from qkvcheck.contexts.context import Context, ContextSet
from qkvcheck.models.architecture import Architecture, architectures_by_family
from qkvcheck.models.loading import HookedModel, ModelSpec
from qkvcheck.models.weights.held import Held

VOCABULARY = 7
LAYER = 2
TOLERANCE = 1e-4
"""Of numbers up to some tens; a wrong layout is off by more than 0.1. One of the models multiplies in float32."""


class Pads:
    """As much of a tokenizer as a capture of recorded token ids asks for."""

    name, pad_id = "numbers", 0


def hook(model, layout: Architecture) -> HookedModel:
    return HookedModel(Held(model.eval()), Pads(), layout, ModelSpec(layout.family), "made here")


def tiny_gpt2(**options) -> HookedModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=4, n_head=2, n_positions=20, initializer_range=0.6, **options
    )
    model = GPT2LMHeadModel(config)
    # In float64 where it can be, so that what differs is the layout and not the rounding.
    return hook(model if config.reorder_and_upcast_attn else model.double(), architectures_by_family()["gpt2"])


GPT2S = {
    "sdpa": {"attn_implementation": "sdpa"},
    "eager": {"attn_implementation": "eager"},
    "eager, scaled by layer": {"attn_implementation": "eager", "scale_attn_by_inverse_layer_idx": True},
    "eager, upcast": {"attn_implementation": "eager", "reorder_and_upcast_attn": True},
    "sdpa, unscaled": {"attn_implementation": "sdpa", "scale_attn_weights": False},
}
TINY = {name: tiny_gpt2(**options) for name, options in GPT2S.items()}


def contexts_of(sequences: list[list[int]], targets: list[int] | None = None) -> ContextSet:
    """Contexts of given tokens; the last one is the target unless told otherwise."""
    places = targets or [len(ids) - 1 for ids in sequences]
    rows = tuple(Context(" ".join(map(str, ids)), tuple(ids), t) for ids, t in zip(sequences, places, strict=True))
    return ContextSet(rows, "0", 0, "made here", "0")


def plain(hooked: HookedModel, contexts: ContextSet, *, layer: int = LAYER) -> np.ndarray:
    """One whole, unpadded forward a context, and what the projections put out at the target."""
    found = []
    modules = hooked.architecture.site(hooked.model, layer).projections
    for context in contexts.contexts:
        seen = []
        handles = [
            module.register_forward_hook(lambda _module, _inputs, output, seen=seen: seen.append(output))
            for module in modules
        ]
        with torch.no_grad():
            hooked.model.base_model(torch.tensor([context.token_ids]))
        for handle in handles:
            handle.remove()
        found.append(np.concatenate([one[0, context.target_index].numpy() for one in seen]))
    rows, order = np.stack(found), hooked.architecture.order(hooked.model.config)
    return rows if order is None else rows[:, order]


SEQUENCES = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9), min_size=1, max_size=14)


@pytest.mark.needs_time
@given(sequences=SEQUENCES, batch_size=st.sampled_from([1, 5, 12, 512]), data=st.data())
@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("name", sorted(TINY))
def test_trie_is_exact(name, sequences, batch_size, data):
    """Any set of contexts, with shared and repeated prefixes, cut into parts of any size."""
    hooked = TINY[name]
    targets = [data.draw(st.integers(0, len(ids) - 1)) for ids in sequences]
    contexts = contexts_of(sequences, targets)
    got = capture(hooked, contexts, layers=[LAYER], batch_size=batch_size)
    assert got.provenance["layout"] == "trie"
    np.testing.assert_allclose(got.at(LAYER), plain(hooked, contexts), rtol=0, atol=TOLERANCE)


def test_it_computes_each_prefix_once():
    sequences = [[1, 2, 3, 0], [1, 2, 4, 0], [1, 2, 3, 0], [5, 0, 6], [1, 0]]
    contexts = contexts_of(sequences, [3, 3, 3, 1, 1])
    got = capture(TINY["sdpa"], contexts, layers=[LAYER])
    prefixes = {c.token_ids[: k + 1] for c in contexts.contexts for k in range(c.target_index + 1)}
    assert int(got.provenance["computed"]) == len(prefixes) == 9
    whole = capture(TINY["sdpa"], contexts, layers=[LAYER], exact_layout=True)
    assert (whole.provenance["layout"], whole.provenance["computed"]) == ("padded", "20")


@given(sequences=SEQUENCES, batch_size=st.integers(1, 40))
def test_parts_are_bounded_and_hold_everything_once(sequences, batch_size):
    wanted = [Wanted(tuple(ids), (len(ids) - 1,), (row,)) for row, ids in enumerate(sequences)]
    forwards = list(trie(wanted, batch_size=batch_size))
    assert all(f.computed <= max(batch_size, max(map(len, sequences))) for f in forwards)
    assert sorted(slot for f in forwards for slot in f.slots) == list(range(len(sequences)))
    for forward in forwards:
        for (row, node), slot in zip(forward.places, forward.slots, strict=True):
            ancestors = np.flatnonzero(forward.visible[node])
            assert row == 0
            assert forward.token_ids[0, ancestors].tolist() == sequences[slot]
            assert forward.depths[0, ancestors].tolist() == list(range(len(sequences[slot])))


def test_the_order_of_contexts_changes_no_bit(rng):
    sequences = [rng.integers(0, VOCABULARY, size=rng.integers(1, 9)).tolist() for _ in range(40)]
    order = rng.permutation(40)
    for name in ("sdpa", "eager"):
        first = capture(TINY[name], contexts_of(sequences), layers=[LAYER], batch_size=60).values
        second = capture(TINY[name], contexts_of([sequences[i] for i in order]), layers=[LAYER], batch_size=60).values
        assert np.array_equal(first[order], second)


def test_eager_attention_with_more_nodes_than_positions(rng):
    """Some releases add a causal triangle of 20 x 20 here; parts have to stay within it."""
    sequences = [rng.integers(0, VOCABULARY, size=9).tolist() for _ in range(30)]
    contexts = contexts_of(sequences)
    got = capture(TINY["eager"], contexts, layers=[LAYER], batch_size=512)
    assert int(got.provenance["computed"]) > 20
    np.testing.assert_allclose(got.at(LAYER), plain(TINY["eager"], contexts), rtol=0, atol=TOLERANCE)


def test_a_deep_layer_and_all_positions(rng):
    sequences = [rng.integers(0, VOCABULARY, size=rng.integers(1, 9)).tolist() for _ in range(12)]
    contexts = contexts_of(sequences)
    fast = capture(TINY["sdpa"], contexts, layers=[3, 0], positions="all")
    slow = capture(TINY["sdpa"], contexts, layers=[3, 0], positions="all", exact_layout=True)
    assert np.array_equal(fast.mask, slow.mask)
    real = slow.mask[:, None, :, None]
    np.testing.assert_allclose(np.where(real, fast.values, 0), np.where(real, slow.values, 0), rtol=0, atol=TOLERANCE)
    assert not fast.values[~np.broadcast_to(real, fast.values.shape)].any()
    assert not slow.values[~np.broadcast_to(real, slow.values.shape)].any()


@pytest.mark.parametrize("arrange", [equal_lengths, lambda w, batch_size: padded(w, pad_id=0, batch_size=batch_size)])
@given(sequences=SEQUENCES, batch_size=st.integers(1, 40))
def test_rectangles_hold_everything_once(arrange, sequences, batch_size):
    wanted = [Wanted(tuple(ids), (len(ids) - 1,), (row,)) for row, ids in enumerate(sequences)]
    forwards = list(arrange(wanted, batch_size=batch_size))
    assert sorted(slot for f in forwards for slot in f.slots) == list(range(len(sequences)))
    for forward in forwards:
        assert forward.computed <= max(batch_size, max(map(len, sequences)))
        for (row, token), slot in zip(forward.places, forward.slots, strict=True):
            assert forward.token_ids[row, forward.present[row]].tolist() == sequences[slot]
            assert token == len(sequences[slot]) - 1
        if arrange is equal_lengths:
            assert forward.present.all()


# Models that a trie would lie about --------------------------------------------------------------


def small(family: str, **options):
    """A tiny random model of another family, with weights large enough for its attention to matter."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(3)
    config = AutoConfig.for_model(family, vocab_size=VOCABULARY, **options)
    config.initializer_range = 0.6
    model = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.5)
    return model, architectures_by_family()[family]


def bloom():
    return small("bloom", hidden_size=16, n_layer=4, n_head=2)


def mpt():
    return small("mpt", d_model=16, n_layers=4, n_heads=2, max_seq_len=20, expansion_ratio=2)


def falcon_alibi():
    return small(
        "falcon", hidden_size=16, num_hidden_layers=4, num_attention_heads=2, alibi=True,
        new_decoder_architecture=False, multi_query=False,
    )  # fmt: skip


def gpt_neo():
    return small(
        "gpt_neo", hidden_size=16, num_layers=4, num_heads=2, max_position_embeddings=64, window_size=3,
        attention_types=[[["global", "local"], 2]],
    )  # fmt: skip


def mistral():
    return small(
        "mistral", hidden_size=16, num_hidden_layers=4, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=32, sliding_window=3, head_dim=8,
    )  # fmt: skip


UNSAFE = {"bloom": bloom, "mpt": mpt, "falcon_alibi": falcon_alibi, "gpt_neo": gpt_neo, "mistral": mistral}


@pytest.fixture
def long_contexts(rng) -> ContextSet:
    """Contexts longer than the windows above that share their beginnings and differ in their last two tokens."""
    beginnings = rng.integers(1, VOCABULARY, size=(3, 6)).tolist()
    return contexts_of([[*begin, *rng.integers(1, VOCABULARY, size=2).tolist()] for begin in beginnings * 10])


@pytest.mark.parametrize("family", sorted(UNSAFE))
@pytest.mark.parametrize("claimed", [False, True])
def test_unsafe_families_never_take_the_trie(family, claimed, long_contexts):
    """Not by themselves, and not if somebody put them on the list of families shown exact."""
    model, layout = UNSAFE[family]()
    hooked = hook(model, replace(layout, causal=True, trie=claimed))
    assert hooked.architecture.trie_obstacle(model, depth=9) is not None
    wanted = plain(hooked, long_contexts)
    got = capture(hooked, long_contexts, layers=[LAYER], batch_size=64)
    assert got.provenance["layout"] == "equal lengths"
    np.testing.assert_allclose(got.at(LAYER), wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("family", ["gpt_neo", "mistral"])
def test_the_trie_would_lie_about_them(family, long_contexts, monkeypatch):
    """Without the check above: no error, and numbers far off."""
    model, layout = UNSAFE[family]()
    hooked = hook(model, replace(layout, causal=True, trie=True))
    wanted = plain(hooked, long_contexts)
    monkeypatch.setattr(Architecture, "trie_obstacle", lambda *_, **__: None)
    got = capture(hooked, long_contexts, layers=[LAYER], batch_size=512)
    assert got.provenance["layout"] == "trie"
    assert np.abs(got.at(LAYER) - wanted).max() > 0.1 * np.abs(wanted).max()


def test_a_window_that_no_context_reaches_is_no_obstacle():
    model, layout = mistral()
    safe = replace(layout, causal=True, trie=True)
    assert safe.trie_obstacle(model, depth=3) is None
    assert "reaches 3 tokens back, and a context has 4" in safe.trie_obstacle(model, depth=4)


def test_other_attention_kernels_are_an_obstacle(monkeypatch):
    model = TINY["sdpa"].model
    monkeypatch.setattr(model.config, "_attn_implementation_internal", "flash_attention_2")
    assert "flash_attention_2 attention may take no mask" in architectures_by_family()["gpt2"].trie_obstacle(
        model, depth=3
    )


def test_masks_of_truth_values_are_wrong_under_eager_attention(rng, monkeypatch):
    """Why the mask is made of numbers to add."""
    contexts = contexts_of([rng.integers(0, VOCABULARY, size=8).tolist() for _ in range(10)])
    monkeypatch.setattr(
        capturing, "_attention_mask", lambda _hooked, forward: torch.as_tensor(forward.visible)[None, None]
    )
    got = capture(TINY["eager"], contexts, layers=[LAYER]).at(LAYER)
    assert np.abs(got - plain(TINY["eager"], contexts)).max() > 0.1


def test_a_bidirectional_model_sees_whole_contexts(rng):
    """Nothing is cut there: what stands right of the target reaches it."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        initializer_range=0.5,
    )  # fmt: skip
    hooked = hook(BertModel(config), architectures_by_family()["bert"])
    sequences = [rng.integers(0, VOCABULARY, size=rng.integers(4, 9)).tolist() for _ in range(12)]
    contexts = contexts_of(sequences, [1] * 12)
    got = capture(hooked, contexts, layers=[LAYER])
    np.testing.assert_allclose(got.at(LAYER), plain(hooked, contexts), rtol=0, atol=TOLERANCE)
    whole = capture(hooked, contexts, layers=[LAYER], exact_layout=True)
    assert whole.provenance["layout"] == "padded"
    np.testing.assert_allclose(whole.at(LAYER), plain(hooked, contexts), rtol=0, atol=TOLERANCE)
    cut = contexts_of([ids[:2] for ids in sequences], [1] * 12)
    assert np.abs(plain(hooked, cut) - got.at(LAYER)).max() > 0.1


def test_modes_are_put_back_module_by_module():
    """A model that is partly in training mode stays so."""
    model = TINY["sdpa"].model
    model.transformer.h[1].train()
    try:
        capture(TINY["sdpa"], contexts_of([[1, 2, 3]]), layers=[LAYER])
        assert not model.training
        assert model.transformer.h[1].training
        assert model.transformer.h[1].mlp.training
        assert not model.transformer.h[0].training
    finally:
        model.eval()
