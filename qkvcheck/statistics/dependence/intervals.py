"""Intervals under the cluster rule, and without the contexts that move a number most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qkvcheck.statistics.dependence.factors import governing_factors
from qkvcheck.statistics.jackknife import LEVEL, Estimate, Replicates, centre_and_error, pseudo_values, reached
from qkvcheck.statistics.many.grouping import group_clusters
from qkvcheck.statistics.measurement import Measurement
from qkvcheck.statistics.registry import Statistic
from qkvcheck.statistics.sample import Rows

MOST = 2
"""So many clusters are taken away to see whether a verdict hangs on them."""


@dataclass(frozen=True)
class Governed:
    """An estimate under the cluster rule.

    Attributes
    ----------
    factors : tuple of str
        What makes the clusters: none (each distinct row is one), one factor, or two.
    estimate : Estimate
        With two factors its `clusters` are those of the factor with fewer.
    """

    factors: tuple[str, ...]
    estimate: Estimate

    @property
    def kind(self) -> str:
        """What makes a cluster, in words."""
        return " and ".join(self.factors) or "distinct row"


def crossed_estimate(
    one: Replicates, other: Replicates, both: Replicates, *, statistic: Statistic, level: float = LEVEL
) -> Estimate:
    """Return the estimate of rows that depend on each other in two ways, which need not be nested.

    With c_a and s_a value and standard error (widened) of the jackknife under clusters a, on the statistic's scale, the
    value is c_1 + c_2 - c_12 and the squared standard error max(s_1^2 + s_2^2 - s_12^2, s_1^2, s_2^2), where 12 are the
    clusters in which both agree (Cameron, Gelbach & Miller 2011); Student's t has one degree of freedom fewer than
    there are clusters of the factor with fewer.

    Parameters
    ----------
    one, other, both : Replicates
        Without each level of either factor, and without each pair of levels that occurs.
    statistic : Statistic
        Whose scale and widening are used.
    level : float
        Nominal coverage.
    """
    from scipy.special import stdtrit

    widening = statistic.widening
    on = {
        scale.name: _two_way([centre_and_error(r, scale=scale, widening=widening) for r in (one, other, both)])
        for scale in (statistic.scale, statistic.interval_scale)
    }
    centre, error = on[statistic.scale.name]
    clusters = min(len(one.without), len(other.without))
    low, high = reached(
        *on[statistic.interval_scale.name],
        critical=float(stdtrit(clusters - 1, 0.5 + level / 2)),
        scale=statistic.interval_scale,
        possible=statistic.possible,
    )
    value = float(statistic.scale.inverse(np.float64(centre)))
    return Estimate(one.whole, value, error, low, high, level, clusters)


def _two_way(found: Sequence[tuple[float, float]]) -> tuple[float, float]:
    (c_1, s_1), (c_2, s_2), (c_12, s_12) = found
    return c_1 + c_2 - c_12, float(np.sqrt(max(s_1**2 + s_2**2 - s_12**2, s_1**2, s_2**2)))


def governed_estimate(own: Measurement, *, level: float = LEVEL) -> Governed | None:
    """Return the estimate with clusters by what explains most; None where that is not known, or the clusters are these.

    Parameters
    ----------
    own : Measurement
        Of one array, with factors of its contexts; see `governing_factors`, which looks at the projections of its
        group.
    level : float
        Nominal coverage.
    """
    rows = own.rows
    if len(rows.arrays) != 1 or not rows.factors:
        return None
    factors = rows.keep(("governing", own.comparison.group), lambda: governing_factors([rows], own.comparison.group))
    if len(factors) == 2:
        ways = [rows.factors[name] for name in factors]
        both = [" / ".join(pair) for pair in zip(*ways, strict=True)]
        found = [_replicates(own, labels) for labels in (*ways, both)]
        if min(len(one.without) for one in found) < 2:
            return None
        return Governed(factors, crossed_estimate(*found, statistic=own.statistic, level=level))
    labels = rows.factors[factors[0]] if factors else [f"row {number:06d}" for number in range(len(rows.labels[0]))]
    if len(set(labels)) < 2 or _partition(labels) == _partition(rows.cluster_labels[0]):
        return None
    return Governed(factors, own.statistic.estimate(_replicates(own, labels), level=level))


def _replicates(own: Measurement, labels: Sequence[str]) -> Replicates:
    return _of(own, own.rows.relabelled([labels], group_clusters(labels)))


def _of(own: Measurement, rows: Rows) -> Replicates:
    return Measurement(own.statistic, own.sample, own.comparison, (own.comparison,), rows).replicates


def _partition(labels: Sequence[str]) -> list[int]:
    """Return the clusters numbered in the order in which they first come."""
    seen: dict[str, int] = {}
    return [seen.setdefault(label, len(seen)) for label in labels]


@dataclass(frozen=True)
class Influence:
    """What the clusters that move a number most do to it.

    Attributes
    ----------
    share : float
        Of the jackknife variance, by the largest cluster.
    largest : tuple of str
        Those taken away, the largest first: clusters, or groups of them.
    without : Estimate or None
        The estimate without them; None where too few are left.
    """

    share: float
    largest: tuple[str, ...]
    without: Estimate | None


def influence(own: Measurement, *, level: float = LEVEL) -> Influence | None:
    """Return how much one cluster of contexts makes of the interval, and the estimate without the two largest.

    With pseudo-values p_g on the scale of the statistic's estimate and p their mean, the share of a cluster is
    (p_g - p)^2 / sum_g (p_g - p)^2. The two with the largest shares (of equal ones the first by name) leave together,
    and the rest is jackknifed anew.

    Parameters
    ----------
    own : Measurement
        With its clusters.
    level : float
        Nominal coverage of the interval without them.

    Returns
    -------
    Influence or None
        None where no cluster moves the number.
    """
    rows, statistic = own.rows, own.statistic
    pseudo = pseudo_values(own.replicates, scale=statistic.scale)
    squares = (pseudo - pseudo.mean()) ** 2
    if not squares.sum() > 0:
        return None
    order = np.argsort(-squares, kind="stable")[:MOST]
    largest = tuple(rows.clusters[number] for number in order)
    share, kept = float(squares[order[0]] / squares.sum()), [_kept(labels, largest) for labels in rows.labels]
    if len(rows.clusters) - MOST < MOST or min(map(len, kept)) < MOST:
        return Influence(share, largest, None)
    left = replace(
        rows,
        arrays=tuple(array[at] for array, at in zip(rows.arrays, kept, strict=True)),
        labels=tuple([labels[number] for number in at] for labels, at in zip(rows.labels, kept, strict=True)),
        factors={},
        in_clusters=(),
        grouping=None,
    )
    without = statistic.estimate(_of(own, left), level=level)
    return Influence(share, largest, without)


def _kept(labels: Sequence[str], largest: Sequence[str]) -> list[int]:
    return [number for number, label in enumerate(labels) if label not in largest]
