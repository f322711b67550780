"""Verdicts: what is judged on which rows, the controls beside it, and the trip through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qkvcheck.claims import Claim, cells
from qkvcheck.errors import ClaimError
from qkvcheck.statistics import variance
from qkvcheck.verdicts import (
    NOT_JUDGED,
    REFUTED,
    SUPPORTED,
    Sample,
    judge,
    judge_conditions,
    not_judged,
    verdict_from_dict,
)

BLOCKS = {"Q": slice(0, 10), "K": slice(10, 20), "V": slice(20, 30)}


def make_claim(**changes) -> Claim:
    fields = {
        "id": "X", "statement": "x", "statistic": "variance", "direction": "above", "threshold": 0.3,
        "groups": ("QQ", "QK"), "measures": ("cosine", "pearson"), "primary": (("QQ", "cosine"),),
        "controls": ("non-target", "untrained"),
    }  # fmt: skip
    return Claim(**{**fields, **changes})


@pytest.fixture
def poles(rng) -> np.ndarray:
    """(30, 30) with strong column means of both signs: V near 1."""
    return rng.choice([-5.0, 5.0], size=30) + rng.normal(size=(30, 30))


@pytest.fixture
def noise(rng) -> np.ndarray:
    return rng.normal(size=(30, 30))


def judged(claim, array, **options):
    return judge(claim, cells(claim, layers=[6])[0], Sample((array,), BLOCKS), **options)


def test_supported_and_refuted(poles, noise):
    claim = make_claim()
    up, down = judged(claim, poles), judged(claim, noise)
    assert (up.verdict, down.verdict) == (SUPPORTED, REFUTED)
    assert up.estimate == pytest.approx(variance(poles[:, :10]))
    assert (up.key, up.layer, up.group, up.measure, up.role) == ("X-L06-QQ", 6, "QQ", "cosine", "decides")
    assert (up.n, up.n_distinct, up.threshold) == (30, 30, 0.3)


def test_each_cell_takes_its_own_blocks(rng):
    claim = make_claim(groups=("QQ", "KK", "VV", "QK", "QV", "KV"))
    array = rng.normal(size=(30, 30)) + np.repeat([0.0, 1.0, 4.0], 10)
    blocks = [array[:, :10], array[:, 10:20], array[:, 20:]]
    parts = {"QQ": (0, None), "KK": (1, None), "VV": (2, None), "QK": (0, 1), "QV": (0, 2), "KV": (1, 2)}
    for cell in cells(claim, layers=[6]):
        first, second = parts[cell.group]
        want = variance(blocks[first], None if second is None else blocks[second], measure=cell.measure)
        assert judge(claim, cell, Sample((array,), BLOCKS)).estimate == pytest.approx(want, abs=1e-12)


def test_repeated_contexts_count_once(poles):
    doubled = np.vstack([poles, poles[:20]])
    verdict = judged(make_claim(), doubled)
    assert (verdict.n, verdict.n_distinct) == (50, 30)
    assert verdict.estimate == pytest.approx(variance(poles[:, :10]), abs=1e-12)


def test_too_few_distinct_contexts(poles):
    repeated = np.tile(poles[:5], (10, 1))
    verdict = judged(make_claim(), repeated)
    assert verdict.verdict == NOT_JUDGED
    assert verdict.reason == "5 distinct contexts of 50; at least 20 are needed"
    assert verdict.estimate is None
    assert judged(make_claim(), poles[:19]).verdict == NOT_JUDGED
    assert judged(make_claim(), poles[:20]).verdict == SUPPORTED


def test_controls_are_measured_alike(poles, noise):
    controls = {"untrained": Sample((noise,), BLOCKS), "not-asked-for": Sample((noise,), BLOCKS)}
    (control,) = judged(make_claim(), poles, controls=controls).controls
    assert (control.name, control.passes) == ("untrained", False)
    assert control.estimate == pytest.approx(variance(noise[:, :10]), abs=1e-12)
    assert control.difference == pytest.approx(variance(poles[:, :10]) - variance(noise[:, :10]), abs=1e-12)


def test_a_control_can_take_it_away(poles, rng):
    also = Sample((poles + rng.normal(size=poles.shape),), BLOCKS)
    assert judged(make_claim(), poles, controls={"untrained": also}).qualifier == ("also holds untrained",)
    assert judged(make_claim(), poles, controls={"non-target": also}).qualifier == ()
    fails = {"untrained": Sample((rng.normal(size=poles.shape),), BLOCKS)}
    assert judged(make_claim(), poles, controls=fails, qualifier=("stand-in",)).qualifier == ("stand-in",)


def test_control_with_too_few_contexts_says_so(poles):
    beside = {"untrained": Sample((np.tile(poles[:2], (20, 1)),), BLOCKS)}
    (control,) = judged(make_claim(), poles, controls=beside).controls
    assert control.estimate is None
    assert control.reason == "2 distinct contexts of 40"


def test_both_poles_have_to_be_there(rng):
    claim = make_claim(
        statistic="sign_balance", threshold=0.0, settings={"pole_share": 0.01, "equally_common_below": 1 / 3}
    )
    one_sided = 5 + rng.normal(size=(30, 30))
    verdict = judged(claim, one_sided)
    assert verdict.estimate > 0.9
    assert verdict.verdict == REFUTED
    assert "not both poles present: 0.0% of pairs below -0.5" in verdict.reason
    signs = np.r_[-np.ones(3), np.ones(27)] * 5
    assert judged(claim, rng.permutation(signs) * 0 + signs[rng.permutation(30)] + rng.normal(size=(30, 30))).n == 30
    mixed = np.r_[-np.ones(2), np.ones(8), np.ones(20)] * 5 + rng.normal(size=(30, 30))
    assert judged(claim, mixed).verdict == SUPPORTED
    even = np.r_[-np.ones(4), np.ones(6), np.ones(20)] * 5 + rng.normal(size=(30, 30))
    assert "about equally common" in judged(claim, even).reason


def test_evidence_holds_the_histogram(poles):
    evidence = judged(make_claim(), poles).evidence
    assert sum(evidence["histogram"]) == evidence["pairs"] == 45


def test_conditions():
    claim = make_claim(direction="exact", threshold=None, statistic="setup")
    cell = cells(claim, layers=[6])[0]
    assert judge_conditions(claim, cell, {"a": np.True_, "b": True}, n=3).verdict == SUPPORTED
    verdict = judge_conditions(claim, cell, {"a": True, "b is so": np.False_}, n=3)
    assert (verdict.verdict, verdict.reason) == (REFUTED, "does not hold: b is so")
    assert not_judged(claim, cell, "why").reason == "why"


def test_through_json(poles, noise):
    verdict = judged(make_claim(), poles, controls={"untrained": Sample((noise,), BLOCKS)}, qualifier=("stand-in",))
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    assert verdict_from_dict(json.loads(text)) == verdict


def test_not_a_number_is_no_verdict(poles):
    poles[3, 3] = np.nan
    with pytest.raises(ClaimError, match="NaN or infinite"):
        judged(make_claim(), poles)


def test_unknown_statistic(poles):
    with pytest.raises(ClaimError, match="statistic 'mode' is not known; allowed: variance"):
        judged(make_claim(statistic="mode"), poles)
