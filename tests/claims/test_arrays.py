"""Arrays judged by a claim made on the spot: the same as with a claim of a file, and mistakes in one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import qkvcheck
from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.claims.judging import JudgeOptions, judge_sample
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.sample import Sample

PARTS = {"Q": slice(0, 4), "K": slice(4, 10), "V": slice(10, 12)}


@pytest.fixture
def rows(rng) -> np.ndarray:
    return rng.normal(size=(40, 12)) + 2 * rng.normal(size=12)


def made(group: str, direction: str, threshold: float, *, statistic: str, measure: str = "cosine", **more) -> Claim:
    return Claim(
        "mine", "m", statistic, Direction(direction), threshold, groups=(group,), measures=(measure,),
        primary=(Comparison(group, measure),), axis="dimensions" if len(group) == 2 else "contexts", **more,
    )  # fmt: skip


def alike(one, other) -> bool:
    """Tell whether two verdicts differ in their claim's statement alone."""
    return replace(one, statement="") == replace(other, statement="")


@pytest.mark.parametrize(
    ("statistic", "group", "direction", "threshold", "measure"),
    [
        ("variance", "QK", "above", 0.1, "cosine"),
        ("variance", "VV", "at_most", 0.1, "pearson"),
        ("row_mean", "K", "at_least", 0.5, "cosine"),
        ("row_mean", "Q", "above", 0.9, "pearson"),
    ],
)
def test_the_same_as_a_claim_and_a_sample(rows, rng, statistic, group, direction, threshold, measure):
    noise = rng.normal(size=rows.shape)
    names = tuple(f"c{number // 2}" for number in range(40))
    found = qkvcheck.judge(
        rows, statistic=statistic, group=group, measure=measure, projections=PARTS, clusters=names, id="mine",
        controls={"noise": noise}, margin=0.1, min_distinct=30, layer=3, **{direction: threshold},
    )  # fmt: skip
    claim = made(group, direction, threshold, statistic=statistic, measure=measure, margin=0.1, controls=("noise",))
    sample, control = (Sample((array,), PARTS, (names,)) for array in (rows, noise))
    want = judge_sample(
        claim, cells(claim, layers=[3])[0], sample, controls={"noise": control}, options=JudgeOptions(min_distinct=30)
    )
    assert alike(found, want)
    assert found.clusters == 20
    assert found.controls[0].name == "noise"


def test_without_projections_the_width_is_one_or_three_equal_parts(rows):
    thirds = {name: slice(4 * number, 4 * number + 4) for number, name in enumerate("QKV")}
    for group, parts in (("K", {"K": slice(0, 12)}), ("QQ", {"Q": slice(0, 12)}), ("KV", thirds)):
        statistic = "row_mean" if len(group) == 1 else "variance"
        plain, told = (
            qkvcheck.judge(rows, statistic=statistic, group=group, above=0.1, projections=given)
            for given in (None, parts)
        )
        assert alike(plain, told)


def test_several_arrays_and_words(rng):
    """A statistic over words takes (context, word, width); one of two captures takes two arrays."""
    grid = rng.normal(size=(30, 5, 6)) + rng.normal(size=6)
    claim = made("Q", "at_least", 0.5, statistic="token_share")
    found = qkvcheck.judge(grid, statistic="token_share", group="Q", at_least=0.5, id="mine")
    assert alike(found, judge_sample(claim, cells(claim, layers=[0])[0], Sample((grid,), {"Q": slice(0, 6)})))
    pair = (10 + rng.normal(size=(59, 6)), 10 + rng.normal(size=(54, 6)))
    found = qkvcheck.judge(pair, statistic="least_row_mean", group="Q", above=0.9)
    assert (found.kind, found.verdict, found.evidence.violations.n) == ("count", "SUPPORTED", 59)


def test_too_few_contexts_are_not_judged(rows):
    found = qkvcheck.judge(rows[:12], statistic="row_mean", group="Q", above=0.5)
    assert (found.verdict, found.reason) == ("NOT JUDGED", "12 distinct contexts of 12; at least 20 are needed")
    assert qkvcheck.judge(rows[:12], statistic="row_mean", group="Q", above=0.5, min_distinct=12).estimate is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"above": None}, "0 bounds were given; give one of above=, at_least= and at_most="),
        ({"at_most": 0.9}, "2 bounds were given"),
        ({"statistic": "row_men"}, "statistic 'row_men' is not known; .*Did you mean 'row_mean'"),
        ({"group": "X"}, "group 'X' is none of the projections Q, K, V, and no pair of them"),
        ({"group": "QKV"}, "group 'QKV' is none of"),
        ({"group": "K", "projections": {"Q": slice(0, 6)}}, "group 'K' is none of the projections Q, and"),
        ({"array": [[1.0, 2.0], [2.0, 1.0]]}, r"an array of shape \(2,\)"),
        ({"clusters": ["a"]}, "1 clusters were given for 40 contexts; give one a context"),
        ({"group": "QK", "statistic": "variance", "array": np.zeros((40, 10))}, "width of 10 is not three equal parts"),
        ({"array": np.ones((40, 6), dtype=int)}, r"an array of shape \(40, 6\) and type int64 can't be judged"),
        ({"array": np.ones(6)}, r"an array of shape \(6,\) and type float64 can't be judged"),
        ({"array": np.ones((0, 6))}, r"an array of shape \(0, 6\)"),
        ({"array": np.full((40, 6), np.nan)}, "NaN or infinite"),
        ({"array": []}, "no array was given"),
        (
            {"controls": {"short": np.ones((40, 5))}},
            r"control 'short' has shape \(40, 5\); give it the shape of the array",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(rng, changes, message):
    array = changes.pop("array") if "array" in changes else rng.normal(size=(40, 6))
    given = {"statistic": "row_mean", "group": "Q", "above": 0.5, **changes}
    with pytest.raises(ClaimError, match=message) as caught:
        qkvcheck.judge(array, **given)
    assert "\n" not in str(caught.value)
