"""Capture against a plain forward written here: one sentence at a time, c_attn's output read by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qkvcheck.capture.hooks import capture, capture_words
from qkvcheck.contexts.context import Context, ContextSet
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.errors import CaptureError
from qkvcheck.models.architecture import Site

LAYER = 6


def plain_forward(hooked, token_ids: tuple[int, ...], layer: int) -> np.ndarray:
    """c_attn's output (token, 3 x width) of one unpadded sentence, from the definition of the block."""
    transformer = hooked.model.transformer
    block = transformer.h[layer]
    entered = []
    handle = block.register_forward_pre_hook(lambda _module, inputs: entered.append(inputs[0].clone()))
    with torch.no_grad():
        hooked.model(torch.tensor([token_ids]))
        handle.remove()
        out = block.ln_1(entered[0]) @ block.attn.c_attn.weight + block.attn.c_attn.bias
    return out[0].numpy()


@pytest.fixture(scope="module")
def corpus(hooked) -> ContextSet:
    return encode_corpus(read_corpus("replication"), hooked.encoder, target=" her")


@pytest.fixture(scope="module")
def by_hand(hooked, corpus) -> list[np.ndarray]:
    return [plain_forward(hooked, context.token_ids, LAYER) for context in corpus.contexts]


@pytest.mark.parametrize("batch_size", [1, 7, 54])
def test_target_and_preceding_token(hooked, corpus, by_hand, batch_size):
    width = hooked.model.config.n_embd
    for positions, back in (("target", 0), ("preceding", 1)):
        got = capture(hooked, corpus, layers=[LAYER], positions=positions, batch_size=batch_size)
        want = np.stack([out[c.target_index - back] for out, c in zip(by_hand, corpus.contexts, strict=True)])
        assert got.values.shape == (54, 1, 3 * width)
        assert got.values.dtype == np.float32
        for number, block in enumerate("QKV"):
            part = want[:, number * width : (number + 1) * width]
            np.testing.assert_allclose(got.projection(LAYER, block), part, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 54])
def test_every_position_padded(hooked, corpus, by_hand, batch_size):
    got = capture(hooked, corpus, layers=[LAYER], positions="all", batch_size=batch_size)
    values = got.at(LAYER)
    assert values.shape == (54, 8, 3 * hooked.model.config.n_embd)
    for row, out in enumerate(by_hand):
        assert got.mask[row].tolist() == [True] * len(out) + [False] * (8 - len(out))
        np.testing.assert_allclose(values[row, : len(out)], out, rtol=0, atol=1e-5)


def test_one_forward_serves_several_layers(embedded, replication):
    together = capture(embedded, replication, layers=[9, 0, 6])
    assert together.layers == (9, 0, 6)
    for layer in (0, 6, 9):
        alone = capture(embedded, replication, layers=[layer])
        np.testing.assert_allclose(together.at(layer), alone.at(layer), rtol=0, atol=1e-6)
    assert np.abs(together.at(0) - together.at(6)).max() > 0.1


def test_layers_differ_by_more_than_the_tolerance(hooked, corpus):
    """Without this, the comparisons above could not tell one layer or position from another."""
    got = capture(hooked, corpus, layers=[5, 6, 7])
    before = capture(hooked, corpus, layers=[6], positions="preceding")
    assert np.abs(got.at(5) - got.at(6)).max() > 1e-2
    assert np.abs(got.at(7) - got.at(6)).max() > 1e-2
    assert np.abs(before.at(6) - got.at(6)).max() > 1e-2


def test_right_context_changes_nothing(hooked, corpus, rng):
    changed = []
    for context in corpus.contexts:
        tail = rng.choice(corpus.contexts[0].token_ids, size=int(rng.integers(0, 9))).tolist()
        ids = (*context.token_ids[: context.target_index + 1], *tail)
        changed.append(Context(context.text, ids, context.target_index))
    other = ContextSet(tuple(changed), corpus.target, corpus.target_id, "changed", corpus.sha256)
    want = capture(hooked, corpus, layers=[LAYER]).values
    np.testing.assert_allclose(capture(hooked, other, layers=[LAYER]).values, want, rtol=0, atol=1e-5)


def test_left_context_does_change_it(embedded, replication):
    first = replication.contexts[0]
    swapped = Context(first.text, (first.token_ids[0] + 1, *first.token_ids[1:]), first.target_index)
    other = ContextSet((swapped,), " her", replication.target_id, "x", "0")
    a = capture(embedded, replication.subset([0]), layers=[LAYER]).values
    assert np.abs(capture(embedded, other, layers=[LAYER]).values - a).max() > 1e-2


def test_words_stand_in_the_targets_place(embedded, replication):
    words = [" her", " him", " Tom"]
    grid = capture_words(embedded, replication.subset(range(5)), words, layers=[5, 6])
    assert grid.values.shape == (5, 2, 3, 384)
    for row in range(5):
        for column, word in enumerate(words):
            ids = (*replication.contexts[row].prefix, *embedded.encoder.encode(word))
            want = plain_forward(embedded, ids, LAYER)[-1]
            np.testing.assert_allclose(grid.at(LAYER)[row, column], want, rtol=0, atol=1e-5)
    with pytest.raises(CaptureError, match="must be exactly one"):
        capture_words(embedded, replication, [" her him"], layers=[LAYER])


def test_model_is_left_as_it_was(embedded, replication):
    model = embedded.model
    model.train()
    try:
        capture(embedded, replication, layers=[LAYER])
        assert model.training
        assert model.transformer.h[LAYER].attn.c_attn.training
    finally:
        model.eval()
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_hooks_go_when_the_forward_fails(embedded, replication, monkeypatch):
    def fail(*_args, **_options):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(embedded.model.transformer.h[2].mlp, "forward", fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        capture(embedded, replication, layers=[LAYER])
    assert not any(module._forward_hooks for module in embedded.model.modules())


def test_later_layers_never_run(embedded, replication, monkeypatch):
    def fail(*_args, **_options):
        raise AssertionError("a later layer ran")

    monkeypatch.setattr(embedded.model.transformer.h[7], "forward", fail)
    monkeypatch.setattr(embedded.model.lm_head, "forward", fail)
    capture(embedded, replication, layers=[LAYER])


def test_a_hook_that_never_fires_is_an_error(embedded, replication, monkeypatch):
    stranger = Site(torch.nn.Linear(2, 2), (torch.nn.Linear(2, 2),))
    monkeypatch.setattr(type(embedded.architecture), "site", lambda *_: stranger)
    with pytest.raises(CaptureError, match="ran 0 times"):
        capture(embedded, replication, layers=[LAYER])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": [12]}, r"layer 12 does not exist in embedded; allowed are 0 to 11 \(layers count"),
        ({"layers": [-1]}, "layer -1 does not exist"),
        ({"layers": []}, "layer list"),
        ({"layers": [6], "batch_size": 0}, "batch size 0 is too small"),
        ({"layers": [6], "positions": "left"}, "positions 'left' is not known"),
        ({"layers": [6], "positions": [1]}, "1 positions were given for 54 contexts"),
        ({"layers": [6], "positions": [30] * 54}, "position 30 does not exist"),
    ],
)
def test_what_cannot_be_captured_is_said(embedded, replication, options, message):
    with pytest.raises(CaptureError, match=message):
        capture(embedded, replication, **options)


def test_context_longer_than_the_model(embedded):
    long = ContextSet((Context("long", (268,) * 65, 3),), " her", 268, "x", "0")
    with pytest.raises(CaptureError, match="has 65 tokens; the model has 64 positions"):
        capture(embedded, long, layers=[LAYER])


def test_captured_values_own_their_memory(embedded, replication):
    assert capture(embedded, replication, layers=[LAYER]).values.base is None


def test_saved_activations_come_back(embedded, replication, tmp_path):
    from qkvcheck.capture.loaded import load_activations

    got = capture(embedded, replication, layers=[5, 6], positions="all")
    got.save(tmp_path / "a.safetensors")
    back = load_activations(tmp_path / "a.safetensors")
    assert np.array_equal(back.values, got.values)
    assert np.array_equal(back.mask, got.mask)
    assert (back.axes, back.layers, dict(back.projections)) == (got.axes, got.layers, dict(got.projections))
    assert dict(back.provenance) == dict(got.provenance)
    (tmp_path / "b").write_bytes(b"no")
    with pytest.raises(CaptureError, match="is cut off or is no safetensors file"):
        load_activations(tmp_path / "b")
    with pytest.raises(CaptureError, match="layer 4 .* was not captured"):
        got.at(4)


def test_a_tiny_model_is_computed_with_one_thread(embedded, replication, monkeypatch):
    """And torch has as many as before once it is done."""
    usual, met = torch.get_num_threads(), []
    handle = embedded.model.transformer.h[0].register_forward_pre_hook(lambda *_: met.append(torch.get_num_threads()))
    try:
        torch.set_num_threads(2)
        capture(embedded, replication, layers=[1])
        assert set(met) == {1}
        assert torch.get_num_threads() == 2
        met.clear()
        monkeypatch.setattr("qkvcheck.capture.hooks.TINY", 1)
        capture(embedded, replication, layers=[1])
        assert set(met) == {2}
    finally:
        handle.remove()
        torch.set_num_threads(usual)
