"""Coverage under noise that makes some rows much longer than others; the scale of a row mean's interval; the rule.

Normal rows of 32 dimensions with offsets and seven common factors, each row's noise multiplied by a factor.
`pytest tests/statistics/test_coverage_tails.py -m slow -s` prints the figures.
"""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.groups import Comparison
from qkvcheck.statistics import HEAVY, Sample, jackknife_estimate, measure, statistic_named, tail_ratio

pytestmark = pytest.mark.slow

DRAWS, N, WIDTH = 300, 54, 32
_FIXED = np.random.default_rng(1)
_LOAD = _FIXED.normal(size=(7, WIDTH))
_LOAD /= np.sqrt((_LOAD**2).sum(axis=0))
COVARIANCE = 0.5 * _LOAD.T @ _LOAD + 0.5 * np.eye(WIDTH)
OFFSET = _FIXED.normal(size=WIDTH)
NOISE = {"normal": 1.0, "lognormal .5": np.exp(0.5), "lognormal 1": np.exp(2.0), "t 2.2": 11.0}
"""How a row's noise is multiplied, and the mean square of the factor."""


def factor_of(noise, rng, n):
    if noise == "t 2.2":
        return 1 / np.sqrt(rng.chisquare(2.2, size=(n, 1)) / 2.2)
    spread = {"normal": 0.0, "lognormal .5": 0.5, "lognormal 1": 1.0}[noise]
    return np.exp(spread * rng.normal(size=(n, 1)))


def rows_of(noise, rng, n, offset):
    return offset * OFFSET + rng.normal(size=(n, WIDTH)) @ np.linalg.cholesky(COVARIANCE).T * factor_of(noise, rng, n)


def truth_of(statistic, noise, offset):
    second = NOISE[noise] * COVARIANCE + offset**2 * np.outer(OFFSET, OFFSET)
    if statistic == "variance":
        size = np.sqrt(np.diag(second))
        return (second / np.outer(size, size))[np.triu_indices(WIDTH, k=1)].var()
    x = rows_of(noise, np.random.default_rng(99), 60_000, offset)
    x -= x.mean(axis=1, keepdims=True)
    total = (x / np.linalg.norm(x, axis=1, keepdims=True)).sum(axis=0)
    return (total @ total - len(x)) / (len(x) * (len(x) - 1.0))


@pytest.mark.parametrize("offset", [1.0, 3.0])
@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(("statistic", "group", "how"), [("variance", "QQ", "cosine"), ("row_mean", "Q", "pearson")])
def test_under_row_noise(statistic, group, how, noise, offset):
    rng, truth, chosen = np.random.default_rng(7), truth_of(statistic, noise, offset), statistic_named(statistic)
    plain = inside = beyond = 0
    for _ in range(DRAWS):
        sample = Sample((rows_of(noise, rng, N, offset),), {"Q": slice(0, WIDTH)})
        own = measure(chosen, sample, Comparison(group, how))
        raw, found = jackknife_estimate(own.replicates), own.estimate()
        plain += raw.low <= truth <= raw.high
        inside += found.low <= truth <= found.high
        beyond += not (raw.low >= -1 and raw.high <= 1)
        assert -1 <= found.low <= found.high <= 1
    told = f"raw {plain / DRAWS:.3f}, here {inside / DRAWS:.3f}, beyond {beyond / DRAWS:.3f}"
    print(f"\n{statistic} {noise} {offset}: {told}")
    if statistic == "row_mean" or noise == "normal":
        assert inside / DRAWS >= 0.95 - 0.025


@pytest.mark.parametrize(("width", "factors", "common", "false"), [(32, 7, 0.5, 0.02), (128, 3, 0.9, 0.04)])
def test_the_rule_for_heavy_tails(width, factors, common, false):
    load = _FIXED.normal(size=(factors, width))
    load /= np.sqrt((load**2).sum(axis=0))
    alarms = {}
    for noise in NOISE:
        rng, found = np.random.default_rng(3), 0
        for _ in range(DRAWS):
            x = np.sqrt(common) * rng.normal(size=(N, factors)) @ load
            x += np.sqrt(1 - common) * rng.normal(size=(N, width))
            found += tail_ratio(x * factor_of(noise, rng, N)) > HEAVY
        alarms[noise] = found / DRAWS
    print(f"\n{width} dimensions, {factors} factors: {alarms}")
    assert alarms["normal"] <= false
    assert alarms["lognormal .5"] >= 0.6
    assert min(alarms["lognormal 1"], alarms["t 2.2"]) >= 0.9
