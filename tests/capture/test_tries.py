"""The fast arrangement, family by family: a trie where it is exact, equal lengths elsewhere, whole texts both ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture
from qkvcheck.groups import Stage
from qkvcheck.models.architecture import architecture_of, architectures_by_family
from tests.models.families import CASES, VOCABULARY, Case, build, contexts_of
from tests.models.test_families import EAGER_ALONE, LACKING, LINE

TOLERANCE = 1e-5
EXACT = {
    "codegen", "cohere", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_bigcode", "gpt_neox", "gptj", "llama",
    "mistral", "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2",
}  # fmt: skip
"""Families whose prefixes may be merged; a family is added here and in its file."""
BIASED = {"falcon, every head, ALiBi"}
"""Forms of them that get numbers for the distance."""
HERE = [
    pytest.param(case, implementation, windows, id=f"{case.name}, {implementation}, {windows} windows")
    for case in CASES
    for windows in (("no", "short") if case.windows else ("no",))
    for implementation in ("eager", "sdpa")
    if case.name not in LACKING[LINE] and (implementation == "eager" or case.name not in EAGER_ALONE[LINE])
]
pytestmark = [
    pytest.mark.needs_time,
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),  # made by transformers 4
]


def mixed_contexts():
    """Return contexts of 2 to 7 tokens that share beginnings, some of them twice, the longest first."""
    rng = np.random.default_rng(3)
    beginnings = rng.integers(1, VOCABULARY, size=(3, 4)).tolist()
    rows = [[*beginnings[n % 3][: 1 + n % 4], *rng.integers(1, VOCABULARY, size=1 + n % 3).tolist()] for n in range(16)]
    return contexts_of([*reversed(rows), *rows[:3]])


def widened(case: Case) -> Case:
    """Return a case whose windows no context reaches."""
    wide = {name: 64 for name in ("sliding_window", "window_size", "local_attention") if case.options.get(name)}
    return replace(case, options={**case.options, **wide}, windows={})


def test_every_family_that_takes_a_trie_is_told_here():
    assert {name for name, architecture in architectures_by_family().items() if architecture.trie} == EXACT


@pytest.mark.parametrize(("case", "implementation", "windows"), HERE)
def test_fast_capture_is_the_padded_one(case: Case, implementation: str, windows: str):
    """At every layer and both stages, with the layout that is exact for the family."""
    hooked = build(widened(case) if windows == "no" else case, implementation)
    merged = case.family in EXACT and case.name not in BIASED and windows == "no"
    for stage in Stage:
        fast, padded = (
            capture(
                hooked, mixed_contexts(), layers=range(hooked.depth), stage=stage, exact_layout=exact, batch_size=40
            )
            for exact in (False, True)
        )
        assert fast.provenance["layout"] == ("trie" if merged else "equal lengths")
        assert padded.provenance["layout"] == "padded"
        scale = max(1, np.abs(padded.values).max())
        np.testing.assert_allclose(fast.values, padded.values, rtol=0, atol=TOLERANCE * scale)
        if hooked.architecture.causal:
            assert int(fast.provenance["computed"]) < int(padded.provenance["computed"])


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_what_stands_right_counts_where_tokens_look_both_ways(family):
    hooked = build(next(case for case in CASES if case.family == family), "eager")
    whole = contexts_of([[3, 4, 5, 6, 7], [3, 4, 5, 6, 8]])
    early = capture(hooked, whole, layers=[1], positions=[1, 1]).values
    assert np.abs(early[0] - early[1]).max() > 0.01
    assert not hooked.architecture.causal


def test_dynamic_rotary_is_an_obstacle():
    case = next(case for case in CASES if case.family == "llama")
    turned = {"rope_type": "dynamic", "type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    name = "rope_scaling" if LINE == 4 else "rope_parameters"
    hooked = build(replace(case, options={**case.options, name: turned}), "eager")
    assert "longest context of a forward" in hooked.architecture.trie_obstacle(hooked.model, depth=3)


def test_gemma_that_looks_both_ways_is_run_whole():
    case = next(case for case in CASES if case.family == "gemma3_text")
    hooked = build(replace(case, options={**case.options, "use_bidirectional_attention": True}), "eager")
    assert not architecture_of(hooked.model.config).causal
    assert architecture_of(build(case, "eager").model.config).causal
