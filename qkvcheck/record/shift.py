"""Shift: how far a verdict and its estimate stand from those of other weights on the same contexts.

The weights are other ones on purpose, so that a shift is no noise: what may not move says a margin. A shift is beyond
it where all of its paired interval is, within it where all of the interval is, and open in between: the contexts at
hand then don't tell.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from qkvcheck.claims import Decision, Verdict, number_text
from qkvcheck.groups import StrEnum
from qkvcheck.record.change import ROUNDING, Entry, paired_interval
from qkvcheck.statistics import statistic_named, statistics_by_name


class Outcome(StrEnum):
    """What a shift comes to."""

    FLIP = "flip"
    """Another verdict."""
    BEYOND = "beyond"
    """The same verdict; the whole interval of the shift is farther out than the margin."""
    OPEN = "open"
    """The interval reaches over the margin: not settled."""
    WITHIN = "within"
    """The whole interval is within the margin."""
    MOVED = "moved"
    """The estimate moved, and there is no margin."""
    SAME = "same"
    """Nothing moved that the kept digits show, or there is no estimate to compare."""


@dataclass(frozen=True)
class Shift:
    """A verdict of other weights beside this run's.

    Attributes
    ----------
    was, now : Decision
        The two verdicts.
    outcome : Outcome
        What the shift comes to.
    recorded, estimate, change : float or None
        The two estimates, and the second minus the first.
    low, high : float or None
        95 % interval of the change, paired: the same clusters left out in both. None where one of them has no
        replicates, or the clusters are others.
    clusters : int or None
        How many.
    margin : float or None
        How far an estimate may move; None if it may move at will.
    """

    was: Decision
    now: Decision
    outcome: Outcome
    recorded: float | None = None
    estimate: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    clusters: int | None = None
    margin: float | None = None

    def fails(self, *, strict: bool = False) -> bool:
        """Tell whether it fails its test; one that is not settled does only under `strict`."""
        return self.outcome in (Outcome.FLIP, Outcome.BEYOND) or (strict and self.outcome == Outcome.OPEN)

    @property
    def may_be_none(self) -> bool:
        """Whether the interval of the change holds 0: these contexts don't tell it from no change."""
        return self.low is not None and self.high is not None and self.low <= 0 <= self.high

    @property
    def text(self) -> str:
        """It in one line."""
        before, after = number_text(self.recorded), number_text(self.estimate)
        if self.outcome == Outcome.FLIP:
            return f"FLIP: {self.was} -> {self.now} ({before} -> {after}{self._by})"
        told = {
            Outcome.BEYOND: f"BEYOND the margin {self.margin}",
            Outcome.OPEN: f"not settled: the interval reaches over the margin {self.margin}",
            Outcome.WITHIN: f"within the margin {self.margin}",
        }.get(self.outcome, "no margin, and the interval holds 0" if self.may_be_none else "no margin")
        return f"{self.now}: {before} -> {after}{self._by}; {told}"

    @property
    def _by(self) -> str:
        if self.change is None:
            return ""
        if self.low is None or self.high is None:
            return f", {self.change:+.4f}, not paired"
        return f", {self.change:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def shift_of(entry: Entry, verdict: Verdict, *, margin: float | None = None) -> Shift:
    """Return how far a verdict stands from what is on record of other weights.

    The interval is that of the jackknife of the difference, as `qkvcheck.statistics.jackknife_estimate` gives it: both
    statistics without the same clusters of contexts, widened as the statistic asks for. Where there is none, such as of
    a count, the estimates alone are held against the margin.

    Parameters
    ----------
    entry : Entry
        What is on record.
    verdict : Verdict
        Of this run.
    margin : float or None
        How far the estimate may move, from 0; None: at will.
    """
    was, now = entry.estimate, verdict.estimate
    change = low = high = clusters = None
    if was is not None and now is not None:
        change = min(max(now - was, -sys.float_info.max), sys.float_info.max)  # infinity is no JSON
        if _same_clusters(entry, verdict):
            known = verdict.statistic in statistics_by_name()
            widening = statistic_named(verdict.statistic).widening if known else None
            low, high, clusters = paired_interval(entry, verdict, widening=widening)
    outcome = _outcome(change, low, high, margin) if entry.verdict == verdict.verdict else Outcome.FLIP
    return Shift(entry.verdict, verdict.verdict, outcome, was, now, change, low, high, clusters, margin)


def _same_clusters(entry: Entry, verdict: Verdict) -> bool:
    """Tell whether the same contexts leave together; which ones do may hang on the weights."""
    n = verdict.n_distinct if verdict.n_distinct is not None else verdict.n
    return entry.n == n and entry.cluster_kind in (None, verdict.cluster_kind)


def _outcome(change: float | None, low: float | None, high: float | None, margin: float | None) -> Outcome:
    if change is None or abs(change) <= ROUNDING:
        return Outcome.SAME
    if margin is None:
        return Outcome.MOVED
    if low is None or high is None:
        return Outcome.BEYOND if abs(change) > margin else Outcome.WITHIN
    if low > margin or high < -margin:
        return Outcome.BEYOND
    return Outcome.WITHIN if -margin <= low and high <= margin else Outcome.OPEN
