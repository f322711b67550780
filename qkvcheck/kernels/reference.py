"""The reference kernel: straight from the definition, in float64, one column against the rest at a time.

It is slow and plain on purpose: every other kernel is checked against it.
"""

from __future__ import annotations

import numpy as np

from qkvcheck.kernels import MAGNITUDES, Tally


def tally(x: np.ndarray, y: np.ndarray | None = None, *, bins: int) -> Tally:
    """Count and sum over the pairs of a group; see `qkvcheck.kernels`."""
    values = np.concatenate([_against(x[:, i], x[:, i + 1 :] if y is None else y) for i in range(x.shape[1])])
    clipped = np.clip(values, -1.0, 1.0)
    return Tally(
        counts=np.histogram(clipped, bins=bins, range=(-1.0, 1.0))[0].astype(np.int64),
        pairs=values.size,
        total=float(values.sum()),
        total_absolute=float(np.abs(values).sum()),
        total_square=float((values**2).sum()),
        above=tuple(int((np.abs(values) > edge).sum()) for edge in MAGNITUDES),
        low=int((values < -0.5).sum()),
        high=int((values > 0.5).sum()),
        largest=float(np.abs(values).max(initial=0.0)),
    )


def _against(column: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Dot products of one column with others, summed context by context."""
    products: np.ndarray = (column[:, None].astype(np.float64) * others.astype(np.float64)).sum(axis=0)
    return products
