"""Statistics: one number from captured rows, in float64, for a claim to be judged by.

Rows are observations. Those over pairs of dimensions are exact from n x n Gram matrices: no d x d matrix is
ever formed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.kernels.gram import block_gram, pair_sums
from qkvcheck.statistics.many.limits import MANY, PAIRED, drawn_rows
from qkvcheck.statistics.many.pair_sums import unit_pair_sums
from qkvcheck.statistics.many.row_sums import RowSums, all_rows, unit_rows
from qkvcheck.statistics.similarity import row_similarities, summarise_group, unit_columns


def observations(array: np.ndarray) -> np.ndarray:
    """Return one row a context: for an array with a word axis, the row of its first word, the target."""
    return array if array.ndim == 2 else array[:, 0]


def variance(x: np.ndarray, y: np.ndarray | None = None, *, measure: str = "cosine") -> float:
    """Return V, the variance of the similarities between dimensions.

    It comes from n x n Gram matrices (see `qkvcheck.statistics.kernels.gram.pair_sums`).

    V is in [0, 1], 1 if half the similarities are at each end; 1/3 for uniform ones, about 1/n for random
    vectors. No unimodal law on [-1, 1] has V > 4/9 (Jacobson 1969, Ann. Math. Statist. 40:1746).

    Parameters
    ----------
    x, y : ndarray
        (context, dimension) of one block, and of another for a group across blocks.
    measure : {"cosine", "pearson"}
        What is computed of each pair.
    """
    unit = {"A": unit_columns(x, measure=measure)}
    if y is not None:
        unit["B"] = unit_columns(y, measure=measure)
    widths = [part.shape[1] for part in unit.values()]
    pairs = widths[0] * (widths[0] - 1) / 2 if y is None else widths[0] * widths[1]
    if pairs == 0:
        raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
    if len(x) > MANY:
        sums = unit_pair_sums(*unit.values())
        total, total_square = float(sums.total[0]), float(sums.total_square[0])
    else:
        total, total_square = pair_sums(*(block_gram(part) for part in unit.values()))
    return float(total_square / pairs - (total / pairs) ** 2)


def mean_absolute(x: np.ndarray, y: np.ndarray | None = None, *, measure: str = "cosine") -> float:
    """Return the mean of abs(similarity) between dimensions: about 0.11 for 54 random rows, 0.5 if uniform."""
    return summarise_group(x, y, measure=measure, kernel="reference").mean_absolute


def random_mean_absolute(n: int) -> float:
    """Return the mean abs(cosine) of random vectors in n dimensions: Gamma(n/2) / (sqrt(pi) Gamma((n+1)/2)).

    Examples
    --------
    >>> round(random_mean_absolute(54), 3)
    0.109
    """
    from scipy.special import gammaln

    return float(np.exp(gammaln(n / 2) - gammaln((n + 1) / 2)) / np.sqrt(np.pi))


def sign_balance(x: np.ndarray, y: np.ndarray | None = None, *, measure: str = "cosine") -> float:
    """Return A = mean(c) / mean(abs(c)), in [-1, 1]: above 0 if the positive similarities weigh more."""
    return summarise_group(x, y, measure=measure, kernel="reference").sign_balance


def row_mean(x: np.ndarray, *, measure: str = "cosine") -> float:
    """Return the mean similarity over pairs of different rows, i < j."""
    if len(x) > MANY:
        return float(_row_sums(x, measure).mean[0])
    return float(_row_pairs(x, measure=measure).mean())


def row_variance(x: np.ndarray, *, measure: str = "cosine") -> float:
    """Return the variance of the similarity over pairs of different rows, i < j."""
    if len(x) > MANY:
        sums = _row_sums(x, measure)
        return max(float(sums.mean_square[0] - sums.mean[0] ** 2), 0.0)
    return float(_row_pairs(x, measure=measure).var())


def row_quantiles(x: np.ndarray, *, measure: str = "cosine") -> dict[str, float]:
    """Return least, 5 %, 25 %, 50 %, 75 %, 95 % and largest similarity over pairs of different rows, i < j.

    To look at, not to judge by: quantiles over pairs have no interval that covers. Of more than 1000 rows those are
    over the pairs of 1000 that `qkvcheck.statistics.drawn_rows` draws.

    Parameters
    ----------
    x : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Pearson centres each row over its dimensions.
    """
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    found = np.quantile(_row_pairs(x[drawn_rows(len(x), PAIRED)], measure=measure), shares)
    return {f"{share:g}": float(value) for share, value in zip(shares, found, strict=True)}


def least_row_mean(fresh: np.ndarray, reference: np.ndarray, *, measure: str = "cosine") -> float:
    """Return the least, over the fresh rows, of the mean similarity to all reference rows.

    Parameters
    ----------
    fresh, reference : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Pearson centres each row over its dimensions.
    """
    return float(row_similarities(fresh, reference, measure=measure).mean(axis=1).min())


def token_minus_context(words: np.ndarray) -> float:
    """Return the share of variance between tokens minus the share between contexts.

    A balanced two-way layout: with m the grand mean, the sum of squares about m splits into one part between
    the word means, one between the context means, and the rest (interaction).

    Parameters
    ----------
    words : ndarray
        (context, word, dimension).

    Returns
    -------
    float
        In [-1, 1]; above 0 if the token matters more than its left context.
    """
    values = np.asarray(words, dtype=np.float64)
    values = values - values.mean(axis=(0, 1))
    contexts, tokens = values.shape[:2]
    total = (values**2).sum()
    between_tokens = contexts * (values.mean(axis=0) ** 2).sum()
    between_contexts = tokens * (values.mean(axis=1) ** 2).sum()
    return float((between_tokens - between_contexts) / total) if total > 0 else 0.0


def token_minus_context_without(words: np.ndarray, left_out: Sequence[np.ndarray]) -> np.ndarray:
    """Return `token_minus_context` without some contexts, for one set of them after the other.

    The sums of squares follow from those of all contexts: no set needs a pass over the grid.

    Parameters
    ----------
    words : ndarray
        (context, word, dimension).
    left_out : sequence of ndarray of bool
        For each set (context,): the contexts that are left out.

    Returns
    -------
    ndarray of float64
        (set,).
    """
    values = np.asarray(words, dtype=np.float64)
    values = values - values.mean(axis=(0, 1), keepdims=True)  # changes nothing but the digits
    tokens = values.shape[1]
    squares, means = (values**2).sum(axis=(1, 2)), values.mean(axis=1)
    own, total = (means**2).sum(axis=1), values.sum(axis=0)
    found = []
    for gone in left_out:
        kept = ~gone
        contexts = int(kept.sum())
        of_tokens = (total - values[gone].sum(axis=0)) / contexts
        grand = contexts * tokens * (of_tokens.mean(axis=0) ** 2).sum()
        between_tokens = contexts * (of_tokens**2).sum() - grand
        between_contexts = tokens * own[kept].sum() - grand
        all_squares = squares[kept].sum() - grand
        found.append((between_tokens - between_contexts) / all_squares if all_squares > 0 else 0.0)
    return np.array(found, dtype=np.float64)


def token_minus_context_similarity(words: np.ndarray) -> float:
    """Return how much more alike the same word in two contexts is than two words in the same context.

    Mean cosine over both kinds of pairs, after the grand mean is removed.

    Parameters
    ----------
    words : ndarray
        (context, word, dimension).
    """
    unit = _unit_cells(np.asarray(words, dtype=np.float64) - np.mean(words, axis=(0, 1), dtype=np.float64))
    contexts, tokens = unit.shape[:2]
    own = float((unit**2).sum())
    same_token = ((unit.sum(axis=0) ** 2).sum() - own) / (tokens * contexts * (contexts - 1))
    same_context = ((unit.sum(axis=1) ** 2).sum() - own) / (contexts * tokens * (tokens - 1))
    return float(same_token - same_context)


def stability(words: np.ndarray, *, measure: str = "cosine") -> float:
    """Return R = (S_same - S_floor) / (1 - S_floor): how far the same token stands above different ones.

    S_same is the mean similarity of the first word's rows over pairs of contexts; S_floor that of different
    words in different contexts. Both run over the same pairs of contexts, hence the same positions.

    Parameters
    ----------
    words : ndarray
        (context, word, dimension); word 0 is the target.
    measure : {"cosine", "pearson"}
        Pearson centres each row over its dimensions.

    Returns
    -------
    float
        1 if the target's rows are all alike, 0 if they are no more alike than different words' rows.
    """
    return float(stability_without(words, [np.zeros(len(words), dtype=bool)], measure=measure)[0])


def stability_without(words: np.ndarray, left_out: Sequence[np.ndarray], *, measure: str = "cosine") -> np.ndarray:
    """Return `stability` without some contexts, for one set of them after the other.

    Rows of length 1 stay what they are, whichever other contexts go: only sums of them change.

    Parameters
    ----------
    words, measure
        As for `stability`.
    left_out : sequence of ndarray of bool
        For each set (context,): the contexts that are left out.

    Returns
    -------
    ndarray of float64
        (set,).
    """
    values = np.asarray(words, dtype=np.float64)
    if measure == "pearson":
        values = values - values.mean(axis=2, keepdims=True)
    unit = _unit_cells(values)
    tokens = unit.shape[1]
    of_words = unit.sum(axis=0)
    of_contexts = (unit.sum(axis=1) ** 2).sum(axis=1)
    squares = (unit**2).sum(axis=(1, 2))
    few = len(words) <= MANY
    similar = row_similarities(values[:, 0], measure="cosine") if few else np.empty((0, 0))
    means = np.empty(0) if few else RowSums(unit[:, 0], left_out).mean
    found = []
    for number, gone in enumerate(left_out):
        kept = np.flatnonzero(~gone)
        contexts = len(kept)
        if contexts < 2:
            raise ClaimError(f"{contexts} row(s) have no pairs to compare; give at least two distinct contexts.")
        same = similar[np.ix_(kept, kept)][np.triu_indices(contexts, k=1)].mean() if few else means[number]
        rest = of_words - unit[gone].sum(axis=0)
        # Sum over (i, a), (j, b) with i != j and a != b, by inclusion and exclusion of equal indices.
        different = (rest.sum(axis=0) ** 2).sum() - of_contexts[kept].sum() - (rest**2).sum() + squares[kept].sum()
        floor = different / (contexts * (contexts - 1) * tokens * (tokens - 1))
        found.append((same - floor) / (1.0 - floor) if floor < 1.0 else 0.0)
    return np.array(found, dtype=np.float64)


def _row_sums(x: np.ndarray, measure: str) -> RowSums:
    return RowSums(unit_rows(x, measure=measure), all_rows(len(x)))


def _row_pairs(x: np.ndarray, *, measure: str) -> np.ndarray:
    if len(x) < 2:
        raise ClaimError(f"{len(x)} row(s) have no pairs to compare; give at least two distinct contexts.")
    similarities = row_similarities(x, measure=measure)
    return similarities[np.triu_indices(len(similarities), k=1)]


def _unit_cells(values: np.ndarray) -> np.ndarray:
    norms = np.sqrt((values**2).sum(axis=-1, keepdims=True))
    unit: np.ndarray = values / np.where(norms > 0, norms, 1.0)
    return unit
