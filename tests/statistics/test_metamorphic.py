"""What holds of similarity for any array: hypothesis seeks an exception."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qkvcheck.statistics.similarity import row_similarities, summarise_group

SEARCH = settings(max_examples=15, deadline=None, database=None, derandomize=True)


arrays = st.builds(
    lambda seed, n, d: np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32),
    st.integers(0, 2**16),
    st.integers(2, 12),
    st.integers(2, 40),
)


@SEARCH
@given(arrays, st.integers(0, 99))
def test_similarity_of_dimensions_knows_no_scale_of_columns(x, seed):
    scales = np.random.default_rng(seed).choice([0.25, 0.5, 2.0, 8.0], size=x.shape[1]).astype(np.float32)
    before, after = summarise_group(x), summarise_group(x * scales)
    assert before.counts.sum() == x.shape[1] * (x.shape[1] - 1) // 2
    np.testing.assert_array_equal(before.counts, after.counts)
    assert -1 <= before.mean <= 1


@SEARCH
@given(arrays, st.integers(0, 99))
def test_similarity_of_contexts_knows_no_scale_of_rows(x, seed):
    scales = np.random.default_rng(seed).choice([0.25, 0.5, 2.0, 8.0], size=(len(x), 1)).astype(np.float32)
    for measure in ("cosine", "pearson"):
        found = row_similarities(x, measure=measure)
        np.testing.assert_allclose(row_similarities(x * scales, measure=measure), found, atol=1e-6)
        np.testing.assert_allclose(found, found.T, atol=1e-12)
        np.testing.assert_allclose(np.diag(found), 1, atol=1e-9)
        assert np.abs(found).max() <= 1 + 1e-9


@SEARCH
@given(arrays, st.integers(0, 99))
def test_similarity_across_blocks_is_symmetric(x, seed):
    y = np.random.default_rng(seed).normal(size=(len(x), 7)).astype(np.float32)
    np.testing.assert_array_equal(summarise_group(x, y).counts, summarise_group(y, x).counts)
