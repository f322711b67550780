"""Distinct contexts of captured activations: by their tokens, in every number format and layout."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from qkvcheck.capture.activations import Activations, sample_of
from qkvcheck.capture.hooks import capture
from qkvcheck.capture.loaded import load_activations
from qkvcheck.contexts.context import audit


def made(values: np.ndarray, *, dtype: str = "float32", seen: tuple[str, ...] | None = None) -> Activations:
    parts = {"Q": slice(0, values.shape[1])}
    provenance = {"dtype": dtype}
    axes = ("context", "layer", "width")
    return Activations(values[:, None].astype(np.float32), axes, (6,), parts, provenance=provenance, seen=seen)


@pytest.mark.parametrize(("dtype", "apart", "n"), [
    ("float32", 1e-6, 6), ("float16", 9e-4, 5), ("float16", 2e-2, 6), ("bfloat16", 7e-3, 5), ("bfloat16", 5e-2, 6),
    ("float64", 1e-6, 6),
])  # fmt: skip
def test_the_format_of_the_model_counts(rng, dtype, apart, n):
    """Its activations are kept as float32, whatever it computes in; here with tokens that differ."""
    x = rng.normal(size=(5, 30))
    values = np.vstack([x, x[1] * (1 + apart)])
    assert sample_of(made(values, dtype=dtype, seen=tuple("abcdef")), layer=6).rows.n_distinct == n


def test_what_was_seen_goes_with_a_file(rng, tmp_path):
    captured = made(rng.normal(size=(3, 4)), seen=("a", "b", "b"))
    captured.save(tmp_path / "rows.safetensors")
    back = load_activations(tmp_path / "rows.safetensors")
    assert back.seen == ("a", "b", "b")
    assert sample_of(back, layer=6).rows.n_distinct == 2
    replace(captured, seen=None).save(tmp_path / "rows.safetensors")
    assert load_activations(tmp_path / "rows.safetensors").seen is None


@pytest.fixture(scope="module")
def doubled(replication):
    """The corpus, and its first six sentences again with other words after the target."""
    again = tuple(replace(c, token_ids=(*c.token_ids[: c.target_index + 1], 11, 12)) for c in replication.contexts[:6])
    return replace(replication, contexts=(*replication.contexts, *again))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("exact_layout", [False, True])
def test_the_claim_counts_what_the_header_counts(embedded, doubled, dtype, exact_layout):
    """At every layer but the first: 54 distinct left of the target are 54 in the claim, whatever the format."""
    model = copy.deepcopy(embedded.model).to(getattr(torch, dtype))
    hooked = embedded.with_model(model)
    captured = capture(hooked, doubled, layers=range(12), exact_layout=exact_layout)
    assert captured.provenance["dtype"] == dtype
    assert audit(doubled).distinct_prefixes == 54
    for layer in range(1, 12):
        rows = sample_of(captured, layer=layer).rows
        assert (rows.n, rows.n_distinct) == (60, 54)
        assert (rows.merged[0].same_tokens, rows.merged[0].equal_rows) == (6, 0)
    at_first = sample_of(captured, layer=0).rows
    assert at_first.n_distinct == len(set(doubled.target_indices))  # token and position alone
    assert at_first.merged[0].equal_rows == 54 - at_first.n_distinct


@pytest.mark.parametrize("factor", [1e2, 1e4])
def test_one_huge_dimension_of_a_model(embedded, replication, factor):
    """A massive activation: cosines between contexts are all above 1 - 1e-5, and 54 contexts stay 54."""
    model = copy.deepcopy(embedded.model)
    (projection,) = embedded.architecture.site(model, 6).projections
    with torch.no_grad():
        projection.bias[5] = factor * projection.bias.abs().max() + factor
    captured = capture(embedded.with_model(model), replication, layers=[6])
    assert sample_of(captured, layer=6).rows.n_distinct == 54
    assert sample_of(replace(captured, seen=None), layer=6).rows.n_distinct == 54


def test_another_layout_of_the_same_contexts_is_the_same_context(embedded, replication):
    """Rows of two layouts in one file that tells no tokens: what float arithmetic moves is no other context."""
    layouts = [
        capture(embedded, replication, layers=[1, 6, 11], exact_layout=exact, batch_size=size)
        for exact, size in ((False, 512), (True, 512), (True, 64))
    ]
    values = np.concatenate([captured.values for captured in layouts])
    assert len(np.unique(values[:, 1], axis=0)) > 54
    both = replace(layouts[0], values=values, seen=None)
    for layer in (1, 6, 11):
        assert sample_of(both, layer=layer).rows.n_distinct == 54
