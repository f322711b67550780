"""Offset: how much of a similarity between dimensions is mean offset, exactly and in closed form.

With m_i and s_i mean and standard deviation of dimension i over the contexts, a_i = m_i / sqrt(m_i^2 + s_i^2),
b_i = sqrt(1 - a_i^2) and r_ij the Pearson correlation, it is an identity that

    cos_ij = a_i a_j + b_i b_j r_ij.

Two poles appear wherever many dimensions have a mean that is large against its spread. The mean squared cosine
P splits into A (the offset alone), R (co-variation alone) and X (their product).

Where it comes from: a target row in context k is x_k. Over contexts it has a mean, the offset, which the words grid
(every context continued with every word) splits into three vectors:

    offset = weights alone + generic + token

*Weights alone* is what the projection puts out for the bias of the layer norm before it, plus the projection's own
bias: no token enters. *Generic* is the rest of the mean over all words. *Token* is what the target adds to it. Shares
are projections on the offset, so that they add up to 1; a share can be negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.many.limits import MANY
from qkvcheck.statistics.similarity import unit_columns

_TILE = 256


@dataclass(frozen=True)
class OffsetParts:
    """The exact decomposition of a pair group's mean squared cosine.

    Attributes
    ----------
    mean_square : float
        P, the mean of cos^2 over the pairs.
    offset, cross, residual : float
        A, X and R; they add up to P.
    offset_only : float
        P's expectation if contexts are permuted independently within each dimension.
    pearson_mean_square : float
        The mean of the squared Pearson correlations.
    mean : float
        The mean of the offset products a_i a_j, which is also the mean cosine's expectation under that permutation.
    """

    mean_square: float
    offset: float
    cross: float
    residual: float
    offset_only: float
    pearson_mean_square: float
    mean: float

    @property
    def share(self) -> float:
        """A / P: the share of P that is mean offset."""
        share = self.offset / self.mean_square if self.mean_square > 0 else 0.0
        return share if math.isfinite(share) else 0.0  # of a mean square that is hardly a number


def offset_loadings(x: np.ndarray) -> np.ndarray:
    """Return a_i, the cosine of each dimension with the all-ones vector: in [-1, 1].

    Parameters
    ----------
    x : ndarray
        (context, dimension).
    """
    loadings: np.ndarray = unit_columns(x).sum(axis=0) / np.sqrt(len(x))
    clipped: np.ndarray = np.clip(loadings, -1.0, 1.0)
    return clipped


def decompose(x: np.ndarray, y: np.ndarray | None = None) -> OffsetParts:
    """Split a group's mean squared cosine into offset, cross term and co-variation.

    A = mean(a_i^2 a_j^2), R = mean(b_i^2 b_j^2 r_ij^2), X = 2 mean(a_i a_j b_i b_j r_ij), over i < j within a block and
    over all pairs across two. Everything comes from n x n Gram matrices, of many contexts from tiles of d x d ones. The
    null ``offset_only`` is A + mean(b_i^2 b_j^2) / (n - 1), since a permuted correlation has mean 0 and variance
    exactly 1 / (n - 1).

    Parameters
    ----------
    x, y : ndarray
        (context, dimension) of one block, and of another for a group across blocks.

    Raises
    ------
    ClaimError
        If there is no pair of dimensions or only one context.
    """
    if len(x) < 2 or (y is None and x.shape[1] < 2):
        raise ClaimError(
            f"an array of shape {x.shape} has no pairs to decompose; give two contexts and two dimensions."
        )
    a, correlated = _loadings_and_directions(x)
    if y is None:
        second_a, second = a, correlated
    else:
        second_a, second = _loadings_and_directions(y)
    b, second_b = np.sqrt(1 - a**2), np.sqrt(1 - second_a**2)
    within = y is None

    def mean_product(first: np.ndarray, other: np.ndarray) -> float:
        """Mean of first_i other_j over the pairs."""
        total = first.sum() * other.sum() - ((first * other).sum() if within else 0.0)
        return float(total / (len(first) * (len(other) - within)))

    def mean_square_of(first: np.ndarray, other: np.ndarray) -> float:
        """Mean of (first_i . other_j)^2 over the pairs, columns being vectors over contexts."""
        if len(first) > MANY:
            total = sum(((first[:, i : i + _TILE].T @ other) ** 2).sum() for i in range(0, first.shape[1], _TILE))
        else:
            total = ((first @ first.T) * (other @ other.T)).sum()
        total -= ((first * other).sum(axis=0) ** 2).sum() if within else 0.0
        return float(total / (first.shape[1] * (other.shape[1] - within)))

    offset = mean_product(a**2, second_a**2)
    residual = mean_square_of(b * correlated, second_b * second)
    # 2 mean(a_i b_i w_i . w_j a_j b_j): both sides are vectors over contexts, so their dot product is enough.
    left, right = (a * b * correlated).sum(axis=1), (second_a * second_b * second).sum(axis=1)
    dot = left @ right - ((a * b) ** 2 * (correlated**2).sum(axis=0)).sum() * within
    cross = float(2 * dot / (len(a) * (len(second_a) - within)))
    return OffsetParts(
        mean_square=offset + cross + residual,
        offset=offset,
        cross=cross,
        residual=residual,
        offset_only=offset + mean_product(b**2, second_b**2) / (len(x) - 1),
        pearson_mean_square=mean_square_of(correlated, second),
        mean=mean_product(a, second_a),
    )


def _loadings_and_directions(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return offset_loadings(x), unit_columns(x, measure="pearson")


def offset_only_mean_absolute(x: np.ndarray, y: np.ndarray | None = None) -> float:
    """Return the mean abs(cosine) expected if contexts are permuted within each dimension.

    Each cosine is then about normal with mean m = a_i a_j and standard deviation s = b_i b_j / sqrt(n - 1); the mean of
    its absolute value is s sqrt(2 / pi) exp(-m^2 / 2 s^2) + m (1 - 2 Phi(-m / s)) (folded normal).
    """
    from scipy.special import ndtr

    a = offset_loadings(x)
    second = a if y is None else offset_loadings(y)
    b, second_b = np.sqrt(1 - a**2), np.sqrt(1 - second**2)
    m = np.abs(np.outer(a, second))
    s = np.maximum(np.outer(b, second_b) / np.sqrt(len(x) - 1), 1e-300)
    ratio = m / s
    values = s * np.sqrt(2 / np.pi) * np.exp(-0.5 * np.minimum(ratio, 1e8) ** 2) + m * (1 - 2 * ndtr(-ratio))
    return float(values[np.triu_indices(len(a), k=1)].mean() if y is None else values.mean())


def planted_mean_square(tau: float, n: int) -> float:
    """Return P expected where mean / spread of the dimensions is tau z, z standard normal, and noise is independent.

    With g = E a^2 = 1 - sqrt(pi / 2) / tau exp(1 / 2 tau^2) erfc(1 / (tau sqrt 2)): P = g^2 + (1 - g)^2 / (n - 1).
    A curve to check the statistics against.

    Parameters
    ----------
    tau : float
        Scale of the signal-to-noise ratios, above 0.
    n : int
        Number of contexts.
    """
    from scipy.special import erfcx

    # exp(u^2) erfc(u) = erfcx(u), which does not overflow for a small tau.
    share = 1 - np.sqrt(np.pi / 2) / tau * float(erfcx(1 / (tau * np.sqrt(2))))
    return float(share**2 + (1 - share) ** 2 / (n - 1))


@dataclass(frozen=True)
class Attribution:
    """Where the target's energy, the mean of abs(x_k)^2, comes from.

    Attributes
    ----------
    weights, generic, token : float
        Shares of the energy that lie in the offset, by projection.
    position, context : float
        Shares that vary: between the mean rows of the target's positions, and within them.
    top_share : float
        Share of the offset's energy in the largest 1 % of the dimensions (at least one).
    """

    weights: float
    generic: float
    token: float
    position: float
    context: float
    top_share: float


def token_share(words: np.ndarray) -> float:
    """Return the token's share of the offset.

    Parameters
    ----------
    words : ndarray
        (context, word, dimension); word 0 is the target, the last one what the weights put out alone.

    Returns
    -------
    float
        <token, offset> / abs(offset)^2; 1 if the offset is the token's own.
    """
    values = np.asarray(words, dtype=np.float64)
    offset = values[:, 0].mean(axis=0)
    token = offset - values[:, :-1].mean(axis=(0, 1))
    energy = float(offset @ offset)
    return float(token @ offset / energy) if energy > 0 else 0.0


def attribute(words: np.ndarray, positions: np.ndarray) -> Attribution:
    """Split the target's energy into five shares that add up to 1.

    Parameters
    ----------
    words : ndarray
        (context, word, dimension); word 0 is the target, the last one what the weights put out alone.
    positions : ndarray of int
        (context,): position of the target.
    """
    values = np.asarray(words, dtype=np.float64)
    target, weights = values[:, 0], values[0, -1]
    offset = target.mean(axis=0)
    mean_word = values[:, :-1].mean(axis=(0, 1))
    energy = float((target**2).sum(axis=1).mean())
    between = np.zeros_like(target)
    for position in np.unique(positions):
        rows = positions == position
        between[rows] = target[rows].mean(axis=0) - offset
    moving = float((between**2).sum(axis=1).mean())
    varying = float(((target - offset) ** 2).sum(axis=1).mean())
    largest = np.sort(offset**2)[::-1][: max(1, round(len(offset) / 100))]
    size = float(offset @ offset)
    return Attribution(
        weights=float(weights @ offset) / energy,
        generic=float((mean_word - weights) @ offset) / energy,
        token=float((offset - mean_word) @ offset) / energy,
        position=moving / energy,
        context=(varying - moving) / energy,
        top_share=float(largest.sum()) / size if size > 0 else 0.0,
    )
