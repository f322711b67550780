"""Histograms and sums against float64 NumPy straight from the definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.similarity import (
    PAIR_GROUPS,
    row_similarities,
    split_group,
    summarise_group,
    unit_columns,
    unit_length,
)


def matrix_by_definition(x: np.ndarray, y: np.ndarray, measure: str) -> np.ndarray:
    """All similarities of the columns of x and y: the plain formula, float64, no shared code."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    if measure == "pearson":
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return (x.T @ y) / np.outer(np.sqrt((x * x).sum(axis=0)), np.sqrt((y * y).sum(axis=0)))


def pairs_by_definition(x: np.ndarray, y: np.ndarray | None, measure: str) -> np.ndarray:
    if y is not None:
        return matrix_by_definition(x, y, measure).ravel()
    c = matrix_by_definition(x, x, measure)
    return c[np.triu_indices(len(c), k=1)]


@pytest.fixture
def offset_array(rng) -> np.ndarray:
    """(54, 3 x 768): columns with means of both signs, so that similarities reach from pole to pole."""
    d = 768
    return (rng.normal(size=(54, 3 * d)) + 2 * rng.normal(size=3 * d)).astype(np.float32)


BLOCKS = {name: slice(i * 768, (i + 1) * 768) for i, name in enumerate("QKV")}


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
@pytest.mark.parametrize("group", PAIR_GROUPS)
def test_group_at_full_size(offset_array, group, measure):
    x, y = split_group(offset_array, group, BLOCKS)
    c = pairs_by_definition(x, y, measure)
    got = summarise_group(x, y, measure=measure)
    assert got.pairs == c.size == (294_528 if group[0] == group[1] else 589_824)
    edges_hit = np.abs((c + 1) * 50 - np.round((c + 1) * 50)) < 1e-9
    want = np.histogram(c, bins=100, range=(-1, 1))[0]
    assert np.abs(got.counts - want).sum() <= 2 * edges_hit.sum()
    assert got.counts.sum() == c.size
    # A fast kernel sums float32 values.
    assert got.mean == pytest.approx(c.mean(), abs=2e-8)
    assert got.mean_absolute == pytest.approx(np.abs(c).mean(), abs=2e-8)
    assert got.mean_square == pytest.approx((c**2).mean(), abs=2e-8)
    assert got.variance == pytest.approx(c.var(), abs=2e-8)
    assert got.sign_balance == pytest.approx(c.mean() / np.abs(c).mean(), abs=2e-8)
    for edge in (0.5, 0.7, 0.9):
        assert got.share_above[edge] == (np.abs(c) > edge).mean()
    assert (got.share_low, got.share_high) == ((c < -0.5).mean(), (c > 0.5).mean())
    assert got.zero_columns == 0


def test_captured_activations(embedded, replication):
    """The same on real activations, where columns are far from random."""
    from qkvcheck.capture.hooks import capture

    got = capture(embedded, replication, layers=[6])
    for group, measure in itertools.product(PAIR_GROUPS, ("cosine", "pearson")):
        x, y = split_group(got.at(6), group, got.projections)
        c = pairs_by_definition(x, y, measure)
        summary = summarise_group(x, y, measure=measure)
        assert summary.pairs == c.size == (128 * 127 // 2 if y is None else 128 * 128)
        assert np.array_equal(summary.counts, np.histogram(c, bins=100, range=(-1, 1))[0])
        assert summary.variance == pytest.approx(c.var(), abs=2e-8)  # a fast kernel sums float32 values
        exact = summarise_group(x, y, measure=measure, kernel="reference")
        assert np.array_equal(exact.counts, summary.counts)
        assert exact.variance == pytest.approx(c.var(), abs=1e-12)


def test_exact_poles_fall_into_the_outer_bins():
    x = np.array([[1.0, 2.0, -3.0]])
    summary = summarise_group(x)
    assert summary.counts[-1] == 1
    assert summary.counts[0] == 2
    assert summary.variance == pytest.approx(1 - (1 / 3) ** 2)


def test_zero_and_constant_columns_are_counted():
    x = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 3.0], [0.0, 1.0, 5.0]])
    assert summarise_group(x).zero_columns == 1
    assert summarise_group(x, measure="pearson").zero_columns == 2
    assert summarise_group(x, measure="pearson").mean_absolute == 0


def test_constant_column_with_a_mean_that_rounds():
    x = np.column_stack([np.full(54, 0.1), np.linspace(0, 1, 54)])
    assert not unit_columns(x, measure="pearson")[:, 0].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, -0.3, 0.7, 1e-30, 3e30])
def test_constant_columns_have_no_correlation(dtype, value):
    """The mean of 54 equal numbers may round: what is left of the column would be brought to length one."""
    x = np.column_stack([np.full(54, value), np.linspace(0, 1, 54), np.arange(54) % 3]).astype(dtype)
    for unit in (unit_columns(x, measure="pearson"), unit_length(x.astype(np.float64), "pearson")):
        assert not unit[:, 0].any()
        centred = x[:, 1:].astype(np.float64) - x[:, 1:].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(unit[:, 1:], centred / np.linalg.norm(centred, axis=0), atol=1e-14)
    found = summarise_group(x, measure="pearson", kernel="reference")
    want = np.corrcoef(x[:, 1], x[:, 2])[0, 1]
    assert found.zero_columns == 1
    assert (found.mean, found.mean_square) == pytest.approx((want / 3, want**2 / 3), abs=1e-7)


def test_means_that_round_are_among_them():
    """Else the test above would see nothing."""
    assert any(np.full(54, value).mean() != value for value in (0.1, -0.3, 0.7))


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_scale_does_not_matter(rng, scale):
    x = rng.normal(size=(7, 5))
    np.testing.assert_allclose(unit_columns(x * scale), unit_columns(x), rtol=1e-12)


def test_pearson_is_scipys(rng):
    x = rng.normal(size=(20, 3)) + 5
    want = stats.pearsonr(x[:, 0], x[:, 1]).statistic
    assert summarise_group(x[:, :2], measure="pearson", kernel="reference").mean == pytest.approx(want, abs=1e-12)
    assert summarise_group(x[:, :2]).mean > 0.9 > abs(want)


def test_rows(rng):
    x, y = rng.normal(size=(4, 9)), rng.normal(size=(3, 9))
    for measure in ("cosine", "pearson"):
        want = matrix_by_definition(x.T, y.T, measure)
        np.testing.assert_allclose(row_similarities(x, y, measure=measure), want, atol=1e-12)


def test_no_similarity_is_beyond_one(rng):
    """Rows and their opposites: products of unit rows round to either side of 1."""
    x = rng.normal(size=(300, 9))
    for y in (x, -x):
        found = np.diag(row_similarities(x, y))
        assert np.abs(found).max() == 1.0
        assert np.abs(found).min() > 1 - 1e-15
    assert (row_similarities(x[:3]) == row_similarities(x[:3], measure="cosine")).all()
    assert (row_similarities(x[:3]) != row_similarities(x[:3], measure="pearson")).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_a_number_is_an_error(bad):
    with pytest.raises(ClaimError, match="NaN or infinite"):
        summarise_group(np.array([[1.0, bad], [2.0, 3.0]]))


def test_wrong_names_are_told():
    with pytest.raises(ClaimError, match="measure 'dot' is not known; allowed: cosine, pearson"):
        unit_columns(np.ones((2, 2)), measure="dot")
    with pytest.raises(ClaimError, match="group 'QX' is not known; allowed: QQ, KK"):
        split_group(np.ones((2, 6)), "QX", BLOCKS)
    with pytest.raises(ClaimError, match="one dimension has no pairs"):
        summarise_group(np.ones((3, 1)))


def test_a_summary_shows_itself():
    found = summarise_group(np.array([[1.0, 2.0, -3.0]]), kernel="reference")
    assert repr(found) == "GroupSummary(3 pairs: mean -0.3333, mean abs 1.0000, variance 0.8889)"
    rows = [
        ("pairs", "3"), ("mean", "-0.3333"), ("mean magnitude", "1.0000"), ("mean square", "1.0000"),
        ("variance", "0.8889"), ("below -0.5", "66.7%"), ("above 0.5", "33.3%"),
    ]  # fmt: skip
    cells = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows)
    assert found._repr_html_() == f"<table><tbody>{cells}</tbody></table>"
    many = summarise_group(np.ones((2, 60)), kernel="reference")
    assert "1,770 pairs" in repr(many)
    assert "<td>1,770</td>" in many._repr_html_()


def test_split_gives_each_group_its_blocks():
    row = np.arange(3 * 768)[None, :]
    starts = {
        "QQ": (0, None),
        "KK": (768, None),
        "VV": (1536, None),
        "QK": (0, 768),
        "QV": (0, 1536),
        "KV": (768, 1536),
    }
    for group, (first, second) in starts.items():
        x, y = split_group(row, group, BLOCKS)
        assert x[0, 0] == first
        assert (None if y is None else y[0, 0]) == second
