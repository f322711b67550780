"""Samples: distinct rows, their clusters, and that nothing is computed twice."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.measurement import distribution_of, measure
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample


@pytest.fixture
def sample(rng) -> Sample:
    x = rng.normal(size=(12, 10))
    x[7] = x[2]
    return Sample((x,), {"Q": slice(0, 6), "K": slice(6, 10)}, (tuple("aabbccddeeff"),), "label")


def test_what_is_kept_is_computed_once(sample):
    asked: list[str] = []

    def compute() -> list[str]:
        asked.append("once")
        return asked

    rows = sample.rows
    assert rows.keep("key", compute) is rows.keep("key", compute) is asked
    assert asked == ["once"]
    assert rows.keep("nothing", lambda: None) is rows.keep("nothing", lambda: asked.append("twice")) is None
    assert asked == ["once"]
    assert rows.keep(("key", 1), lambda: "other") == "other"
    assert sample.rows is rows


def test_kept_numbers_go_with_their_sample(sample, rng):
    """Another sample of the same shape has numbers of its own."""
    comparison = Comparison("QQ", "cosine")
    other = Sample((rng.normal(size=(12, 10)),), sample.projections, sample.clusters, "label")
    first, second = (measure(statistic_named("variance"), s, comparison).replicates for s in (sample, other))
    assert first.whole != second.whole
    again = measure(statistic_named("variance"), sample, comparison)
    assert again.replicates is first
    assert distribution_of(sample.rows, comparison) is distribution_of(sample.rows, comparison) is again.distribution


def test_equal_rows_count_once_and_join_their_clusters(sample):
    assert (sample.rows.n, sample.rows.n_distinct) == (12, 11)
    assert sample.rows.clusters == ("a", "b", "c", "e", "f")  # row 7 of d is row 2 of b
    assert sample.rows.labels[0] == list("aabbccbeeff")
    assert [len(a) for a in sample.rows.left_out("b")] == [8]


def test_joint_rows_share_the_clusters_of_both(sample, rng):
    x = rng.normal(size=(12, 10))
    x[0] = x[11]
    other = Sample((x,), sample.projections, sample.clusters, "label")
    first, second = sample.joint_rows(other)
    assert first.clusters == second.clusters == ("a", "b", "c", "e")  # f is a there, and d is b here
    assert (first.n_distinct, second.n_distinct) == (11, 11)
    assert sample.joint_rows(other) == (first, second)


def test_numbers_that_are_none_are_told(sample):
    sample.arrays[0][3, 3] = np.inf
    with pytest.raises(ClaimError, match="NaN or infinite"):
        _ = sample.rows
