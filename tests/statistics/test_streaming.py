"""Moments against the rows they came from."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.jackknife import jackknife_estimate
from qkvcheck.statistics.offset import offset_loadings
from qkvcheck.statistics.similarity import PAIR_GROUPS, summarise_groups
from qkvcheck.statistics.streaming import (
    accumulate,
    merge,
    moments_of,
    offset_loadings_of,
    replicate_shards,
    summarise_moments,
)

BLOCKS = {"Q": slice(0, 9), "K": slice(9, 14), "V": slice(14, 17)}


@pytest.fixture
def rows(rng) -> np.ndarray:
    """(60, 17) float32 with means of both signs."""
    return (rng.normal(size=(60, 17)) + 2 * rng.normal(size=17)).astype(np.float32)


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_summaries_are_those_of_the_rows(rows, measure):
    found = summarise_moments(accumulate([rows[:7], rows[7:8], rows[8:]]), BLOCKS, PAIR_GROUPS, measure=measure)
    wanted = summarise_groups(rows, BLOCKS, PAIR_GROUPS, measure=measure, kernel="reference")
    for own, want in zip(found, wanted, strict=True):
        assert np.array_equal(own.counts, want.counts)
        assert (own.pairs, own.share_above, own.zero_columns) == (want.pairs, want.share_above, want.zero_columns)
        for name in ("mean", "mean_absolute", "mean_square", "variance", "sign_balance"):
            assert getattr(own, name) == pytest.approx(getattr(want, name), abs=1e-12)


def test_moments_by_numpy(rows):
    found = accumulate(np.array_split(rows, 11))
    assert found.n == 60
    np.testing.assert_allclose(found.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-13)
    np.testing.assert_allclose(found.scatter, np.cov(rows.astype(np.float64), rowvar=False, ddof=0) * 60, atol=1e-11)
    np.testing.assert_allclose(offset_loadings_of(found), offset_loadings(rows), atol=1e-13)


@given(cuts=st.lists(st.integers(1, 59), max_size=6), seed=st.integers(0, 5))
@settings(deadline=None)
def test_shards_and_their_order_change_nothing(cuts, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(60, 6)) * 10.0 ** generator.integers(-3, 4, size=6) + generator.normal(size=6)
    ends = [0, *sorted(set(cuts)), 60]
    shards = [x[a:b] for a, b in itertools.pairwise(ends)]
    found = accumulate(generator.permutation(np.array(shards, dtype=object)) if len(shards) > 1 else shards)
    whole = moments_of(x)
    assert found.n == whole.n
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-11, atol=1e-15)
    size = np.sqrt(np.outer(np.diag(whole.scatter), np.diag(whole.scatter)))
    np.testing.assert_allclose(found.scatter / size, whole.scatter / size, atol=1e-12)


def test_large_offsets_keep_their_correlations(rng):
    """Means a million times the spread: sums of x x' would leave no digit."""
    x = rng.normal(size=(200, 4))
    (found,) = summarise_moments(accumulate(np.array_split(x + 1e6, 7)), {"A": slice(0, 4)}, ["AA"], measure="pearson")
    want = np.corrcoef(x, rowvar=False)[np.triu_indices(4, k=1)].mean()
    assert found.mean == pytest.approx(want, abs=1e-8)


def test_zero_and_constant_dimensions(rng):
    x = rng.normal(size=(50, 4))
    x[:, 1], x[:, 2] = 0.0, 0.1
    shards = [x[:20], x[20:]]
    for measure, zero in (("cosine", 1), ("pearson", 2)):
        (own,) = summarise_moments(accumulate(shards), {"A": slice(0, 4)}, ["AA"], measure=measure)
        (want,) = summarise_groups(x, {"A": slice(0, 4)}, ["AA"], measure=measure, kernel="reference")
        assert own.zero_columns == want.zero_columns == zero
        assert np.array_equal(own.counts, want.counts)


def test_jackknife_over_shards(rows):
    """Leaving out a shard is leaving out its rows."""
    shards = np.array_split(rows, 10)

    def value(x: np.ndarray) -> float:
        return summarise_groups(x, BLOCKS, ["QQ"], kernel="reference")[0].variance

    found = replicate_shards(
        [moments_of(s) for s in shards], lambda m: summarise_moments(m, BLOCKS, ["QQ"])[0].variance
    )
    assert found.whole == pytest.approx(value(rows), abs=1e-12)
    want = [value(np.concatenate([*shards[:k], *shards[k + 1 :]])) for k in range(10)]
    np.testing.assert_allclose(found.without, want, atol=1e-12)
    assert jackknife_estimate(found).clusters == 10


def test_merging_leaves_its_parts_alone(rows):
    first, second = moments_of(rows[:20]), moments_of(rows[20:])
    before = first.scatter.copy()
    both = merge(first, second)
    assert np.array_equal(first.scatter, before)
    assert both.n == 60


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_numbers_whose_squares_float64_does_not_hold(rows, size):
    with pytest.raises(ClaimError, match="vanish or overflow; scale the activations"):
        moments_of(rows.astype(np.float64) * size)


def test_mistakes_are_told(rows):
    with pytest.raises(ClaimError, match="NaN or infinite"):
        accumulate([np.array([[1.0, np.nan]])])
    with pytest.raises(ClaimError, match="no context in the shards"):
        accumulate([])
    with pytest.raises(ClaimError, match="moments of 17 and of 3 dimensions can't be merged"):
        accumulate([rows, rows[:, :3]])
    with pytest.raises(ClaimError, match=r"1 shard\(s\) can't be left out"):
        replicate_shards([moments_of(rows)], lambda m: m.n)
    with pytest.raises(ClaimError, match="group 'QX' does not name two projections"):
        summarise_moments(moments_of(rows), BLOCKS, ["QX"])
