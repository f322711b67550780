"""Attribution: where the offset of the target's vectors comes from: the weights alone, any word, this token.

A target row in context k is x_k. Over contexts it has a mean, the offset, which the words grid (every context
continued with every word) splits into three vectors:

    offset = weights alone + generic + token

*Weights alone* is what the projection puts out for the bias of the layer norm before it, plus the projection's own
bias: no token enters. *Generic* is the rest of the mean over all words. *Token* is what the target adds to it. Shares
are projections on the offset, so that they add up to 1; a share can be negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
