"""What holds of capture for any causal GPT-2, whatever its weights: hypothesis seeks an exception."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from qkvcheck.capture.hooks import capture
from qkvcheck.models.loading import embedded_directory, from_model
from qkvcheck.search.strategies import context_set, context_sets, contexts

SEARCH = settings(max_examples=15, deadline=None, database=None, derandomize=True)
LAYERS = (0, 1, 2)
CONFIGS = {
    "tiny": {},
    "eager": {"attn_implementation": "eager"},
    "one head": {"n_head": 1},
    "scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
}


def tiny(name: str):
    """Return a tiny GPT-2 with random weights large enough for attention to matter."""
    extra = dict(CONFIGS[name])
    attention = extra.pop("attn_implementation", "sdpa")
    tokenizer = AutoTokenizer.from_pretrained(embedded_directory())
    sizes = {"n_positions": 64, "n_embd": 16, "n_layer": 3, "n_head": 4, "initializer_range": 0.5}
    config = GPT2Config(vocab_size=len(tokenizer), **{**sizes, **extra})
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = GPT2LMHeadModel(config).eval()
    return from_model(model, tokenizer, name=name)


@pytest.fixture(scope="session", params=["embedded", *CONFIGS])
def model(request, embedded):
    return embedded if request.param == "embedded" else tiny(request.param)


def gather(model, rows, **options) -> np.ndarray:
    """Return (context, layer, width)."""
    drawn = context_set(rows, target=" her", target_id=model.encoder.encode(" her")[0])
    return capture(model, drawn, layers=LAYERS, **options).values


def close(first: np.ndarray, second: np.ndarray) -> None:
    np.testing.assert_allclose(first, second, rtol=0, atol=2e-5 * max(1.0, float(np.abs(second).max())))


def test_tokens_right_of_the_target_change_nothing(model):
    strategy = contexts(model.encoder, " her", after=(1, 8), words="tokens")

    @SEARCH
    @given(strategy, strategy)
    def holds(context, other):
        tail = other.token_ids[other.target_index + 1 :]
        changed = type(context)(context.text, (*context.token_ids[: context.target_index + 1], *tail), 0)
        changed = type(context)(changed.text, changed.token_ids, context.target_index)
        for exact_layout in (False, True):
            close(
                gather(model, [changed], exact_layout=exact_layout), gather(model, [context], exact_layout=exact_layout)
            )

    holds()


def plain(model, context, *, left: int, right: int) -> np.ndarray:
    """Return (layer, width) from a forward of one's own, padded on either side, with positions told."""
    ids = torch.tensor([[7] * left + list(context.token_ids) + [7] * right])
    present = torch.tensor([[0] * left + [1] * len(context.token_ids) + [0] * right])
    places = (present.cumsum(1) - 1).clamp(min=0)
    caught = []
    hooks = [
        model.model.transformer.h[layer].attn.c_attn.register_forward_hook(lambda _m, _i, out: caught.append(out[0]))
        for layer in LAYERS
    ]
    try:
        with torch.inference_mode():
            model.model(input_ids=ids, attention_mask=present, position_ids=places)
    finally:
        for hook in hooks:
            hook.remove()
    return np.stack([out[left + context.target_index].numpy() for out in caught])


def test_batch_and_padding_change_nothing(model):
    @SEARCH
    @given(context_sets(model.encoder, " her", size=(1, 6)), st.integers(0, 5), st.integers(0, 5), st.integers(1, 60))
    def holds(drawn, left, right, batch_size):
        rows = drawn.contexts
        together = gather(model, rows, batch_size=batch_size)
        for row, context in zip(together, rows, strict=True):
            close(row, plain(model, context, left=left, right=right))
        close(gather(model, rows, exact_layout=True, batch_size=batch_size), together)

    holds()


def test_order_of_contexts_is_the_order_of_rows(model):
    @SEARCH
    @given(context_sets(model.encoder, " her", size=(2, 6)), st.randoms(use_true_random=False))
    def holds(drawn, random):
        order = list(range(len(drawn)))
        random.shuffle(order)
        straight = gather(model, drawn.contexts)
        close(gather(model, [drawn.contexts[i] for i in order]), straight[order])

    holds()


def test_a_context_twice_is_a_row_twice(model):
    @SEARCH
    @given(context_sets(model.encoder, " her", size=(1, 4)))
    def holds(drawn):
        rows = drawn.contexts
        found = gather(model, [*rows, *rows])
        np.testing.assert_array_equal(found[: len(rows)], found[len(rows) :])
        close(found[: len(rows)], gather(model, rows))

    holds()


def test_the_first_layer_depends_on_token_and_position_alone(model):
    @SEARCH
    @given(st.data())
    def holds(data):
        before = data.draw(st.integers(1, 12))
        strategy = contexts(model.encoder, " her", before=before)
        first, second = data.draw(strategy), data.draw(strategy)
        together = gather(model, [first, second])  # as branches of one tree
        close(together[:1, 0], together[1:, 0])
        close(gather(model, [second])[:, 0], together[1:, 0])
        moved = data.draw(contexts(model.encoder, " her", before=before + 1))
        assert np.abs(gather(model, [moved])[:, 0] - gather(model, [first])[:, 0]).max() > 1e-3

    holds()


def test_shared_prefixes_give_what_a_plain_capture_gives(model):
    @SEARCH
    @given(st.data())
    def holds(data):
        # Few words make many shared prefixes.
        strategy = context_sets(model.encoder, " her", size=(2, 10), before=(1, 5), words=["king", "gave"])
        drawn = data.draw(strategy)
        close(gather(model, drawn.contexts), gather(model, drawn.contexts, exact_layout=True))

    holds()


@pytest.mark.parametrize("block", ["Q", "K", "V"])
def test_scaling_a_projection_scales_its_block(model, block):
    changed = copy.deepcopy(model.model)
    part = {"Q": 0, "K": 1, "V": 2}[block]
    width = changed.config.n_embd
    projection = changed.transformer.h[LAYERS[-1]].attn.c_attn
    with torch.no_grad():
        projection.weight[:, part * width : (part + 1) * width] *= 3
        projection.bias[part * width : (part + 1) * width] *= 3
    tokenizer = AutoTokenizer.from_pretrained(embedded_directory())
    scaled = from_model(changed, tokenizer, name="scaled")

    @SEARCH
    @given(contexts(model.encoder, " her"))
    def holds(context):
        before, after = gather(model, [context])[0], gather(scaled, [context])[0]
        for name, place in model.projections.items():
            close(after[-1, place], before[-1, place] * (3 if name == block else 1))
        close(after[:-1], before[:-1])

    holds()
