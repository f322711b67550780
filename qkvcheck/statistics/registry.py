"""Registry: what a statistic is, and the statistics by name.

A statistic is one class: what it computes, on what it is captured, on which scale its interval is formed, what it
would be for permuted numbers, and its words. A file in `qkvcheck.statistics.registered` adds one to the package; a
project of its own registers one with `register_statistic`.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import ClassVar, TypeVar
from uuid import uuid4

import numpy as np

from qkvcheck.errors import ClaimError, nearest
from qkvcheck.groups import FORMS, GROUPS_OF, MEASURES, Capture, Comparison, Form
from qkvcheck.statistics.group_moments import Deletions, MomentSource, group_moments
from qkvcheck.statistics.jackknife import (
    ANY_NUMBER,
    LEVEL,
    RAW,
    WIDENING,
    Estimate,
    Replicates,
    Scale,
    jackknife_estimate,
)
from qkvcheck.statistics.many.deletions import ManyDeletions
from qkvcheck.statistics.many.limits import MANY, MOST_PAIRED
from qkvcheck.statistics.many.progress import each
from qkvcheck.statistics.many.row_sums import RowSums, all_rows, unit_rows
from qkvcheck.statistics.sample import Part, Rows, parts_of
from qkvcheck.statistics.similarity import row_similarities, scaled_columns


class Statistic(ABC):
    """One number from captured rows, for a claim to be judged by.

    Attributes
    ----------
    name : str
        As claims files and markers name it.
    words : str
        What it is, in words; ``{one}`` and ``{many}`` stand for the measure, such as cosine and cosines.
    reading : str
        How its scale is to be read.
    captured_on : Capture
        What it takes, unless a claim names another.
    scale : Scale
        On which its estimate is formed.
    ends : Scale or None
        On which its interval is formed; None: on the same.
    possible : tuple of float
        The least and the greatest number that it can be; no interval goes beyond.
    widening : float
        Of its interval for few clusters, as `jackknife_estimate` takes it.
    counts : bool
        Whether single contexts are counted against the threshold, and no interval of the number is formed.
    axis : {"contexts", "dimensions"} or None
        What it compares, and so of which groups it can be; None: a claim may say either.
    measures : tuple of str or None
        How it compares; None: any way that it takes.
    one_target : bool
        Whether one word is the target, rather than all words being treated alike.
    of_contexts : bool
        Whether a single context can break a claim about it: it is then the mean similarity to the corpus.
    is_difference : bool
        Whether it is a difference, so that a number below zero is a finding the other way round.

    Examples
    --------
    >>> statistic_named("row_mean").captured_on
    <Capture.TARGET: 'target'>
    """

    name: ClassVar[str]
    words: ClassVar[str]
    reading: ClassVar[str]
    captured_on: ClassVar[Capture] = Capture.TARGET
    scale: ClassVar[Scale] = RAW
    ends: ClassVar[Scale | None] = None
    possible: ClassVar[tuple[float, float]] = ANY_NUMBER
    widening: ClassVar[float] = WIDENING
    counts: ClassVar[bool] = False
    axis: ClassVar[str | None] = None
    measures: ClassVar[tuple[str, ...] | None] = None
    one_target: ClassVar[bool] = True
    of_contexts: ClassVar[bool] = False
    is_difference: ClassVar[bool] = False

    @property
    def identity(self) -> str:
        """Its name, and for one that is not the package's own a hash of its code: other code gives other numbers.

        Its code is that of its module, and of what that takes from other modules of the same project.
        """
        if type(self).__module__.startswith("qkvcheck."):
            return self.name
        try:
            source = inspect.getsource(inspect.getmodule(type(self)) or type(self)) + _taken_from(type(self).__module__)
        except (OSError, TypeError):  # made where no file is, as in a notebook: like no other
            source = self._token
        return f"{self.name} {hashlib.sha256(source.encode()).hexdigest()[:16]}"

    @property
    def form(self) -> Form | None:
        """What arrays it takes; None of a project's own that does not say on what it is captured."""
        kinds = [kind for kind in type(self).__mro__ if kind is not Statistic]
        ours = type(self).__module__.startswith("qkvcheck.")
        return FORMS.get(self.captured_on, Form()) if ours or any("captured_on" in vars(k) for k in kinds) else None

    @cached_property
    def _token(self) -> str:
        return uuid4().hex

    @abstractmethod
    def compute(self, parts: Sequence[Part], measure: str) -> float:
        """Return the number.

        Parameters
        ----------
        parts : sequence of (ndarray, ndarray or None)
            Of each captured array the projections that a group compares: (context, dimension), or
            (context, word, dimension).
        measure : str
            Such as ``"cosine"``.
        """

    def null(self, reference: str, rows: Rows, comparison: Comparison) -> float | None:
        """Return what it is expected to be for permuted numbers, or None where no closed form is known.

        Parameters
        ----------
        reference : {"shuffled", "within-column"}
            What is permuted (see `qkvcheck.statistics.nulls`).
        rows, comparison : Rows, Comparison
            Where.
        """
        del reference, rows, comparison
        return None

    @property
    def interval_scale(self) -> Scale:
        """The scale on which its interval is formed."""
        return self.ends or self.scale

    def estimate(self, replicates: Replicates, *, critical: float | None = None, level: float = LEVEL) -> Estimate:
        """Return the bias-corrected estimate with its interval, as `jackknife_estimate` does."""
        return jackknife_estimate(
            replicates,
            scale=self.scale,
            level=level,
            critical=critical,
            widening=self.widening,
            ends=self.ends,
            possible=self.possible,
        )

    def values(self, arrays: Sequence[np.ndarray], rows: Rows, comparisons: Sequence[Comparison]) -> list[float]:
        """Return the number for several comparisons at once, on rows or a part of them."""
        return [self.compute(parts_of(arrays, comparison, rows), comparison.measure) for comparison in comparisons]

    def replicate(
        self, rows: Rows, comparisons: Sequence[Comparison], clusters: Sequence[str]
    ) -> dict[Comparison, Replicates]:
        """Return the number on all rows and without each cluster, for several comparisons at once.

        A cluster of which the rows hold nothing leaves the number as it is.
        """
        whole = self.values(rows.arrays, rows, comparisons)
        held = set(rows.clusters)
        left_out = [
            self.values(rows.left_out(c), rows, comparisons) if c in held else whole
            for c in each("deletions", clusters)
        ]
        return _by_comparison(comparisons, whole, left_out)


class PairStatistic(Statistic):
    """A statistic over pairs of dimensions that follows from their moments, of all groups at once."""

    axis = "dimensions"
    measures: ClassVar[tuple[str, ...] | None] = MEASURES

    @abstractmethod
    def of_moments(self, moments: MomentSource, groups: Sequence[str], measure: str) -> dict[str, float]:
        """Return the number of each group, from a source of moments."""

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        """Return the number of one group; see `Statistic.compute`."""
        x, y = parts[0]
        blocks = {"A": slice(0, x.shape[1])}
        if y is not None:
            blocks["B"] = slice(x.shape[1], x.shape[1] + y.shape[1])
            x = np.concatenate([x, y], axis=1)
        group = "AA" if y is None else "AB"
        return self.of_moments(partial(group_moments, scaled_columns(x), blocks), [group], measure)[group]

    def values(self, arrays: Sequence[np.ndarray], rows: Rows, comparisons: Sequence[Comparison]) -> list[float]:
        """Return the numbers of all comparisons from the same Gram matrices."""
        return self.from_moments(partial(group_moments, scaled_columns(arrays[0]), rows.projections), comparisons)

    def replicate(
        self, rows: Rows, comparisons: Sequence[Comparison], clusters: Sequence[str]
    ) -> dict[Comparison, Replicates]:
        """Return the numbers without each cluster, taking its rows off the columns' squared lengths."""
        whole = self.values(rows.arrays, rows, comparisons)
        held, labels = set(rows.clusters), np.array(rows.labels[0])
        order = [cluster for cluster in clusters if cluster in held]
        make = Deletions if len(labels) <= MANY else ManyDeletions
        deletions = make(scaled_columns(rows.arrays[0]), rows.projections, [labels == c for c in order])
        numbers = {cluster: number for number, cluster in enumerate(order)}
        left_out = [
            self.from_moments(deletions.without(numbers[c]), comparisons) if c in held else whole for c in clusters
        ]
        return _by_comparison(comparisons, whole, left_out)

    def from_moments(self, moments: MomentSource, comparisons: Sequence[Comparison]) -> list[float]:
        """Return the numbers of several comparisons from a source of moments."""
        found: dict[Comparison, float] = {}
        for measure in sorted({comparison.measure for comparison in comparisons}):
            groups = [comparison.group for comparison in comparisons if comparison.measure == measure]
            for group, value in self.of_moments(moments, groups, measure).items():
                found[Comparison(group, measure)] = value
        return [found[comparison] for comparison in comparisons]


class RowStatistic(Statistic):
    """A statistic of the similarities between contexts: leaving out contexts is leaving out entries of their matrix."""

    axis = "contexts"
    measures: ClassVar[tuple[str, ...] | None] = MEASURES

    @abstractmethod
    def of_similarities(self, similarities: np.ndarray) -> float:
        """Return the number from a (context, context) matrix."""

    def of_row_sums(self, sums: RowSums) -> np.ndarray | None:
        """Return the number of each set of many rows, from the moments over their pairs.

        None, unless a statistic says otherwise: it then takes the matrix of so many contexts as that can be had of.
        """
        del sums
        return None

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        """Return the number; see `Statistic.compute`."""
        x = parts[0][0]
        found = self._without(x, measure, all_rows(len(x))) if len(x) > MANY else None
        return self.of_similarities(self._matrix(x, measure)) if found is None else float(found[0])

    def _without(self, x: np.ndarray, measure: str, left_out: Sequence[np.ndarray]) -> np.ndarray | None:
        return self.of_row_sums(RowSums(unit_rows(x, measure=measure), left_out))

    def _matrix(self, x: np.ndarray, measure: str) -> np.ndarray:
        if len(x) > MOST_PAIRED:
            raise ClaimError(
                f"{self.name} looks at every pair of contexts, of {MOST_PAIRED:,} at most, and there are {len(x):,}; "
                "take fewer with --qkv-limit."
            )
        return _compared(x, measure)

    def replicate(
        self, rows: Rows, comparisons: Sequence[Comparison], clusters: Sequence[str]
    ) -> dict[Comparison, Replicates]:
        """Return the numbers without each cluster, from one matrix a comparison."""
        labels = np.array(rows.labels[0])
        kept = [np.flatnonzero(labels != cluster) for cluster in clusters]
        every = [np.zeros(len(labels), dtype=bool), *(labels == cluster for cluster in clusters)]
        found = {}
        for comparison in comparisons:
            x = parts_of(rows.arrays, comparison, rows)[0][0]
            summed = self._without(x, comparison.measure, every) if len(x) > MANY else None
            if summed is not None:
                found[comparison] = Replicates(float(summed[0]), summed[1:])
                continue
            similar = self._matrix(x, comparison.measure)
            without = np.array([self.of_similarities(similar[np.ix_(k, k)]) for k in kept])
            found[comparison] = Replicates(self.of_similarities(similar), without)
        return found


def _compared(x: np.ndarray, measure: str) -> np.ndarray:
    if len(x) < 2:
        raise ClaimError(f"{len(x)} row(s) have no pairs to compare; give at least two distinct contexts.")
    return row_similarities(x, measure=measure)


def _by_comparison(
    comparisons: Sequence[Comparison], whole: Sequence[float], left_out: Sequence[Sequence[float]]
) -> dict[Comparison, Replicates]:
    without = np.array(left_out, dtype=np.float64)
    return {c: Replicates(value, column) for c, value, column in zip(comparisons, whole, without.T, strict=True)}


_STATISTICS: dict[str, Statistic] = {}
StatisticClass = TypeVar("StatisticClass", bound=type[Statistic])


def register_statistic(statistic: StatisticClass) -> StatisticClass:
    """Register a statistic under its name, for claims to be judged by; a decorator of its class.

    Raises
    ------
    ClaimError
        If another statistic has that name, or its axis is none.

    Examples
    --------
    >>> @register_statistic
    ... class Largest(Statistic):
    ...     name = "largest_number"
    ...     words = "the largest number"
    ...     reading = "any number."
    ...
    ...     def compute(self, parts, measure):
    ...         return float(parts[0][0].max())
    >>> statistic_named("largest_number").words
    'the largest number'
    """
    other = _STATISTICS.get(statistic.name)
    if other is not None and _place(type(other)) != _place(statistic):
        raise ClaimError(f"statistic {statistic.name!r} is registered already, by {_place(type(other))}; rename it.")
    if statistic.axis not in (None, *GROUPS_OF):
        raise ClaimError(f"statistic {statistic.name!r} has axis {statistic.axis!r}; allowed: {', '.join(GROUPS_OF)}.")
    _STATISTICS[statistic.name] = statistic()
    return statistic


def _taken_from(name: str) -> str:
    """Return the source of every module of a project that a module takes something from, at any depth."""
    libraries = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        module = sys.modules.get(waiting.pop())
        for value in list(vars(module).values()) if module is not None else ():
            if inspect.ismodule(value):
                other = value.__name__
            elif inspect.isclass(value) or inspect.isfunction(value):
                other = value.__module__
            else:
                continue
            file = getattr(sys.modules.get(other), "__file__", None)
            if other in (name, *found) or file is None or other.partition(".")[0] == "qkvcheck":
                continue
            if libraries.isdisjoint(Path(file).resolve().parents):
                found[other] = inspect.getsource(sys.modules[other])
                waiting.append(other)
    return "".join(f"\n# {other}\n{found[other]}" for other in sorted(found))


def _place(statistic: type[Statistic]) -> str:
    return f"{statistic.__module__}.{statistic.__qualname__}"


def statistics_by_name() -> Mapping[str, Statistic]:
    """Return every registered statistic by its name."""
    _register_our_own()
    return _STATISTICS


def statistic_named(name: str, *, claim: str | None = None) -> Statistic:
    """Return a statistic.

    Parameters
    ----------
    name : str
        Its name.
    claim : str, optional
        The claim that names it, for the message.

    Raises
    ------
    ClaimError
        If there is none of that name.
    """
    known = statistics_by_name()
    if name not in known:
        where = f"claim {claim}: " if claim else ""
        raise ClaimError(f"{where}statistic {name!r} is not known; allowed: {', '.join(known)}.{nearest(name, known)}")
    return known[name]


@cache
def _register_our_own() -> None:
    from qkvcheck.statistics import registered

    for module in iter_modules(registered.__path__):
        import_module(f"{registered.__name__}.{module.name}")
