"""Two ways: what noise gives, against shuffled cells; the interval over contexts and words, against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from qkvcheck.statistics.formulas import token_minus_context
from qkvcheck.statistics.further.two_way import noise_token_minus_context, two_way_estimate
from qkvcheck.statistics.jackknife import Replicates


@pytest.mark.parametrize(("contexts", "words"), [(54, 20), (6, 9), (7, 7)])
def test_noise_value_is_the_mean_over_orders_of_the_cells(rng, contexts, words):
    """Whatever the vectors are: here heavy-tailed, with an outlier and a common direction."""
    cells = rng.standard_t(3, size=(contexts * words, 3)) + rng.normal(size=3)
    cells[0] += 20
    found = [token_minus_context(rng.permutation(cells).reshape(contexts, words, 3)) for _ in range(3000)]
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(noise_token_minus_context(contexts, words), abs=4 * error)
    assert error < 0.003


def test_noise_value_of_the_claims_grid():
    assert noise_token_minus_context(54, 20) == pytest.approx(-0.0315, abs=5e-5)


def without_each(grid: np.ndarray, axis: int) -> Replicates:
    left_out = [token_minus_context(np.delete(grid, i, axis=axis)) for i in range(grid.shape[axis])]
    return Replicates(token_minus_context(grid), np.array(left_out))


def two_way_grid(rng, *, words=1.0, contexts=0.7, cells=0.5, n=24, w=12, d=4) -> np.ndarray:
    return (
        words * rng.normal(size=(1, w, d)) + contexts * rng.normal(size=(n, 1, d)) + cells * rng.normal(size=(n, w, d))
    )


@pytest.mark.parametrize("widening", [0.0, 3.0])
def test_the_interval_is_what_its_definition_says(rng, widening):
    grid = two_way_grid(rng)
    found = two_way_estimate(without_each(grid, 0), without_each(grid, 1), widening=widening)
    whole, value, variance = token_minus_context(grid), token_minus_context(grid), 0.0
    for axis in (0, 1):
        count = grid.shape[axis]
        left_out = [token_minus_context(np.delete(grid, i, axis=axis)) for i in range(count)]
        mean = sum(left_out) / count
        value -= (count - 1) * (mean - whole)
        jackknife = (count - 1) / count * sum((one - mean) ** 2 for one in left_out)
        variance += jackknife * (count + widening) / (count - widening)
    reach = student.ppf(0.975, 11) * np.sqrt(variance)
    assert found.plug_in == whole
    assert found.value == pytest.approx(value, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((value - reach, value + reach), abs=1e-10)
    assert found.clusters == 12


def test_the_interval_over_contexts_alone_does_not_cover_other_words(rng):
    """One draw in fifty of words and contexts: the two-way interval holds the population's value, the other rarely."""
    truth = (1 - 0.49) / (1 + 0.49 + 0.25)
    both, alone = [], []
    for _ in range(60):
        grid = two_way_grid(rng)
        by_context, by_word = without_each(grid, 0), without_each(grid, 1)
        found = two_way_estimate(by_context, by_word)
        both.append(found.low <= truth <= found.high)
        flat = two_way_estimate(by_context, Replicates(by_word.whole, np.full(12, by_word.whole)))
        alone.append(flat.low <= truth <= flat.high)
    assert np.mean(both) > 0.9
    assert np.mean(alone) < np.mean(both) - 0.1
