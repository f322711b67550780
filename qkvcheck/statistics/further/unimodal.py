"""Unimodal: how far similarities are from having one peak: the most variance that one allows, and Hartigan's dip."""

from __future__ import annotations

import numpy as np

from qkvcheck.statistics.many.limits import MANY
from qkvcheck.statistics.similarity import unit_columns

DIP_PAIRS = 20_000
"""Of more pairs than this a seeded sample is taken: the dip moves by at most the distance of the two laws."""

_AT_ONCE = 2_000_000
"""Numbers of either side that are held at once where contexts are many."""


def most_unimodal_variance(mean: float) -> float:
    """Return the largest variance of a law on [-1, 1] that has one peak and this mean: 1/3 + 2 abs(m) / 3 - m^2.

    A law with mode c is that of c + U Y with U uniform on [0, 1] and Y within [-1 - c, 1 - c] (Khintchine). With its
    mean fixed, E Y^2 is largest where Y takes the two ends alone; then the mean square is 1/3 + 2 c m / 3, which is
    largest at c = 1 (for m >= 0): a part at 1, the rest uniform. At m = 1/3 it is 4/9, the most for any mean
    (Jacobson 1969, Ann. Math. Statist. 40:1746).

    Examples
    --------
    >>> most_unimodal_variance(0.0) == 1 / 3, round(most_unimodal_variance(-1 / 3), 4)
    (True, 0.4444)
    """
    return 1 / 3 + 2 * abs(mean) / 3 - mean**2


def sampled_similarities(
    x: np.ndarray, y: np.ndarray | None = None, *, measure: str = "cosine", most: int = DIP_PAIRS
) -> tuple[np.ndarray, int]:
    """Return the similarities between dimensions: of all pairs, or of so many that a fixed seed draws.

    Pairs stand row by row: (0, 1), (0, 2), ..., (1, 2), ... within a block, (0, 0), (0, 1), ... across two. Which are
    drawn: ``numpy.random.default_rng(0).choice(pairs, most, replace=False, shuffle=False)``.

    Parameters
    ----------
    x, y : ndarray
        (context, dimension) of one block, and of another for a group across blocks.
    measure : {"cosine", "pearson"}
        What is computed of each pair.
    most : int
        Pairs that are computed at most.

    Returns
    -------
    similarities : ndarray of float64
        One a pair.
    pairs : int
        How many there are of which they were drawn.
    """
    first = unit_columns(x, measure=measure)
    second = first if y is None else unit_columns(y, measure=measure)
    d, e = first.shape[1], second.shape[1]
    pairs = d * (d - 1) // 2 if y is None else d * e
    drawn = np.arange(pairs)
    if pairs > most:
        drawn = np.random.default_rng(0).choice(pairs, most, replace=False, shuffle=False)
    if y is None:
        starts = np.concatenate([[0], np.cumsum(np.arange(d - 1, 0, -1))])  # the first pair of each row
        row = np.searchsorted(starts, drawn, side="right") - 1
        column = drawn - starts[row] + row + 1
    else:
        row, column = np.divmod(drawn, e)
    step = len(drawn) if len(x) <= MANY else max(1, _AT_ONCE // len(x))
    found = [
        np.einsum("ij,ij->j", first[:, row[at : at + step]], second[:, column[at : at + step]])
        for at in range(0, len(drawn), step)
    ]
    return np.clip(np.concatenate(found), -1.0, 1.0), pairs


def dip_obstacle() -> str | None:
    """Return why there is no dip, or None if it can be computed."""
    from importlib.util import find_spec

    return None if find_spec("diptest") else "the dip needs diptest: pip install 'qkvcheck[dip]'"


def dip(similarities: np.ndarray) -> float:
    """Return Hartigan's dip: the largest distance of the numbers' distribution function from the nearest unimodal one.

    Hartigan and Hartigan 1985, Ann. Statist. 13:70, by the package diptest. At least 1 / 2n of n numbers, at most 1/4:
    two points of equal weight; of two narrow peaks about half the weight of the smaller one. Its p-value takes
    independent numbers, which similarities between dimensions are not: none is computed.
    """
    from diptest import dipstat

    return float(dipstat(np.ascontiguousarray(similarities, dtype=np.float64)))
