"""Similarities of scores, against loops; no change of basis moves them."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Comparison
from qkvcheck.statistics import Sample, score_rows, score_values, statistic_named

HEADS = {"Q": 4, "K": 2, "V": 2}
PLACES = {"Q": slice(0, 24), "K": slice(24, 36), "V": slice(36, 46)}
EVERY = [Comparison(g, m) for g in ("QQ", "KK", "QK") for m in ("cosine", "pearson")]


def sample_of(x, heads=HEADS):
    return Sample((x,), PLACES, heads=heads)


@pytest.fixture
def x(rng):
    return rng.normal(size=(21, 46)) + rng.normal(size=46)


def loops(x):
    """Rows of Q and of K: [(head, other context) -> product] for each context."""
    n = len(x)
    query, key = np.empty((n, 4 * n)), np.empty((n, 4 * n))
    for i in range(n):
        for j in range(n):
            for head in range(4):
                start = 24 + 6 * (head // 2)
                query[i, head * n + j] = x[i, 6 * head : 6 * head + 6] @ x[j, start : start + 6]
                key[j, head * n + i] = query[i, head * n + j]
    return query, key


def test_rows_are_products_with_every_context(x):
    seen = score_rows(sample_of(x).rows)
    query, key = loops(x)
    np.testing.assert_allclose(seen.arrays[0][:, seen.projections["Q"]], query, atol=1e-12)
    np.testing.assert_allclose(seen.arrays[0][:, seen.projections["K"]], key, atol=1e-12)


def cosine(a, b, measure):
    if measure == "pearson":
        a, b = a - a.mean(), b - b.mean()
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_numbers_are_the_claims_own_of_scores(x, measure):
    seen = dict(zip("QK", loops(x), strict=True))
    pairs = [(i, j) for i in range(21) for j in range(i)]
    for group in "QK":
        wanted = np.mean([cosine(seen[group][i], seen[group][j], measure) for i, j in pairs])
        comparison = Comparison(group, measure)
        found = score_values(statistic_named("row_mean"), sample_of(x).rows, [comparison])
        assert found == {comparison: pytest.approx(wanted, abs=1e-10)}
    columns = seen["Q"].T
    c = np.array([cosine(columns[i], columns[j], measure) for i in range(len(columns)) for j in range(i)])
    found = score_values(statistic_named("variance"), sample_of(x).rows, [Comparison("QQ", measure)])
    assert found[Comparison("QQ", measure)] == pytest.approx(c.var(), abs=1e-10)


def changed(rng, x):
    """The same network in another basis of every head: one M a key head."""
    y = x.copy()
    for key in range(2):
        m = rng.normal(size=(6, 6)) + 3 * np.eye(6)
        k = slice(24 + 6 * key, 30 + 6 * key)
        y[:, k] = x[:, k] @ np.linalg.inv(m).T
        for head in (2 * key, 2 * key + 1):
            y[:, 6 * head : 6 * head + 6] = x[:, 6 * head : 6 * head + 6] @ m
    return y


def test_no_basis_moves_them_while_v_moves(rng, x):
    moved = 0.0
    for _ in range(10):
        y = changed(rng, x)
        for name in ("variance", "mean_absolute", "sign_balance"):
            one, other = (score_values(statistic_named(name), sample_of(z).rows, EVERY) for z in (x, y))
            for comparison in EVERY:
                assert one[comparison] == pytest.approx(other[comparison], abs=1e-9)
        variance = statistic_named("variance")
        rows = [sample_of(z).rows for z in (x, y)]
        one, other = (variance.values(each.arrays, each, EVERY)[0] for each in rows)
        moved = max(moved, abs(one - other))
    assert moved > 0.02


def test_values_have_no_scores(x):
    every = [Comparison("QV", "cosine"), Comparison("QQ", "cosine")]
    assert list(score_values(statistic_named("variance"), sample_of(x).rows, every)) == [every[1]]


def test_heads_have_to_be_known(x):
    with pytest.raises(NotCapturedError, match="how many heads"):
        score_rows(sample_of(x, heads={}).rows)
    with pytest.raises(NotCapturedError, match="do not hold both"):
        score_rows(Sample((x,), {"Q": slice(0, 24)}, heads={"Q": 4}).rows)
