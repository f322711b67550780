"""Measurements: the scale and the widening of each statistic's interval, against the definition in NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from qkvcheck.groups import Comparison
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample


def correlation(a: np.ndarray, b: np.ndarray, measure_name: str) -> float:
    if measure_name == "pearson":
        a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def over_rows(x: np.ndarray, measure_name: str) -> np.ndarray:
    return np.array([correlation(a, b, measure_name) for a, b in itertools.combinations(x, 2)])


def over_columns(x: np.ndarray, measure_name: str) -> np.ndarray:
    return np.array([correlation(a, b, measure_name) for a, b in itertools.combinations(x.T, 2)])


def collapse(x: np.ndarray, _measure: str) -> float:
    return float((over_columns(x, "pearson") ** 2).mean() / (over_columns(x, "cosine") ** 2).mean())


def offset_share(x: np.ndarray, _measure: str) -> float:
    a = x.mean(axis=0) / np.sqrt((x**2).mean(axis=0))
    products = np.array([a[i] * a[j] for i, j in itertools.combinations(range(len(a)), 2)])
    return float((products**2).mean() / (over_columns(x, "cosine") ** 2).mean())


def balance(c: np.ndarray) -> float:
    return float(c.mean() / np.abs(c).mean())


DEFINED = {
    # name: (group, definition, on a logarithm, widening)
    "row_mean": ("Q", lambda x, m: over_rows(x, m).mean(), False, 3),
    "row_variance": ("Q", lambda x, m: over_rows(x, m).var(), True, 6),
    "variance": ("QQ", lambda x, m: over_columns(x, m).var(), False, 3),
    "mean_square": ("QQ", lambda x, m: (over_columns(x, m) ** 2).mean(), False, 3),
    "mean_absolute": ("QQ", lambda x, m: np.abs(over_columns(x, m)).mean(), False, 3),
    "sign_balance": ("QQ", lambda x, m: balance(over_columns(x, m)), False, 6),
    "collapse": ("QQ", collapse, False, 6),
    "offset_share": ("QQ", offset_share, False, 6),
}

POSSIBLE = {
    **dict.fromkeys(("row_mean", "row_cosine", "sign_balance"), (-1, 1)),
    "collapse": (0, np.inf),
    "offset_share": (-np.inf, np.inf),
}


@pytest.mark.parametrize("measure_name", ["cosine", "pearson"])
@pytest.mark.parametrize("name", DEFINED)
def test_the_interval_is_what_its_definition_says(name, measure_name, rng):
    """The statistic by loops over pairs, without each row by hand, and the jackknife by its formula."""
    group, define, logarithm, widening = DEFINED[name]
    n = 21
    x = rng.normal(size=(n, 5)) + 1.2 * rng.normal(size=5)
    found = measure(statistic_named(name), Sample((x,), {"Q": slice(0, 5)}), Comparison(group, measure_name)).estimate()
    take, back = (np.log, np.exp) if logarithm else (float, float)
    whole = take(define(x, measure_name))
    without = np.array([take(define(np.delete(x, row, axis=0), measure_name)) for row in range(n)])
    pseudo = n * whole - (n - 1) * without
    error = pseudo.std(ddof=1) / np.sqrt(n) * np.sqrt((n + widening) / (n - widening))
    half = stats.t.ppf(0.975, n - 1) * error
    assert found.plug_in == pytest.approx(back(whole), rel=1e-9, abs=1e-12)
    assert found.standard_error == pytest.approx(error, rel=1e-8)
    ends = [back(pseudo.mean() - half), back(pseudo.mean() + half)]
    if name in ("row_mean", "row_cosine"):  # in Fisher's z
        z = n * np.arctanh(whole) - (n - 1) * np.arctanh(without)
        half = stats.t.ppf(0.975, n - 1) * z.std(ddof=1) / np.sqrt(n) * np.sqrt((n + widening) / (n - widening))
        ends = [np.tanh(z.mean() - half), np.tanh(z.mean() + half)]
    least, most = POSSIBLE.get(name, (0, 1))
    want = (back(pseudo.mean()), *np.clip(ends, least, most))
    assert (found.value, found.low, found.high) == pytest.approx(want, rel=1e-8, abs=1e-10)
    assert (found.clusters, found.level) == (n, 0.95)
