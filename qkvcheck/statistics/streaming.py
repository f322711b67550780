"""Moments: what any number of contexts leaves of themselves, from which every statistic between dimensions follows.

Contexts that don't fit into memory are read in shards; each adds to the count, the means and the centred products of
the dimensions, in float64. Moments merge in any order, on one machine or many. What they have forgotten is the single
context: statistics between contexts need the rows, and a jackknife can leave out whole shards only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.jackknife import Replicates
from qkvcheck.statistics.kernels import PairGroup, Tally
from qkvcheck.statistics.kernels.binning import Shares, classify
from qkvcheck.statistics.kernels.tiles import tiles
from qkvcheck.statistics.similarity import BINS, GroupSummary, check_measure, check_request, summary_of

ROWS_AT_ONCE = 4096
_TILE = 1024


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of dimensions over contexts.

    Products are kept about the mean, not about zero: a mean that is large against its spread would otherwise leave
    correlations without digits.

    Attributes
    ----------
    n : int
        Contexts.
    mean : ndarray of float64
        (width,).
    scatter : ndarray of float64
        (width, width): sum over contexts of (x - mean)(x - mean)'.
    low, high : ndarray of float64
        (width,): least and largest value, which tell a constant dimension from one of tiny spread.

    Examples
    --------
    >>> import numpy as np
    >>> found = accumulate(np.full((10, 3), float(n)) for n in range(4))
    >>> found.n, found.mean.tolist()
    (40, [1.5, 1.5, 1.5])
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def constant(self) -> np.ndarray:
        """Which dimensions are the same in every context; (width,) of bool."""
        same: np.ndarray = self.low == self.high
        return same


def moments_of(x: np.ndarray) -> Moments:
    """Return the moments of contexts.

    Parameters
    ----------
    x : ndarray
        (context, width), at least one context.

    Raises
    ------
    ClaimError
        If there is no context, a value is NaN or infinite, or its square vanishes or overflows in float64.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0:
        raise ClaimError(f"an array of shape {values.shape} has no moments; give (context, width) with a context.")
    mean = values.mean(axis=0)
    if not np.isfinite(mean).all():
        raise ClaimError("the activations hold NaN or infinite values; nothing can be said of them. Check the model.")
    centred = values - mean
    low, high = values.min(axis=0), values.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # told below
        scatter = centred.T @ centred
    lost = ~np.isfinite(np.diagonal(scatter)) | ((np.diagonal(scatter) == 0) & (low != high))
    if lost.any():
        raise ClaimError(
            f"the squares of dimension {int(np.flatnonzero(lost)[0])} vanish or overflow; scale the activations."
        )
    return Moments(len(values), mean, scatter, low, high)


def merge(first: Moments, second: Moments) -> Moments:
    """Return the moments of both sets of contexts together (Chan, Golub & LeVeque 1983, Am. Stat. 37:242).

    Raises
    ------
    ClaimError
        If they are not of equally many dimensions.
    """
    copy = Moments(first.n, first.mean, first.scatter.copy(), first.low, first.high)
    return _add(copy, second)


def _add(running: Moments, piece: Moments) -> Moments:
    """Return both together, in the memory of the first."""
    if len(running.mean) != len(piece.mean):
        raise ClaimError(f"moments of {len(running.mean)} and of {len(piece.mean)} dimensions can't be merged.")
    n = running.n + piece.n
    apart = piece.mean - running.mean
    factor = running.n * piece.n / n
    for start in range(0, len(apart), _TILE):
        rows = slice(start, start + _TILE)
        running.scatter[rows] += piece.scatter[rows]
        running.scatter[rows] += np.outer(factor * apart[rows], apart)
    return Moments(
        n,
        running.mean + apart * (piece.n / n),
        running.scatter,
        np.minimum(running.low, piece.low),
        np.maximum(running.high, piece.high),
    )


def accumulate(shards: Iterable[np.ndarray]) -> Moments:
    """Return the moments of all contexts in a stream of arrays, of which one at a time is held.

    Memory does not grow with the number of contexts: one shard in float64, and twice (width, width).

    Parameters
    ----------
    shards : iterable of ndarray
        Each (context, width); larger ones are cut into pieces of `ROWS_AT_ONCE` contexts.

    Raises
    ------
    ClaimError
        If there is no context at all, widths differ, or a value is NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> shards = (np.random.default_rng(n).normal(size=(1000, 4)) for n in range(20))
    >>> accumulate(shards).n
    20000
    """
    running: Moments | None = None
    for shard in shards:
        for start in range(0, len(shard), ROWS_AT_ONCE):
            piece = moments_of(shard[start : start + ROWS_AT_ONCE])
            running = piece if running is None else _add(running, piece)
    if running is None:
        raise ClaimError("there is no context in the shards; nothing can be accumulated.")
    return running


def similarity_tile(moments: Moments, rows: slice, columns: slice, *, measure: str = "cosine") -> np.ndarray:
    """Return the similarities of some dimensions with others: (dimension of rows, dimension of columns), float64.

    Parameters
    ----------
    moments : Moments
        Of the contexts.
    rows, columns : slice
        Along the width.
    measure : {"cosine", "pearson"}
        A dimension of length zero (for Pearson: a constant one) has similarity 0 with all.
    """
    lengths = _lengths(moments, measure)
    tile = moments.scatter[rows, columns].copy()
    if measure == "cosine":
        tile += moments.n * np.outer(moments.mean[rows], moments.mean[columns])
    tile *= np.divide(1.0, lengths[rows], out=np.zeros_like(lengths[rows]), where=lengths[rows] > 0)[:, None]
    tile *= np.divide(1.0, lengths[columns], out=np.zeros_like(lengths[columns]), where=lengths[columns] > 0)
    found: np.ndarray = np.clip(tile, -1.0, 1.0, out=tile)
    return found


def _lengths(moments: Moments, measure: str) -> np.ndarray:
    """Return the length of each dimension over the contexts, 0 for those without direction."""
    check_measure(measure)
    squares = np.where(moments.constant, 0.0, np.diagonal(moments.scatter))
    if measure == "cosine":
        squares = squares + moments.n * moments.mean**2
    found: np.ndarray = np.sqrt(np.maximum(squares, 0.0))
    return found


def summarise_moments(
    moments: Moments,
    blocks: Mapping[str, slice],
    groups: Sequence[PairGroup | str],
    *,
    measure: str = "cosine",
    bins: int = BINS,
) -> list[GroupSummary]:
    """Compare dimensions over contexts as `qkvcheck.statistics.summarise_groups` does, from their moments.

    Parameters
    ----------
    moments : Moments
        Of the contexts.
    blocks, groups, measure, bins
        As for `summarise_groups`.

    Raises
    ------
    ClaimError
        If a measure or block is not known, or a group has no pair.

    Examples
    --------
    >>> import numpy as np
    >>> moments = accumulate([np.random.default_rng(0).normal(size=(54, 8))])
    >>> summarise_moments(moments, {"Q": slice(0, 8)}, ["QQ"])
    [GroupSummary(28 pairs: mean -0.0004, mean abs 0.0879, variance 0.0136)]
    """
    empty = _lengths(moments, measure) == 0
    found = []
    for group in check_request(blocks, groups, width=len(moments.mean), bins=bins):
        zero = sum(int(empty[blocks[name]].sum()) for name in set(group))
        found.append(summary_of(_tally(moments, blocks, group, measure, bins), zero))
    return found


def _tally(moments: Moments, blocks: Mapping[str, slice], group: PairGroup, measure: str, bins: int) -> Tally:
    shares: Shares = classify(np.empty(0), bins=bins)
    pairs = 0
    total = total_absolute = total_square = 0.0
    for _, i, i_stop, j, j_stop, triangle in tiles(blocks, [group], rows=_TILE, columns=_TILE).tolist():
        tile = similarity_tile(moments, slice(i, i_stop), slice(j, j_stop), measure=measure)
        values = tile[np.triu_indices(i_stop - i, k=1 + i - j, m=j_stop - j)] if triangle else tile.ravel()
        shares += classify(values, bins=bins)
        pairs += values.size
        total += float(values.sum())
        total_absolute += float(np.abs(values).sum())
        total_square += float(values @ values)
    above = tuple(int(count) for count in shares.above)
    return Tally(shares.counts, pairs, total, total_absolute, total_square, above, shares.low, shares.high)


def offset_loadings_of(moments: Moments) -> np.ndarray:
    """Return a_i = mean / sqrt(mean^2 + variance) of each dimension, as `qkvcheck.statistics.offset_loadings` does."""
    lengths = _lengths(moments, "cosine")
    sums = moments.mean * np.sqrt(moments.n)
    loadings: np.ndarray = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
    return loadings


def replicate_shards(shards: Sequence[Moments], statistic: Callable[[Moments], float]) -> Replicates:
    """Return a statistic of all shards and without each of them in turn, for `qkvcheck.statistics.jackknife_estimate`.

    A shard is the least that can be left out, so contexts that depend on each other belong into one shard, and there
    should be at least ten shards. What is left is merged anew and never subtracted, so that no digit is lost; G shards
    take about G log2 G mergers and hold log2 G sets of moments beside the shards.

    Parameters
    ----------
    shards : sequence of Moments
        One a cluster of contexts; at least two.
    statistic : callable
        Such as ``lambda m: summarise_moments(m, blocks, ["QQ"])[0].variance``.

    Raises
    ------
    ClaimError
        If there are fewer than two shards.
    """
    if len(shards) < 2:
        raise ClaimError(f"{len(shards)} shard(s) can't be left out in turn; at least two are needed.")
    without = np.array([statistic(rest) for rest in _leaving_out_each(shards, None)])
    return Replicates(statistic(reduce(merge, shards)), without)


def _leaving_out_each(shards: Sequence[Moments], outside: Moments | None) -> Iterator[Moments]:
    """Yield everything but each shard, in order; `outside` is what was left aside already."""
    if len(shards) == 1:
        assert outside is not None  # there are at least two shards
        yield outside
        return
    half = len(shards) // 2
    for inside, other in ((shards[:half], shards[half:]), (shards[half:], shards[:half])):
        yield from _leaving_out_each(inside, reduce(merge, other if outside is None else [outside, *other]))
