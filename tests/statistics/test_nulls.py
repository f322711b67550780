"""Permutation nulls: closed forms against permutations."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.groups import Comparison
from qkvcheck.statistics.nulls import null_value
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Rows


@pytest.mark.parametrize(
    "name", ["variance", "mean_square", "mean_absolute", "sign_balance", "collapse", "offset_share"]
)
def test_closed_references_are_what_permutations_give(rng, name):
    x = rng.normal(size=(25, 200)) + 1.5 * rng.normal(size=200)
    rows = Rows((x,), ([],), {"Q": slice(0, 200)}, {}, 25, 25)
    statistic, comparison = statistic_named(name), Comparison("QQ", "cosine")
    for kind in ("within-column", "shuffled"):
        value, how = null_value(kind, statistic, rows, comparison)
        assert how == "closed form"
        found = []
        for _ in range(20):
            mixed = rng.permuted(x, axis=0) if kind == "within-column" else rng.normal(size=x.shape)
            again = Rows((mixed,), ([],), rows.projections, {}, 25, 25)
            found += statistic.values(again.arrays, again, [comparison])
        assert value == pytest.approx(np.mean(found), abs=0.003, rel=0.02)


@pytest.mark.parametrize("kind", ["shuffled", "within-column"])
def test_references_without_a_closed_form_are_a_permutation(rng, kind):
    """Rows alike in pairs of words and apart from context to context: a permutation takes the likeness of rows away."""
    x = np.repeat(rng.normal(size=(25, 1)), 60, axis=1) + 0.1 * rng.normal(size=(25, 60))
    rows = Rows((x,), ([],), {"Q": slice(0, 60)}, {}, 25, 25)
    statistic, comparison = statistic_named("row_variance"), Comparison("Q", "cosine")
    value, how = null_value(kind, statistic, rows, comparison)
    assert how == "one permutation"
    (own,) = statistic.values(rows.arrays, rows, [comparison])
    assert own > 0.5
    assert value < 0.1


@pytest.mark.parametrize("group", ["QQ", "QK"])
@pytest.mark.parametrize(
    "name", ["variance", "mean_square", "mean_absolute", "sign_balance", "collapse", "offset_share"]
)
def test_closed_references_where_all_dimensions_lean_to_one_side(group, name):
    """The mean cosine is then far from 0, and what is taken off for it counts; across two blocks too."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(12, 120)) + rng.uniform(0.3, 1.2, size=120)
    rows = Rows((x,), ([],), {"Q": slice(0, 70), "K": slice(70, 120)}, {}, 12, 12)
    statistic, comparison = statistic_named(name), Comparison(group, "cosine")
    value, how = null_value("within-column", statistic, rows, comparison)
    found = []
    for _ in range(60):
        mixed = rng.permuted(x, axis=0)
        again = Rows((mixed,), ([],), rows.projections, {}, 12, 12)
        found += statistic.values(again.arrays, again, [comparison])
    assert how == "closed form"
    error = np.std(found, ddof=1) / np.sqrt(60)
    assert abs(value - np.mean(found)) < 4 * error + 0.01 * abs(value)


@pytest.mark.parametrize("kind", ["within-column", "shuffled"])
@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("variance", 1 / 11), ("mean_square", 1 / 11), ("sign_balance", 0.0), ("offset_share", 1 / 11),
        ("mean_absolute", 0.24609375), ("collapse", 11 / 10),
    ],
)  # fmt: skip
def test_correlations_have_one_dimension_fewer(rng, kind, name, want):
    """Centred columns are vectors in n - 1 dimensions, whatever is permuted. 63/256 is the mean abs(cosine) in 11."""
    rows = Rows((rng.normal(size=(12, 9)),), ([],), {"Q": slice(0, 9)}, {}, 12, 12)
    assert null_value(kind, statistic_named(name), rows, Comparison("QQ", "pearson")) == (
        pytest.approx(want, rel=1e-12), "closed form",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("variance", 1 / 12),
        ("mean_square", 1 / 12),
        ("sign_balance", 0.0),
        ("offset_share", 1 / 12),
        ("collapse", 12 / 11),
    ],
)
def test_shuffled_numbers_are_random_vectors(rng, name, want):
    rows = Rows((rng.normal(size=(12, 9)) + 3,), ([],), {"Q": slice(0, 9)}, {}, 12, 12)
    found = null_value("shuffled", statistic_named(name), rows, Comparison("QQ", "cosine"))
    assert found == (pytest.approx(want, rel=1e-12), "closed form")


def test_several_arrays_and_grids_are_permuted(rng):
    """No closed form is known of them; each permutation is the same each time."""
    grid = rng.normal(size=(12, 4, 9)) + 2 * rng.normal(size=(1, 4, 9))
    pair = (rng.normal(size=(12, 9)), rng.normal(size=(12, 9)))
    for arrays, name in (((grid,), "token_minus_context"), (pair, "variance_difference"), (pair, "least_row_mean")):
        rows = Rows(arrays, ([],) * len(arrays), {"Q": slice(0, 9)}, {}, 12, 12)
        comparison = Comparison("QQ" if name == "variance_difference" else "Q", "cosine")
        statistic = statistic_named(name)
        for kind in ("shuffled", "within-column"):
            value, how = null_value(kind, statistic, rows, comparison)
            assert how == "one permutation"
            assert (value, how) == null_value(kind, statistic, rows, comparison)
            draws = np.random.default_rng(0)
            mixed = tuple(
                draws.permutation(a.ravel()).reshape(a.shape) if kind == "shuffled" else draws.permuted(a, axis=0)
                for a in arrays
            )
            again = Rows(mixed, ([],) * len(arrays), rows.projections, {}, 12, 12)
            assert value == statistic.values(mixed, again, [comparison])[0]
