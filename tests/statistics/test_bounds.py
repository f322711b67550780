"""Bounds on rates and against seeds, beside scipy and the definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.bounds import compare_with_seeds, specificity, violation_rate


@pytest.mark.parametrize(("k", "n"), [(0, 59), (0, 54), (1, 59), (7, 59), (59, 59), (3, 10)])
def test_rate_is_clopper_and_pearson(k, n):
    found = violation_rate(k, n)
    low, high = stats.binomtest(k, n).proportion_ci(confidence_level=0.90, method="exact")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_rates_that_are_known():
    assert violation_rate(0, 59).high < 0.05 < violation_rate(0, 58).high
    assert violation_rate(0, 54).high == pytest.approx(0.054, abs=5e-4)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts(k, n):
    with pytest.raises(ClaimError, match="can't be"):
        violation_rate(k, n)


def test_seeds(rng):
    seeds = rng.normal(0.3, 0.02, size=19)
    found = compare_with_seeds(0.5, seeds, standard_error=0.01, clusters=47)
    half = np.hypot(stats.t.ppf(0.975, 18) * seeds.std(ddof=1) * np.sqrt(1 + 1 / 19), stats.t.ppf(0.975, 46) * 0.01)
    assert found.difference == pytest.approx(0.5 - seeds.mean())
    assert found.high - found.low == pytest.approx(2 * half)
    assert found.p_value == pytest.approx(1 / 20)
    assert compare_with_seeds(seeds.min(), seeds, standard_error=0, clusters=47).p_value == 1.0
    with pytest.raises(ClaimError, match="no spread"):
        compare_with_seeds(0.5, [0.3], standard_error=0, clusters=47)


def test_a_further_seed_lies_within_the_interval(rng):
    inside = 0
    for _ in range(400):
        values = rng.normal(size=20)
        found = compare_with_seeds(values[0], values[1:], standard_error=0.0, clusters=47)
        inside += found.low <= 0 <= found.high
    assert 0.92 <= inside / 400 <= 0.98


def test_three_sides():
    cases = {
        (0.06, 0.1): "specific", (0.05, 0.1): "specific", (0.04, 0.1): "unresolved", (-0.1, 0.1): "unresolved",
        (-0.04, 0.04): "equivalent", (-0.1, -0.06): "reversed", (-0.1, 0.04): "not specific",
    }  # fmt: skip
    for (low, high), want in cases.items():
        assert specificity(low, high, margin=0.05) == want
