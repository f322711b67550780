"""Measurement: a claim's statistic on captured rows, whole and with each cluster of contexts left out.

All cells that share a capture are measured together, under the same deletions, so that a family can get
simultaneous intervals and a difference can be taken cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics import formulas as statistics
from qkvcheck.statistics.group_moments import Deletions, GroupMoments, MomentSource, group_moments
from qkvcheck.statistics.jackknife import LOGARITHM, RAW, WIDENING, Replicates, Scale, merge_labels
from qkvcheck.statistics.offset import decompose
from qkvcheck.statistics.offset_sources import token_share
from qkvcheck.statistics.similarity import row_similarities, scaled_columns, split_group

Part = tuple[np.ndarray, "np.ndarray | None"]
"""The block or blocks of one captured array that a group compares."""

Place = tuple[str, str]
"""Group and measure."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Captured arrays that a claim's statistic takes, at one layer.

    Attributes
    ----------
    arrays : tuple of ndarray
        Each (context, width), or (context, word, width) with the target as word 0.
    blocks : mapping of str to slice
        Where Q, K and V stand along the width.
    clusters : tuple of tuple of str, or None
        For each array, each context's cluster; None where every context is one of its own.
    cluster_kind : str
        What makes a cluster, such as ``"first word"``.
    subsets : mapping of str to tuple of int
        Named selections along the word axis.
    """

    arrays: tuple[np.ndarray, ...]
    blocks: Mapping[str, slice]
    clusters: tuple[tuple[str, ...], ...] | None = None
    cluster_kind: str = "distinct row"
    subsets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Rows:
    """The distinct rows of a sample, each with its cluster.

    Attributes
    ----------
    arrays : tuple of ndarray
        Of distinct contexts.
    labels : tuple of list of str
        Each row's cluster.
    blocks, subsets : mapping
        As in `Sample`.
    n, n_distinct : int
        Contexts and distinct ones, of the array with fewest.
    """

    arrays: tuple[np.ndarray, ...]
    labels: tuple[list[str], ...]
    blocks: Mapping[str, slice]
    subsets: Mapping[str, tuple[int, ...]]
    n: int
    n_distinct: int

    @property
    def clusters(self) -> list[str]:
        """Every cluster once, in the order of their names."""
        return sorted({label for labels in self.labels for label in labels})

    def left_out(self, cluster: str) -> tuple[np.ndarray, ...]:
        """Return the arrays without a cluster."""
        return tuple(
            array[np.array([label != cluster for label in labels], dtype=bool)]
            for array, labels in zip(self.arrays, self.labels, strict=True)
        )


def distinct(sample: Sample) -> Rows:
    """Keep one of each set of equal rows; clusters that hold the same row become one.

    Raises
    ------
    ClaimError
        If an array holds NaN or infinite values.
    """
    arrays, labels, counts = [], [], []
    for place, array in enumerate(sample.arrays):
        if not np.isfinite(array).all():
            raise ClaimError(
                "the activations hold NaN or infinite values; nothing can be said of them. Check the model."
            )
        own = statistics.observations(array)
        same = statistics.first_equal_rows(own)
        given = _labels(sample, place)
        merged = merge_labels(given, [given[row] for row in same])
        kept = np.flatnonzero(same == np.arange(len(same)))
        arrays.append(array[kept])
        labels.append([merged[row] for row in kept])
        counts.append((len(array), len(kept)))
    n, n_distinct = min(counts, key=lambda pair: pair[1])
    return Rows(tuple(arrays), tuple(labels), sample.blocks, sample.subsets, n, n_distinct)


def parts_of(arrays: Sequence[np.ndarray], place: Place, rows: Rows) -> list[Part]:
    """Return what a statistic takes in one place: blocks of each array, and of the words those that are named."""
    group, measure = place
    subset = measure.partition("-")[2]
    chosen = [array[:, list(rows.subsets[subset])] if subset and array.ndim == 3 else array for array in arrays]
    return [split_group(array, group, rows.blocks) for array in chosen]


# The statistics -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statistic:
    """One number from captured rows.

    Attributes
    ----------
    value : callable
        Takes the parts and the measure; returns the number.
    scale : Scale
        On which its interval is formed.
    together : callable, optional
        Takes a source of moments, groups and the measure; returns the numbers of all groups at once.
    from_rows : callable, optional
        Takes a matrix of row similarities; leaving out rows is leaving out entries of it.
    widening : float
        Of its interval for few clusters, as `jackknife.jackknife_estimate` takes it.
    counts : bool
        Whether single contexts are counted against the threshold, and no interval of the number is formed.
    one_target : bool
        Whether one word is the target, rather than all words being treated alike.
    """

    value: Callable[[Sequence[Part], str], float]
    scale: Scale = RAW
    together: Callable[[MomentSource, Sequence[str], str], dict[str, float]] | None = None
    from_rows: Callable[[np.ndarray], float] | None = None
    widening: float = WIDENING
    counts: bool = False
    one_target: bool = True


def _of_moments(
    choose: Callable[[GroupMoments], float],
    moments: MomentSource,
    groups: Sequence[str],
    measure: str,
    *,
    absolute: bool = False,
) -> dict[str, float]:
    found = moments(groups, measure=measure, absolute=absolute)
    return {group: choose(own) for group, own in found.items()}


def _absolute(moments: GroupMoments) -> float:
    assert moments.mean_absolute is not None  # asked for
    return moments.mean_absolute


def _balance(moments: GroupMoments) -> float:
    size = _absolute(moments)
    return moments.mean / size if size > 0 else 0.0


def _collapse(moments: MomentSource, groups: Sequence[str], _measure: str) -> dict[str, float]:
    before, after = (moments(groups, measure=m) for m in ("cosine", "pearson"))
    return {g: after[g].mean_square / before[g].mean_square if before[g].mean_square > 0 else 0.0 for g in groups}


def _above_values(moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
    """Return V of each group less V of the values' own."""
    found = moments(["VV", *groups], measure=measure)
    return {group: found[group].variance - found["VV"].variance for group in groups}


def _first_group(compute: Callable[..., dict[str, float]], parts: Sequence[Part], measure: str) -> float:
    """Give a number that is computed for all groups together, of one group."""
    x, y = parts[0]
    blocks = {"A": slice(0, x.shape[1])}
    if y is not None:
        blocks["B"] = slice(x.shape[1], x.shape[1] + y.shape[1])
        x = np.concatenate([x, y], axis=1)
    group = "AA" if y is None else "AB"
    return compute(partial(group_moments, scaled_columns(x), blocks), [group], measure)[group]


def _columns(compute: Callable[..., dict[str, float]], *, widening: float = WIDENING) -> Statistic:
    return Statistic(partial(_first_group, compute), together=compute, widening=widening)


def _alone(_parts: Sequence[Part], _measure: str) -> float:
    raise ClaimError("a difference of blocks needs all of them; measure it in a sample with Q, K and V.")


def _difference(parts: Sequence[Part], measure: str) -> float:
    target, other = (statistics.variance(x, y, measure=measure) for x, y in parts)
    return target - other


def _token_minus_context(parts: Sequence[Part], measure: str) -> float:
    words = parts[0][0]
    if measure == "similarity":
        return statistics.token_minus_context_similarity(words)
    return statistics.token_minus_context(words)


_ROW_MEAN = Statistic(
    lambda parts, measure: statistics.row_mean(parts[0][0], measure=measure),
    from_rows=lambda c: float(c[np.triu_indices(len(c), k=1)].mean()),
)

STATISTICS: Mapping[str, Statistic] = {
    "variance": _columns(partial(_of_moments, lambda m: m.variance)),
    "mean_square": _columns(partial(_of_moments, lambda m: m.mean_square)),
    "mean_absolute": _columns(partial(_of_moments, _absolute, absolute=True)),
    # A ratio whose numerator is a squared length: skewed, and short of coverage by more than the others.
    "sign_balance": _columns(partial(_of_moments, _balance, absolute=True), widening=6.0),
    "collapse": _columns(_collapse, widening=6.0),
    "offset_share": Statistic(lambda parts, _measure: decompose(*parts[0]).share, widening=6.0),
    "row_mean": _ROW_MEAN,
    "row_cosine": _ROW_MEAN,
    "row_variance": Statistic(
        lambda parts, measure: statistics.row_variance(parts[0][0], measure=measure),
        from_rows=lambda c: float(c[np.triu_indices(len(c), k=1)].var()),
        # Skewed where it is small: on the raw scale it covered 0.88.
        scale=LOGARITHM,
        widening=6.0,
    ),
    "block_difference": Statistic(_alone, together=_above_values),
    "token_share": Statistic(lambda parts, _measure: token_share(parts[0][0]), one_target=True),
    "least_row_mean": Statistic(
        lambda parts, measure: statistics.least_row_mean(parts[0][0], parts[1][0], measure=measure), counts=True
    ),
    "variance_difference": Statistic(_difference),
    "token_minus_context": Statistic(_token_minus_context, one_target=False),
    "stability": Statistic(lambda parts, measure: statistics.stability(parts[0][0], measure=measure)),
}
"""Statistic by name."""


def statistic_named(name: str, *, claim: str) -> Statistic:
    """Return a statistic.

    Raises
    ------
    ClaimError
        If there is none of that name.
    """
    if name not in STATISTICS:
        allowed = ", ".join(STATISTICS)
        raise ClaimError(f"claim {claim}: statistic {name!r} is not known; allowed: {allowed}.")
    return STATISTICS[name]


# Measuring ----------------------------------------------------------------------------------------


def values(statistic: Statistic, arrays: Sequence[np.ndarray], rows: Rows, places: Sequence[Place]) -> list[float]:
    """Compute a statistic in several places at once, on rows or a part of them."""
    if statistic.together is None:
        return [statistic.value(parts_of(arrays, place, rows), place[1]) for place in places]
    return _together(statistic.together, partial(group_moments, scaled_columns(arrays[0]), rows.blocks), places)


def _together(
    compute: Callable[[MomentSource, Sequence[str], str], dict[str, float]],
    moments: MomentSource,
    places: Sequence[Place],
) -> list[float]:
    found: dict[Place, float] = {}
    for measure in sorted({measure for _, measure in places}):
        groups = [group for group, own in places if own == measure]
        for group, value in compute(moments, groups, measure).items():
            found[group, measure] = value
    return [found[place] for place in places]


def plug_in(statistic: Statistic, rows: Rows, places: Sequence[Place]) -> dict[Place, float]:
    """Compute a statistic in several places, on all rows."""
    return dict(zip(places, values(statistic, rows.arrays, rows, places), strict=True))


def replicate(
    statistic: Statistic, rows: Rows, places: Sequence[Place], *, clusters: Sequence[str] | None = None
) -> dict[Place, Replicates]:
    """Compute a statistic in several places, on all rows and without each cluster.

    Parameters
    ----------
    statistic : Statistic
        What to compute.
    rows : Rows
        Distinct contexts and their clusters.
    places : sequence of (group, measure)
        Where.
    clusters : sequence of str, optional
        What to leave out in turn; without it every cluster of the rows. A cluster of which a sample holds
        nothing leaves the statistic as it is.
    """
    leave_out = rows.clusters if clusters is None else clusters
    if statistic.from_rows is not None:
        return {place: _replicate_rows(statistic.from_rows, rows, place, leave_out) for place in places}
    whole = values(statistic, rows.arrays, rows, places)
    held = set(rows.clusters)
    if statistic.together is not None:
        deletions, labels = Deletions(scaled_columns(rows.arrays[0]), rows.blocks), np.array(rows.labels[0])
        left_out = [
            _together(statistic.together, deletions.without(labels == c), places) if c in held else whole
            for c in leave_out
        ]
    else:
        left_out = [values(statistic, rows.left_out(c), rows, places) if c in held else whole for c in leave_out]
    without = np.array(left_out, dtype=np.float64)
    return {place: Replicates(value, column) for place, value, column in zip(places, whole, without.T, strict=True)}


def _replicate_rows(
    summarise: Callable[[np.ndarray], float], rows: Rows, place: Place, clusters: Sequence[str]
) -> Replicates:
    x = parts_of(rows.arrays, place, rows)[0][0]
    if len(x) < 2:
        raise ClaimError(f"{len(x)} row(s) have no pairs to compare; give at least two distinct contexts.")
    similarities = row_similarities(x, measure=place[1])
    labels = np.array(rows.labels[0])
    kept = [np.flatnonzero(labels != cluster) for cluster in clusters]
    return Replicates(summarise(similarities), np.array([summarise(similarities[np.ix_(k, k)]) for k in kept]))


def joint_clusters(first: Sample, second: Sample) -> tuple[Rows, Rows]:
    """Return the distinct rows of two samples, with clusters joined wherever either of them holds a row twice."""
    given: list[str] = []
    merged: list[str] = []
    for sample in (first, second):
        for place, array in enumerate(sample.arrays):
            labels = _labels(sample, place)
            same = statistics.first_equal_rows(statistics.observations(array))
            given += labels
            merged += [labels[row] for row in same]
    joined = dict(zip(given, merge_labels(given, merged), strict=True))
    return _renamed(distinct(first), joined), _renamed(distinct(second), joined)


def _labels(sample: Sample, place: int) -> list[str]:
    if sample.clusters is None:
        return [f"row {row:06d}" for row in range(len(sample.arrays[place]))]
    return list(sample.clusters[place])


def _renamed(rows: Rows, joined: Mapping[str, str]) -> Rows:
    return replace(rows, labels=tuple([joined[label] for label in own] for own in rows.labels))


def unjudgeable(rows: Rows, places: Sequence[Place], *, axis: str) -> str | None:
    """Return why a similarity between dimensions is not defined here, or None if all of them are.

    A dimension that is the same in every context has no correlation with anything, and its cosine says nothing
    about contexts.
    """
    if axis != "dimensions":
        return None
    names = sorted({name for group, _ in places for name in group if name in rows.blocks})
    for array in rows.arrays:
        for name in names:
            block = array[..., rows.blocks[name]]
            if block.shape[-1] < 2:
                return f"{name} has {block.shape[-1]} dimension; pairs need at least two"
            constant = np.flatnonzero((block == block[:1]).all(axis=0))
            if len(constant):
                return (
                    f"{len(constant)} of {block.shape[-1]} dimensions of {name} are the same in every context (the "
                    f"first is {int(constant[0])}); similarities with them are not defined"
                )
    return None
