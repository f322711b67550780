"""Every family against its own attention: what is captured gives the model's probabilities and output."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from qkvcheck.capture.hooks import capture
from qkvcheck.groups import Stage
from qkvcheck.models.architecture import architectures_by_family
from qkvcheck.models.loading import HookedModel
from tests.models.families import CASES, LINE, VOCABULARY, Case, build, by_head, contexts_of, probabilities, repeated

TOLERANCE = 1e-5
LACKING = {4: {"stablelm, normed"}, 5: set()}
"""What a line of transformers can't make: its own initialiser fails."""
ALIKE = {"gpt_neo", "bloom", "mpt", "mpt, clipped", "gpt_oss", "deberta-v2"}
EAGER_ALONE = {4: {*ALIKE, "gptj", "codegen", "electra", "t5"}, 5: {*ALIKE, "gemma2"}}
"""What a line of transformers runs with eager attention alone."""
DIFFER_BEHIND = {
    4: {"falcon, every head, ALiBi", "gpt2, scaled by layer", "gemma2"},
    5: {"falcon, every head, ALiBi"},
}
"""Where the library's own implementations of attention differ, so that what is behind layer 0 does.

With eager attention it adds Falcon's ALiBi twice; transformers 4 neither scales by the layer nor caps with sdpa.
"""
HERE = [case for case in CASES if case.name not in LACKING[LINE]]
pytestmark = [
    pytest.mark.needs_time,
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),  # made by transformers 4
]
SEQUENCES = np.random.default_rng(1).integers(1, VOCABULARY, size=(5, 7)).tolist()
every_case = pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)

hooked_of = cache(build)


def captured(hooked: HookedModel, stage: Stage) -> np.ndarray:
    """Return (layer, context, token, width)."""
    contexts = contexts_of(SEQUENCES)
    found = capture(hooked, contexts, layers=range(hooked.depth), positions="all", stage=stage, exact_layout=True)
    return found.values.swapaxes(0, 1)


def own(hooked: HookedModel) -> tuple[list[np.ndarray], list[list[tuple[np.ndarray, np.ndarray]]]]:
    """Return the model's own probabilities, layer by layer, and what its output projections took and gave."""
    seen: dict[torch.nn.Module, list] = {}
    handles = []
    for layer in range(hooked.depth):
        module = hooked.architecture.site(hooked.model, layer).attention.get_submodule(hooked.architecture.output)
        if module not in seen:
            seen[module] = []
            handles.append(module.register_forward_hook(lambda one, _, out: seen[one].append(out.numpy())))
    with torch.no_grad():
        told = hooked.architecture.base_of(hooked.model)(torch.tensor(SEQUENCES), output_attentions=True)
    for handle in handles:
        handle.remove()
    flat = [one for group in told.attentions for one in (group if isinstance(group, tuple) else (group,))]
    return [one.numpy() for one in flat], seen


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * max(1, np.abs(wanted).max()))


def test_every_family_has_a_case():
    assert {case.family for case in CASES} == set(architectures_by_family())


@every_case
def test_attention_is_the_models_own(case: Case):
    """Probabilities from queries and keys at the stage attention, and through them values to the output."""
    hooked = hooked_of(case, "eager")
    values = captured(hooked, Stage.ATTENTION)
    wanted, outputs = own(hooked)
    assert len(wanted) == hooked.depth
    for layer in range(hooked.depth):
        parts = by_head(hooked, values[layer])
        found = probabilities(case, hooked, layer, parts)
        np.testing.assert_allclose(found, wanted[layer], rtol=0, atol=TOLERANCE)
        mixed = found @ repeated(hooked, parts["V"])
        flat = mixed.transpose(0, 2, 1, 3).reshape(*mixed.shape[::2], -1)
        site = hooked.architecture.site(hooked.model, layer)
        module = site.attention.get_submodule(hooked.architecture.output)
        with torch.no_grad():
            put_out = module(torch.as_tensor(flat, dtype=torch.float32)).numpy()
        close(put_out.reshape(len(SEQUENCES), 7, -1), outputs[module][site.call].reshape(len(SEQUENCES), 7, -1))


@every_case
def test_projections_are_what_attention_gets(case: Case):
    """Up to what comes between: where tokens are turned, at position 0; after its norm where there is one."""
    hooked = hooked_of(case, "eager")
    config = hooked.model.config
    early, late = (captured(hooked, stage) for stage in (Stage.PROJECTION, Stage.ATTENTION))
    limit = hooked.architecture.clip(config)
    if limit is not None:
        assert np.abs(early).max() > limit
        early = np.clip(early, -limit, limit)
    for layer in range(hooked.depth):
        before, after = by_head(hooked, early[layer]), by_head(hooked, late[layer])
        between = hooked.architecture.between_of(config, layer)
        close(before["V"], after["V"])
        for name in ("Q", "K"):
            found, wanted = before[name], after[name]
            if "norm" in between:
                attention = hooked.architecture.site(hooked.model, layer).attention
                rows = found.transpose(0, 2, 1, 3).reshape(-1, *found.shape[1::2]).astype(np.float32)
                rows = case.norm(attention, name, rows)
                found = rows.reshape(*found.shape[::2], *rows.shape[1:])[:, :, :, :].transpose(0, 2, 1, 3)
            if "scaling" in between:
                found = found * np.linalg.norm(wanted) / np.linalg.norm(found)
            if "rotary" in between:
                assert np.abs(found[:, :, 1:] - wanted[:, :, 1:]).max() > 0.01
                found, wanted = found[:, :, :1], wanted[:, :, :1]
            close(found, wanted)


@pytest.mark.parametrize(
    "case", [case for case in HERE if case.name not in EAGER_ALONE[LINE]], ids=lambda case: case.name
)
def test_both_implementations_of_attention_agree(case: Case):
    fast, plain = hooked_of(case, "sdpa"), hooked_of(case, "eager")
    layers = slice(0, 1) if case.name in DIFFER_BEHIND[LINE] else slice(None)
    for stage in Stage:
        close(captured(fast, stage)[layers], captured(plain, stage)[layers])


@pytest.mark.parametrize("case", [case for case in HERE if case.name in EAGER_ALONE[LINE]], ids=lambda case: case.name)
def test_the_library_has_no_other_implementation(case: Case):
    """Nothing is left out above that could be run."""
    with pytest.raises(ValueError, match="does not support an attention implementation|sdpa"):
        build(case, "sdpa")
