"""Row checks: whether a mean similarity between contexts is that of all dimensions, or of a few large ones."""

from __future__ import annotations

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.formulas import row_mean

TOP = 3
"""Dimensions that are left out: often one to three dominate a cosine (Timkey and van Schijndel 2021)."""


def as_compared(x: np.ndarray, *, measure: str) -> np.ndarray:
    """Return rows as a measure compares them: for ``"pearson"`` each less its mean over the dimensions."""
    values = np.asarray(x, dtype=np.float64)
    return values - values.mean(axis=1, keepdims=True) if measure == "pearson" else values


def top_dimensions(x: np.ndarray, *, measure: str = "cosine", top: int = TOP) -> np.ndarray:
    """Return the dimensions with the largest share of the squared offset, largest first; of equal ones the first.

    The offset is the mean row, of rows as the measure compares them: its squares, dimension by dimension, are ranked.

    Examples
    --------
    >>> top_dimensions(np.array([[1.0, -9.0, 2.0, 0.0], [1.0, -9.0, 2.0, 1.0]]), top=2).tolist()
    [1, 2]
    """
    offset = as_compared(x, measure=measure).mean(axis=0)
    order: np.ndarray = np.argsort(-(offset**2), kind="stable")
    return order[:top]


def row_mean_without(x: np.ndarray, dimensions: np.ndarray, *, measure: str = "cosine") -> float:
    """Return the mean similarity over pairs of different rows, of all dimensions but some."""
    return row_mean(np.delete(np.asarray(x, dtype=np.float64), dimensions, axis=1), measure=measure)


def participation(x: np.ndarray, *, measure: str = "cosine") -> float:
    """Return over what share of the dimensions the rows are spread: (sum e)^2 / (d sum e^2).

    e_i is the mean square of dimension i, of rows as the measure compares them. 1 if all dimensions hold as much, 1 / d
    if one of d holds everything.

    Examples
    --------
    >>> participation(np.array([[1.0, 1.0], [1.0, -1.0]])), participation(np.array([[1.0, 0.0], [1.0, 0.0]]))
    (1.0, 0.5)
    """
    values = as_compared(x, measure=measure)
    largest = float(np.abs(values).max(initial=0.0))
    energy = ((values / (largest or 1.0)) ** 2).mean(axis=0)
    square = float((energy**2).sum())
    return float(energy.sum() ** 2 / (len(energy) * square)) if square > 0 else 1.0


def standardised_row_mean(x: np.ndarray, others: np.ndarray, *, measure: str = "cosine") -> float:
    """Return the mean similarity over pairs of rows after each dimension is standardised by other words' rows.

    z_i = (x_i - m_i) / s_i with mean and standard deviation (of the population, divided by their number) of dimension i
    over `others`. Over the rows themselves the mean similarity of z would be about 0 whatever they are. A dimension in
    which all others are alike is left out.

    Parameters
    ----------
    x, others : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Pearson centres each standardised row over its dimensions.

    Raises
    ------
    ClaimError
        If fewer than two dimensions are left.
    """
    values, given = np.asarray(x, dtype=np.float64), np.asarray(others, dtype=np.float64)
    moving = (given != given[:1]).any(axis=0)
    if moving.sum() < 2:
        raise ClaimError("the other words are alike in all dimensions but one at most; nothing can be standardised.")
    values, given = values[:, moving], given[:, moving]
    return row_mean((values - given.mean(axis=0)) / given.std(axis=0), measure=measure)
