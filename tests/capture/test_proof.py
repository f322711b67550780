"""A layout that is not the model's is refused at the first capture, and a right one is looked at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from qkvcheck.capture import hooks
from qkvcheck.capture.hooks import capture
from qkvcheck.errors import CaptureError
from qkvcheck.models.architecture import Heads, Split
from tests.models.families import CASES, build, contexts_of

CONTEXTS = contexts_of([[1, 2, 3], [4, 5, 6]])
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # made by transformers 4


def model_of(name: str, **changes):
    """Return a case's model whose architecture says something else."""
    hooked = build(next(case for case in CASES if case.name == name), "eager")
    return replace(hooked, architecture=replace(hooked.architecture, **changes))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("gpt2", {"split": Split.GROUPS}, "queries"),
        ("gpt_neox", {"split": Split.BLOCKS}, "queries"),
        ("bert", {"names": ("self.key", "self.query", "self.value")}, "queries"),
        ("bert", {"names": ("self.query", "self.value", "self.key")}, "keys"),
        ("llama", {"names": ("q_proj", "v_proj", "k_proj")}, "keys"),
        ("qwen3", {"names": ("q_proj", "v_proj", "k_proj")}, "values"),
        ("opt", {"between": ()}, "queries"),
        ("gpt_neox", {"between": ()}, "queries"),
    ],
)
def test_a_layout_that_does_not_fit_is_one_line(name, changes, words):
    with pytest.raises(CaptureError) as caught:
        capture(model_of(name, **changes), CONTEXTS, layers=[0])
    told = str(caught.value)
    assert told.startswith("layer 0 of ")
    assert f"put out there as {words} is not what attention multiplies" in told
    assert "--qkv-layout" in told
    assert "\n" not in told
    assert len(told) < 500


def test_heads_of_other_groups_are_seen(monkeypatch):
    """Falcon's groups have two queries each; groups of one lie elsewhere."""
    hooked = model_of("falcon, grouped")
    monkeypatch.setattr(type(hooked.architecture), "order", lambda *_: np.arange(sum(Heads(4, 2, 6, 6).widths)))
    with pytest.raises(CaptureError, match="as queries is not"):
        capture(hooked, CONTEXTS, layers=[0])


def test_clipped_values_are_proven_as_they_go_on(monkeypatch):
    assert capture(model_of("olmo, clipped"), CONTEXTS, layers=[0]).values.any()
    hooked = model_of("olmo, clipped")
    monkeypatch.setattr(type(hooked.architecture), "clip", lambda *_: None)
    with pytest.raises(CaptureError, match="is not what attention multiplies"):
        capture(hooked, CONTEXTS, layers=[0])


def test_it_is_shown_once_for_a_model_and_its_layout(monkeypatch):
    hooked, runs = model_of("gpt2"), []
    right = hooks._run
    monkeypatch.setattr(hooks, "_run", lambda *given: runs.append(given) or right(*given))
    for layer in (2, 1):
        capture(hooked, CONTEXTS, layers=[layer])
    assert len(runs) == 2 + 2  # two looks, and a forward a capture
    capture(replace(hooked, architecture=replace(hooked.architecture, trie=False)), CONTEXTS, layers=[1])
    assert len(runs) == 4 + 2 + 1


def test_it_leaves_no_hook_and_no_random_number():
    hooked = model_of("llama")
    before = torch.random.get_rng_state()
    capture(hooked, CONTEXTS, layers=[1])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in hooked.model.modules())


def test_attention_that_shows_no_products_is_not_looked_at(monkeypatch):
    """Flash attention: what the tests show of the family has to do."""
    hooked = model_of("gpt2", split=Split.GROUPS)
    monkeypatch.setattr(hooked.model.config, "_attn_implementation_internal", "flash_attention_2")
    hooks.prove(hooked, lambda *_: pytest.fail("it was run"))
