"""Further companions: what stands beside a mean of rows, the token's share, and the share of words named rightly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.claims import Beside, Cell, Claim, Direction, Role, Verdict, judge, judge_sample
from qkvcheck.groups import Comparison
from qkvcheck.statistics import (
    Replicates,
    Sample,
    jackknife_estimate,
    measure,
    noise_token_minus_context,
    participation,
    permutation_test,
    row_mean_without,
    standardised_row_mean,
    statistic_named,
    top_dimensions,
    two_way_estimate,
)
from qkvcheck.statistics.formulas import token_minus_context

BLOCKS = {"Q": slice(0, 12), "K": slice(12, 20), "V": slice(20, 28)}


def beside(verdict: Verdict) -> dict[str, Beside]:
    return {one.name: one for one in verdict.evidence.beside or ()}


def judged(statistic: str, sample: Sample, how: str, threshold: float, *, group="Q", controls=None) -> Verdict:
    claim = Claim(
        "mine", "says", statistic, Direction.ABOVE, threshold, axis="contexts", groups=("Q", "K", "V"),
        measures=(how,), controls=tuple(controls or ()),
    )  # fmt: skip
    cell = Cell("mine", 6, group, how, Role.DECIDES, f"mine-L06-{group}")
    return judge_sample(claim, cell, sample, controls=controls)


def rows(rng, *, large: float = 0.0) -> np.ndarray:
    x = rng.normal(size=28) + 0.5 * rng.normal(size=(40, 28))
    x[:, 13] += large
    return x


@pytest.mark.parametrize("how", ["cosine", "pearson"])
def test_beside_a_mean_of_rows(rng, how):
    x, others = rows(rng), rows(rng) + rng.normal(size=(40, 28))
    sample = Sample((x,), BLOCKS)
    found = judged("row_mean", sample, how, 0.5, group="K", controls={"different-words": Sample((others,), BLOCKS)})
    told, k = beside(found), x[:, 12:20]
    assert list(told)[:5] == [
        "share-above", "without-top-dimensions", "participation-ratio", "above-other-words", "standardised"
    ]  # fmt: skip
    top = top_dimensions(k, measure=how)
    assert told["without-top-dimensions"].value == row_mean_without(k, top, measure=how)
    assert f"({top[0]}, {top[1]}, {top[2]})" in told["without-top-dimensions"].text
    assert told["participation-ratio"].value == participation(k, measure=how)
    (words,) = found.controls
    baseline = told["above-other-words"]
    assert (baseline.value, baseline.low, baseline.high) == (words.difference, words.low, words.high)
    assert "different words in the same frames" in baseline.text
    assert told["standardised"].value == standardised_row_mean(k, others[:, 12:20], measure=how)
    assert "over 40 other words" in told["standardised"].text


def test_one_large_dimension_warns_where_it_makes_the_verdict(rng):
    plain, large = (judged("row_mean", Sample((rows(rng, large=size),), BLOCKS), "cosine", 0.9, group="K")
                    for size in (0.0, 60.0))  # fmt: skip
    assert (plain.verdict, large.verdict) == ("REFUTED", "SUPPORTED")
    told = beside(large)["without-top-dimensions"]
    assert told.warns
    assert told.text.startswith("without its 3 largest dimensions (1, ")
    assert told.text.endswith(", which misses the claim")
    assert not beside(plain)["without-top-dimensions"].warns
    assert beside(large)["participation-ratio"].value < 0.13 < beside(plain)["participation-ratio"].value


def test_without_different_words_the_tokens_before_are_the_baseline_or_it_says_why_not(rng):
    sample, before = Sample((rows(rng),), BLOCKS), Sample((rows(rng),), BLOCKS)
    controls = {"different-words": "no other words fit", "non-target": before}
    told = beside(judged("row_mean", sample, "cosine", 0.5, controls=controls))
    assert "the tokens before the target" in told["above-other-words"].text
    assert told["standardised"].text == "not measured: no other words fit"
    told = beside(judged("row_mean", sample, "cosine", 0.5, controls={"different-words": "no other words fit"}))
    assert told["above-other-words"] == Beside("above-other-words", "not measured: no other words fit")
    told = beside(judged("row_mean", sample, "cosine", 0.5))
    assert not {"above-other-words", "standardised"} & set(told)


def word_grid(rng, *, words: float, contexts: float, w: int = 14) -> Sample:
    x = words * rng.normal(size=(1, w, 28)) + contexts * rng.normal(size=(30, 1, 28)) + rng.normal(size=(30, w, 28))
    return Sample((x,), BLOCKS, subsets={"few": (0, 1, 2)})


def test_beside_the_token_against_its_context(rng):
    sample = word_grid(rng, words=1.2, contexts=1.0)
    found = judged("token_minus_context", sample, "variance", 0.0)
    told, q = beside(found), sample.arrays[0][..., BLOCKS["Q"]]
    assert {"noise-value", "other-projections", "over-words-too"} <= set(told)
    assert told["noise-value"].value == noise_token_minus_context(30, 14)
    assert f"{token_minus_context(q) - noise_token_minus_context(30, 14):+.4f}" in told["noise-value"].text
    for name in "KV":
        own = measure(statistic_named("token_minus_context"), sample, Comparison(name, "variance")).estimate()
        assert f"{name} {own.value:.4f} [{own.low:.4f}, {own.high:.4f}]" in told["other-projections"].text
    by_context, by_word = (
        Replicates(
            token_minus_context(q), np.array([token_minus_context(np.delete(q, i, axis)) for i in range(q.shape[axis])])
        )
        for axis in (0, 1)
    )
    expected = two_way_estimate(by_context, by_word)
    over = told["over-words-too"]
    assert (over.value, over.low, over.high) == pytest.approx((expected.value, expected.low, expected.high), abs=1e-12)
    assert over.high - over.low > found.high - found.low


def test_an_interval_over_words_that_takes_the_verdict_away_warns(rng):
    strong = beside(judged("token_minus_context", word_grid(rng, words=3.0, contexts=0.5), "variance", 0.0))
    assert not strong["over-words-too"].warns
    found = judged("token_minus_context", word_grid(rng, words=1.35, contexts=1.0), "variance", 0.0)
    weak = beside(found)["over-words-too"]
    assert found.verdict == "SUPPORTED"
    assert weak.warns
    assert weak.low < 0 < weak.high
    assert weak.text.endswith("by that interval the claim would be INCONCLUSIVE")


def test_few_words_have_no_interval_and_similarities_no_noise_value(rng):
    sample = word_grid(rng, words=1.0, contexts=1.0)
    told = beside(judged("token_minus_context", sample, "variance-few", 0.0))
    assert told["over-words-too"].text == "not measured: 3 words; at least 10 are needed"
    assert told["noise-value"].value == noise_token_minus_context(30, 3)
    told = beside(judged("token_minus_context", sample, "similarity", 0.0))
    assert told["noise-value"].value == 0.0


def test_beside_the_share_of_words_named_rightly(rng):
    sample = word_grid(rng, words=0.8, contexts=1.0)
    found = judged("token_identity", sample, "accuracy", 0.5)
    told, q = beside(found), sample.arrays[0][..., BLOCKS["Q"]]
    assert {"target-named", "permuted-words"} <= set(told)
    assert 1 / 14 < told["target-named"].value <= 1
    assert told["target-named"].text.endswith("by chance in 7%")
    share, p_value = permutation_test(q)
    assert told["permuted-words"].value == p_value
    assert f"{share:.0%} rightly" in told["permuted-words"].text
    assert "p < 1e-" in told["permuted-words"].text or "p = " in told["permuted-words"].text


@pytest.mark.parametrize(("statistic", "group"), [("variance", "QQ"), ("row_variance", "Q")])
def test_a_refuted_certificate_leaves_two_modes_open(rng, statistic, group):
    x = rng.normal(size=(40, 12))
    text = "below the certificate; two modes are not excluded"
    refuted = judge(x, statistic=statistic, group=group, above=4 / 9)
    assert (refuted.verdict, refuted.reason) == ("REFUTED", text)
    assert judge(x, statistic=statistic, group=group, above=0.3).reason is None
    assert judge(x, statistic=statistic, group=group, at_most=0.5).reason is None
    poles = np.where(np.arange(12) % 2, 5.0, -5.0) + x
    between = judge(poles, statistic="variance", group="QQ", above=0.999)
    assert (between.verdict, between.reason) == ("REFUTED", None)
    assert judge(x, statistic="mean_absolute", group="QQ", above=0.5).reason is None


def test_what_stands_beside_decides_nothing(rng):
    sample = word_grid(rng, words=1.15, contexts=1.0)
    found = judged("token_minus_context", sample, "variance", 0.0)
    plain = measure(statistic_named("token_minus_context"), sample, Comparison("Q", "variance"))
    expected = jackknife_estimate(plain.replicates)
    assert (found.estimate, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert replace(found, evidence=replace(found.evidence, beside=None)).qualifier == found.qualifier
