"""The jackknife against its definition, and what its intervals promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.jackknife import (
    LOGARITHM,
    RAW,
    Estimate,
    Replicates,
    contexts_needed,
    effective_contexts,
    jackknife_estimate,
    merge_labels,
    pseudo_values,
    simultaneous_critical,
)


def of_mean(x: np.ndarray) -> Replicates:
    return Replicates(float(x.mean()), np.array([np.delete(x, i).mean() for i in range(len(x))]))


def of_variance(x: np.ndarray) -> Replicates:
    return Replicates(float(x.var()), np.array([np.delete(x, i).var() for i in range(len(x))]))


def test_of_a_mean_it_is_students_interval(rng):
    x = rng.normal(size=25)
    found = jackknife_estimate(of_mean(x), widening=0)
    low, high = stats.t.interval(0.95, 24, loc=x.mean(), scale=stats.sem(x))
    assert (found.value, found.low, found.high) == pytest.approx((x.mean(), low, high), abs=1e-12)
    np.testing.assert_allclose(pseudo_values(of_mean(x)), x, atol=1e-12)


def test_it_removes_the_bias_of_a_variance(rng):
    x = rng.normal(size=25)
    assert jackknife_estimate(of_variance(x)).value == pytest.approx(x.var(ddof=1), abs=1e-12)
    assert jackknife_estimate(of_variance(x)).plug_in == pytest.approx(x.var(), abs=1e-12)


def test_widening(rng):
    x = rng.normal(size=27)
    plain, wide = (jackknife_estimate(of_mean(x), widening=w) for w in (0, 3))
    assert (wide.high - wide.low) / (plain.high - plain.low) == pytest.approx(np.sqrt(30 / 24))


@pytest.mark.parametrize("widening", [3, 6])
@pytest.mark.parametrize("clusters", [2, 3, 5, 6, 7, 8, 12, 13, 27])
def test_widening_for_few_clusters(rng, clusters, widening):
    """sqrt((G + w) / (G - w)); up to 2 w clusters as with 2 w of them, where the formula goes off to infinity."""
    x = rng.normal(size=clusters)
    found = jackknife_estimate(of_mean(x), widening=widening)
    count = max(clusters, 2 * widening)
    factor = np.sqrt((count + widening) / (count - widening))
    error = x.std(ddof=1) / np.sqrt(clusters) * factor
    half = stats.t.ppf(0.975, clusters - 1) * error
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((x.mean() - half, x.mean() + half), abs=1e-10)


def test_on_a_logarithm(rng):
    x = rng.lognormal(size=30)
    found = jackknife_estimate(of_variance(x), scale=LOGARITHM)
    logs = Replicates(np.log(x.var()), np.log(of_variance(x).without))
    direct = jackknife_estimate(logs)
    assert (found.low, found.high) == pytest.approx((np.exp(direct.low), np.exp(direct.high)))
    assert 0 < found.low < found.value < found.high


def test_one_cluster_is_too_few():
    with pytest.raises(ClaimError, match=r"1 cluster\(s\)"):
        jackknife_estimate(Replicates(1.0, np.array([1.0])))


def test_simultaneous_critical(rng):
    single = simultaneous_critical([of_mean(rng.normal(size=40))])
    assert single == pytest.approx(stats.t.ppf(0.975, 39), rel=0.02)
    cells = [of_mean(rng.normal(size=40)) for _ in range(12)]
    independent = simultaneous_critical(cells)
    # Between one cell's quantile and Bonferroni's.
    assert single < independent <= stats.t.ppf(1 - 0.025 / 12, 39) * 1.02
    same = simultaneous_critical([cells[0]] * 12)
    assert same == pytest.approx(single, rel=0.02)
    assert simultaneous_critical(cells) == independent


@pytest.mark.parametrize(("count", "level"), [(12, 0.95), (40, 0.8)])
def test_simultaneous_critical_is_never_below_students(count, level):
    """However few the draws, and where nothing moves."""
    rng = np.random.default_rng(1)
    cells = [of_mean(rng.normal(size=count)) for _ in range(2)]
    least = stats.t.ppf(0.5 + level / 2, count - 1)
    found = [simultaneous_critical(cells[:1], level=level, draws=3, rng=np.random.default_rng(s)) for s in range(20)]
    assert min(found) == pytest.approx(least, rel=1e-12)
    assert max(found) > least
    still = Replicates(1.0, np.ones(count))
    assert simultaneous_critical([still, still], level=level) == pytest.approx(least, rel=1e-12)
    # What doesn't move changes nothing.
    assert simultaneous_critical([cells[0], still], level=level) == pytest.approx(
        simultaneous_critical([cells[0]], level=level), rel=1e-12
    )


@pytest.mark.parametrize("scale", [RAW, LOGARITHM])
def test_simultaneous_critical_by_hand(scale):
    """The same draws, the same formula, in loops."""
    rng = np.random.default_rng(5)
    cells = [of_variance(rng.lognormal(size=14)) for _ in range(3)]
    forward = np.log if scale is LOGARITHM else np.asarray
    pseudo = np.array([14 * forward(c.whole) - 13 * forward(c.without) for c in cells]).T
    pseudo = pseudo[np.lexsort(pseudo.T)]
    draws = np.random.default_rng(9)
    normal = draws.standard_normal((500, 14))
    chi = draws.chisquare(13, size=500)
    largest = []
    for row, c in zip(normal, chi, strict=True):
        each = [abs(row @ (p - p.mean())) / np.sqrt(((p - p.mean()) ** 2).sum()) for p in pseudo.T]
        largest.append(max(each) / np.sqrt(c / 13))
    found = simultaneous_critical(cells, scale=scale, level=0.9, draws=500, rng=np.random.default_rng(9))
    assert found == pytest.approx(max(np.quantile(largest, 0.9), stats.t.ppf(0.95, 13)), rel=1e-12)
    default = simultaneous_critical(cells, scale=scale)
    assert default == simultaneous_critical(cells, scale=scale, level=0.95, draws=20_000, rng=np.random.default_rng(0))


def test_simultaneous_intervals_hold_all_at_once(rng):
    missed = 0
    for _ in range(200):
        x = rng.normal(size=(30, 6))
        cells = [of_mean(column) for column in x.T]
        critical = simultaneous_critical(cells, draws=2_000, rng=rng)
        found = [jackknife_estimate(cell, critical=critical, widening=0) for cell in cells]
        missed += any(not f.low <= 0 <= f.high for f in found)
    assert 0.01 <= missed / 200 <= 0.10  # nominally 0.05


def test_differences_use_the_same_deletions(rng):
    x, y = rng.normal(size=30), rng.normal(size=30)
    found = jackknife_estimate(of_mean(x + y) - of_mean(y), widening=0)
    want = jackknife_estimate(of_mean(x), widening=0)
    assert (found.value, found.low) == pytest.approx((want.value, want.low))


def test_contexts_needed(rng):
    found = jackknife_estimate(of_mean(rng.normal(size=25)))
    half = (found.high - found.low) / 2
    assert contexts_needed(found, found.value + half / 2, n=25) == pytest.approx(100, abs=2)
    assert contexts_needed(found, found.value, n=25) is None


def test_contexts_needed_by_hand():
    found = Estimate(plug_in=0.5, value=0.5, standard_error=0.1, low=0.25, high=0.75, level=0.95, clusters=20)
    assert contexts_needed(found, 0.375, n=30) == contexts_needed(found, 0.625, n=30) == 30 * 2**2 + 1
    assert contexts_needed(found, 0.3, n=30) == int(np.ceil(30 * (0.25 / 0.2) ** 2)) + 1
    assert contexts_needed(found, 0.5 + 1e-6, n=30) is None  # 1.9e12 of them
    assert contexts_needed(found, 0.5 + 1e-4, n=30) == pytest.approx(30 * 2500**2, rel=1e-6)
    centre, edge, low, high = (np.log(v) for v in (0.5, 0.4, 0.25, 0.75))
    want = 30 * (max(high - centre, centre - low) / abs(centre - edge)) ** 2
    assert contexts_needed(found, 0.4, n=30, scale=LOGARITHM) == int(np.ceil(want)) + 1


def test_merge_labels():
    assert merge_labels(["a", "b", "c"], ["a", "b", "c"]) == ["a", "b", "c"]
    assert merge_labels(["a", "b", "c", "d"], ["a", "a", "d", "d"]) == ["a", "a", "c", "c"]
    assert merge_labels(["c", "b", "a"], ["b", "a", "a"]) == ["a", "a", "a"]


def test_effective_contexts():
    assert effective_contexts(["a", "b", "c"]) == 3
    assert effective_contexts(["a"] * 13 + ["b"] * 13 + ["c"] * 12 + ["d"] * 6 + list("efghijklmn")) == pytest.approx(
        54**2 / (13**2 + 13**2 + 12**2 + 6**2 + 10)
    )
