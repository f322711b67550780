"""Two ways: contexts crossed with words: what noise alone would give, and an interval over both."""

from __future__ import annotations

import numpy as np

from qkvcheck.statistics.jackknife import LEVEL, RAW, WIDENING, Estimate, Replicates, Scale, centre_and_error, reached


def noise_token_minus_context(contexts: int, words: int) -> float:
    """Return what `token_minus_context` is on average if the cells of the grid stand in a random order.

    (w - c) / (c w - 1) for c contexts and w words. About the grand mean, a part of the sum of squares that has k of the
    c w - 1 degrees of freedom gets k / (c w - 1) of it, on average over all orders and whatever the vectors are; words
    have w - 1 and contexts c - 1.

    Examples
    --------
    >>> round(noise_token_minus_context(54, 20), 4), noise_token_minus_context(9, 9)
    (-0.0315, 0.0)
    """
    return (words - contexts) / (contexts * words - 1)


def two_way_estimate(
    by_context: Replicates,
    by_word: Replicates,
    *,
    scale: Scale = RAW,
    widening: float = WIDENING,
    level: float = LEVEL,
) -> Estimate:
    """Return the estimate with an interval over contexts and over words, both taken as drawn from many.

    With T on the whole grid, T_1 and T_2 the bias-corrected jackknife estimates over clusters of contexts and over
    words, and e_1 and e_2 their (widened) standard errors: value T_1 + T_2 - T, standard error sqrt(e_1^2 + e_2^2), and
    Student's t with one degree of freedom fewer than the smaller number of clusters and of words. What a single cell
    adds is in either error, so the sum counts it twice, to the safe side (Cameron, Gelbach and Miller 2011 take it off
    once).

    Parameters
    ----------
    by_context, by_word : Replicates
        The statistic without each cluster of contexts, and without each word.
    scale, widening, level
        As `jackknife_estimate` takes them.
    """
    from scipy.special import stdtrit

    (first, e_1), (second, e_2) = (
        centre_and_error(replicates, scale=scale, widening=widening) for replicates in (by_context, by_word)
    )
    whole = float(scale.forward(np.float64(by_context.whole)))
    centre = first + second - whole
    error, fewer = float(np.hypot(e_1, e_2)), min(len(by_context.without), len(by_word.without))
    low, high = reached(centre, error, critical=float(stdtrit(fewer - 1, 0.5 + level / 2)), scale=scale)
    value = float(scale.inverse(np.float64(centre)))
    return Estimate(float(by_context.whole), value, error, low, high, level, fewer)
