"""Drawn: the numbers behind a verdict's pictures, small enough to travel with it."""

from __future__ import annotations

import numpy as np

from qkvcheck.claims.evidence import ContextMatrix, DimensionMatrix, Scatter
from qkvcheck.statistics import PAIRED, PICTURED, drawn_rows, offset_loadings, row_similarities, unit_columns

CELLS = 48
"""Cells along each side of a downsampled dimension matrix."""
POINTS = 2048
"""Most points of a scatter plot."""


def context_matrix(rows: np.ndarray, *, measure: str) -> ContextMatrix:
    """Return the similarities of all contexts with each other; of more than `PICTURED` those of so many, drawn.

    Parameters
    ----------
    rows : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Of the rows.
    """
    drawn = drawn_rows(len(rows), PICTURED)
    similar = row_similarities(rows[drawn], measure=measure)
    above = similar[np.triu_indices(len(similar), k=1)]
    which = None if len(drawn) == len(rows) else drawn.tolist()
    return ContextMatrix(len(similar), [round(float(value), 4) for value in above], which)


def scatter(rows: np.ndarray, *, measure: str) -> Scatter:
    """Return two contexts' numbers, dimension by dimension: the pair whose similarity is nearest to the median.

    Of more than `PAIRED` contexts the pairs of so many are looked at, as `drawn_rows` draws them.

    Parameters
    ----------
    rows : ndarray
        (context, dimension), two contexts at least.
    measure : {"cosine", "pearson"}
        Of the rows.
    """
    drawn = drawn_rows(len(rows), PAIRED)
    similar = row_similarities(rows[drawn], measure=measure)
    first, second = np.triu_indices(len(similar), k=1)
    values = similar[first, second]
    chosen = int(np.argmin(np.abs(values - np.median(values))))
    one, other = int(drawn[first[chosen]]), int(drawn[second[chosen]])
    kept = np.unique(np.linspace(0, rows.shape[1] - 1, min(POINTS, rows.shape[1])).astype(int))
    x, y = ([float(f"{value:.4g}") for value in rows[row][kept]] for row in (one, other))
    return Scatter([one, other], round(float(values[chosen]), 4), x, y)


def dimension_matrix(x: np.ndarray, y: np.ndarray | None = None) -> DimensionMatrix:
    """Return the cosines between dimensions as a coarse picture, without ever forming the matrix.

    In each block the dimensions are ordered by their offset (the cosine with the all-ones vector), so that those that
    point the same way stand together. A cell is the mean cosine of its pairs: the product of the mean unit columns,
    with the diagonal's ones taken out.

    Parameters
    ----------
    x, y : ndarray
        (context, dimension); without `y` the pairs are within `x`.
    """
    first, sizes = _means(x)
    second, others = (first, sizes) if y is None else _means(y)
    cells = first @ second.T
    if y is None:
        ones = _means(x, squared=True)[0].sum(axis=1)  # of columns of length zero there are none
        own = np.diag(cells) * sizes**2 - ones * sizes
        pairs = np.maximum(sizes * (sizes - 1), 1)
        np.fill_diagonal(cells, own / pairs)
    flat = [round(float(value), 3) for value in np.clip(cells, -1.0, 1.0).ravel()]
    return DimensionMatrix(len(sizes), len(others), flat)


def _means(x: np.ndarray, *, squared: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean unit column (or its square) of each cell along one side, and how many dimensions each holds."""
    ordered = unit_columns(x)[:, np.argsort(offset_loadings(x), kind="stable")]
    parts = np.array_split(ordered**2 if squared else ordered, min(CELLS, x.shape[1]), axis=1)
    return np.stack([part.mean(axis=1) for part in parts]), np.array([part.shape[1] for part in parts])
