"""Intervals that stay within what is possible, and rows that make them short."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from qkvcheck.groups import Comparison
from qkvcheck.statistics import HEAVY, Sample, contexts_needed, measure, statistic_named, statistics_by_name, tail_ratio
from qkvcheck.statistics.jackknife import FISHER_Z, RAW, Replicates, jackknife_estimate

Q, QQ = Comparison("Q", "cosine"), Comparison("QQ", "cosine")


def row_mean(x):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(x), k=1)].mean()


def test_the_interval_of_a_row_mean_is_formed_in_fisher_z_and_its_value_is_not(rng):
    x = rng.normal(size=(25, 12)) + 1
    found = measure(statistic_named("row_mean"), Sample((x,), {"Q": slice(0, 12)}), Q).estimate()
    whole, left = row_mean(x), np.array([row_mean(np.delete(x, i, axis=0)) for i in range(25)])
    assert found.value == pytest.approx(25 * whole - 24 * left.mean(), abs=1e-10)
    plain = 25 * whole - 24 * left
    assert found.standard_error == pytest.approx(plain.std(ddof=1) / 5 * np.sqrt(28 / 22), abs=1e-10)
    pseudo = 25 * np.arctanh(whole) - 24 * np.arctanh(left)
    reach = student.ppf(0.975, 24) * pseudo.std(ddof=1) / 5 * np.sqrt(28 / 22)
    assert (found.low, found.high) == pytest.approx(
        (np.tanh(pseudo.mean() - reach), np.tanh(pseudo.mean() + reach)), abs=1e-10
    )


def test_a_mean_cosine_of_more_than_one_is_not_thought_possible(rng):
    x = rng.normal(size=(20, 30)) * 0.2 + 1
    x[4] *= -1
    own = measure(statistic_named("row_mean"), Sample((x,), {"Q": slice(0, 30)}), Q)
    assert jackknife_estimate(own.replicates).high > 1
    assert own.estimate().high < 1
    assert own.critical((Q,)) > 0


def test_ends_that_are_not_possible_are_put_where_it_is():
    replicates = Replicates(0.05, 0.05 + 0.01 * np.sin(np.arange(12.0)))
    plain = statistic_named("variance").scale
    assert jackknife_estimate(replicates, scale=plain).low < 0
    found = statistic_named("variance").estimate(replicates)
    assert found.low == 0.0
    assert found.high == jackknife_estimate(replicates).high
    assert found.value == jackknife_estimate(replicates).value


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("variance", 0, 1), ("mean_square", 0, 1), ("mean_absolute", 0, 1), ("sign_balance", -1, 1), ("row_mean", -1, 1),
     ("row_cosine", -1, 1), ("row_variance", 0, 1), ("token_minus_context", -1, 1), ("stability", -np.inf, 1),
     ("collapse", 0, np.inf)],
)  # fmt: skip
def test_what_each_statistic_can_be(name, least, most):
    assert statistics_by_name()[name].possible == (least, most)


def test_contexts_that_would_settle_it_are_counted_on_the_scale_of_the_interval(rng):
    x = rng.normal(size=(25, 12)) + 1
    own = measure(statistic_named("row_mean"), Sample((x,), {"Q": slice(0, 12)}), Q)
    found = own.estimate()
    threshold = (found.value + found.high) / 2
    z = np.arctanh
    half = max(z(found.high) - z(found.value), z(found.value) - z(found.low))
    needed = 25 * (half / (z(threshold) - z(found.value))) ** 2
    assert own.statistic.interval_scale is FISHER_Z
    assert contexts_needed(found, threshold, n=25, scale=FISHER_Z) == int(np.ceil(needed)) + 1
    assert statistic_named("variance").interval_scale is RAW


def test_the_longest_row_against_the_middle_one(rng):
    x = rng.normal(size=(21, 6)) + 4
    x[3] += 30
    squares = sorted(sum((v - m) ** 2 for v, m in zip(row, x.mean(axis=0), strict=True)) for row in x)
    assert tail_ratio(x) == pytest.approx(squares[-1] / squares[10], rel=1e-12)
    assert tail_ratio(x) > HEAVY
    assert tail_ratio(np.ones((5, 2))) is None
