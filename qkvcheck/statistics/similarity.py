"""Similarity between dimensions (columns, over contexts) and between contexts (rows).

The paper's histograms are of the first kind: each dimension of Q, K or V is a vector over the contexts, and
two dimensions are compared. Its "above 0.9 across sentences" is of the second.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations_with_replacement

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.groups import MEASURES, PAIR_GROUPS
from qkvcheck.statistics.kernels import MAGNITUDES, Kernel, PairGroup, Tally

BINS = 100
KERNELS = ("auto", "reference", "torch", "numba")
KERNEL_VARIABLE = "QKV_KERNEL"
_WORTH_COMPILING, _WORTH_LOADING = 500_000, 5_000_000
"""Pairs, and pairs times deletions, from which on the numba kernel saves more than loading it takes."""


@dataclass(frozen=True, repr=False)
class GroupSummary:
    """Similarities between the dimensions of a pair group, summed up.

    Attributes
    ----------
    counts : ndarray of int64
        Histogram over equal bins on [-1, 1].
    pairs : int
        Pairs counted: i < j within a block, all pairs across two.
    mean, mean_absolute, mean_square, variance : float
        Of the similarities, over the pairs; from a fast kernel to about 1e-6 (exact in `group_moments`).
    sign_balance : float
        mean / mean_absolute: 1 if all are positive, 0 if both signs weigh alike, -1 if all are negative.
    share_above : dict of float to float
        Share of pairs with abs(similarity) above 0.5, 0.7 and 0.9.
    share_low, share_high : float
        Share of pairs below -0.5 and above 0.5.
    zero_columns : int
        Dimensions of length zero (for Pearson: constant); their similarity with anything is counted as 0.

    Examples
    --------
    >>> import numpy as np
    >>> (found,) = summarise_groups(np.eye(4), {"Q": slice(0, 4)}, ["QQ"])
    >>> found.pairs, found.mean
    (6, 0.0)
    """

    counts: np.ndarray
    pairs: int
    mean: float
    mean_absolute: float
    mean_square: float
    variance: float
    sign_balance: float
    share_above: Mapping[float, float]
    share_low: float
    share_high: float
    zero_columns: int

    def __repr__(self) -> str:
        moments = f"mean {self.mean:.4f}, mean abs {self.mean_absolute:.4f}, variance {self.variance:.4f}"
        return f"GroupSummary({self.pairs:,} pairs: {moments})"

    def _repr_html_(self) -> str:
        """Return the summary as a small table, for a notebook."""
        rows = [
            ("pairs", f"{self.pairs:,}"),
            ("mean", f"{self.mean:.4f}"),
            ("mean magnitude", f"{self.mean_absolute:.4f}"),
            ("mean square", f"{self.mean_square:.4f}"),
            ("variance", f"{self.variance:.4f}"),
            ("below -0.5", f"{self.share_low:.1%}"),
            ("above 0.5", f"{self.share_high:.1%}"),
        ]
        cells = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows)
        return f"<table><tbody>{cells}</tbody></table>"


def unit_columns(x: np.ndarray, *, measure: str = "cosine") -> np.ndarray:
    """Scale every column to length 1, after centring it for Pearson.

    Parameters
    ----------
    x : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Pearson correlation is the cosine of centred columns.

    Returns
    -------
    ndarray of float64
        (context, dimension). A column of length zero (for Pearson: a constant one) stays zero.

    Raises
    ------
    ClaimError
        If the measure is not known, or a value is NaN or infinite.
    """
    check_measure(measure)
    scaled = scaled_columns(x)
    return unit_length(scaled, measure, out=scaled)  # a copy of ours, never what the caller gave


def check_measure(measure: str) -> None:
    """Raise `ClaimError` unless a measure is one of `MEASURES`."""
    if measure not in MEASURES:
        raise ClaimError(f"measure {measure!r} is not known; allowed: {', '.join(MEASURES)}.")


def scaled_columns(x: np.ndarray) -> np.ndarray:
    """Return float64 columns, scaled where they have to be so that squares neither vanish nor overflow.

    Squares of float32 numbers, and of narrower ones, always fit into float64; columns of other types are divided by
    their largest magnitude.

    Raises
    ------
    ClaimError
        If a value is NaN or infinite.
    """
    values = np.asarray(x, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ClaimError("the activations hold NaN or infinite values; nothing can be said of them. Check the model.")
    if np.issubdtype(np.asarray(x).dtype, np.floating) and np.asarray(x).dtype.itemsize < 8:
        return values
    size = np.abs(values).max(axis=0, initial=0.0)
    scaled: np.ndarray = values / np.where(size > 0, size, 1.0)
    return scaled


def unit_length(values: np.ndarray, measure: str, *, out: np.ndarray | None = None) -> np.ndarray:
    """Return scaled columns at length 1; those of length zero (for Pearson: the constant ones) stay zero.

    Parameters
    ----------
    values : ndarray of float64
        (context, dimension), as `scaled_columns` returns them.
    measure : {"cosine", "pearson"}
        What columns of length 1 are wanted for.
    out : ndarray, optional
        Where to put them; may be `values` itself.
    """
    if measure == "pearson":
        constant = (values == values[:1]).all(axis=0)
        out = values = np.subtract(values, values.mean(axis=0), out=out)
        if constant.any():
            values[:, constant] = 0.0
    norms = np.sqrt(np.einsum("ij,ij->j", values, values))
    unit: np.ndarray = np.divide(values, np.where(norms > 0, norms, 1.0), out=out)
    return unit


def kernel_named(name: str = "auto", *, pairs: int = 0) -> Kernel:
    """Return a kernel.

    Parameters
    ----------
    name : str
        ``auto``, ``reference``, ``torch``, ``torch:DEVICE`` or ``numba``. ``auto`` is what the environment's
        ``QKV_KERNEL`` says; without it numba where it is installed and there are pairs enough, else torch. All of them
        return the same counts.
    pairs : int
        How many pairs of dimensions there are.

    Raises
    ------
    ClaimError
        If there is no such kernel, or numba is not installed.
    """
    if name == "auto":
        name = os.environ.get(KERNEL_VARIABLE) or "auto"
    if name == "auto":
        name = "numba" if pairs >= _WORTH_COMPILING and numba_obstacle() is None else "torch"
    backend, _, device = name.partition(":")
    if backend not in KERNELS or backend == "auto" or (device and backend != "torch"):
        raise ClaimError(
            f"kernel {name!r} is not known; allowed: {', '.join(KERNELS)} or torch:DEVICE. Check {KERNEL_VARIABLE}."
        )
    missing = numba_obstacle() if backend == "numba" else None
    if missing is not None:
        raise ClaimError(f"kernel 'numba' needs {missing}.")
    module = import_module(f"qkvcheck.statistics.kernels.{'reference' if backend == 'reference' else backend + '_'}")
    obstacle = module.obstacle_to(device) if device else None
    if obstacle is not None:
        raise ClaimError(f"kernel {name!r} can't run here: {obstacle}. Check {KERNEL_VARIABLE}.")
    kernel: Kernel = partial(module.tally, device=device) if device else module.tally
    return kernel


def deletions_kernel(*, sums: int) -> Callable[..., np.ndarray]:
    """Return what sums over pairs without some of the rows; see `qkvcheck.statistics.kernels.deletions.absolute_sums`.

    Parameters
    ----------
    sums : int
        Pairs times sets of rows. As with `kernel_named`, numba is taken where it is installed and there are enough,
        unless the environment's ``QKV_KERNEL`` names another one.
    """
    fast = os.environ.get(KERNEL_VARIABLE, "auto") in ("", "auto", "numba")
    name = "numba_deletions" if fast and sums >= _WORTH_LOADING and numba_obstacle() is None else "deletions"
    kernel: Callable[..., np.ndarray] = import_module(f"qkvcheck.statistics.kernels.{name}").absolute_sums
    return kernel


def numba_obstacle() -> str | None:
    """Return why there is no numba kernel here, or None if there is one."""
    if not find_spec("numba"):
        return "numba, which is not installed: pip install 'qkvcheck[fast]'"
    from numba import config

    return "numba's compiler, which NUMBA_DISABLE_JIT switches off" if config.DISABLE_JIT else None


def summarise_groups(
    x: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Sequence[PairGroup | str],
    *,
    measure: str = "cosine",
    bins: int = BINS,
    kernel: str = "auto",
    threads: int | None = None,
) -> list[GroupSummary]:
    """Compare dimensions over contexts, in all pair groups in one pass.

    Parameters
    ----------
    x : ndarray
        (context, width).
    blocks : mapping of str to slice
        Where the blocks stand along the width; any number of them, of any widths.
    groups : sequence of (str, str) or str
        Two names of blocks each; where all names are single letters, such as ``"QK"``.
    measure : {"cosine", "pearson"}
        What to compute of each pair.
    bins : int
        Number of equal histogram bins on [-1, 1].
    kernel : str
        As `kernel_named` takes it.
    threads : int, optional
        Processor threads to use; no result depends on it.

    Returns
    -------
    list of GroupSummary
        One a group.

    Raises
    ------
    ClaimError
        If a measure, block or kernel is not known, there is no context, a group has no pair, or a value is NaN or
        infinite.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(54, 12))
    >>> places = {"Q": slice(0, 4), "K": slice(4, 8), "V": slice(8, 12)}
    >>> [found.pairs for found in summarise_groups(x, places, ["QQ", "QK"])]
    [6, 16]
    """
    x = np.asarray(x)
    if x.ndim != 2 or len(x) == 0:
        raise ClaimError(
            f"an array of shape {x.shape} has no similarities; give (context, width), one context at least."
        )
    if threads is not None and threads < 1:
        raise ClaimError(f"{threads} threads were asked for; at least one is needed.")
    named = check_request(blocks, groups, width=x.shape[1], bins=bins)
    pairs = sum((blocks[a].stop - blocks[a].start) * (blocks[b].stop - blocks[b].start) for a, b in named)
    unit = unit_columns(x, measure=measure)
    tallies = kernel_named(kernel, pairs=pairs)(unit, blocks, named, bins=bins, threads=threads)
    filled: np.ndarray = np.any(unit, axis=0)
    empty = {name: int((~filled[place]).sum()) for name, place in blocks.items()}
    return [
        summary_of(tally, sum(empty[name] for name in set(group))) for group, tally in zip(named, tallies, strict=True)
    ]


def check_request(
    blocks: Mapping[str, slice], groups: Sequence[PairGroup | str], *, width: int, bins: int
) -> list[PairGroup]:
    """Return the blocks that groups compare; raise `ClaimError` unless blocks, groups and bins make sense.

    Kernels read memory where the blocks say, so nothing outside the array may get that far.
    """
    if not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ClaimError(f"{bins!r} bins were asked for; a whole number from 1 is needed.")
    for name, place in blocks.items():
        ends = (place.start, place.stop)
        whole = all(isinstance(end, (int, np.integer)) for end in ends) and place.step in (None, 1)
        if not whole or not 0 <= place.start <= place.stop <= width:
            raise ClaimError(
                f"block {name!r} is {place}; it must be a slice of two whole numbers within the {width} dimensions, "
                f"such as slice(0, {width})."
            )
    return [pair_group(group, blocks) for group in groups]


def pair_group(group: PairGroup | str, blocks: Mapping[str, slice]) -> PairGroup:
    """Return the names of the two blocks that a group compares; raise `ClaimError` if they are not known."""
    if len(group) != 2 or any(name not in blocks for name in group):
        pairs = ", ".join(f"{a}{b}" for a, b in combinations_with_replacement(blocks, 2))
        raise ClaimError(f"group {group!r} does not name two projections; allowed are: {pairs or 'none'}.")
    return group[0], group[1]


def summarise_group(
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    measure: str = "cosine",
    bins: int = BINS,
    kernel: str = "auto",
    threads: int | None = None,
) -> GroupSummary:
    """Compare the dimensions of one block among each other, or those of two blocks; see `summarise_groups`.

    Parameters
    ----------
    x, y : ndarray
        (context, dimension) of one block, and of another; without it pairs i < j within `x` are taken.
    measure, bins, kernel, threads
        As for `summarise_groups`.
    """
    blocks = {"A": slice(0, x.shape[1])}
    if y is not None:
        blocks["B"] = slice(x.shape[1], x.shape[1] + y.shape[1])
        x = np.concatenate([x, y], axis=1)
    group = "AA" if y is None else "AB"
    return summarise_groups(x, blocks, [group], measure=measure, bins=bins, kernel=kernel, threads=threads)[0]


def summary_of(tally: Tally, zero_columns: int) -> GroupSummary:
    """Put a group's sums and counts into the numbers that people read.

    Raises
    ------
    ClaimError
        If the group has no pair.
    """
    pairs = tally.pairs
    if pairs == 0:
        raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
    mean, mean_square = tally.total / pairs, tally.total_square / pairs
    mean_absolute = tally.total_absolute / pairs
    return GroupSummary(
        counts=tally.counts,
        pairs=pairs,
        mean=mean,
        mean_absolute=mean_absolute,
        mean_square=mean_square,
        variance=max(0.0, mean_square - mean**2),
        sign_balance=mean / mean_absolute if mean_absolute > 0 else 0.0,
        share_above={edge: count / pairs for edge, count in zip(MAGNITUDES, tally.above, strict=True)},
        share_low=tally.low / pairs,
        share_high=tally.high / pairs,
        zero_columns=zero_columns,
    )


def split_group(x: np.ndarray, group: str, blocks: Mapping[str, slice]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the one or two blocks that a pair group compares.

    Parameters
    ----------
    x : ndarray
        (..., width).
    group : str
        One of `PAIR_GROUPS`, or a block Q, K or V.
    blocks : mapping of str to slice
        Where Q, K and V stand along the width.
    """
    if group in blocks:
        return x[..., blocks[group]], None
    if group not in PAIR_GROUPS:
        allowed = ", ".join((*PAIR_GROUPS, *blocks))
        raise ClaimError(f"group {group!r} is not known; allowed: {allowed}.")
    first, second = group[0], group[1]
    return x[..., blocks[first]], None if first == second else x[..., blocks[second]]


def row_similarities(x: np.ndarray, y: np.ndarray | None = None, *, measure: str = "cosine") -> np.ndarray:
    """Compare contexts: the similarity of every row of `x` with every row of `y` (or of `x`).

    Parameters
    ----------
    x, y : ndarray
        (context, dimension).
    measure : {"cosine", "pearson"}
        Pearson centres each row over its dimensions.

    Returns
    -------
    ndarray of float64
        (context of x, context of y), within [-1, 1].
    """
    first = unit_columns(np.asarray(x).T, measure=measure)
    second = first if y is None else unit_columns(np.asarray(y).T, measure=measure)
    similarities: np.ndarray = np.clip(first.T @ second, -1.0, 1.0)
    return similarities
