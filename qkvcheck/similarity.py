"""Similarity between dimensions (columns, over contexts) and between contexts (rows).

The paper's histograms are of the first kind: each dimension of Q, K or V is a vector over the contexts, and
two dimensions are compared. Its "above 0.9 across sentences" is of the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.kernels import MAGNITUDES, Tally
from qkvcheck.kernels import numpy_ as _numpy_kernel

PAIR_GROUPS = ("QQ", "KK", "VV", "QK", "QV", "KV")
MEASURES = ("cosine", "pearson")
BINS = 100


@dataclass(frozen=True)
class GroupSummary:
    """Similarities between the dimensions of a pair group, summed up.

    Attributes
    ----------
    counts : ndarray of int64
        Histogram over equal bins on [-1, 1].
    pairs : int
        Pairs counted: i < j within a block, all pairs across two.
    mean, mean_absolute, mean_square, variance : float
        Of the similarities, over the pairs.
    sign_balance : float
        mean / mean_absolute: 1 if all are positive, 0 if both signs weigh alike, -1 if all are negative.
    share_above : dict of float to float
        Share of pairs with abs(similarity) above 0.5, 0.7 and 0.9.
    share_low, share_high : float
        Share of pairs below -0.5 and above 0.5.
    largest : float
        Largest abs(similarity), before clipping to [-1, 1].
    zero_columns : int
        Dimensions of length zero (for Pearson: constant); their similarity with anything is counted as 0.
    """

    counts: np.ndarray
    pairs: int
    mean: float
    mean_absolute: float
    mean_square: float
    variance: float
    sign_balance: float
    share_above: Mapping[float, float]
    share_low: float
    share_high: float
    largest: float
    zero_columns: int


def unit_columns(x: np.ndarray, *, measure: str = "cosine") -> np.ndarray:
    """Scale every column to length 1, after centring it for Pearson.

    Parameters
    ----------
    x : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Pearson correlation is the cosine of centred columns.

    Returns
    -------
    ndarray of float64
        (context, dimension). A column of length zero (for Pearson: a constant one) stays zero.

    Raises
    ------
    ClaimError
        If the measure is not known, or a value is NaN or infinite.
    """
    if measure not in MEASURES:
        raise ClaimError(f"measure {measure!r} is not known; allowed: {', '.join(MEASURES)}.")
    return unit_length(scaled_columns(x), measure)


def scaled_columns(x: np.ndarray) -> np.ndarray:
    """Return float64 columns divided by their largest magnitude, so that squares neither vanish nor overflow.

    Raises
    ------
    ClaimError
        If a value is NaN or infinite.
    """
    values = np.asarray(x, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ClaimError("the activations hold NaN or infinite values; nothing can be said of them. Check the model.")
    size = np.abs(values).max(axis=0, initial=0.0)
    scaled: np.ndarray = values / np.where(size > 0, size, 1.0)
    return scaled


def unit_length(values: np.ndarray, measure: str) -> np.ndarray:
    """Return scaled columns at length 1; those of length zero (for Pearson: the constant ones) stay zero."""
    if measure == "pearson":
        constant = (values == values[0]).all(axis=0)
        values = values - values.mean(axis=0)
        if constant.any():
            values[:, constant] = 0.0
    norms = np.sqrt(np.einsum("ij,ij->j", values, values))
    unit: np.ndarray = values / np.where(norms > 0, norms, 1.0)
    return unit


def summarise_group(
    x: np.ndarray, y: np.ndarray | None = None, *, measure: str = "cosine", bins: int = BINS
) -> GroupSummary:
    """Compare dimensions over contexts: those of one block among each other, or those of two blocks.

    Parameters
    ----------
    x : ndarray
        (context, dimension) of one block.
    y : ndarray, optional
        (context, dimension) of another block; without it pairs i < j within `x` are taken.
    measure : {"cosine", "pearson"}
        What to compute of each pair.
    bins : int
        Number of equal histogram bins on [-1, 1].
    """
    first = unit_columns(x, measure=measure)
    second = None if y is None else unit_columns(y, measure=measure)
    tally = _numpy_kernel.tally(first, second, bins=bins)
    zero = sum(int((~unit.any(axis=0)).sum()) for unit in (first, second) if unit is not None)
    return _summary(tally, zero)


def _summary(tally: Tally, zero_columns: int) -> GroupSummary:
    pairs = tally.pairs
    if pairs == 0:
        raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
    mean, mean_square = tally.total / pairs, tally.total_square / pairs
    mean_absolute = tally.total_absolute / pairs
    return GroupSummary(
        counts=tally.counts,
        pairs=pairs,
        mean=mean,
        mean_absolute=mean_absolute,
        mean_square=mean_square,
        variance=mean_square - mean**2,
        sign_balance=mean / mean_absolute if mean_absolute > 0 else 0.0,
        share_above={edge: count / pairs for edge, count in zip(MAGNITUDES, tally.above, strict=True)},
        share_low=tally.low / pairs,
        share_high=tally.high / pairs,
        largest=tally.largest,
        zero_columns=zero_columns,
    )


def split_group(x: np.ndarray, group: str, blocks: Mapping[str, slice]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the one or two blocks that a pair group compares.

    Parameters
    ----------
    x : ndarray
        (..., width).
    group : str
        One of `PAIR_GROUPS`, or a block Q, K or V.
    blocks : mapping of str to slice
        Where Q, K and V stand along the width.
    """
    if group in blocks:
        return x[..., blocks[group]], None
    if group not in PAIR_GROUPS:
        allowed = ", ".join((*PAIR_GROUPS, *blocks))
        raise ClaimError(f"group {group!r} is not known; allowed: {allowed}.")
    first, second = group[0], group[1]
    return x[..., blocks[first]], None if first == second else x[..., blocks[second]]


def row_similarities(x: np.ndarray, y: np.ndarray | None = None, *, measure: str = "cosine") -> np.ndarray:
    """Compare contexts: the similarity of every row of `x` with every row of `y` (or of `x`).

    Parameters
    ----------
    x, y : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Pearson centres each row over its dimensions.

    Returns
    -------
    ndarray of float64
        (context of x, context of y), within [-1, 1].
    """
    first = unit_columns(np.asarray(x).T, measure=measure)
    second = first if y is None else unit_columns(np.asarray(y).T, measure=measure)
    similarities: np.ndarray = np.clip(first.T @ second, -1.0, 1.0)
    return similarities
