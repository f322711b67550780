"""Factors: how much of the spread of rows the first token, the preceding token and the position explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qkvcheck.groups import FACTORS
from qkvcheck.statistics.sample import Rows

MATTERS = 0.05
"""A factor that explains less than this share is no reason for clusters."""
TIE = 0.05
"""Of factors whose shares are this close to the largest, the one with fewer levels makes the clusters."""
MATTERS_TOO = 0.1
"""A second factor that explains this share beyond the first makes clusters of its own besides."""


@dataclass(frozen=True)
class Explained:
    """What a factor explains of the spread of a projection's rows.

    Attributes
    ----------
    projection : str
        ``"Q"``, ``"K"`` or ``"V"``.
    factor : str
        One of `qkvcheck.groups.FACTORS`.
    levels : int
        How many different ones there are.
    share : float or None
        Omega squared; None where it is not defined, as with a level for each row.
    """

    projection: str
    factor: str
    levels: int
    share: float | None


def omega_squared(x: np.ndarray, labels: Sequence[str], *, beyond: Sequence[str] | None = None) -> float | None:
    """Return the share of the spread of rows that a factor explains, without what chance alone would.

    With n rows x_i in k levels of n_g rows each, m the mean of all rows and m_g that of a level, and squared lengths
    over all dimensions: SS_total = sum_i |x_i - m|^2, SS_between = sum_g n_g |m_g - m|^2,
    MS_within = (SS_total - SS_between) / (n - k), and

        omega^2 = (SS_between - (k - 1) MS_within) / (SS_total + MS_within)

    (of one dimension: the usual one of a one-way layout). Levels may have different sizes; one of a single row adds
    to SS_between and nothing to what is within. It can be a little below 0.

    Beyond another factor with k' levels, the rows are taken less the means of its levels: with r_i = x_i - m'_{g'(i)},
    SS_between = sum_g n_g |mean of r in g|^2, MS_within = (sum_i |r_i|^2 - SS_between) / (n - k - k' + 1), and SS_total
    as above. A factor whose levels are those of the other, or unions of them, explains nothing beyond it.

    Parameters
    ----------
    x : ndarray
        (context, ...): all but the first axis are dimensions.
    labels : sequence of str
        Each row's level.
    beyond : sequence of str, optional
        Each row's level of the other factor.

    Returns
    -------
    float or None
        None where nothing is left to measure what is within by (n <= k, or n <= k + k' - 1), or all rows are equal.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0], [0.2], [5.0], [5.2], [9.0], [9.2]])
    >>> round(omega_squared(x, list("aabbcc")), 3), omega_squared(x, list("abcdef"))
    (0.999, None)
    """
    rows = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
    rows = rows - rows.mean(axis=0)
    total = float((rows**2).sum())
    levels, free = len(set(labels)), len(rows) - len(set(labels))
    if beyond is not None:
        free -= len(set(beyond)) - 1
        rows = rows - _means(rows, beyond)
    if free <= 0 or not total > 0:
        return None
    between = float((_means(rows, labels) ** 2).sum())
    within = max(float((rows**2).sum()) - between, 0.0) / free
    return (between - (levels - 1) * within) / (total + within)


def _means(rows: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Return for each row the mean of its level."""
    number = np.unique(np.array(list(labels)), return_inverse=True)[1]
    sums = np.zeros((number.max() + 1, rows.shape[1]))
    np.add.at(sums, number, rows)
    means: np.ndarray = (sums / np.bincount(number)[:, None])[number]
    return means


def explained(rows: Rows) -> tuple[Explained, ...]:
    """Return what each factor explains of each projection of the first array; empty where factors are not known."""

    def compute() -> tuple[Explained, ...]:
        return tuple(
            Explained(name, factor, len(set(told)), omega_squared(rows.arrays[0][..., place], told))
            for name, place in rows.projections.items()
            for factor, told in _told(rows).items()
        )

    return rows.keep("explained", compute)


def governing_factors(every: Sequence[Rows], projections: str = "QKV") -> tuple[str, ...]:
    """Return the factors that make the clusters by the rule: none, one, or two where both matter.

    A factor's share is the mean of its omega squared over the samples and the projections named; one that is not
    defined somewhere, or smaller than `MATTERS`, makes no clusters. First comes the factor with the largest share; of
    those within `TIE` of it the one with fewest levels (as many: the earlier of `FACTORS`). A second is the one, of
    those that matter, with the largest share beyond the first, if that is at least `MATTERS_TOO`.

    Parameters
    ----------
    every : sequence of Rows
        Samples of the same contexts, such as several layers.
    projections : str
        Letters of those that count.
    """
    levels = {name: len(set(told)) for name, told in _told(every[0]).items()}
    shares = {name: _mean_share(every, projections, name) for name in levels}
    matter = {name: share for name, share in shares.items() if share is not None and share >= MATTERS}
    if not matter:
        return ()
    largest = max(matter.values())
    first = min((name for name in matter if matter[name] >= largest - TIE), key=lambda name: levels[name])
    further = {name: _mean_share(every, projections, name, beyond=first) for name in matter if name != first}
    too = {name: share for name, share in further.items() if share is not None and share >= MATTERS_TOO}
    return (first, max(too, key=lambda name: too[name])) if too else (first,)


def _mean_share(every: Sequence[Rows], projections: str, name: str, *, beyond: str | None = None) -> float | None:
    found = [
        omega_squared(rows.arrays[0][..., place], rows.factors[name], beyond=beyond and rows.factors[beyond])
        for rows in every
        for letter, place in rows.projections.items()
        if letter in projections
    ]
    known = [share for share in found if share is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def _told(rows: Rows) -> Mapping[str, tuple[str, ...]]:
    return {name: rows.factors[name] for name in FACTORS if name in rows.factors}
