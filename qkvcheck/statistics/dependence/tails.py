"""Tails: rows so much longer than others that the jackknife's interval is short."""

from __future__ import annotations

import numpy as np

HEAVY = 8.0
"""Above this ratio rows are called heavy-tailed."""


def tail_ratio(x: np.ndarray) -> float | None:
    """Return how much longer the longest row is than the middle one: max_i |x_i - m|^2 / median_i |x_i - m|^2.

    m is the mean row. The ratio is of squared lengths; above `HEAVY` rows are called heavy-tailed, a rule whose errors
    were simulated (docs/statistics.md).

    Parameters
    ----------
    x : ndarray
        (context, dimension).

    Returns
    -------
    float or None
        None where half of the rows or more are the mean.

    Examples
    --------
    >>> import numpy as np
    >>> tail_ratio(np.array([[1.0], [-1.0], [1.0], [-1.0], [3.0], [-3.0]]))
    9.0
    """
    rows = np.asarray(x, dtype=np.float64)
    squares = ((rows - rows.mean(axis=0)) ** 2).sum(axis=1)
    middle = float(np.median(squares))
    return float(squares.max()) / middle if middle > 0 else None
