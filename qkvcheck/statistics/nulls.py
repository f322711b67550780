"""References: what a statistic would be if the captured numbers were permuted; lines to read by, no evidence.

``shuffled``
    All entries permuted together, so that dimensions become random vectors: cosines then follow
    Beta((n - 1) / 2, (n - 1) / 2) on [-1, 1] and P = 1 / n. Any bias of any dimension is above it, so that it
    says nearly nothing.
``within-column``
    Contexts permuted independently within each dimension: the offsets stay, all co-variation goes. What is left
    above it is more than mean offset.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qkvcheck.statistics.offset import decompose, offset_only_mean_absolute
from qkvcheck.statistics.sample import Place, Rows, Statistic, parts_of, plug_in

SHUFFLED, WITHIN_COLUMN = "shuffled", "within-column"
REFERENCES = (SHUFFLED, WITHIN_COLUMN)


def reference(name: str, statistic_name: str, statistic: Statistic, rows: Rows, place: Place) -> tuple[float, str]:
    """Return a reference line for a statistic in one place, and how it was found.

    Parameters
    ----------
    name : {"shuffled", "within-column"}
        What is permuted.
    statistic_name, statistic : str, Statistic
        The statistic.
    rows : Rows
        Distinct contexts.
    place : (group, measure)
        Where.

    Returns
    -------
    value : float
        Its expectation, or its value under one seeded permutation where no closed form is known.
    how : str
        ``"closed form"`` or ``"one permutation"``.
    """
    closed = _shuffled if name == SHUFFLED else _within_column
    if rows.arrays[0].ndim == 2 and len(rows.arrays) == 1:
        value = closed(statistic_name, rows, place)
        if value is not None:
            return value, "closed form"
    rng = np.random.default_rng(0)
    permute = _permute_all if name == SHUFFLED else _permute_columns
    permuted = replace(rows, arrays=tuple(permute(array, rng) for array in rows.arrays))
    return plug_in(statistic, permuted, [place])[place], "one permutation"


def random_mean_absolute(n: int) -> float:
    """Return the mean abs(cosine) of random vectors in n dimensions: Gamma(n/2) / (sqrt(pi) Gamma((n+1)/2))."""
    from scipy.special import gammaln

    return float(np.exp(gammaln(n / 2) - gammaln((n + 1) / 2)) / np.sqrt(np.pi))


def _shuffled(name: str, rows: Rows, place: Place) -> float | None:
    n = len(rows.arrays[0]) - (place[1] == "pearson")
    known = {
        "variance": 1 / n,
        "mean_square": 1 / n,
        "mean_absolute": random_mean_absolute(n),
        "sign_balance": 0.0,
        "collapse": n / (n - 1),
        "offset_share": 1 / n,
    }
    return known.get(name)


def _within_column(name: str, rows: Rows, place: Place) -> float | None:
    if name not in ("variance", "mean_square", "mean_absolute", "sign_balance", "collapse", "offset_share"):
        return None
    n = len(rows.arrays[0])
    if place[1] == "pearson":
        return _shuffled(name, rows, place)
    x, y = parts_of(rows.arrays, place, rows)[0]
    found = decompose(x, y)
    if name == "mean_square":
        return found.offset_only
    if name == "variance":
        return found.offset_only - found.mean**2
    if name == "mean_absolute":
        return offset_only_mean_absolute(x, y)
    if name == "sign_balance":
        return found.mean / offset_only_mean_absolute(x, y)
    return (1 / (n - 1) if name == "collapse" else found.offset) / found.offset_only


def _permute_all(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    permuted: np.ndarray = rng.permutation(array.ravel()).reshape(array.shape)
    return permuted


def _permute_columns(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    permuted: np.ndarray = rng.permuted(array, axis=0)
    return permuted
