"""Sample: captured arrays that a statistic takes, their distinct rows, and the clusters that leave together.

Here alone it is settled what leaves the jackknife: clusters, or groups of them where there are many
(`qkvcheck.statistics.many.grouping`). So a claim, its controls and differences of two samples share their groups.

What is computed of a sample is kept with it, and goes with it: nothing here outlives the arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from qkvcheck.errors import ClaimError, NotCapturedError
from qkvcheck.groups import Comparison, Turns
from qkvcheck.statistics.distinct import Merged, first_equal_rows
from qkvcheck.statistics.formulas import observations
from qkvcheck.statistics.jackknife import merge_labels
from qkvcheck.statistics.many.grouping import GROUPS, Grouping, group_clusters
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
    seen : tuple of tuple of str, or None
        For each array, a name of what the model had seen of each context: contexts of one name are one. None where
        tokens are not known.
    rounding : float or None
        Relative rounding of the number format in which the rows were made; None for that of the arrays.
    heads : mapping of str to int
        How many heads Q, K and V have, which stand head after head in the columns; empty where that is not known.
    turns : Turns or None
        Which rotations of a head change no score of the model; None where that is not known.
    factors : mapping of str to tuple of str
        What is told of each context of the first array, by the names of `qkvcheck.groups.FACTORS`; empty where that is
        not known.

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
    seen: tuple[tuple[str, ...] | None, ...] | None = None
    rounding: float | None = None
    heads: Mapping[str, int] = field(default_factory=dict)
    turns: Turns | None = None
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
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

    @cached_property
    def first_equal(self) -> tuple[np.ndarray, ...]:
        """For each array, for each row the first row that is the same observation."""
        return tuple(
            first_equal_rows(observations(array), seen=self.seen_of(number), rounding=self.rounding)
            for number, array in enumerate(self.arrays)
        )

    def seen_of(self, number: int) -> tuple[str, ...] | None:
        """Return what the model had seen of each row of an array, or None where that is not known."""
        return None if self.seen is None else self.seen[number]

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
        What each row leaves with: its cluster, or the group of it.
    projections, subsets : mapping
        As in `Sample`.
    n, n_distinct : int
        Contexts and distinct ones, of the array with fewest.
    merged : tuple of Merged
        Of each array, how many contexts count with others.
    heads, turns
        As in `Sample`.
    factors : mapping of str to tuple of str
        As in `Sample`, of the distinct contexts of the first array.
    in_clusters : tuple of list of str
        Each row's cluster, where clusters leave in groups; empty where each leaves by itself.
    grouping : Grouping or None
        The groups of clusters; None where each leaves by itself.
    """

    arrays: tuple[np.ndarray, ...]
    labels: tuple[list[str], ...]
    projections: Mapping[str, slice]
    subsets: Mapping[str, tuple[int, ...]]
    n: int
    n_distinct: int
    merged: tuple[Merged, ...] = ()
    heads: Mapping[str, int] = field(default_factory=dict)
    turns: Turns | None = None
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    in_clusters: tuple[list[str], ...] = ()
    grouping: Grouping | None = None
    _kept: dict[Hashable, object] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def clusters(self) -> tuple[str, ...]:
        """What leaves in turn, clusters or groups of them, each once, in the order of their names."""
        return tuple(sorted({label for labels in self.labels for label in labels}))

    @property
    def cluster_labels(self) -> tuple[list[str], ...]:
        """Each row's cluster, whether it leaves by itself or in a group."""
        return self.in_clusters or self.labels

    @cached_property
    def cluster_count(self) -> int:
        """How many clusters there are, whether each leaves by itself or in a group."""
        return len({label for labels in self.cluster_labels for label in labels})

    def relabelled(self, labels: Sequence[Sequence[str]], grouping: Grouping | None) -> Rows:
        """Return the same rows in other clusters, which leave by themselves or in groups; itself where it has these."""
        own = tuple(list(one) for one in labels)
        leaving = own if grouping is None else tuple(map(grouping.grouped, own))
        if leaving == self.labels and own == self.cluster_labels:
            return self  # with what was computed of it
        within = () if grouping is None else own
        return replace(self, labels=leaving, in_clusters=within, grouping=grouping)

    def left_out(self, cluster: str) -> tuple[np.ndarray, ...]:
        """Return the arrays without a cluster."""
        return tuple(array[labels != cluster] for array, labels in zip(self.arrays, self._named, strict=True))

    @cached_property
    def _named(self) -> tuple[np.ndarray, ...]:
        return tuple(np.array(labels) for labels in self.labels)

    def keep(self, key: Hashable, compute: Callable[[], Kept]) -> Kept:
        """Return what was computed under a key; the first time, compute it."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]  # type: ignore[return-value] # what was put there under this key


def distinct(sample: Sample) -> Rows:
    """Keep one of each set of rows that are one observation; clusters that hold the same one become one.

    Raises
    ------
    ClaimError
        If an array holds NaN or infinite values.
    """
    return grouped_alike([_distinct(sample)], keys=_keys(sample))[0]


def grouped_alike(
    every: Sequence[Rows],
    *,
    joined: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> list[Rows]:
    """Return rows whose clusters leave in the same groups, of the rows of all; as they are where clusters are few.

    Parameters
    ----------
    every : sequence of Rows
        Of the same contexts, such as a claim's and a control's, or those of several layers.
    joined : mapping of str to str, optional
        Another name of each cluster, where some have become one.
    keys : mapping of str to str, optional
        As `group_clusters` takes it.
    """
    labels = [rows.cluster_labels for rows in every]
    if joined is not None:
        labels = [tuple([joined[label] for label in one] for one in own) for own in labels]
    grouping = group_clusters((label for own in labels for one in own for label in one), keys=keys)
    return [rows.relabelled(own, grouping) for rows, own in zip(every, labels, strict=True)]


def _distinct(sample: Sample) -> Rows:
    arrays, labels, merged, chosen = [], [], [], []
    for number, array in enumerate(sample.arrays):
        if not np.isfinite(array).all():
            raise ClaimError(
                "the activations hold NaN or infinite values; nothing can be said of them. Check the model."
            )
        same = sample.first_equal[number]
        given = _labels(sample, number)
        joined = merge_labels(given, [given[row] for row in same])
        kept = np.flatnonzero(same == np.arange(len(same)))
        arrays.append(array if len(kept) == len(array) else array[kept])
        labels.append([joined[row] for row in kept])
        merged.append(_merged(sample, number, distinct=len(kept)))
        chosen.append(kept)
    fewest = min(merged, key=lambda one: one.distinct)
    return Rows(
        arrays=tuple(arrays),
        labels=tuple(labels),
        projections=sample.projections,
        subsets=sample.subsets,
        n=fewest.contexts,
        n_distinct=fewest.distinct,
        merged=tuple(merged),
        heads=sample.heads,
        turns=sample.turns,
        factors={name: tuple(told[row] for row in chosen[0]) for name, told in sample.factors.items()},
    )


def _merged(sample: Sample, number: int, *, distinct: int) -> Merged:
    contexts, seen = len(sample.arrays[number]), sample.seen_of(number)
    same_tokens = 0 if seen is None else contexts - len(set(seen))
    return Merged(contexts, same_tokens, contexts - same_tokens - distinct, seen is not None)


def parts_of(arrays: Sequence[np.ndarray], comparison: Comparison, rows: Rows) -> list[Part]:
    """Return what a statistic takes of each array: its projections, and of the words those that are named."""
    subset = comparison.measure.partition("-")[2]
    if subset and subset not in rows.subsets:
        named = ", ".join(rows.subsets) or "none"
        raise NotCapturedError(f"the activations name no words {subset!r} (they name {named})")
    chosen = [array[:, list(rows.subsets[subset])] if subset and array.ndim == 3 else array for array in arrays]
    return [split_group(array, comparison.group, rows.projections) for array in chosen]


def joint_clusters(first: Sample, second: Sample) -> tuple[Rows, Rows]:
    """Return the distinct rows of two samples, with clusters joined wherever either of them holds a row twice."""
    given: list[str] = []
    merged: list[str] = []
    for sample in (first, second):
        for number, same in enumerate(sample.first_equal):
            labels = _labels(sample, number)
            given += labels
            merged += [labels[row] for row in same]
    joined = dict(zip(given, merge_labels(given, merged), strict=True))
    keys = {**_keys(second), **_keys(first)}
    one, two = grouped_alike([first.rows, second.rows], joined=joined, keys=keys)
    return one, two


def _keys(sample: Sample) -> dict[str, str]:
    """Return what to order nameless rows by: their numbers, so that the order of contexts changes no group."""
    if sample.clusters is not None or sum(map(len, sample.arrays)) <= GROUPS:
        return {}
    labels = [label for number in range(len(sample.arrays)) for label in _labels(sample, number)]
    told = [hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest() for array in sample.arrays for row in array]
    return dict(zip(reversed(labels), reversed(told), strict=True))  # of the first array that has a row of that label


def _labels(sample: Sample, number: int) -> list[str]:
    if sample.clusters is None:
        return [f"row {row:06d}" for row in range(len(sample.arrays[number]))]
    return list(sample.clusters[number])


def too_few(rows: Rows, needed: int) -> str:
    """Return that there are too few distinct contexts, and why there are no more of them."""
    why = next((one.why for one in rows.merged if one.distinct == rows.n_distinct), "")
    of = f"{rows.n_distinct} distinct contexts of {rows.n}" + (f" ({why})" if why else "")
    return f"{of}; at least {needed} are needed"


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
            constant = (block == block[:1]).all(axis=0)
            if constant.any():
                return same_everywhere(name, constant)
    return None


def same_everywhere(name: str, constant: np.ndarray) -> str:
    """Return that some dimensions of a projection are the same in every context: bool, dimensions last."""
    return (
        f"{int(constant.sum())} of {constant.shape[-1]} dimensions of {name} are the same in every context (the "
        f"first is {int(constant.argmax())}); similarities with them are not defined"
    )
