"""What explains rows, clusters of it, and the clusters that move a number most, against their definitions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from qkvcheck.groups import FIRST_TOKEN, POSITION, PRECEDING_TOKEN, Comparison
from qkvcheck.statistics import Sample, measure, omega_squared, statistic_named
from qkvcheck.statistics.dependence.factors import explained, governing_factors
from qkvcheck.statistics.dependence.intervals import governed_estimate, influence

QQ, Q = Comparison("QQ", "cosine"), Comparison("Q", "cosine")


def slow_omega(x, labels, beyond=None):
    """Return the definition, one number at a time."""
    n, d = len(x), len(x[0])
    levels, total, between, within, free = sorted(set(labels)), 0.0, 0.0, 0.0, n - len(set(labels))
    if beyond is not None:
        free -= len(set(beyond)) - 1
    for j in range(d):
        column = [float(row[j]) for row in x]
        mean = sum(column) / n
        total += sum((value - mean) ** 2 for value in column)
        left = [value - mean for value in column]
        if beyond is not None:
            means = {b: np.mean([v for v, own in zip(left, beyond, strict=True) if own == b]) for b in set(beyond)}
            left = [value - means[own] for value, own in zip(left, beyond, strict=True)]
        for level in levels:
            members = [value for value, own in zip(left, labels, strict=True) if own == level]
            middle = sum(members) / len(members)
            between += len(members) * middle**2
            within -= len(members) * middle**2
        within += sum(value**2 for value in left)
    ms = within / free
    return (between - (len(levels) - 1) * ms) / (total + ms)


UNEVEN = list("aaabbbbbcddddeeeffg" + "aabbbccdd")


@pytest.mark.parametrize("d", [1, 7, 40])
@pytest.mark.parametrize("effect", [0.0, 2.0])
def test_omega_squared_is_what_its_definition_says(rng, d, effect):
    means = {level: effect * rng.normal(size=d) for level in "abcdefg"}
    x = np.stack([means[level] for level in UNEVEN]) + rng.normal(size=(28, d)) + 5
    assert omega_squared(x, UNEVEN) == pytest.approx(slow_omega(x, UNEVEN), abs=1e-10)
    other = list("xyzw" * 7)
    assert omega_squared(x, other, beyond=UNEVEN) == pytest.approx(slow_omega(x, other, UNEVEN), abs=1e-10)


def test_omega_squared_of_one_dimension_is_the_textbook_one():
    x, labels = np.array([[1.0], [2.0], [3.0], [7.0], [8.0], [9.0]]), list("aaabbb")
    assert omega_squared(x, labels) == pytest.approx((54.0 - 1.0) / (58.0 + 1.0))


def test_omega_squared_where_nothing_can_be_said():
    x = np.arange(6.0)[:, None]
    assert omega_squared(x, list("abcdef")) is None
    assert omega_squared(np.ones((6, 2)), list("aabbcc")) is None
    assert omega_squared(x, list("aaaaaa")) == 0.0
    assert omega_squared(x, list("aaabbb"), beyond=list("abcdea")) is None


def test_what_is_nested_explains_nothing_beyond(rng):
    coarse, fine = np.repeat(range(3), 8).astype(str).tolist(), np.repeat(range(12), 2).astype(str).tolist()
    x = rng.normal(size=(12, 9))[np.repeat(range(12), 2)] * 5 + rng.normal(size=(24, 9))
    assert omega_squared(x, fine) > 0.8
    assert omega_squared(x, coarse, beyond=fine) < 0


def made(rng, *, verb=0.0, subject=0.0, verbs=12, n=48, d=10):
    """Rows of verbs crossed with subjects."""
    v, s = np.arange(n) % verbs, np.arange(n) // verbs
    x = rng.normal(size=(n, d)) + 3 + verb * rng.normal(size=(verbs, d))[v] + subject * rng.normal(size=(n, d))[s]
    factors = {
        FIRST_TOKEN: tuple(f"s{i}" for i in s),
        PRECEDING_TOKEN: tuple(f"v{i}" for i in v),
        POSITION: tuple(f"p{i}" for i in np.arange(n) % 5),
    }
    return Sample((x,), {"Q": slice(0, d)}, factors=factors)


def test_the_rule_takes_what_explains_most(rng):
    assert governing_factors([made(rng, verb=5).rows]) == (PRECEDING_TOKEN,)
    assert governing_factors([made(rng, subject=5).rows]) == (FIRST_TOKEN,)
    assert governing_factors([made(rng, d=200).rows]) == ()
    assert governing_factors([made(rng, verb=3, subject=2, d=200).rows]) == (PRECEDING_TOKEN, FIRST_TOKEN)
    bare = made(rng, verb=5)
    assert governing_factors([replace(bare, factors={}).rows]) == ()


def test_of_factors_as_good_the_coarser_makes_the_clusters(rng):
    sample = made(rng, verb=9)
    merged = tuple(f"m{int(v[1:]) // 2}" for v in sample.factors[PRECEDING_TOKEN])
    x = np.stack([10 * np.eye(10)[int(m[1:])] for m in merged]) + rng.normal(size=(48, 10))
    tied = replace(sample, arrays=(x,), factors={**sample.factors, POSITION: merged})
    shares = {one.factor: one.share for one in explained(tied.rows)}
    assert abs(shares[POSITION] - shares[PRECEDING_TOKEN]) < 0.05
    assert governing_factors([tied.rows]) == (POSITION,)


def slow_jackknife(x, labels, number, widening=3.0):
    whole, every = number(x), sorted(set(labels))
    at = np.array(labels)
    pseudo = [len(every) * whole - (len(every) - 1) * number(x[at != level]) for level in every]
    g = len(every)
    wider = (g + widening) / (g - widening)
    return np.mean(pseudo), np.var(pseudo, ddof=1) / g * wider, g


def possible(centre, reach):
    """Return the ends of an interval of a variance of cosines: none is beyond what it can be."""
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def variance_of_cosines(x):
    unit = x / np.linalg.norm(x, axis=0)
    return np.var((unit.T @ unit)[np.triu_indices(x.shape[1], k=1)])


def test_one_factor_makes_the_clusters(rng):
    sample = made(rng, verb=5)
    found = governed_estimate(measure(statistic_named("variance"), sample, QQ))
    assert found is not None
    assert found.kind == PRECEDING_TOKEN
    centre, square, g = slow_jackknife(sample.arrays[0], sample.factors[PRECEDING_TOKEN], variance_of_cosines)
    reach = student.ppf(0.975, g - 1) * np.sqrt(square)
    assert (found.estimate.low, found.estimate.high) == pytest.approx(possible(centre, reach), abs=1e-10)
    assert found.estimate.clusters == 12


def test_two_factors_make_clusters_both_ways(rng):
    sample = made(rng, verb=3, subject=2, d=40)
    found = governed_estimate(measure(statistic_named("variance"), sample, QQ))
    assert found is not None
    assert found.factors == (PRECEDING_TOKEN, FIRST_TOKEN)
    x, verbs, subjects = sample.arrays[0], sample.factors[PRECEDING_TOKEN], sample.factors[FIRST_TOKEN]
    both = [v + s for v, s in zip(verbs, subjects, strict=True)]
    (c1, v1, g1), (c2, v2, g2), (c12, v12, _) = (
        slow_jackknife(x, labels, variance_of_cosines) for labels in (verbs, subjects, both)
    )
    # with four subjects there are too few for the widening's formula
    v2 = v2 / ((g2 + 3) / (g2 - 3)) * 3
    centre, square = c1 + c2 - c12, max(v1 + v2 - v12, v1, v2)
    reach = student.ppf(0.975, min(g1, g2) - 1) * np.sqrt(square)
    assert found.estimate.value == pytest.approx(centre, abs=1e-10)
    assert (found.estimate.low, found.estimate.high) == pytest.approx(possible(centre, reach), abs=1e-10)


def test_there_is_nothing_to_say_where_the_clusters_are_these(rng):
    sample = made(rng, verb=5)
    named = replace(sample, clusters=(sample.factors[PRECEDING_TOKEN],))
    assert governed_estimate(measure(statistic_named("variance"), named, QQ)) is None
    assert governed_estimate(measure(statistic_named("variance"), replace(sample, factors={}), QQ)) is None
    none = made(rng, d=200)
    assert governed_estimate(measure(statistic_named("variance"), none, QQ)) is None
    clustered = measure(statistic_named("variance"), replace(none, clusters=(none.factors[FIRST_TOKEN],)), QQ)
    found = governed_estimate(clustered)
    assert found is not None
    assert (found.kind, found.estimate.clusters) == ("distinct row", 48)


def test_the_largest_share_and_what_is_left_without_the_two_largest(rng):
    x = rng.normal(size=(30, 8)) + 2
    x[7] *= 40
    x[19] *= -15
    labels = tuple(f"c{i // 2:02d}" for i in range(30))
    own = measure(statistic_named("variance"), Sample((x,), {"Q": slice(0, 8)}, (labels,)), QQ)
    found = influence(own)
    assert found is not None
    whole, every = variance_of_cosines(x), sorted(set(labels))
    pseudo = np.array([15 * whole - 14 * variance_of_cosines(x[np.array(labels) != c]) for c in every])
    squares = (pseudo - pseudo.mean()) ** 2
    assert found.share == pytest.approx(squares.max() / squares.sum(), abs=1e-10)
    largest = [every[i] for i in np.argsort(-squares)[:2]]
    assert list(found.largest) == largest
    kept = [i for i in range(30) if labels[i] not in largest]
    centre, square, g = slow_jackknife(x[kept], [labels[i] for i in kept], variance_of_cosines)
    reach = student.ppf(0.975, g - 1) * np.sqrt(square)
    assert found.without is not None
    assert (found.without.low, found.without.high) == pytest.approx(possible(centre, reach), abs=1e-10)


def test_influence_where_there_is_none():
    x = np.tile(np.arange(1.0, 9.0), (12, 1)) * np.arange(1.0, 13.0)[:, None]
    assert influence(measure(statistic_named("row_mean"), Sample((x,), {"Q": slice(0, 8)}), Q)) is None
    few = Sample((np.random.default_rng(0).normal(size=(3, 8)),), {"Q": slice(0, 8)})
    found = influence(measure(statistic_named("row_mean"), few, Q))
    assert found is not None
    assert found.without is None


def test_uneven_levels_are_what_is_meant():
    assert sorted(Counter(UNEVEN).values())[0] == 1
