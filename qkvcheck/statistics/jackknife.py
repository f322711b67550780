"""Jackknife: intervals over contexts, by leaving out one cluster of contexts at a time.

The observations are contexts, not pairs of dimensions: 2.65 million pairs come from 54 contexts. Contexts that
may depend on each other (the same first word) form a cluster and leave together. Bootstraps are no substitute
here: repeated rows double the noise floor of a mean squared cosine, and nearly every replicate lies above the
estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qkvcheck.errors import ClaimError

LEVEL = 0.95
MULTIPLIER_DRAWS = 20_000
WIDENING = 3.0
"""Intervals are widened by sqrt((G + w) / (G - w)); without it the coverage at 18 to 27 clusters was 0.89 to 0.93."""


@dataclass(frozen=True)
class Scale:
    """A monotone scale on which a statistic's interval is formed.

    Attributes
    ----------
    name : str
        Such as ``"raw"``.
    forward, inverse : callable
        From the statistic to the scale, and back.
    """

    name: str
    forward: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _logarithm(values: np.ndarray) -> np.ndarray:
    logs: np.ndarray = np.log(np.maximum(values, 1e-300))
    return logs


def _fisher_z(values: np.ndarray) -> np.ndarray:
    z: np.ndarray = np.arctanh(np.clip(values, -_NEAREST, _NEAREST))
    return z


_NEAREST = 1 - 1e-12
ANY_NUMBER = (-np.inf, np.inf)
RAW = Scale("raw", _same, _same)
FISHER_Z = Scale("Fisher z", _fisher_z, np.tanh)
LOGARITHM = Scale("logarithm", _logarithm, np.exp)


@dataclass(frozen=True)
class Replicates:
    """A statistic on all rows, and on the rows without each cluster.

    Attributes
    ----------
    whole : float
        On all (distinct) rows.
    without : ndarray
        (cluster,): without each cluster in turn.
    """

    whole: float
    without: np.ndarray

    def __sub__(self, other: Replicates) -> Replicates:
        """Return the difference of two statistics under the same deletions."""
        return Replicates(self.whole - other.whole, self.without - other.without)


@dataclass(frozen=True)
class Estimate:
    """A bias-corrected estimate with its interval.

    Attributes
    ----------
    plug_in : float
        The statistic itself, as one would compute it on these contexts.
    value : float
        The same with its bias of order 1/n taken off.
    standard_error : float
        On the scale of the interval.
    low, high : float
        Ends of the interval.
    level : float
        Its nominal coverage.
    clusters : int
        Clusters left out in turn; the interval has one degree of freedom fewer.
    """

    plug_in: float
    value: float
    standard_error: float
    low: float
    high: float
    level: float
    clusters: int


def merge_labels(labels: Sequence[str], others: Sequence[str]) -> list[str]:
    """Join clusters that hold the same row, so that leaving one out leaves no copy behind.

    Parameters
    ----------
    labels, others : sequence of str
        Pairs of clusters to be joined, such as each row's cluster and that of the first row equal to it.

    Returns
    -------
    list of str
        For each of `labels` the cluster it now belongs to; joined ones bear the label that sorts first.
    """
    parent = {label: label for label in (*labels, *others)}

    def root(label: str) -> str:
        while parent[label] != label:
            label = parent[label]
        return label

    for one, other in zip(labels, others, strict=True):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(label) for label in labels]


def effective_contexts(labels: Sequence[str]) -> float:
    """Return Kish's effective number of observations, n^2 / sum of squared cluster sizes.

    That is how many independent contexts n of them are worth if those of a cluster are copies of each other
    (Kish 1965, Survey Sampling). Between 1 and n.
    """
    sizes = np.unique(np.array(list(labels)), return_counts=True)[1]
    return float(len(labels) ** 2 / (sizes**2).sum())


def pseudo_values(replicates: Replicates, *, scale: Scale = RAW) -> np.ndarray:
    """Return the jackknife's pseudo-values G T - (G - 1) T_g, one a cluster (Tukey 1958).

    Parameters
    ----------
    replicates : Replicates
        Of G clusters.
    scale : Scale
        On which they are formed.
    """
    count = len(replicates.without)
    if count < 2:
        raise ClaimError(f"{count} cluster(s) of contexts can't be left out in turn; at least two are needed.")
    whole = float(scale.forward(np.float64(replicates.whole)))
    values: np.ndarray = count * whole - (count - 1) * scale.forward(np.asarray(replicates.without, dtype=np.float64))
    return values


def jackknife_estimate(
    replicates: Replicates,
    *,
    scale: Scale = RAW,
    level: float = LEVEL,
    critical: float | None = None,
    widening: float = WIDENING,
    ends: Scale | None = None,
    possible: tuple[float, float] = ANY_NUMBER,
) -> Estimate:
    """Return the bias-corrected delete-one-cluster jackknife estimate with its interval.

    With pseudo-values p_g: value = mean(p), standard error = sd(p) / sqrt(G) sqrt((G + w) / (G - w)), and the interval
    is value -+ c times that, c from Student's t with G - 1 degrees of freedom (Quenouille 1956; Tukey 1958; Efron &
    Stein 1981, Ann. Statist. 9:586). It assumes that clusters are independent of each other and alike in law, and that
    the statistic is smooth in the rows: not a quantile, not a share above a bound.

    Parameters
    ----------
    replicates : Replicates
        The statistic, whole and without each cluster.
    scale : Scale
        On which the value is formed before it is taken back, and the standard error stands.
    level : float
        Nominal coverage of the interval.
    critical : float, optional
        Used instead of Student's quantile, such as what `simultaneous_critical` returns.
    widening : float
        w above: few clusters understate the spread of statistics that are not linear in the rows. Found by
        simulation (docs/statistics.md); 0 leaves the plain jackknife.
    ends : Scale, optional
        On which the interval is formed, around the mean of the pseudo-values on that scale; by default `scale`.
    possible : tuple of float
        Least and greatest number that the statistic can be: an end beyond is put there.
    """
    from scipy.special import stdtrit

    count = len(replicates.without)
    centre, error = centre_and_error(replicates, scale=scale, widening=widening)
    if critical is None:
        critical = float(stdtrit(count - 1, 0.5 + level / 2))
    low, high = reached(
        *((centre, error) if ends is None else centre_and_error(replicates, scale=ends, widening=widening)),
        critical=critical,
        scale=ends or scale,
        possible=possible,
    )
    return Estimate(
        plug_in=float(replicates.whole),
        value=float(scale.inverse(np.float64(centre))),
        standard_error=error,
        low=low,
        high=high,
        level=level,
        clusters=count,
    )


def centre_and_error(replicates: Replicates, *, scale: Scale, widening: float) -> tuple[float, float]:
    """Return the mean of the pseudo-values on a scale, and its standard error, widened for few clusters."""
    pseudo = np.sort(pseudo_values(replicates, scale=scale))  # so that the order of the clusters changes no bit
    count = len(pseudo)
    wider = np.sqrt((count + widening) / (count - widening)) if count > 2 * widening else np.sqrt(3.0)
    return float(pseudo.mean()), float(pseudo.std(ddof=1) / np.sqrt(count) * wider)


def reached(
    centre: float, error: float, *, critical: float, scale: Scale, possible: tuple[float, float] = ANY_NUMBER
) -> tuple[float, float]:
    """Return the ends of an interval, taken back from a scale and not beyond what is possible."""
    low, high = sorted(float(scale.inverse(np.float64(centre + side * critical * error))) for side in (-1, 1))
    least, most = possible
    return min(max(low, least), most), max(min(high, most), least)


def simultaneous_critical(
    family: Sequence[Replicates],
    *,
    scale: Scale = RAW,
    level: float = LEVEL,
    draws: int = MULTIPLIER_DRAWS,
    rng: np.random.Generator | None = None,
) -> float:
    """Return the factor that makes the intervals of a family hold all at once (max-T).

    The pseudo-values of all cells are multiplied by the same Gaussian draws, one a cluster, so that cells which
    move together count less than independent ones; each draw is divided by an independent sqrt(chi2 / df) as
    Student's t is (multiplier bootstrap: Chernozhukov, Chetverikov & Kato 2013, Ann. Statist. 41:2786).

    Parameters
    ----------
    family : sequence of Replicates
        The cells, all under the same deletions.
    scale, level
        As for `jackknife_estimate`.
    draws : int
        Monte Carlo draws.
    rng : numpy.random.Generator, optional
        Source of the draws; without it a fixed one, so that the same data give the same verdict.

    Returns
    -------
    float
        At least Student's own quantile; equal to it, up to Monte Carlo error, for one cell.
    """
    from scipy.special import stdtrit

    generator = np.random.default_rng(0) if rng is None else rng
    pseudo = np.stack([pseudo_values(replicates, scale=scale) for replicates in family], axis=1)
    pseudo = pseudo[np.lexsort(pseudo.T)]  # so that the order of the clusters changes nothing
    count = len(pseudo)
    centred = pseudo - pseudo.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    moving = spread > 0
    least = float(stdtrit(count - 1, 0.5 + level / 2))
    if not moving.any():
        return least
    unit = centred[:, moving] / spread[moving]
    largest = np.abs(generator.standard_normal((draws, count)) @ unit).max(axis=1)
    largest /= np.sqrt(generator.chisquare(count - 1, size=draws) / (count - 1))
    return max(least, float(np.quantile(largest, level)))


def contexts_needed(estimate: Estimate, threshold: float, *, n: int, scale: Scale = RAW) -> int | None:
    """Return how many distinct contexts would settle on which side of a threshold the value is.

    The interval's width falls as 1 / sqrt(n): n (longer half / distance)^2, if the value stays where it is.
    None if it stands on the threshold.
    """
    centre, edge, low, high = (
        float(scale.forward(np.float64(v))) for v in (estimate.value, threshold, estimate.low, estimate.high)
    )
    distance = abs(centre - edge)
    if not distance > 0 or not np.isfinite(distance):
        return None
    half = max(high - centre, centre - low)  # the other may have been cut at what is possible
    needed = n * (half / distance) ** 2
    return int(np.ceil(needed)) + 1 if needed < 1e9 else None
