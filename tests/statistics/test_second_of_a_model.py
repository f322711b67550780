"""The package against the second implementation, on rows that the embedded model made."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.capture import sample_of
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims import load_claims
from qkvcheck.claims.controls.registered.different_words import DifferentWords
from qkvcheck.groups import POSITION, Capture, Comparison, Turns
from qkvcheck.statistics import measure, statistic_named
from tests.conftest import CLAIM_FILES
from tests.statistics import second_bases as bases
from tests.statistics import second_implementation as second
from tests.statistics.test_second_implementation import MEASURES, beside, judged, near


@pytest.fixture(scope="module")
def captured(embedded, replication):
    """The target's rows, the words grid and different words in the same frames, at layer 6."""
    samples = Samples(embedded, replication, Plan((6,), load_claims(*CLAIM_FILES).words.lists()))
    made = (samples, Capture.TARGET), (samples, Capture.WORDS), (DifferentWords().vary(samples), Capture.TARGET)
    return [sample_of(one.captured(what), layer=6) for one, what in made]


@pytest.mark.parametrize("group", ["Q", "K", "V"])
def test_rows_of_the_embedded_model(captured, group):
    target, words, different = captured
    place, clusters, heads = target.projections[group], target.rows.labels[0], target.heads[group]
    (x,), (grid,), (others,) = (one.rows.arrays for one in captured)
    x, grid, others = (one[..., place].astype(np.float64) for one in (x, grid, others))
    assert x.shape[0] == 54
    for how in MEASURES:
        centred, controls = how == "pearson", {"different-words": different}
        found = beside(judged("row_mean", target, group, how, 0.5, controls=controls, tokens=lambda: words))
        assert found["share-above"].value == near(second.share_above(x, 0.5, centred=centred))
        assert found["without-top-dimensions"].value == near(second.without_top_dimensions(x, centred=centred))
        assert found["participation-ratio"].value == near(second.participation_ratio(x, centred=centred))
        assert found["standardised"].value == near(second.standardised(x, others, centred=centred))
        above = second.above_other_words(x, others, clusters, centred=centred)
        told = found["above-other-words"]
        assert (told.value, told.low, told.high) == near(above)
        assert found["token-metric"].value == near(bases.token_metric(x, grid, heads))
        assert found["token-distance"].value == near(bases.token_distance(x, grid, heads))
        at = target.rows.factors[POSITION]
        assert found["same-position"].value == near(second.same_position(x, at, centred=centred)[-1])
        exclusion = beside(judged("row_variance", target, group, how))["exclusion"]
        assert exclusion.value == near(second.exclusion(x, centred=centred))


@pytest.mark.parametrize("group", ["Q", *(pytest.param(name, marks=pytest.mark.long) for name in "KV")])
def test_words_of_the_embedded_model(captured, group):
    words = captured[1]
    clusters, grid = words.rows.labels[0], words.rows.arrays[0][..., words.projections[group]].astype(np.float64)
    verdict = judged("token_identity", words, group, "accuracy")
    share, _, by_word = second.token_identity(grid)
    assert verdict.plug_in == near(share)
    found = beside(verdict)
    assert found["target-named"].value == near(by_word[0])
    assert found["permuted-words"].value == max(second.permuted_words(grid), np.finfo(np.float64).tiny)
    found = beside(judged("token_minus_context", words, group, "variance", 0.0))
    assert found["noise-value"].value == near(second.noise_value(54, 20))
    told = found["over-words-too"]
    assert (told.value, told.low, told.high) == near(second.over_words_too(grid, clusters, widen=3))


def test_dimensions_of_the_embedded_model(captured):
    target = captured[0]
    x = {name: target.rows.arrays[0][:, place].astype(np.float64) for name, place in target.projections.items()}
    heads = target.heads
    assert target.turns == Turns()
    assert plug_in_of(target, "unimodal_excess", "QQ") == near(
        second.unimodal_excess(second.pairs(x["Q"], centred=False))
    )
    q, k = bases.scores_in_place(x["Q"], x["K"], heads["Q"], heads["K"])
    found = beside(judged("variance", target, "QQ", "cosine"))
    assert found["score-metric"].value == near(second.variance(second.pairs(q, centred=False)))
    found = beside(judged("variance", target, "QK", "cosine"))
    assert found["score-metric"].value == near(second.variance(second.pairs(q, k, centred=False)))
    turned = [
        bases.rotated_rows(x["Q"], x["K"], x["V"], query_heads=heads["Q"], key_heads=heads["K"], seed=seed)
        for seed in range(20)
    ]
    for group, numbers in (
        ("QQ", [second.variance(second.pairs(q, centred=False)) for q, _, _ in turned]),
        ("VV", [second.variance(second.pairs(v, centred=False)) for _, _, v in turned]),
        ("QK", [second.variance(second.pairs(q, k, centred=False)) for q, k, _ in turned]),
    ):
        told = beside(judged("variance", target, group, "cosine"))["rotated"]
        assert (told.low, told.high, told.value) == near((min(numbers), max(numbers), np.mean(numbers)))


def plug_in_of(sample, statistic, group):
    return measure(statistic_named(statistic), sample, Comparison(group, "cosine")).plug_in
