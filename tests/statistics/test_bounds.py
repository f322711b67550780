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


def test_what_was_counted_goes_with_it():
    found = violation_rate(0, 1, confidence=0.9)
    assert (found.violations, found.n, found.low, found.confidence) == (0, 1, 0.0, 0.9)
    assert found.high == pytest.approx(0.9)
    assert violation_rate(1, 1, confidence=0.9).low == pytest.approx(0.1)
    assert violation_rate(1, 1).high == 1.0
    assert violation_rate(3, 10).confidence == 0.95


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
    assert (found.seeds, found.mean, found.deviation) == pytest.approx((19, seeds.mean(), seeds.std(ddof=1)))
    assert found.low == pytest.approx(0.5 - seeds.mean() - half)
    with pytest.raises(ClaimError, match=r"1 untrained seed\(s\) have no spread; give at least two"):
        compare_with_seeds(0.5, [0.3], standard_error=0, clusters=47)


@pytest.mark.parametrize("level", [0.8, 0.99])
def test_two_seeds_and_a_level(level):
    """The fewest that have a spread; whole numbers are numbers too."""
    found = compare_with_seeds(4, [1, 2], standard_error=0.3, clusters=5, level=level)
    share = 0.5 + level / 2
    half = np.hypot(stats.t.ppf(share, 1) * np.sqrt(0.5) * np.sqrt(1.5), stats.t.ppf(share, 4) * 0.3)
    assert (found.difference, found.high - found.low) == pytest.approx((2.5, 2 * half))
    assert (found.p_value, found.seeds) == (pytest.approx(1 / 3), 2)
    assert compare_with_seeds(2, [1, 2], standard_error=0.3, clusters=5).p_value == pytest.approx(2 / 3)


def test_a_further_seed_lies_within_the_interval(rng):
    inside = 0
    for _ in range(400):
        values = rng.normal(size=20)
        found = compare_with_seeds(values[0], values[1:], standard_error=0.0, clusters=47)
        inside += found.low <= 0 <= found.high
    assert 0.92 <= inside / 400 <= 0.98


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0.05, 0.05, "specific"), (0.0499, 0.05, "unresolved"), (-0.05, 0.05, "unresolved"),
        (-0.0499, 0.0499, "equivalent"),
        (-0.05, 0.0499, "not specific"), (-0.06, -0.0499, "not specific"), (-0.06, -0.05, "reversed"),
        (-0.05, -0.05, "reversed"),
    ],
)  # fmt: skip
def test_sides_at_the_margin(low, high, want):
    assert specificity(low, high, margin=0.05) == want


def test_three_sides():
    cases = {
        (0.06, 0.1): "specific", (0.05, 0.1): "specific", (0.04, 0.1): "unresolved", (-0.1, 0.1): "unresolved",
        (-0.04, 0.04): "equivalent", (-0.1, -0.06): "reversed", (-0.1, 0.04): "not specific",
    }  # fmt: skip
    for (low, high), want in cases.items():
        assert specificity(low, high, margin=0.05) == want
