"""Discriminant: scikit-learn's decisions, fitted anew for each context; and the exact law of the permutation test."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics import Sample, jackknife_estimate, measure, statistic_named
from qkvcheck.statistics.further.discriminant import named_rightly, named_words, permutation_test, right_by_chance


def grid(rng, n: int, w: int, d: int, *, noise: float = 1.0) -> np.ndarray:
    """Words that differ less than contexts do, in dimensions of unequal size."""
    sizes = np.geomspace(1, 30, d)
    rows = rng.normal(size=(1, w, d)) + 2 * rng.normal(size=(n, 1, d)) + noise * rng.normal(size=(n, w, d))
    return sizes * rows + 5


def by_definition(words: np.ndarray, shrinkage: float) -> np.ndarray:
    """Each context left out, its covariance formed and inverted, row by row."""
    n, w, d = words.shape
    found = np.empty((n, w), dtype=int)
    for c in range(n):
        rest = np.delete(words, c, axis=0)
        means = rest.mean(axis=0)
        covariance = np.zeros((d, d))
        for context in rest:
            for word in range(w):
                covariance += np.outer(context[word] - means[word], context[word] - means[word])
        covariance /= (n - 1) * w
        sigma = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / d * np.eye(d)
        inverse = np.linalg.inv(sigma)
        for row in range(w):
            distances = [(words[c, row] - m) @ inverse @ (words[c, row] - m) for m in means]
            found[c, row] = int(np.argmin(distances))
    return found


@pytest.mark.parametrize(("n", "w", "d"), [(12, 5, 8), (6, 4, 40)])
@pytest.mark.parametrize("shrinkage", [0.001, 0.3, 0.9])
def test_decisions_are_those_of_the_definition(rng, n, w, d, shrinkage):
    """Also where there are more dimensions than rows: all that happens stays in the rows' span."""
    words = grid(rng, n, w, d)
    expected = by_definition(words, shrinkage)
    assert (named_words(words, shrinkage=shrinkage) == expected).all()
    assert 0 < (expected == np.arange(w)).mean() < 1


@pytest.mark.parametrize(("n", "w", "d"), [(14, 6, 10), (8, 5, 60)])
def test_decisions_are_scikit_learns(rng, n, w, d):
    analysis = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis
    words = grid(rng, n, w, d)
    labels = np.tile(np.arange(w), n - 1)
    expected = [
        analysis(solver="lsqr", shrinkage=0.001)
        .fit(np.delete(words, c, axis=0).reshape(-1, d), labels)
        .predict(words[c])
        for c in range(n)
    ]
    assert (named_words(words) == np.array(expected)).all()


def test_nothing_changes_if_rows_are_shifted_turned_or_scaled(rng):
    words = grid(rng, 20, 6, 9)
    turn = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    for other in (words + 100, words @ turn, words * 1e-30, words * 1e30, (words @ turn).astype(np.float32)):
        assert (named_words(other) == named_words(words)).all()
    padded = np.concatenate([words, np.zeros((20, 6, 2000))], axis=2)
    assert (
        named_words(padded, shrinkage=0.001) == named_words(words, shrinkage=0.001 * 9 / 2009 / 0.999)
    ).mean() > 0.95


def test_chance_is_what_noise_gives():
    found = [named_rightly(np.random.default_rng(seed).normal(size=(20, 5, 6))).mean() for seed in range(40)]
    assert np.mean(found) == pytest.approx(1 / 5, abs=0.02)


def test_too_little_is_refused(rng):
    with pytest.raises(ClaimError, match=r"words of shape \(2, 3, 4\) can't be told apart; give at least 3 contexts"):
        named_words(rng.normal(size=(2, 3, 4)))
    same = np.broadcast_to(rng.normal(size=(1, 3, 4)), (5, 3, 4))
    with pytest.raises(ClaimError, match="no word differs from one context to another"):
        named_words(same)
    with pytest.raises(ClaimError, match="no word differs from one context to another"):
        permutation_test(same)


def test_the_interval_is_that_of_a_mean_over_contexts(rng):
    """Leaving a cluster out leaves its contexts out of the mean; nothing is fitted anew."""
    words = grid(rng, 24, 5, 8, noise=3.0)
    clusters = (tuple(f"c{i // 2}" for i in range(24)),)
    sample = Sample((words,), {"Q": slice(0, 8)}, clusters, "pairs")
    found = measure(statistic_named("token_identity"), sample, Comparison("Q", "accuracy"))
    shares = (by_definition(words, 0.001) == np.arange(5)).mean(axis=1)
    assert found.plug_in == pytest.approx(shares.mean(), abs=1e-12)
    order = sorted(set(clusters[0]))
    without = [np.mean([s for s, c in zip(shares, clusters[0], strict=True) if c != out]) for out in order]
    np.testing.assert_allclose(found.replicates.without, without, atol=1e-12)
    assert found.estimate().value == pytest.approx(jackknife_estimate(found.replicates).value)


@pytest.mark.parametrize("given", [[1, 1, 1, 1], [2, 0, 1, 1], [4, 0, 0, 0], [0, 3, 0, 1], [0, 0, 0, 4]])
def test_the_law_of_right_names_is_that_of_all_orders(given):
    rows = [word for word, count in enumerate(given) for _ in range(count)]
    right = [sum(a == b for a, b in zip(rows, order, strict=True)) for order in itertools.permutations(range(4))]
    np.testing.assert_allclose(right_by_chance(np.array(given)), np.bincount(right, minlength=5) / 24, atol=1e-15)


def test_the_permutation_test_counts_all_orders(rng):
    """Against every order of the words of two contexts that the others name."""
    words = grid(rng, 4, 3, 5, noise=2.0)
    share, p_value = permutation_test(words, shrinkage=0.1)
    fitted = words[::2]
    means = fitted.mean(axis=0)
    within = (fitted - means).reshape(-1, 5)
    covariance = within.T @ within / len(within)
    inverse = np.linalg.inv(0.9 * covariance + 0.1 * np.trace(covariance) / 5 * np.eye(5))
    named = [
        [min(range(3), key=lambda k: (x - means[k]) @ inverse @ (x - means[k])) for x in one] for one in words[1::2]
    ]
    right = sum(name == word for one in named for word, name in enumerate(one))
    orders = list(itertools.permutations(range(3)))
    counts = [
        sum(a == b for one, order in zip(named, both, strict=True) for a, b in zip(one, order, strict=True))
        for both in itertools.product(orders, orders)
    ]
    assert share == pytest.approx(right / 6)
    assert p_value == pytest.approx(np.mean([count >= right for count in counts]), abs=1e-12)


def test_the_p_value_is_rarely_small_under_the_null_hypothesis():
    """Words in a random order within each context: at most 5 % of the p-values are at most .05."""
    p_values = [permutation_test(np.random.default_rng(seed).normal(size=(20, 4, 6)))[1] for seed in range(300)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
    assert 0 < permutation_test(np.random.default_rng(0).normal(size=(1, 20, 9)) + np.zeros((54, 1, 1))
                                + 1e-3 * np.random.default_rng(1).normal(size=(54, 20, 9)))[1] < 1e-300  # fmt: skip
