"""Groups of clusters: which cluster is in which, and that a jackknife of groups is what its definition says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from qkvcheck.groups import Comparison
from qkvcheck.statistics.jackknife import jackknife_estimate
from qkvcheck.statistics.many.grouping import GROUPS, Grouping, group_clusters
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Rows, Sample, grouped_alike

QQ = Comparison("QQ", "cosine")


def labels_of(sizes):
    return [f"c{number:05d}" for number, size in enumerate(sizes) for _ in range(size)]


def rows_in(grouping, labels):
    return Counter(grouping.of[label] for label in labels)


def sample_of(n, *, clusters=None, seed=0, width=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)) + 2 * rng.normal(size=width)
    named = None if clusters is None else (tuple(clusters),)
    return Sample((x,), {"Q": slice(0, width)}, named)


def test_as_many_clusters_as_groups_leave_by_themselves():
    assert group_clusters(labels_of([1] * GROUPS)) is None
    assert group_clusters(labels_of([1] * (GROUPS + 1))) is not None
    assert sample_of(GROUPS).rows.grouping is None


@pytest.mark.parametrize("count", [201, 333, 2000, 2017])
def test_groups_of_single_rows_are_equal_to_one(count):
    sizes = rows_in(group_clusters(labels_of([1] * count)), labels_of([1] * count))
    assert len(sizes) == GROUPS
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_groups_of_unequal_clusters_are_about_equal_and_split_none():
    sizes = np.random.default_rng(0).integers(1, 9, size=1500).tolist()
    labels = labels_of(sizes)
    found = group_clusters(labels)
    own = rows_in(found, labels)
    share = sum(sizes) / GROUPS
    assert len(own) == GROUPS
    assert max(abs(size - share) for size in own.values()) <= max(sizes)
    assert set(found.of) == set(labels)  # each cluster is in one group


def test_a_cluster_larger_than_its_share_is_a_group_by_itself():
    labels = labels_of([5000, 700, *[1] * 600])
    found = group_clusters(labels)
    own = rows_in(found, labels)
    assert len(own) == GROUPS
    assert sorted(own.values())[-2:] == [700, 5000]
    assert max(sorted(own.values())[:-2]) <= 4


def test_the_order_of_contexts_and_of_clusters_changes_nothing():
    labels = labels_of([1, 3, 2] * 200)
    assert group_clusters(labels) == group_clusters(labels[::-1])


def test_a_cluster_more_moves_few():
    labels = labels_of([1] * 2000)
    one, other = group_clusters(labels), group_clusters([*labels, "another"])
    moved = sum(one.of[label] != other.of[label] for label in labels)
    assert moved < 200  # only such as stood next to a cut


def test_another_seed_gives_other_groups():
    labels = labels_of([1] * 600)
    assert group_clusters(labels, seed=0).of != group_clusters(labels, seed=1).of


def test_rows_without_names_keep_their_groups_in_another_order():
    sample = sample_of(700)
    order = np.random.default_rng(1).permutation(700)
    moved = Sample((sample.arrays[0][order],), sample.projections)
    own, other = sample.rows.labels[0], moved.rows.labels[0]
    assert [own[row] for row in order] == other
    one, two = (measure(statistic_named("variance"), s, QQ).estimate() for s in (sample, moved))
    assert (one.low, one.high) == pytest.approx((two.low, two.high), rel=1e-12)


def test_groups_of_single_clusters_are_the_delete_one_jackknife():
    sample = sample_of(150)
    rows = sample.rows
    alone = measure(statistic_named("variance"), sample, QQ).replicates
    groups = Grouping({label: f"group {number:03d}" for number, label in enumerate(reversed(rows.clusters))})
    grouped = rows.relabelled(rows.labels, groups)
    found = statistic_named("variance").replicate(grouped, [QQ], grouped.clusters)[QQ]
    one, two = jackknife_estimate(alone), jackknife_estimate(found)
    assert grouped.labels != rows.labels
    assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high), abs=1e-12)


@pytest.mark.parametrize("name", ["variance", "mean_absolute", "row_mean", "row_variance", "collapse", "offset_share"])
def test_without_a_group_is_the_number_of_the_other_rows(name):
    statistic = statistic_named(name)
    place = Comparison("Q", "cosine") if name.startswith("row") else QQ
    sample = sample_of(640)
    rows = sample.rows
    found = measure(statistic, sample, place).replicates
    assert len(found.without) == GROUPS
    for at in (0, 57, 199):
        kept = [label != rows.clusters[at] for label in rows.labels[0]]
        array = rows.arrays[0][np.array(kept)]
        alone = Rows((array,), ([str(k) for k in range(len(array))],), rows.projections, {}, len(array), len(array))
        assert found.without[at] == pytest.approx(statistic.values(alone.arrays, alone, [place])[0], abs=1e-12)


def test_two_samples_that_are_compared_share_their_groups():
    names = labels_of([2] * 260)
    one, two = sample_of(520, clusters=names), sample_of(500, clusters=names[20:], seed=1)
    first, second = one.joint_rows(two)
    groups = dict(zip(first.in_clusters[0], first.labels[0], strict=True))
    assert groups.items() >= dict(zip(second.in_clusters[0], second.labels[0], strict=True)).items()
    assert len(first.clusters) == GROUPS
    assert first.cluster_count == 260


def test_a_sample_of_the_same_clusters_is_not_computed_anew():
    named = [f"prefix {k}" for k in range(600)]
    one, two = (sample_of(600, clusters=named, seed=seed) for seed in (0, 1))
    assert one.joint_rows(two) == (one.rows, two.rows)


def test_layers_share_their_groups():
    names = labels_of([1] * 400)
    every = [sample_of(400, clusters=names, seed=seed).rows for seed in (0, 1)]
    fewer = sample_of(390, clusters=names[:390], seed=2).rows
    alike = grouped_alike([*every, fewer])
    assert alike[0].grouping == alike[1].grouping == alike[2].grouping
    assert alike[2].labels[0] == alike[0].labels[0][:390]


def test_few_clusters_stay_as_they_are():
    rows = sample_of(60).rows
    assert grouped_alike([rows]) == [rows]
    assert rows.cluster_labels == rows.labels
