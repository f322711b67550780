"""Many contexts: sums in place of n x n matrices, against the definition, and what they hold in memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from qkvcheck.claims.drawn import context_matrix, scatter
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics import formulas
from qkvcheck.statistics.basis.tokens import token_metric
from qkvcheck.statistics.further.unimodal import sampled_similarities
from qkvcheck.statistics.many.limits import MANY, MOST_PAIRED, PAIRED, PICTURED, SCORED, drawn_rows
from qkvcheck.statistics.many.pair_sums import PairSumsWithout, unit_pair_sums
from qkvcheck.statistics.many.row_sums import RowSums, mean_similarities_by, unit_rows
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.offset import decompose
from qkvcheck.statistics.registry import RowStatistic, statistic_named
from qkvcheck.statistics.sample import Sample
from qkvcheck.statistics.similarity import scaled_columns, unit_length

N = MANY + 40
BLOCKS = {"Q": slice(0, 9), "K": slice(9, 20)}


def rows_of(n=N, width=20, *, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)) * np.exp(rng.normal(size=(n, 1)) / 2) + 2 * rng.normal(size=width)


def between_columns(x, y, how):
    """Every similarity of two blocks by itself, or of the pairs i < j of one."""

    def one(a, b):
        if how == "pearson":
            a, b = a - a.mean(), b - b.mean()
        size = np.sqrt((a @ a) * (b @ b))
        return a @ b / size if size > 0 else 0.0

    if y is None:
        return np.array([one(x[:, i], x[:, j]) for i in range(x.shape[1]) for j in range(i + 1, x.shape[1])])
    return np.array([one(a, b) for a in x.T for b in y.T])


def between_rows(x, how):
    values = x - x.mean(axis=1, keepdims=True) if how == "pearson" else x
    unit = values / np.sqrt((values**2).sum(axis=1, keepdims=True))
    return (unit @ unit.T)[np.triu_indices(len(x), k=1)]


@pytest.mark.parametrize("how", ["cosine", "pearson"])
@pytest.mark.parametrize("group", ["QQ", "QK"])
@pytest.mark.parametrize("width", [20, 700])  # more than one tile
def test_pair_sums_without_rows_are_those_of_the_other_rows(how, group, width):
    x = rows_of(60, width)
    blocks = {"Q": slice(0, width - 8), "K": slice(width - 8, width)} if width > 20 else BLOCKS
    gone = [np.zeros(60, dtype=bool), np.arange(60) == 3, np.arange(60) % 7 == 2]
    found = PairSumsWithout(scaled_columns(x), blocks, gone).sums(group, how)
    for number, left_out in enumerate(gone):
        kept = x[~left_out]
        first, second = (unit_length(kept[:, blocks[name]], how) for name in group)
        c = first.T @ second
        expected = c[np.triu_indices(len(c), k=1)] if group == "QQ" else c.ravel()
        if width == 20:
            y = None if group == "QQ" else kept[:, blocks["K"]]
            expected = between_columns(kept[:, blocks["Q"]], y, how)
        assert found.pairs == expected.size
        sums = (found.total[number], found.total_square[number], found.total_absolute[number])
        assert sums == pytest.approx((expected.sum(), (expected**2).sum(), np.abs(expected).sum()), rel=1e-11, abs=1e-9)


@pytest.mark.parametrize("how", ["cosine", "pearson"])
def test_a_column_that_lives_in_the_rows_that_go_is_measured_anew(how):
    x = rows_of(80, 20)
    x[:, 4] = 1e-7 * x[:, 4]
    x[5, 4] = 900.0
    gone = np.arange(80) == 5
    found = PairSumsWithout(scaled_columns(x), BLOCKS, [gone]).sums("QQ", how)
    expected = between_columns(x[~gone][:, BLOCKS["Q"]], None, how)
    assert found.total_square[0] == pytest.approx((expected**2).sum(), rel=1e-11)


def test_a_constant_column_counts_as_nothing():
    x = rows_of(N, 20)
    x[:, 2] = 3.0
    found = PairSumsWithout(scaled_columns(x), BLOCKS, [np.arange(N) == 1]).sums("QQ", "pearson")
    expected = between_columns(np.delete(x, 1, axis=0)[:, BLOCKS["Q"]], None, "pearson")
    assert found.total[0] == pytest.approx(expected.sum(), abs=1e-10)


def test_sums_of_unit_columns():
    unit = unit_length(rows_of(30, 600), "cosine")
    c = (unit.T @ unit)[np.triu_indices(600, k=1)]
    found = unit_pair_sums(unit)
    assert (found.total[0], found.total_square[0], found.total_absolute[0]) == pytest.approx(
        (c.sum(), (c**2).sum(), np.abs(c).sum()), rel=1e-11
    )


@pytest.mark.parametrize("how", ["cosine", "pearson"])
def test_row_sums_without_rows_are_those_of_the_other_rows(how):
    x = rows_of(70)
    gone = [np.zeros(70, dtype=bool), np.arange(70) < 9]
    found = RowSums(unit_rows(x, measure=how), gone)
    for number, left_out in enumerate(gone):
        pairs = between_rows(x[~left_out], how)
        assert found.mean[number] == pytest.approx(pairs.mean(), abs=1e-13)
        assert found.mean_square[number] == pytest.approx((pairs**2).mean(), abs=1e-13)


def test_fewer_than_two_rows_have_no_pairs():
    with pytest.raises(ClaimError, match=r"1 row\(s\) have no pairs"):
        RowSums(unit_rows(rows_of(5)), [np.arange(5) > 0])


@pytest.mark.parametrize("how", ["cosine", "pearson"])
def test_numbers_of_many_contexts_are_their_definitions(how):
    x = rows_of()
    pairs, columns = between_rows(x, how), between_columns(x[:, :9], x[:, 9:], how)
    assert formulas.row_mean(x, measure=how) == pytest.approx(pairs.mean(), abs=1e-13)
    assert formulas.row_variance(x, measure=how) == pytest.approx(pairs.var(), abs=1e-13)
    assert formulas.variance(x[:, :9], x[:, 9:], measure=how) == pytest.approx(columns.var(), abs=1e-13)
    within = between_columns(x[:, :9], None, how)
    assert formulas.variance(x[:, :9], measure=how) == pytest.approx(within.var(), abs=1e-13)


def test_the_offset_of_many_contexts_adds_up_to_their_mean_squared_cosine():
    x = rows_of()
    for y in (None, x[:, 9:]):
        found = decompose(x[:, :9], y)
        assert found.mean_square == pytest.approx((between_columns(x[:, :9], y, "cosine") ** 2).mean(), abs=1e-13)
        assert found.pearson_mean_square == pytest.approx(
            (between_columns(x[:, :9], y, "pearson") ** 2).mean(), abs=1e-13
        )


def test_stability_of_many_contexts():
    rng = np.random.default_rng(2)
    words = rng.normal(size=(N, 3, 5)) + rng.normal(size=(1, 3, 5))
    gone = np.arange(N) % 5 == 0
    found = formulas.stability_without(words, [gone])[0]
    unit = words[~gone] / np.sqrt((words[~gone] ** 2).sum(axis=2, keepdims=True))
    n = len(unit)
    every = np.einsum("iad,jbd->abij", unit, unit)
    off = ~np.eye(n, dtype=bool)
    same = every[0, 0][off].mean()
    floor = np.mean([every[a, b][off].mean() for a in range(3) for b in range(3) if a != b])
    assert found == pytest.approx((same - floor) / (1 - floor), abs=1e-12)


def test_the_mean_cosine_in_the_metric_of_tokens():
    rng = np.random.default_rng(3)
    x, tokens = rng.normal(size=(N, 8)) + 1, rng.normal(size=(90, 8))
    found = token_metric(x, tokens, heads=2)
    mixed = np.zeros((8, 8))
    for part in (slice(0, 4), slice(4, 8)):
        mixed[part, part] = np.linalg.inv(np.cov(tokens[:, part].T))
    products = x @ mixed @ x.T
    lengths = np.sqrt(np.diag(products))
    assert found.cosine == pytest.approx(
        (products / np.outer(lengths, lengths))[np.triu_indices(N, k=1)].mean(), abs=1e-12
    )


def test_means_at_one_place_and_at_two():
    x = rows_of(50)
    labels = [f"p{k % 3}" for k in range(50)]
    first, second = np.triu_indices(50, k=1)
    same = np.array(labels)[first] == np.array(labels)[second]
    pairs = between_rows(x, "pearson")
    assert mean_similarities_by(x, labels, measure="pearson") == pytest.approx(
        (pairs[same].mean(), pairs[~same].mean())
    )


def test_sampled_similarities_do_not_hang_on_how_many_are_held(monkeypatch):
    x = rows_of(N, 30)
    whole = sampled_similarities(x, most=200)[0]
    monkeypatch.setattr("qkvcheck.statistics.further.unimodal._AT_ONCE", 7 * N)
    assert sampled_similarities(x, most=200)[0] == pytest.approx(whole, abs=1e-15)


# Some contexts in the place of all ------------------------------------------------------------------------------------


def test_some_rows_are_drawn_once_and_in_order():
    drawn = drawn_rows(5000, PAIRED)
    assert len(set(drawn.tolist())) == PAIRED
    assert (np.diff(drawn) > 0).all()
    assert drawn_rows(5000, PAIRED).tolist() == drawn.tolist()
    assert drawn_rows(PAIRED, PAIRED).tolist() == list(range(PAIRED))


def test_pictures_of_many_contexts_are_of_some_and_say_which():
    x = rows_of(PAIRED + 500)
    matrix = context_matrix(x, measure="cosine")
    assert matrix.n == PICTURED
    unit = x / np.sqrt((x**2).sum(axis=1, keepdims=True))
    one, two = matrix.contexts[0], matrix.contexts[1]
    assert matrix.above[0] == pytest.approx(unit[one] @ unit[two], abs=1e-4)
    points = scatter(x, measure="cosine")
    one, two = points.contexts
    assert {one, two} <= set(drawn_rows(len(x), PAIRED).tolist())
    assert points.similarity == pytest.approx(unit[one] @ unit[two], abs=1e-4)
    assert points.x[0] == pytest.approx(x[one][0], rel=1e-3)
    assert context_matrix(x[:PICTURED], measure="cosine").contexts is None


def test_quantiles_of_many_contexts_are_those_of_the_drawn():
    x = rows_of(PAIRED + 500)
    found = formulas.row_quantiles(x)
    assert found["0.5"] == pytest.approx(np.median(between_rows(x[drawn_rows(len(x), PAIRED)], "cosine")))


class _LargestOfPairs(RowStatistic):
    name = "largest_of_pairs"
    words = "the largest {one}"
    reading = "1 if two are the same."

    def of_similarities(self, similarities):
        return float(similarities[np.triu_indices(len(similarities), k=1)].max())


def test_a_statistic_of_single_pairs_is_refused_beyond_what_can_be_held():
    x = rows_of(MOST_PAIRED + 1, 3)
    with pytest.raises(ClaimError, match=r"5,001; take fewer with --qkv-limit"):
        _LargestOfPairs().compute([(x, None)], "cosine")
    few = rows_of(MANY + 10, 3)
    assert _LargestOfPairs().compute([(few, None)], "cosine") == pytest.approx(between_rows(few, "cosine").max())


@pytest.mark.needs_time
@pytest.mark.parametrize("name", ["variance", "row_mean", "row_variance", "mean_absolute"])
def test_memory_grows_with_the_contexts_and_not_with_their_square(name):
    """6000 contexts have a matrix of 288 MB; their rows take 2 MB."""
    n, place = 6000, Comparison("Q" if name.startswith("row") else "QQ", "cosine")
    sample = Sample((rows_of(n).astype(np.float32),), BLOCKS)
    _ = sample.rows
    tracemalloc.start()
    try:
        found = measure(statistic_named(name), sample, place)
        _ = found.estimate()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40e6
    assert SCORED < PAIRED
