"""Row checks, against their definitions; a planted dimension that makes all rows alike is seen by each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.formulas import row_mean
from qkvcheck.statistics.further.row_checks import (
    participation,
    row_mean_without,
    standardised_row_mean,
    top_dimensions,
)

SHAPES = pytest.mark.parametrize(("n", "d"), [(30, 8), (9, 20)])
MEASURES = pytest.mark.parametrize("how", ["cosine", "pearson"])


def rows(rng, n: int, d: int) -> np.ndarray:
    return rng.normal(size=(n, d)) * np.arange(1, d + 1) + 3 * rng.normal(size=d)


def alike(a: np.ndarray, b: np.ndarray, how: str) -> float:
    if how == "pearson":
        a, b = a - sum(a) / len(a), b - sum(b) / len(b)
    return float(sum(a * b) / np.sqrt(sum(a * a) * sum(b * b)))


def mean_alike(x: np.ndarray, how: str) -> float:
    found = [alike(a, b, how) for a, b in itertools.combinations(x, 2)]
    return sum(found) / len(found)


@SHAPES
@MEASURES
def test_without_the_top_dimensions(rng, n, d, how):
    x = rows(rng, n, d)
    compared = x - x.mean(axis=1)[:, None] if how == "pearson" else x
    offset = [(sum(column) / n) ** 2 for column in compared.T]
    top = sorted(range(d), key=lambda i: -offset[i])[:3]
    assert top_dimensions(x, measure=how).tolist() == top
    kept = [i for i in range(d) if i not in top]
    assert row_mean_without(x, np.array(top), measure=how) == pytest.approx(mean_alike(x[:, kept], how), abs=1e-10)


@SHAPES
@MEASURES
def test_participation(rng, n, d, how):
    x = rows(rng, n, d)
    compared = x - x.mean(axis=1)[:, None] if how == "pearson" else x
    energy = [sum(value**2 for value in column) / n for column in compared.T]
    expected = sum(energy) ** 2 / (d * sum(one**2 for one in energy))
    assert participation(x, measure=how) == pytest.approx(expected, abs=1e-12)
    assert participation(x * 1e-200, measure=how) == pytest.approx(expected, abs=1e-12)


@SHAPES
@MEASURES
def test_standardised(rng, n, d, how):
    x, others = rows(rng, n, d), rows(rng, n + 3, d)
    means = [sum(column) / len(column) for column in others.T]
    spread = [
        np.sqrt(sum((v - m) ** 2 for v in column) / len(column)) for column, m in zip(others.T, means, strict=True)
    ]
    z = (x - np.array(means)) / np.array(spread)
    assert standardised_row_mean(x, others, measure=how) == pytest.approx(mean_alike(z, how), abs=1e-10)
    dead = np.insert(others, 2, 7.0, axis=1)
    assert standardised_row_mean(np.insert(x, 2, 5.0, axis=1), dead, measure=how) == pytest.approx(
        mean_alike(z, how), abs=1e-10
    )


def test_standardised_needs_other_words_that_differ(rng):
    with pytest.raises(ClaimError, match="nothing can be standardised"):
        standardised_row_mean(rows(rng, 9, 3), np.ones((5, 3)))


@MEASURES
def test_one_dimension_with_a_large_constant_is_seen_by_each(how):
    """The referee's example: the mean similarity of rows goes from .790 to .9998 by one dimension."""
    rng = np.random.default_rng(8)
    d = 128
    offset = rng.normal(size=d)
    offset = (offset - offset.mean()) / offset.std()
    others = offset + 1.5 * rng.normal(size=(54, d))
    x = offset + np.sqrt(0.21 / 0.79) * rng.normal(size=(54, d))
    one = np.eye(d)[5] * 900
    assert row_mean(x, measure=how) == pytest.approx(0.79, abs=0.01)
    assert row_mean(x + one, measure=how) > 0.9998
    assert top_dimensions(x + one, measure=how)[0] == 5
    left = row_mean_without(x + one, top_dimensions(x + one, measure=how), measure=how)
    assert left == pytest.approx(0.79, abs=0.02)
    assert participation(x + one, measure=how) == pytest.approx(1 / d, rel=0.05)
    assert participation(x, measure=how) > 0.3
    assert standardised_row_mean(x + one, others + one, measure=how) == pytest.approx(
        standardised_row_mean(x, others, measure=how), abs=0.01
    )
