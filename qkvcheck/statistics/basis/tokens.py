"""Tokens: similarities between contexts in the metric of the model's other tokens (Mahalanobis), head by head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qkvcheck.errors import NotCapturedError
from qkvcheck.statistics.many.limits import MANY
from qkvcheck.statistics.many.row_sums import RowSums, all_rows, unit_rows

_CONDITION = 1e7
"""Of the tokens' rows: with a larger one the metric is rounding."""


@dataclass(frozen=True)
class TokenMetric:
    """How alike contexts are where each head's other tokens spread alike in all directions.

    Attributes
    ----------
    cosine : float
        Mean cosine over pairs of contexts.
    distance : float
        Mean squared distance over pairs of contexts, over that of pairs of other tokens: 0 if all contexts are alike, 1
        if they are as far apart as two tokens.
    tokens : int
        Rows of other tokens that the metric was made of.
    """

    cosine: float
    distance: float
    tokens: int


def token_metric(contexts: np.ndarray, tokens: np.ndarray, *, heads: int) -> TokenMetric:
    """Return how alike contexts are in the metric of other tokens.

    Of head h let x_ih be its w numbers in context i, and C_h the covariance (divided by m - 1) of its numbers in m
    rows of other tokens. Then <x_i, x_j> = sum_h x_ih inv(C_h) x_jh', the cosine is <x_i, x_j> / sqrt(<x_i, x_i>
    <x_j, x_j>), and the squared distance <x_i - x_j, x_i - x_j>, whose mean over all pairs of the tokens themselves is
    2 H w with H heads. Both are the same in every basis: under x_h -> x_h M, C_h -> M' C_h M. Contexts are not centred.

    Parameters
    ----------
    contexts, tokens : ndarray
        (context, H w) of the target, and (token, H w) of other tokens.
    heads : int
        H; heads stand one after the other.

    Raises
    ------
    NotCapturedError
        If there are too few tokens for a metric, or a head's tokens do not spread in all directions.
    """
    m, width = len(tokens), contexts.shape[1] // heads
    if m <= width:
        raise NotCapturedError(f"{m} rows of other tokens make no metric of {width} dimensions")
    seen = []
    for own, other in zip(np.split(contexts, heads, axis=1), np.split(tokens, heads, axis=1), strict=True):
        other = other.astype(np.float64)
        # C = R'R / (m - 1): working with R squares no condition number.
        triangle = np.asarray(np.linalg.qr(other - other.mean(axis=0), mode="r"))
        sizes = np.abs(np.diag(triangle))
        if not sizes.min() > 0 or np.linalg.cond(triangle) > _CONDITION:
            raise NotCapturedError("the other tokens of a head do not spread in all of its dimensions")
        seen.append(np.linalg.solve(triangle.T, own.astype(np.float64).T).T * np.sqrt(m - 1))
    rows = np.concatenate(seen, axis=1)
    if len(rows) > MANY:
        cosine = float(RowSums(unit_rows(rows), all_rows(len(rows))).mean[0])
    else:
        gram = rows @ rows.T
        lengths = np.sqrt(np.diag(gram))
        pairs = np.triu_indices(len(rows), k=1)
        cosine = float((gram / np.outer(lengths, lengths))[pairs].mean())
    # The mean squared distance of all pairs is twice the sum of variances (divided by n - 1).
    distance = float(2 * rows.var(axis=0, ddof=1).sum()) / (2 * heads * width)
    return TokenMetric(cosine, distance, m)
