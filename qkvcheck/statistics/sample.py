"""Sample: captured arrays that a statistic takes, their distinct rows, and the clusters that leave together.

What is computed of a sample is kept with it, and goes with it: nothing here outlives the arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.formulas import first_equal_rows, observations
from qkvcheck.statistics.jackknife import merge_labels
from qkvcheck.statistics.similarity import split_group

Part = tuple[np.ndarray, "np.ndarray | None"]
"""The projection or projections of one captured array that a group compares."""
Kept = TypeVar("Kept")


@dataclass(frozen=True, eq=False)
class Sample:
    """Captured arrays that a claim's statistic takes, at one layer.

    Attributes
    ----------
    arrays : tuple of ndarray
        Each (context, width), or (context, word, width) with the target as word 0.
    projections : mapping of str to slice
        Where Q, K and V stand along the width.
    clusters : tuple of tuple of str, or None
        For each array, each context's cluster; None where every context is one of its own.
    cluster_kind : str
        What makes a cluster, such as ``"first word"``.
    subsets : mapping of str to tuple of int
        Named selections along the word axis.

    Examples
    --------
    >>> import numpy as np
    >>> sample = Sample((np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 1.0]]),), {"Q": slice(0, 2)})
    >>> sample.rows.n, sample.rows.n_distinct
    (3, 2)
    """

    arrays: tuple[np.ndarray, ...]
    projections: Mapping[str, slice]
    clusters: tuple[tuple[str, ...], ...] | None = None
    cluster_kind: str = "distinct row"
    subsets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    _joint: WeakKeyDictionary[Sample, tuple[Rows, Rows]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False
    )

    @cached_property
    def rows(self) -> Rows:
        """The distinct rows and their clusters.

        Raises
        ------
        ClaimError
            If an array holds NaN or infinite values.
        """
        return distinct(self)

    def part(self, group: str) -> Part:
        """Return the projections that a group compares, of the first array, with all its rows."""
        return split_group(self.arrays[0], group, self.projections)

    def joint_rows(self, other: Sample) -> tuple[Rows, Rows]:
        """Return the distinct rows of this sample and of another, under clusters that both share."""
        if other not in self._joint:
            self._joint[other] = joint_clusters(self, other)
        return self._joint[other]


@dataclass(frozen=True, eq=False)
class Rows:
    """The distinct rows of a sample, each with its cluster.

    Attributes
    ----------
    arrays : tuple of ndarray
        Of distinct contexts.
    labels : tuple of list of str
        Each row's cluster.
    projections, subsets : mapping
        As in `Sample`.
    n, n_distinct : int
        Contexts and distinct ones, of the array with fewest.
    """

    arrays: tuple[np.ndarray, ...]
    labels: tuple[list[str], ...]
    projections: Mapping[str, slice]
    subsets: Mapping[str, tuple[int, ...]]
    n: int
    n_distinct: int
    _kept: dict[Hashable, object] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def clusters(self) -> tuple[str, ...]:
        """Every cluster once, in the order of their names."""
        return tuple(sorted({label for labels in self.labels for label in labels}))

    def left_out(self, cluster: str) -> tuple[np.ndarray, ...]:
        """Return the arrays without a cluster."""
        return tuple(
            array[np.array([label != cluster for label in labels], dtype=bool)]
            for array, labels in zip(self.arrays, self.labels, strict=True)
        )

    def keep(self, key: Hashable, compute: Callable[[], Kept]) -> Kept:
        """Return what was computed under a key; the first time, compute it."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]  # type: ignore[return-value] # what was put there under this key


def distinct(sample: Sample) -> Rows:
    """Keep one of each set of equal rows; clusters that hold the same row become one.

    Raises
    ------
    ClaimError
        If an array holds NaN or infinite values.
    """
    arrays, labels, counts = [], [], []
    for number, array in enumerate(sample.arrays):
        if not np.isfinite(array).all():
            raise ClaimError(
                "the activations hold NaN or infinite values; nothing can be said of them. Check the model."
            )
        own = observations(array)
        same = first_equal_rows(own)
        given = _labels(sample, number)
        merged = merge_labels(given, [given[row] for row in same])
        kept = np.flatnonzero(same == np.arange(len(same)))
        arrays.append(array if len(kept) == len(array) else array[kept])
        labels.append([merged[row] for row in kept])
        counts.append((len(array), len(kept)))
    n, n_distinct = min(counts, key=lambda pair: pair[1])
    return Rows(tuple(arrays), tuple(labels), sample.projections, sample.subsets, n, n_distinct)


def parts_of(arrays: Sequence[np.ndarray], comparison: Comparison, rows: Rows) -> list[Part]:
    """Return what a statistic takes of each array: its projections, and of the words those that are named."""
    subset = comparison.measure.partition("-")[2]
    chosen = [array[:, list(rows.subsets[subset])] if subset and array.ndim == 3 else array for array in arrays]
    return [split_group(array, comparison.group, rows.projections) for array in chosen]


def joint_clusters(first: Sample, second: Sample) -> tuple[Rows, Rows]:
    """Return the distinct rows of two samples, with clusters joined wherever either of them holds a row twice."""
    given: list[str] = []
    merged: list[str] = []
    for sample in (first, second):
        for number, array in enumerate(sample.arrays):
            labels = _labels(sample, number)
            same = first_equal_rows(observations(array))
            given += labels
            merged += [labels[row] for row in same]
    joined = dict(zip(given, merge_labels(given, merged), strict=True))
    return _renamed(distinct(first), joined), _renamed(distinct(second), joined)


def _labels(sample: Sample, number: int) -> list[str]:
    if sample.clusters is None:
        return [f"row {row:06d}" for row in range(len(sample.arrays[number]))]
    return list(sample.clusters[number])


def _renamed(rows: Rows, joined: Mapping[str, str]) -> Rows:
    return replace(rows, labels=tuple([joined[label] for label in own] for own in rows.labels))


def unjudgeable(rows: Rows, groups: Sequence[str], *, axis: str) -> str | None:
    """Return why a similarity between dimensions is not defined here, or None if all of them are.

    A dimension that is the same in every context has no correlation with anything, and its cosine says nothing
    about contexts.
    """
    if axis != "dimensions":
        return None
    names = sorted({name for group in groups for name in group if name in rows.projections})
    for array in rows.arrays:
        for name in names:
            block = array[..., rows.projections[name]]
            if block.shape[-1] < 2:
                return f"{name} has {block.shape[-1]} dimension; pairs need at least two"
            constant = np.flatnonzero((block == block[:1]).all(axis=0))
            if len(constant):
                return (
                    f"{len(constant)} of {block.shape[-1]} dimensions of {name} are the same in every context (the "
                    f"first is {int(constant[0])}); similarities with them are not defined"
                )
    return None
