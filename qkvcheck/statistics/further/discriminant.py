"""Discriminant: whether a word can be told from the others by its vector, in a context that was left out.

Linear discriminant analysis with words as classes: a row is given to the word whose mean is nearest in the metric of
the covariance within words, which is shrunk a little towards a multiple of the identity. Its decisions are those of
scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)``, fitted anew for each context on all
others, at a hundredth of the cost: leaving a context out takes few directions off one matrix, whose eigenvectors are
found once. They do not change if all rows are shifted, turned or scaled.
"""

from __future__ import annotations

from math import comb, factorial

import numpy as np

from qkvcheck.errors import ClaimError

SHRINKAGE = 0.001
"""Share of the covariance that is replaced by a multiple of the identity of the same trace."""
_ALIKE = 1e-24
"""Rows are scaled to a largest number of 1; words whose variance over contexts is less than this differ by rounding."""


def named_words(words: np.ndarray, *, shrinkage: float = SHRINKAGE) -> np.ndarray:
    """Return which word each row is taken for by the analysis fitted on all other contexts.

    With context c left out: m_k is the mean of word k over the other n - 1 contexts, S the mean of
    (x - m_k)(x - m_k)' over their (n - 1) w rows, and Sigma = (1 - s) S + s (tr S / d) I. A row x of context c is given
    to the word k with the least (x - m_k)' Sigma^-1 (x - m_k); all words weigh alike.

    Parameters
    ----------
    words : ndarray
        (context, word, dimension).
    shrinkage : float
        s above, between 0 and 1, neither included.

    Returns
    -------
    ndarray of int
        (context, word).

    Raises
    ------
    ClaimError
        If there are fewer than three contexts or two words, or no word differs between the contexts that are left.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> words = rng.normal(size=(1, 3, 4)) + 0.1 * rng.normal(size=(9, 1, 4)) + 0.1 * rng.normal(size=(9, 3, 4))
    >>> bool((named_words(words) == [0, 1, 2]).all())
    True
    """
    x = _in_span(words)
    n, w = x.shape[:2]
    dimensions = np.shape(words)[2]
    means = x.mean(axis=0)
    flat = (x - means).reshape(n * w, -1)
    energies, axes = np.linalg.eigh(flat.T @ flat)
    # One product of two matrices: numpy takes a stack of small ones apart.
    energies, means, within = np.maximum(energies, 0.0), means @ axes, (flat @ axes).reshape(n, w, -1)
    part = (1 - shrinkage) / (w * (n - 1))
    found = np.empty((n, w), dtype=np.int64)
    for c in range(n):
        gone = within[c] * np.sqrt(n / (n - 1))  # (word, dimension): what this context has of the scatter within words
        trace = (energies.sum() - (gone**2).sum()) / (w * (n - 1))
        if not trace > _ALIKE:
            raise ClaimError("no word differs from one context to another; nothing can be told of the covariance.")
        found[c] = _nearest(
            within[c] + means, means - within[c] / (n - 1), part * energies + shrinkage * trace / dimensions, part, gone
        )
    return found


def _nearest(x: np.ndarray, means: np.ndarray, diagonal: np.ndarray, part: float, gone: np.ndarray) -> np.ndarray:
    """Return for each row the nearest mean in the metric of diag(diagonal) - part gone' gone (Woodbury's identity)."""
    inverse = 1 / diagonal
    scaled, lessened = means * inverse, gone * inverse
    small = np.eye(len(gone)) / part - lessened @ gone.T
    coefficients = scaled + np.linalg.solve(small, gone @ scaled.T).T @ lessened
    nearest: np.ndarray = (x @ coefficients.T - 0.5 * np.einsum("kj,kj->k", means, coefficients)).argmax(axis=1)
    return nearest


def _in_span(words: np.ndarray) -> np.ndarray:
    """Return the rows about their mean, of size one, and in coordinates of their span if that has fewer dimensions."""
    values = np.asarray(words, dtype=np.float64)
    if values.ndim != 3 or values.shape[0] < 3 or values.shape[1] < 2:
        raise ClaimError(f"words of shape {values.shape} can't be told apart; give at least 3 contexts of 2 words.")
    rows = (values - values.mean(axis=(0, 1))).reshape(-1, values.shape[2])
    largest = float(np.abs(rows).max(initial=0.0))
    rows = rows / (largest or 1.0)
    if len(rows) < rows.shape[1]:
        _, triangle = np.linalg.qr(rows.T)  # the rows' coordinates along orthonormal directions that span them
        rows = triangle.T
    grid: np.ndarray = rows.reshape(*values.shape[:2], -1)
    return grid


def named_rightly(words: np.ndarray, *, shrinkage: float = SHRINKAGE) -> np.ndarray:
    """Return whether each row is taken for its own word: (context, word) of bool; see `named_words`."""
    named = named_words(words, shrinkage=shrinkage)
    right: np.ndarray = named == np.arange(named.shape[1])
    return right


def permutation_test(words: np.ndarray, *, shrinkage: float = SHRINKAGE) -> tuple[float, float]:
    """Return how often words are named rightly in one half of the contexts by the other half, and its exact p-value.

    The analysis is fitted once on the contexts 0, 2, 4, ... and names the rows of the contexts 1, 3, 5, ... . Under the
    null hypothesis that within a context the words' vectors could as well stand in any other order, every order of each
    of these contexts is as likely, whatever the fitted half holds. The p-value is the share of all orders (w! of each
    context, independent of each other) with at least as many right names; it is counted, not drawn.

    Parameters
    ----------
    words : ndarray
        (context, word, dimension).
    shrinkage : float
        As in `named_words`.

    Returns
    -------
    share, p_value : float
        Of the rows of these contexts.

    Raises
    ------
    ClaimError
        As `named_words`.
    """
    x = _in_span(words)
    fitted, asked = x[::2], x[1::2]
    means = fitted.mean(axis=0)
    within = (fitted - means).reshape(-1, x.shape[2])
    covariance = within.T @ within / len(within)
    trace = float(np.trace(covariance))
    if not trace > _ALIKE:
        raise ClaimError("no word differs from one context to another; nothing can be told of the covariance.")
    covariance *= 1 - shrinkage
    covariance[np.diag_indices_from(covariance)] += shrinkage * trace / np.shape(words)[2]
    coefficients = np.linalg.solve(covariance, means.T).T
    named = (asked @ coefficients.T - 0.5 * (means * coefficients).sum(axis=1)).argmax(axis=2)
    right = int((named == np.arange(x.shape[1])).sum())
    law = np.ones(1)
    for one in named:
        law = np.convolve(law, right_by_chance(np.bincount(one, minlength=x.shape[1])))
    least = np.finfo(np.float64).tiny  # no p-value is zero, though a product of so many may be too small for a number
    return right / named.size, float(min(1.0, max(law[right:].sum(), least)))


def right_by_chance(given: np.ndarray) -> np.ndarray:
    """Return the law of the number of right names in one context if its words stand in a random order.

    Of w rows, ``given[k]`` are named word k. The number of ways to put j words on rows that bear their names is the
    coefficient r_j of prod_k (1 + given[k] z); by inclusion and exclusion the probability of exactly i right names is
    the sum over j >= i of (-1)^(j - i) C(j, i) r_j (w - j)! / w!. It is counted in whole numbers.

    Examples
    --------
    >>> right_by_chance(np.array([1, 1])).tolist(), right_by_chance(np.array([2, 0])).tolist()
    ([0.5, 0.0, 0.5], [0.0, 1.0, 0.0])
    """
    w = len(given)
    ways = [1]
    for count in given.tolist():
        ways = [low + count * high for low, high in zip([*ways, 0], [0, *ways], strict=True)]
    orders = factorial(w)
    found = [
        sum((-1) ** (j - i) * comb(j, i) * ways[j] * factorial(w - j) for j in range(i, w + 1)) / orders
        for i in range(w + 1)
    ]
    return np.array(found)
