"""Coverage of the interval over contexts and words, and of the share of words named rightly (slow).

`pytest tests/statistics/test_coverage_further.py -m slow -s` prints the figures.
"""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.groups import Comparison
from qkvcheck.statistics import Replicates, Sample, jackknife_estimate, measure, statistic_named, two_way_estimate
from qkvcheck.statistics.formulas import token_minus_context
from tests.statistics.test_coverage import population  # noqa: F401

pytestmark = pytest.mark.slow
DRAWS = 300
EVEN, FALLING = np.ones(64), 1 / np.arange(1, 65)


def without_each(grid: np.ndarray, axis: int, whole: float) -> Replicates:
    left_out = [token_minus_context(np.delete(grid, i, axis=axis)) for i in range(grid.shape[axis])]
    return Replicates(whole, np.array(left_out))


@pytest.mark.parametrize(
    ("contexts", "words", "spectrum", "parts"),
    [
        (54, 20, EVEN, (0.5, 0.3, 0.2)),
        (54, 20, np.ones(6), (0.5, 0.3, 0.2)),
        (54, 20, FALLING, (0.4, 0.4, 0.2)),
        (54, 13, FALLING, (0.4, 0.4, 0.2)),
        (27, 20, FALLING, (0.4, 0.4, 0.2)),
        (54, 20, EVEN, (0.0, 0.0, 1.0)),
    ],
)
def test_over_contexts_and_words(contexts, words, spectrum, parts):
    """Words, contexts and cells drawn anew; an interval over contexts alone holds the population's value too rarely."""
    rng, size = np.random.default_rng(5), np.sqrt(spectrum / spectrum.sum())
    token, place, cell = np.sqrt(parts)
    truth, both, alone, values = (parts[0] - parts[1]) / sum(parts), 0, 0, []
    for _ in range(DRAWS):
        shapes = ((1, words), (contexts, 1), (contexts, words))
        noise = [rng.normal(size=(*shape, len(size))) for shape in shapes]
        grid = size * (token * noise[0] + place * noise[1] + cell * noise[2])
        whole = token_minus_context(grid)
        by_context = without_each(grid, 0, whole)
        found, flat = two_way_estimate(by_context, without_each(grid, 1, whole)), jackknife_estimate(by_context)
        both += found.low <= truth <= found.high
        alone += flat.low <= truth <= flat.high
        values.append(found.value)
    print(f"\n{contexts} x {words}: covers {both / DRAWS:.3f}, over contexts alone {alone / DRAWS:.3f}, "
          f"mean {np.mean(values):.3f} of {truth:.3f}")  # fmt: skip
    assert both / DRAWS >= 0.93
    assert alone < both
    assert np.mean(values) == pytest.approx(truth, abs=0.02)


@pytest.mark.parametrize("n", [27, 54])
@pytest.mark.parametrize("group", ["Q", "K"])
def test_words_named_rightly(population, group, n):  # noqa: F811
    """Around the mean over draws: the share hangs on how many contexts there are to fit, so the population has none."""
    rng, blocks = np.random.default_rng(16), {name: slice(128 * i, 128 * (i + 1)) for i, name in enumerate("QKV")}
    found = []
    for _ in range(DRAWS):
        rows = population["words"][rng.choice(len(population["words"]), n, replace=False)]
        own = measure(statistic_named("token_identity"), Sample((rows,), blocks), Comparison(group, "accuracy"))
        found.append(own.estimate())
    truth = np.mean([one.value for one in found])
    inside = np.mean([one.low <= truth <= one.high for one in found])
    print(f"\n{group}, n = {n}: mean {truth:.3f}, covers {inside:.3f}")
    assert 0.92 - 0.02 <= inside <= 0.99
