"""Words in the target's place: what is asked of a capture reaches it, with no model."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from qkvcheck.capture import hooks
from qkvcheck.capture import samples as samples_module
from qkvcheck.capture.activations import Activations, sample_of
from qkvcheck.capture.hooks import capture_words
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.contexts.context import Context, ContextSet

NUMBERS = {" her": 607, " him": 683, " it": 340, " bed": 3996}
ENCODER = SimpleNamespace(name="made up", encode=lambda text: [NUMBERS[text]])
HOOKED = SimpleNamespace(encoder=ENCODER, architecture=SimpleNamespace(causal=True))
CONTEXTS = ContextSet(
    (
        Context("I saw her.", (40, 2497, 607, 13), 2),
        Context("We saw her.", (1135, 2497, 607, 13), 2),
        Context("I saw her go.", (40, 2497, 607, 467, 13), 2),
    ),
    " her", 607, "three", "0" * 64,
)  # fmt: skip
PLAN = Plan((5, 6), {"pronouns": (" her", " him"), "others": (" it", " bed")}, batch_size=77, exact_layout=True)


class Recorder:
    """In place of a capture: keeps what it was asked for, and gives rows that tell token and context."""

    def __init__(self) -> None:
        self.asked: list[dict] = []

    def __call__(self, _hooked, contexts, *, layers, positions="target", **asked) -> Activations:
        self.asked.append({"layers": tuple(layers), "positions": positions, **asked})
        rows = [[len(c.token_ids), c.token_ids[0], c.token_ids[c.target_index]] for c in contexts.contexts]
        values = np.repeat(np.array(rows, dtype=np.float32)[:, None], len(layers), axis=1)
        seen = tuple(str(c.token_ids[: c.target_index + 1]) for c in contexts.contexts)
        return Activations(values, ("context", "layer", "width"), tuple(layers), {"Q": slice(0, 3)}, seen=seen)


@pytest.mark.parametrize(("batch_size", "exact_layout"), [(77, True), (99, False)])
def test_layout_batch_and_layers_reach_the_capture(monkeypatch, batch_size, exact_layout):
    recorder = Recorder()
    monkeypatch.setattr(hooks, "capture", recorder)
    grid = capture_words(
        HOOKED, CONTEXTS, [" her", " bed"], layers=(5, 6), batch_size=batch_size,
        exact_layout=exact_layout,
    )  # fmt: skip
    want = {"layers": (5, 6), "positions": "target", "batch_size": batch_size, "exact_layout": exact_layout}
    assert recorder.asked == [want]
    assert grid.values.shape == (3, 2, 2, 3)
    assert grid.values[:, 0, :, 2].tolist() == [[607, 3996]] * 3
    assert grid.values[:, 1, :, 1].tolist() == [[40, 40], [1135, 1135], [40, 40]]
    assert grid.values[0, 0, 0, 0] == 3  # nothing stands after the word


def test_in_a_bidirectional_model_the_rest_of_the_context_stays(monkeypatch):
    monkeypatch.setattr(hooks, "capture", Recorder())
    both_ways = SimpleNamespace(encoder=ENCODER, architecture=SimpleNamespace(causal=False))
    grid = capture_words(both_ways, CONTEXTS, [" her", " bed"], layers=(5, 6))
    assert grid.values[:, 0, :, 2].tolist() == [[607, 3996]] * 3
    assert grid.values[:, 0, :, 0].tolist() == [[4, 4], [4, 4], [5, 5]]


def test_a_context_of_a_grid_is_what_stands_before_its_words(monkeypatch):
    monkeypatch.setattr(hooks, "capture", Recorder())
    grid = capture_words(HOOKED, CONTEXTS, [" her", " bed"], layers=(6,))
    assert grid.seen == ("(40, 2497, 607)", "(1135, 2497, 607)", "(40, 2497, 607)")
    rows = sample_of(grid, layer=6).rows
    assert (rows.n, rows.n_distinct, rows.merged[0].same_tokens) == (3, 2, 1)


@pytest.mark.parametrize("exact_layout", [True, False])
def test_a_plan_reaches_every_capture(monkeypatch, exact_layout):
    one, many = Recorder(), Recorder()
    monkeypatch.setattr(samples_module, "capture", one)
    monkeypatch.setattr(hooks, "capture", many)
    found = Samples(HOOKED, CONTEXTS, replace(PLAN, exact_layout=exact_layout))
    assert (found.target.seen, found.preceding.seen) == (found.target.seen,) * 2
    assert [asked["positions"] for asked in one.asked] == ["target", "preceding"]
    assert found.words().values.shape == (3, 2, 4, 3)
    for asked in (*one.asked, *many.asked):
        assert (asked["layers"], asked["batch_size"], asked["exact_layout"]) == ((5, 6), 77, exact_layout)
    assert len(many.asked) == 1


@pytest.mark.parametrize("causal", [True, False])
def test_what_a_model_has_seen_of_a_context(causal):
    """A causal model the tokens up to the position, a bidirectional one all of them."""
    target, preceding = (hooks._seen(CONTEXTS, np.array([index] * 3), causal=causal) for index in (2, 1))
    assert (target[0] == target[2]) is causal
    assert target[0] != target[1]
    assert set(target).isdisjoint(preceding)
    # Another token in the target's place is another context, though the same stands before it.
    other = replace(CONTEXTS, contexts=tuple(context.continued(683, word="him") for context in CONTEXTS.contexts))
    assert set(hooks._seen(other, np.array([2] * 3), causal=causal)).isdisjoint(target)
