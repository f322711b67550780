"""Bounds: what a count of violations, or a set of untrained seeds, allows one to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.groups import StrEnum

MIN_SEEDS = 19
"""With fewer seeds a rank can't reach 1 in 20, and nothing is said about specificity to training."""


@dataclass(frozen=True)
class ViolationRate:
    """What k violations among n contexts say of the rate of violations.

    Attributes
    ----------
    violations, n : int
        Counted among independent contexts whose number was fixed beforehand.
    low, high : float
        One-sided bounds, each at `confidence`.
    confidence : float
        Of each bound.
    """

    violations: int
    n: int
    low: float
    high: float
    confidence: float


def violation_rate(violations: int, n: int, *, confidence: float = 0.95) -> ViolationRate:
    """Return exact bounds on a rate of violations (Clopper & Pearson 1934, Biometrika 26:404).

    It assumes n independent contexts, n fixed before looking. Hypothesis's examples are none: it searches. With no
    violation the upper bound is 1 - (1 - confidence)^(1/n): under 5 % from n = 59 on.

    Parameters
    ----------
    violations, n : int
        0 <= violations <= n, n at least 1.
    confidence : float
        Of each one-sided bound.

    Raises
    ------
    ClaimError
        If the counts are impossible.
    """
    from scipy.special import betaincinv

    if not (n >= 1 and 0 <= violations <= n):
        raise ClaimError(f"{violations} violations of {n} contexts can't be; give 0 to n violations, n at least 1.")
    low = 0.0 if violations == 0 else float(betaincinv(violations, n - violations + 1, 1 - confidence))
    high = 1.0 if violations == n else float(betaincinv(violations + 1, n - violations, confidence))
    return ViolationRate(violations, n, low, high, confidence)


@dataclass(frozen=True)
class SeedComparison:
    """A trained network's number beside those of untrained seeds.

    Attributes
    ----------
    difference, low, high : float
        Trained minus the seeds' mean, and the interval in which a further seed would leave that difference.
    p_value : float
        (1 + seeds at least as high) / (seeds + 1): how rare the trained number would be as one more seed.
    seeds : int
        Number of seeds.
    mean, deviation : float
        Of the seeds' numbers.
    """

    difference: float
    low: float
    high: float
    p_value: float
    seeds: int
    mean: float
    deviation: float


def compare_with_seeds(
    trained: float, seeds: Sequence[float], *, standard_error: float, clusters: int, level: float = 0.95
) -> SeedComparison:
    """Put a trained network's number beside those of untrained seeds.

    A further seed lies within mean -+ t sd sqrt(1 + 1/S) (a prediction interval; seeds assumed normal and independent).
    The contexts' own uncertainty, t times the standard error of the paired difference, is added in quadrature.

    Parameters
    ----------
    trained : float
        The trained network's plug-in number.
    seeds : sequence of float
        The same of at least two untrained networks, on the same contexts.
    standard_error : float
        Over contexts, of the difference between the trained network and a seed.
    clusters : int
        Clusters behind that standard error.
    level : float
        Of the interval.
    """
    from scipy.special import stdtrit

    values = np.asarray(seeds, dtype=np.float64)
    count = len(values)
    if count < 2:
        raise ClaimError(f"{count} untrained seed(s) have no spread; give at least two.")
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    among_seeds = float(stdtrit(count - 1, 0.5 + level / 2)) * deviation * np.sqrt(1 + 1 / count)
    over_contexts = float(stdtrit(clusters - 1, 0.5 + level / 2)) * standard_error
    half = float(np.hypot(among_seeds, over_contexts))
    difference = trained - mean
    rank = (1 + int((values >= trained).sum())) / (count + 1)
    return SeedComparison(difference, difference - half, difference + half, rank, count, mean, deviation)


class Specificity(StrEnum):
    """Where the interval of a difference from a control stands to a margin."""

    SPECIFIC = "specific"
    UNRESOLVED = "unresolved"
    EQUIVALENT = "equivalent"
    REVERSED = "reversed"
    NOT_SPECIFIC = "not specific"


def specificity(low: float, high: float, *, margin: float) -> Specificity:
    """Name where the interval of a difference stands to a margin (three-sided testing, Goeman et al. 2010).

    Returns
    -------
    str
        ``"specific"`` if the whole interval is at least the margin; ``"not specific"`` if all of it is below,
        more exactly ``"equivalent"`` if it lies within -+ margin and ``"reversed"`` if it is at most -margin;
        else ``"unresolved"``.
    """
    if low >= margin:
        return Specificity.SPECIFIC
    if high >= margin:
        return Specificity.UNRESOLVED
    if low > -margin:
        return Specificity.EQUIVALENT
    return Specificity.REVERSED if high <= -margin else Specificity.NOT_SPECIFIC
