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

from qkvcheck.groups import Comparison
from qkvcheck.statistics.registry import Statistic
from qkvcheck.statistics.sample import Rows

SHUFFLED, WITHIN_COLUMN = "shuffled", "within-column"


def null_value(reference: str, statistic: Statistic, rows: Rows, comparison: Comparison) -> tuple[float, str]:
    """Return what a statistic would be for permuted numbers, and how that was found.

    Parameters
    ----------
    reference : {"shuffled", "within-column"}
        What is permuted.
    statistic : Statistic
        The statistic.
    rows : Rows
        Distinct contexts.
    comparison : Comparison
        Where.

    Returns
    -------
    value : float
        Its expectation, or its value under one seeded permutation where no closed form is known.
    how : str
        ``"closed form"`` or ``"one permutation"``.
    """
    if rows.arrays[0].ndim == 2 and len(rows.arrays) == 1:
        value = statistic.null(reference, rows, comparison)
        if value is not None:
            return value, "closed form"
    rng = np.random.default_rng(0)
    permute = _permute_all if reference == SHUFFLED else _permute_columns
    permuted = replace(rows, arrays=tuple(permute(array, rng) for array in rows.arrays))
    return statistic.values(permuted.arrays, permuted, [comparison])[0], "one permutation"


def _permute_all(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    permuted: np.ndarray = rng.permutation(array.ravel()).reshape(array.shape)
    return permuted


def _permute_columns(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    permuted: np.ndarray = rng.permuted(array, axis=0)
    return permuted
