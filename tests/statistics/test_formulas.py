"""Statistics against loops written from the definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate

from qkvcheck.errors import ClaimError
from qkvcheck.statistics import formulas as statistics


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def similarity(a: np.ndarray, b: np.ndarray, measure: str) -> float:
    return cosine(a, b) if measure == "cosine" else cosine(a - a.mean(), b - b.mean())


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.normal(size=(9, 12)) + rng.normal(size=12) + 0.5


@pytest.fixture
def y(rng) -> np.ndarray:
    return rng.normal(size=(9, 7)) - rng.normal(size=7)


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_over_pairs_of_dimensions(x, y, measure):
    within = np.array([similarity(x[:, i], x[:, j], measure) for i, j in itertools.combinations(range(12), 2)])
    across = np.array([similarity(x[:, i], y[:, j], measure) for i in range(12) for j in range(7)])
    for c, second in ((within, None), (across, y)):
        assert statistics.variance(x, second, measure=measure) == pytest.approx(c.var(), abs=1e-12)
        assert statistics.mean_absolute(x, second, measure=measure) == pytest.approx(np.abs(c).mean(), abs=1e-12)
        assert statistics.sign_balance(x, second, measure=measure) == pytest.approx(
            c.mean() / np.abs(c).mean(), abs=1e-12
        )


def test_variance_with_a_zero_column(x):
    x[:, 3] = 0
    c = [0.0 if 3 in (i, j) else cosine(x[:, i], x[:, j]) for i, j in itertools.combinations(range(12), 2)]
    assert statistics.variance(x) == pytest.approx(np.var(c), abs=1e-12)


def test_variance_at_its_ends():
    poles = np.outer(np.ones(5), np.r_[np.ones(200), -np.ones(200)])
    assert statistics.variance(poles) == pytest.approx(1.0, abs=1e-4)
    alike = np.ones((5, 40))
    assert statistics.variance(alike) == pytest.approx(0.0, abs=1e-12)
    # Rank one with random signs has V near 1; random vectors have 1/n.
    noise = np.random.default_rng(0).normal(size=(54, 2000))
    assert statistics.variance(noise) == pytest.approx(1 / 54, rel=0.02)


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_over_pairs_of_rows(x, measure):
    c = np.array([similarity(x[i], x[j], measure) for i, j in itertools.combinations(range(9), 2)])
    assert statistics.row_mean(x, measure=measure) == pytest.approx(c.mean(), abs=1e-12)
    assert statistics.row_variance(x, measure=measure) == pytest.approx(c.var(), abs=1e-12)


def test_row_quantiles(x):
    c = sorted(similarity(x[i], x[j], "pearson") for i, j in itertools.combinations(range(9), 2))
    found = statistics.row_quantiles(x, measure="pearson")
    assert list(found) == ["0", "0.05", "0.25", "0.5", "0.75", "0.95", "1"]
    assert (found["0"], found["1"]) == pytest.approx((c[0], c[-1]), abs=1e-12)
    assert found["0.5"] == pytest.approx((c[17] + c[18]) / 2, abs=1e-12)


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_least_row_mean(x, rng, measure):
    fresh = rng.normal(size=(4, 12))
    means = [np.mean([similarity(f, row, measure) for row in x]) for f in fresh]
    assert statistics.least_row_mean(fresh, x, measure=measure) == pytest.approx(min(means), abs=1e-12)
    assert min(means) < sorted(means)[1]


@pytest.fixture
def words(rng) -> np.ndarray:
    """(context, word, dimension) with a word part, a context part and noise."""
    return rng.normal(size=(6, 1, 8)) + 2 * rng.normal(size=(1, 5, 8)) + 0.3 * rng.normal(size=(6, 5, 8)) + 1


def test_token_minus_context(words):
    grand = words.mean(axis=(0, 1))
    total = tokens = contexts = 0.0
    for c in range(6):
        for w in range(5):
            total += ((words[c, w] - grand) ** 2).sum()
            tokens += ((words[:, w].mean(axis=0) - grand) ** 2).sum()
            contexts += ((words[c].mean(axis=0) - grand) ** 2).sum()
    want = (tokens - contexts) / total
    assert statistics.token_minus_context(words) == pytest.approx(want, abs=1e-12)
    assert want > 0.2
    assert statistics.token_minus_context(words.transpose(1, 0, 2)) == pytest.approx(-want, abs=1e-12)


def test_token_minus_context_by_similarity(words):
    centred = words - words.mean(axis=(0, 1))
    same_word = [cosine(centred[a, w], centred[b, w]) for w in range(5) for a, b in itertools.combinations(range(6), 2)]
    same_context = [
        cosine(centred[c, a], centred[c, b]) for c in range(6) for a, b in itertools.combinations(range(5), 2)
    ]
    want = np.mean(same_word) - np.mean(same_context)
    assert statistics.token_minus_context_similarity(words) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_stability(words, measure):
    same = np.mean([similarity(words[a, 0], words[b, 0], measure) for a, b in itertools.combinations(range(6), 2)])
    floor = np.mean(
        [
            similarity(words[a, v], words[b, w], measure)
            for a, b in itertools.permutations(range(6), 2)
            for v, w in itertools.permutations(range(5), 2)
        ]
    )
    want = (same - floor) / (1 - floor)
    assert statistics.stability(words, measure=measure) == pytest.approx(want, abs=1e-12)


def test_cosines_are_meant_where_nothing_is_said(x, y, words):
    for name, arguments in (
        ("variance", (x,)), ("variance", (x, y)), ("mean_absolute", (x,)), ("sign_balance", (x, y)), ("row_mean", (x,)),
        ("row_variance", (x,)), ("row_quantiles", (x,)), ("least_row_mean", (x, x + 1)), ("stability", (words,)),
    ):  # fmt: skip
        function = getattr(statistics, name)
        assert function(*arguments) == function(*arguments, measure="cosine")
        assert function(*arguments) != function(*arguments, measure="pearson")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_words_of_any_size(words, scale):
    """Rows shorter than 1 are brought to length one as longer ones are."""
    for function in (statistics.stability, statistics.token_minus_context_similarity, statistics.token_minus_context):
        assert function(scale * words) == pytest.approx(function(words), abs=1e-12)


def test_narrow_numbers_are_computed_in_float64(words, x):
    """Of float32 the same number to twelve digits, whatever the statistic."""
    narrow, rows = words.astype(np.float32), x.astype(np.float32)
    for function in (statistics.stability, statistics.token_minus_context_similarity, statistics.token_minus_context):
        assert function(narrow) == pytest.approx(function(narrow.astype(np.float64)), abs=1e-13)
    for function in (statistics.variance, statistics.row_mean, statistics.row_variance, statistics.mean_absolute):
        assert function(rows) == pytest.approx(function(rows.astype(np.float64)), abs=1e-13)


def test_words_that_are_all_alike():
    alike = np.ones((4, 3, 5))
    assert statistics.stability(alike) == 0.0
    assert statistics.token_minus_context(alike) == 0.0
    assert statistics.token_minus_context_similarity(alike) == 0.0
    alike[1, 2] = 0.0  # a word of no length counts as 0 with everything
    assert np.isfinite(statistics.stability(alike))


def test_one_dimension_has_no_pairs(x):
    with pytest.raises(ClaimError, match=r"^a block of one dimension has no pairs to compare; give at least two"):
        statistics.variance(x[:, :1])
    assert np.isfinite(statistics.variance(x[:, :1], x[:, 1:2]))


def test_rows_of_a_grid_are_those_of_its_first_word(x, words):
    assert statistics.observations(x) is x
    np.testing.assert_array_equal(statistics.observations(words), words[:, 0])


@pytest.mark.parametrize("n", [2, 3, 54])
def test_random_mean_absolute_is_the_integral(n):
    """Of abs(c) under the law of a cosine between random vectors in n dimensions."""
    want = integrate.quad(lambda t: np.cos(t) * np.sin(t) ** (n - 2), 0, np.pi / 2)[0]
    want /= integrate.quad(lambda t: np.sin(t) ** (n - 2), 0, np.pi / 2)[0]
    assert statistics.random_mean_absolute(n) == pytest.approx(want, rel=1e-9)


def test_one_row_has_no_pairs():
    with pytest.raises(ClaimError, match=r"1 row\(s\) have no pairs"):
        statistics.row_mean(np.ones((1, 4)))
