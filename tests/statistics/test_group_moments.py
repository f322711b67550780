"""Moments without some rows, against the same moments computed from the rows that are left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qkvcheck.errors import ClaimError
from qkvcheck.groups import MEASURES, Comparison
from qkvcheck.statistics.group_moments import Deletions, group_moments
from qkvcheck.statistics.jackknife import jackknife_estimate
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample, distinct
from qkvcheck.statistics.similarity import scaled_columns, split_group

BLOCKS = {"Q": slice(0, 7), "K": slice(7, 11), "V": slice(11, 13)}
GROUPS = ["QQ", "KK", "VV", "QK", "QV", "KV"]


def assert_same(x: np.ndarray, left_out: np.ndarray, *, blocks=BLOCKS, groups=GROUPS) -> None:
    columns = scaled_columns(x)
    source = Deletions(columns, blocks, [left_out]).without(0)
    for measure in MEASURES:
        found = source(groups, measure=measure, absolute=True)
        wanted = group_moments(columns[~left_out], blocks, groups, measure=measure, absolute=True)
        for group in groups:
            for name in ("mean", "mean_square", "mean_absolute"):
                assert getattr(found[group], name) == pytest.approx(getattr(wanted[group], name), abs=1e-10), (
                    measure, group, name,
                )  # fmt: skip


@given(
    seed=st.integers(0, 10**6),
    gone=st.sets(st.integers(0, 11), min_size=1, max_size=4),
    offset=st.sampled_from([0, 1, 30]),
)
@settings(deadline=None, max_examples=60)
def test_any_rows_may_go(seed, gone, offset):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(12, 13)) + offset * generator.normal(size=13)
    left_out = np.isin(np.arange(12), list(gone))
    assert_same(x, left_out)


@pytest.mark.parametrize("gone", [{4}, {1, 7, 8}])
def test_blocks_wider_than_a_tile(rng, gone):
    """Tiles on the diagonal, beside it, and of what is left over."""
    blocks = {"Q": slice(0, 150), "K": slice(150, 220), "V": slice(220, 286)}
    x = rng.normal(size=(12, 286)) + rng.normal(size=286)
    assert_same(x, np.isin(np.arange(12), list(gone)), blocks=blocks)


@pytest.mark.parametrize("size", [1e3, 1e8, 1e12])
def test_a_row_that_holds_nearly_all_of_a_column(rng, size):
    """Taking its share off the squared length would leave no digit; the column is measured anew."""
    x = rng.normal(size=(12, 13))
    x[3, [0, 8, 12]] *= size
    assert_same(x, np.arange(12) == 3)


def test_columns_that_become_zero_or_constant(rng):
    """Dimensions that only the row left out fills, or makes vary, and those that never vary."""
    x = rng.normal(size=(12, 13))
    x[:, 1] = 0.0
    x[:, 2] = np.where(np.arange(12) == 3, 5.0, 0.0)
    x[:, 8] = np.where(np.arange(12) == 3, 5.0, 0.1)
    x[:, 9] = 0.1
    assert_same(x, np.arange(12) == 3)
    assert_same(x, np.arange(12) == 4)


def test_a_large_offset_leaves_pearson_its_digits(rng):
    x = rng.normal(size=(12, 13)) + 1e5
    left_out = np.arange(12) == 0
    found = Deletions(scaled_columns(x), BLOCKS, [left_out]).without(0)(GROUPS, measure="pearson")
    for group, wanted in group_moments(scaled_columns(x - 1e5)[1:], BLOCKS, GROUPS, measure="pearson").items():
        assert found[group].mean_square == pytest.approx(wanted.mean_square, abs=1e-8)


@pytest.mark.parametrize(
    "name", ["variance", "mean_square", "mean_absolute", "sign_balance", "collapse", "block_difference", "offset_share"]
)
def test_the_jackknife_uses_it_and_gives_what_brute_force_gives(name, rng):
    """Every statistic over pairs of dimensions, with clusters of several rows, one at a time left out by hand."""
    x = rng.normal(size=(30, 13)) + rng.normal(size=13)
    clusters = tuple(f"c{row % 11}" for row in range(30))
    rows = distinct(Sample((x,), BLOCKS, (clusters,), "label"))
    groups = ["QQ", "KK"] if name == "block_difference" else GROUPS
    comparisons = [Comparison(g, m) for m in ("cosine", "pearson") for g in groups]
    statistic = statistic_named(name)
    found = statistic.replicate(rows, comparisons, rows.clusters)
    assert list(found) == comparisons
    for (group, measure), replicates in found.items():
        for cluster, value in zip(rows.clusters, replicates.without, strict=True):
            kept = x[np.array([c != cluster for c in clusters])]
            if name == "block_difference":
                alone = by_hand(kept, group, measure)
            else:
                alone = statistic.compute([split_group(kept, group, BLOCKS)], measure)
            assert value == pytest.approx(alone, abs=1e-11)
        assert jackknife_estimate(replicates).clusters == 11


def by_hand(kept: np.ndarray, group: str, measure: str) -> float:
    """V of a group less V of the values, from all similarities."""
    x = kept - kept.mean(axis=0) if measure == "pearson" else kept
    unit = x / np.linalg.norm(x, axis=0)

    def variance(block: slice) -> float:
        c = (unit[:, block].T @ unit[:, block])[np.triu_indices(block.stop - block.start, k=1)]
        return float(c.var())

    return variance(BLOCKS[group[0]]) - variance(BLOCKS["V"])


def test_mistakes_are_told(rng):
    source = Deletions(rng.normal(size=(5, 13)), BLOCKS, [np.arange(5) == 1]).without(0)
    with pytest.raises(ClaimError, match="every context is left out"):
        Deletions(rng.normal(size=(5, 13)), BLOCKS, [np.ones(5, dtype=bool)])
    with pytest.raises(ClaimError, match="measure 'dot' is not known"):
        source(["QQ"], measure="dot")
    with pytest.raises(ClaimError, match="one dimension has no pairs"):
        Deletions(rng.normal(size=(5, 1)), {"Q": slice(0, 1)}, [np.arange(5) == 1]).without(0)(["QQ"])
