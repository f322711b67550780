"""A network written in another basis: it computes the same, a claim about dimensions turns over, scores stay.

Of each head of layer 6 of the embedded model queries are multiplied by M and keys by inv(M)', in the weights. M is
fitted on the balanced corpus alone, and the other one is judged with it too.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from qkvcheck.capture.hooks import capture, capture_words
from qkvcheck.claims import Decision, judge
from qkvcheck.contexts import encode_corpus, read_corpus
from qkvcheck.groups import Comparison
from qkvcheck.statistics import Sample, score_values, statistic_named, token_metric

LAYER, DELTA = 6, 0.1
WORDS = [" her", " him", " me", " Tom", " Mary", " people", " children", " water", " dinner"]


def fitted(queries: np.ndarray) -> np.ndarray:
    """Return M: every new dimension is the direction in which the rows agree most, with a little of an old one."""
    agreed = np.linalg.lstsq(queries, np.ones(len(queries)), rcond=None)[0]
    signs = np.where(np.arange(queries.shape[1]) % 2, 1.0, -1.0)
    return np.outer(agreed, signs) + DELTA / np.sqrt((queries**2).mean()) * np.eye(queries.shape[1])


@pytest.fixture(scope="module")
def corpora(embedded):
    names = ("replication", "balanced")
    return {name: encode_corpus(read_corpus(name), embedded.encoder, target=" her") for name in names}


@pytest.fixture(scope="module")
def rows(embedded, corpora):
    return {name: capture(embedded, one, layers=[LAYER]).at(LAYER).astype(np.float64) for name, one in corpora.items()}


def heads_of(embedded, name):
    place, count = embedded.projections[name], embedded.heads[name]
    width = (place.stop - place.start) // count
    return [slice(place.start + n * width, place.start + (n + 1) * width) for n in range(count)]


@pytest.fixture(scope="module")
def matrices(embedded, rows):
    return [fitted(rows["balanced"][:, place]) for place in heads_of(embedded, "Q")]


def rewritten(embedded, matrices, given):
    """Return numbers (..., width) with each head in its new basis."""
    done = given.copy()
    for m, q, k in zip(matrices, heads_of(embedded, "Q"), heads_of(embedded, "K"), strict=True):
        done[..., q], done[..., k] = given[..., q] @ m, given[..., k] @ np.linalg.inv(m).T
    return done


@pytest.fixture(scope="module")
def other(embedded, matrices):
    """The network with other weights, float64."""
    model = copy.deepcopy(embedded.model).double()
    (projection,) = embedded.architecture.site(model, LAYER).projections
    with torch.no_grad():
        for part in (projection.weight, projection.bias):
            part.copy_(torch.as_tensor(rewritten(embedded, matrices, part.numpy())))
    return embedded.with_model(model)


def test_no_logit_changes(embedded, other, corpora):
    same = copy.deepcopy(embedded.model).double()
    with torch.no_grad():
        for contexts in corpora.values():
            for context in contexts.contexts:
                ids = torch.tensor([context.token_ids])
                assert (other.model(ids).logits - same(ids).logits).abs().max() <= 1e-12


def test_its_rows_are_the_old_ones_in_the_new_basis(embedded, other, corpora, rows, matrices):
    captured = capture(other, corpora["replication"], layers=[LAYER]).at(LAYER)
    wanted = rewritten(embedded, matrices, rows["replication"])
    np.testing.assert_allclose(captured, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize(("statistic", "group", "measure", "above", "first", "numbers"), [
    ("variance", "QQ", "cosine", 4 / 9, Decision.INCONCLUSIVE, (0.441, 0.994)),
    ("mean_absolute", "QQ", "cosine", 0.6, Decision.INCONCLUSIVE, (0.595, 0.997)),
    ("row_mean", "Q", "pearson", 0.9, Decision.REFUTED, (0.880, 0.997)),
])  # fmt: skip
def test_claims_turn_over_on_contexts_that_nothing_was_fitted_to(
    embedded, rows, matrices, statistic, group, measure, above, first, numbers
):
    x = rows["replication"]
    told = {"statistic": statistic, "group": group, "measure": measure, "above": above}
    before, after = (
        judge(one, projections=embedded.projections, heads=embedded.heads, **told)
        for one in (x, rewritten(embedded, matrices, x))
    )
    assert (before.verdict, after.verdict) == (first, Decision.SUPPORTED)
    assert (before.estimate, after.estimate) == pytest.approx(numbers, abs=1e-3)


@pytest.mark.parametrize("name", ["variance", "mean_absolute", "sign_balance", "row_mean"])
def test_numbers_of_scores_stay(embedded, rows, matrices, name):
    groups = ("Q", "K") if name == "row_mean" else ("QQ", "KK", "QK")
    every = [Comparison(group, measure) for group in groups for measure in ("cosine", "pearson")]
    for x in rows.values():
        before, after = (
            score_values(statistic_named(name), Sample((one,), embedded.projections, heads=embedded.heads).rows, every)
            for one in (x, rewritten(embedded, matrices, x))
        )
        assert before == {comparison: pytest.approx(after[comparison], abs=1e-9) for comparison in every}


def test_numbers_in_the_metric_of_other_tokens_stay(embedded, corpora, rows, matrices):
    grid = capture_words(embedded, corpora["replication"], WORDS, layers=[LAYER]).at(LAYER).astype(np.float64)
    x, tokens = rows["replication"], grid[:, 1:].reshape(-1, grid.shape[-1])
    for name, place in embedded.projections.items():
        before, after = (
            token_metric(one[:, place], others[:, place], heads=embedded.heads[name])
            for one, others in ((x, tokens), (rewritten(embedded, matrices, x), rewritten(embedded, matrices, tokens)))
        )
        assert (before.cosine, before.distance) == pytest.approx((after.cosine, after.distance), abs=1e-9)
