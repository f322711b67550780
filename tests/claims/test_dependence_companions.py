"""What stands beside a verdict because contexts depend on each other, or because a few of them make the number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.claims.judging import judge_sample
from qkvcheck.claims.verdict import Decision
from qkvcheck.groups import FIRST_TOKEN, PRECEDING_TOKEN, Comparison
from qkvcheck.record import Finding
from qkvcheck.report.terminal import summary_lines
from qkvcheck.statistics import Sample, measure, omega_squared, statistic_named
from tests.made_up import make_run

Q = Comparison("Q", "cosine")
NAMES = ("explained-by", "clusters-by-factor", "most-influential")


def judged(sample, threshold, **more):
    claim = Claim(
        "X", "x", "row_mean", Direction.ABOVE, threshold, axis="contexts", groups=("Q",), measures=("cosine",),
        primary=(Q,), **more,
    )  # fmt: skip
    verdict = judge_sample(claim, cells(claim, layers=[6])[0], sample)
    return verdict, {one.name: one for one in verdict.evidence.beside or () if one.name in NAMES}


def of_verbs(rng, *, verbs, n=54, d=40):
    v = np.arange(n) % verbs
    x = 1.2 + rng.normal(size=(verbs, d))[v] + 0.1 * rng.normal(size=(n, d))
    told = {FIRST_TOKEN: tuple(f"s{i:02d}" for i in range(n)), PRECEDING_TOKEN: tuple(f"v{i:02d}" for i in v)}
    return Sample((x,), {"Q": slice(0, d)}, factors=told)


def test_what_explains_the_rows_is_told(rng):
    sample = of_verbs(rng, verbs=18)
    verdict, found = judged(sample, 0.5)
    share = omega_squared(sample.arrays[0], sample.factors[PRECEDING_TOKEN])
    assert share > 0.95
    text = f"{share:.3f}".removeprefix("0")
    assert found["explained-by"].text == (
        f"omega squared of first token (54) Q not defined; preceding token (18) Q {text}"
    )
    assert [(one.factor, one.levels, one.share) for one in verdict.evidence.explained] == [
        (FIRST_TOKEN, 54, None), (PRECEDING_TOKEN, 18, share)
    ]  # fmt: skip
    shown = " ".join(word for line in summary_lines(make_run(), [Finding(verdict)]) for word in line.text.split())
    told = "first token not defined (another one in each context); preceding token Q"
    assert f"explained share of the target's spread at layer 6 (omega^2): {told} {text} " in shown


def test_it_warns_where_clusters_by_what_explains_most_change_the_verdict(rng):
    sample = of_verbs(rng, verbs=18)
    low = judged(sample, 0.5)[0].low
    verdict, found = judged(sample, low - 1e-6)
    beside = found["clusters-by-factor"]
    assert verdict.verdict == Decision.SUPPORTED
    assert beside.low < low
    assert beside.text.endswith("18 clusters by preceding token, which explains most; 54 clusters by distinct row here"
                                ": then it is INCONCLUSIVE")  # fmt: skip
    assert beside.warns
    assert not judged(sample, 0.0)[1]["clusters-by-factor"].warns


def test_too_few_clusters_are_told(rng):
    beside = judged(of_verbs(rng, verbs=9), 0.0)[1]["clusters-by-factor"]
    assert beside.text.endswith("too few to judge by, 10 are needed")
    assert beside.warns


def test_it_is_silent_where_the_clusters_are_these_or_nothing_is_known(rng):
    sample = of_verbs(rng, verbs=18)
    same = replace(sample, clusters=(sample.factors[PRECEDING_TOKEN],), cluster_kind="preceding token")
    assert set(judged(same, 0.5)[1]) == {"explained-by", "most-influential"}
    verdict, found = judged(replace(sample, factors={}), 0.5)
    assert set(found) == {"most-influential"}
    assert verdict.evidence.explained is None


def test_one_outlier_is_told_with_what_is_without_it(rng):
    x = 2 + rng.normal(size=(40, 30))
    x[3] *= -1
    x[11] = -3 + rng.normal(size=30)
    sample = Sample((x,), {"Q": slice(0, 30)})
    clean = measure(statistic_named("row_mean"), Sample((np.delete(x, [3, 11], axis=0),), {"Q": slice(0, 30)}), Q)
    verdict, found = judged(sample, clean.estimate().low - 0.01)
    beside = found["most-influential"]
    assert verdict.verdict != Decision.SUPPORTED
    assert (beside.low, beside.high) == (clean.estimate().low, clean.estimate().high)
    assert beside.text.startswith(f"the largest of 40 clusters makes {beside.value:.0%} of the jackknife variance; ")
    assert beside.text.endswith(": then it is SUPPORTED")
    assert beside.warns
    assert not judged(sample, -0.9)[1]["most-influential"].warns


def test_heavy_tailed_rows_are_told_beside_claims_over_dimensions(rng):
    claim = Claim(
        "X", "x", "variance", Direction.ABOVE, 0.4, groups=("QQ",), measures=("cosine",),
        primary=(Comparison("QQ", "cosine"),),
    )  # fmt: skip
    x = rng.normal(size=(40, 30)) + 1
    for heavy in (False, True):
        x[7] *= 9 if heavy else 1
        verdict = judge_sample(claim, cells(claim, layers=[6])[0], Sample((x,), {"Q": slice(0, 30)}))
        beside = {one.name: one for one in verdict.evidence.beside}["heavy-tails"]
        squares = ((x - x.mean(axis=0)) ** 2).sum(axis=1)
        assert abs(beside.value - squares.max() / np.median(squares)) < 1e-10
        assert beside.warns == heavy == ("the interval may be short" in beside.text)
    assert "heavy-tails" not in {one.name for one in judged(of_verbs(rng, verbs=18), 0.5)[0].evidence.beside}
