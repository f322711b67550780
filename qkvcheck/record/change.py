"""Change: how far an estimate has moved since it was recorded, and whether noise explains it.

With the same weights, contexts, number format and device an estimate moves only because libraries, kernels or our own
code compute otherwise. How much of that is harmless is measured (`qkvcheck doctor --noise`), not guessed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from qkvcheck.claims import Decision, Verdict
from qkvcheck.statistics import Replicates, jackknife_estimate

FACTOR = 10.0
"""Times the noise floor: other machines have other kernels than the one on which it was measured."""
ROUNDING = 2e-6
"""Least that is allowed: what the record keeps is rounded to six digits."""
UNMEASURED = 1e-3
"""Allowed where no noise floor was measured."""


@dataclass(frozen=True)
class Entry:
    """What is on record of a verdict.

    Attributes
    ----------
    verdict : Decision
        Then.
    estimate, low, high : float or None
        Six digits.
    n : int or None
        Distinct contexts.
    plug_in : float or None
        The statistic itself, nine digits.
    replicates : sequence of float, or None
        The same without each cluster; None where nothing was jackknifed, or the first version wrote the file.
    statistic, bound, cluster_kind : str or None
        What was measured, what it was held against, and by what contexts were clustered; None where an earlier version
        wrote the file.
    claims : str or None
        Hash of the claims file, twelve digits; None of a claim that its test's marker made, or as above.
    """

    verdict: Decision
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    plug_in: float | None = None
    replicates: Sequence[float] | None = None
    statistic: str | None = None
    bound: str | None = None
    cluster_kind: str | None = None
    claims: str | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON; without what was not jackknifed, or is not known."""
        always = ("verdict", "estimate", "low", "high", "n")
        return {k: v for k, v in asdict(self).items() if v is not None or k in always}


def other_measurement(then: Entry, now: Entry) -> str | None:
    """Return which of statistic and bound differ, as far as both are known; None if neither does."""
    for name, was, here in (("statistic", then.statistic, now.statistic), ("bound", then.bound, now.bound)):
        if was is not None and here is not None and was != here:
            return f"{name} ({was} there, {here} here)"
    return None


@dataclass(frozen=True)
class NoiseFloor:
    """How far numbers move when only the way of computing them changes.

    Attributes
    ----------
    statistics : mapping of str to float
        The largest change of each statistic.
    variations : mapping of str to float
        The largest change in each way of computing.
    machine : mapping of str to str
        Where it was measured.
    """

    statistics: Mapping[str, float]
    variations: Mapping[str, float]
    machine: Mapping[str, str]

    def __post_init__(self) -> None:
        if min(self.statistics.values(), default=0.0) < 0:
            raise ValueError("a noise floor has to be from 0")


@dataclass(frozen=True)
class Change:
    """A recorded estimate beside this run's.

    Attributes
    ----------
    recorded, now, change : float
        The two estimates, and the second minus the first.
    low, high : float or None
        95 % interval of the change, paired: the same clusters left out then and now. None where the record keeps no
        replicates, or other clusters.
    clusters : int or None
        How many.
    allowed : float
        How far an estimate may move.
    floor : float or None
        The measured noise floor of the statistic; None if there is none, so that the tolerance is fixed.
    versions : tuple of (str, str, str)
        Libraries whose versions differ: name, then, now.
    other_claims : bool
        Whether the claims file is another one than when it was recorded.
    """

    recorded: float
    now: float
    change: float
    low: float | None
    high: float | None
    clusters: int | None
    allowed: float
    floor: float | None
    versions: tuple[tuple[str, str, str], ...]
    other_claims: bool = False

    @property
    def beyond(self) -> bool:
        """Whether it passes what is allowed."""
        return not abs(self.change) <= self.allowed


def change_of(
    entry: Entry,
    verdict: Verdict,
    *,
    noise: NoiseFloor | None,
    then: Mapping[str, str],
    now: Mapping[str, str],
) -> Change | None:
    """Return how far an estimate has moved, or None where either run has none.

    Parameters
    ----------
    entry : Entry
        What is on record.
    verdict : Verdict
        Of this run.
    noise : NoiseFloor or None
        What was measured, if anything was.
    then, now : mapping of str to str
        Versions of libraries.
    """
    was = entry.estimate
    if was is None or verdict.estimate is None:
        return None
    floor = None if noise is None else noise.statistics.get(verdict.statistic)
    allowed = UNMEASURED if floor is None else max(FACTOR * float(floor), ROUNDING)
    low, high, clusters = paired_interval(entry, verdict)
    versions = tuple(
        (name, then.get(name, "none"), now.get(name, "none"))
        for name in sorted({*then, *now})
        if now and then.get(name) != now.get(name)
    )
    moved = min(max(verdict.estimate - was, -sys.float_info.max), sys.float_info.max)  # infinity is no JSON
    other = entry.claims not in (None, claims_of(verdict))
    return Change(was, verdict.estimate, moved, low, high, clusters, allowed, floor, versions, other_claims=other)


def claims_of(verdict: Verdict) -> str | None:
    """Return by what hash of a claims file a record knows where a verdict's claim stood."""
    return None if verdict.claims_sha256 is None else verdict.claims_sha256[:12]


def paired_interval(
    entry: Entry, verdict: Verdict, *, widening: float | None = None
) -> tuple[float | None, float | None, int | None]:
    """Return the interval of the change since an entry, and over how many clusters it is paired; None without one.

    Parameters
    ----------
    entry : Entry
        What is on record.
    verdict : Verdict
        Of this run.
    widening : float, optional
        As `jackknife_estimate` takes it.
    """
    kept, own = entry.replicates, verdict.evidence.replicates
    if not kept or entry.plug_in is None or own is None or len(kept) != len(own.without):
        return None, None, None
    if verdict.evidence.groups is not None and entry.n != verdict.n_distinct:
        return None, None, None  # as many groups, of other clusters
    before = Replicates(entry.plug_in, np.array(kept, dtype=np.float64))
    after = Replicates(float(own.whole), np.array(own.without, dtype=np.float64))
    with np.errstate(all="ignore"):  # a record that was edited by hand may hold any number
        apart = after - before
        found = jackknife_estimate(apart) if widening is None else jackknife_estimate(apart, widening=widening)
    return (found.low, found.high, len(kept)) if np.isfinite([found.low, found.high]).all() else (None, None, None)


def change_text(change: Change) -> str:
    """Return a change beyond noise in words."""
    moved = ", ".join(f"{name} {was} -> {now}" for name, was, now in change.versions)
    ours = "same weights, contexts and libraries: our own code or this machine moved, or the record was edited"
    who = f"same weights, same contexts: the libraries moved ({moved})" if moved else ours
    if change.other_claims:  # of a key that a record does not keep, such as what is captured
        also = f", and the libraries moved ({moved})" if moved else ""
        who = f"same weights, same contexts: the claims file is another one than when this was recorded{also}"
    text = f"{who}; {change.recorded:.6f} on record, now {change.now:.6f}"
    return text if change.floor is not None else f"{text} (no noise floor was measured: fixed tolerance)"


def change_rows(change: Change) -> list[tuple[str, str]]:
    """Return the table of a change, as pairs of a name and a text."""
    interval = (
        f" [{change.low:+.6f}, {change.high:+.6f}], paired over {change.clusters} clusters"
        if change.low is not None and change.high is not None
        else ", not paired (the record keeps no replicates, or other clusters)"
    )
    allowance = (
        f"{change.allowed:.2g}: {FACTOR:g} x the noise floor {change.floor:.2g} measured for this statistic"
        if change.floor is not None
        else f"{change.allowed:g}, fixed: no noise floor was measured; qkvcheck doctor --noise measures one"
    )
    rows = [
        ("recorded", f"{change.recorded:.6f}"),
        ("now", f"{change.now:.6f}"),
        ("difference", f"{change.change:+.6f}{interval}"),
        ("allowed", allowance),
    ]
    versions = ", ".join(f"{name} {was} -> {now}" for name, was, now in change.versions)
    return [*rows, ("versions", versions or "the same as on record")]
