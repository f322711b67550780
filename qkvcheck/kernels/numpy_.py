"""The NumPy kernel: float64 matrix products over tiles of columns; no d x d matrix is kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qkvcheck.kernels import MAGNITUDES, Tally

TILE = 256


def tally(x: np.ndarray, y: np.ndarray | None = None, *, bins: int) -> Tally:
    """Count and sum over the pairs of a group; see `qkvcheck.kernels`."""
    counts = np.zeros(bins, dtype=np.int64)
    above = np.zeros(len(MAGNITUDES), dtype=np.int64)
    pairs = low = high = 0
    total = total_absolute = total_square = largest = 0.0
    for values in _tiles(x, y):
        size = np.abs(values)
        # floor((c + 1) / 2 * bins); c = 1 belongs to the last bin.
        index = ((np.clip(values, -1.0, 1.0) + 1.0) * (bins / 2)).astype(np.int64)
        counts += np.bincount(np.minimum(index, bins - 1), minlength=bins)
        above += [np.count_nonzero(size > edge) for edge in MAGNITUDES]
        pairs += values.size
        low += int(np.count_nonzero(values < -0.5))
        high += int(np.count_nonzero(values > 0.5))
        total += float(values.sum())
        total_absolute += float(size.sum())
        total_square += float(np.dot(values, values))
        largest = max(largest, float(size.max(initial=0.0)))
    return Tally(counts, pairs, total, total_absolute, total_square, tuple(map(int, above)), low, high, largest)


def _tiles(x: np.ndarray, y: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield the similarities of a tile of columns with their partners, flat; inside one block only i < j."""
    for start in range(0, x.shape[1], TILE):
        stop = min(start + TILE, x.shape[1])
        if y is not None:
            yield (x[:, start:stop].T @ y).ravel()
            continue
        square = x[:, start:stop].T @ x[:, start:stop]
        yield square[np.triu_indices(stop - start, k=1)]
        yield (x[:, start:stop].T @ x[:, stop:]).ravel()
