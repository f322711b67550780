"""Rotations: a statistic in other orthonormal bases of each head, all of which give the same scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from qkvcheck.groups import HEADS_UNKNOWN, TURNS_UNTOLD, Comparison, Turns
from qkvcheck.statistics.group_moments import GroupMoments, group_moments
from qkvcheck.statistics.many.progress import each
from qkvcheck.statistics.registry import PairStatistic, Statistic
from qkvcheck.statistics.sample import Rows
from qkvcheck.statistics.similarity import scaled_columns

ROTATIONS = 20
_KEPT = 2
"""Sets of rotations that are kept: those of a model's heads, and of one head."""


def rotation_obstacle(rows: Rows, group: str) -> str | None:
    """Return why no rotation of the projections of a group is known to change no score, or None if some are."""
    if not rows.heads:
        return HEADS_UNKNOWN
    turns = rows.turns or TURNS_UNTOLD
    if {"Q", "K"} & set(group) and turns.obstacle:
        return turns.obstacle
    return turns.of_values if "V" in group and turns.of_values else None


def rotated(rows: Rows, seed: int) -> Rows:
    """Return rows in another orthonormal basis of each head, drawn from a seed.

    With ``rng = numpy.random.default_rng(seed)`` there are drawn, in this order: for each key head the rotation R of
    its keys and of all queries that read it; for each value head that of its values. A rotation of w dimensions is Q of
    the QR decomposition of ``rng.standard_normal((w, w))``, each column with the sign of R's diagonal (uniform over
    orthogonal matrices). Where rotary embedding turns pairs of dimensions, angles t are drawn first, with
    ``rng.uniform(0, 2 pi, pairs)``, in the order of `Turns.pairs`: (a, b) becomes (a cos t - b sin t, a sin t +
    b cos t); the dimensions behind them are rotated as above. What has an obstacle stays as it is, and nothing is drawn
    for it.

    Parameters
    ----------
    rows : Rows
        With known heads.
    seed : int
        From 0.
    """
    widths = {name: place.stop - place.start for name, place in rows.projections.items()}
    matrices = _matrices(seed, tuple(rows.heads.items()), tuple(widths.items()), rows.turns or TURNS_UNTOLD)
    arrays = []
    for array in rows.arrays:
        turned = np.array(array, dtype=np.float64)
        for name in matrices:
            block = turned[..., rows.projections[name]]
            by_head = block.reshape(-1, *matrices[name].shape[:2]).swapaxes(0, 1)
            block[...] = (by_head @ matrices[name]).swapaxes(0, 1).reshape(block.shape)
        arrays.append(turned)
    return replace(rows, arrays=tuple(arrays))


@lru_cache(maxsize=_KEPT * ROTATIONS)
def _matrices(
    seed: int, heads: tuple[tuple[str, int], ...], widths: tuple[tuple[str, int], ...], turns: Turns
) -> Mapping[str, np.ndarray]:
    """Return (head, dimension, dimension) of each projection that is rotated."""
    counts, width = dict(heads), {name: whole // dict(heads)[name] for name, whole in widths}
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    if not turns.obstacle and ("Q" in width or "K" in width):
        name = "K" if "K" in width else "Q"
        keys = np.stack([_of_scores(rng, width[name], turns) for _ in range(counts[name])])
        found |= {other: np.repeat(keys, counts[other] // len(keys), axis=0) for other in "QK" if other in width}
    if not turns.of_values and "V" in width:
        found["V"] = np.stack([_orthogonal(rng, width["V"]) for _ in range(counts["V"])])
    return found


def _of_scores(rng: np.random.Generator, width: int, turns: Turns) -> np.ndarray:
    found = np.zeros((width, width))
    angles = rng.uniform(0.0, 2 * np.pi, len(turns.pairs))
    for (a, b), angle in zip(turns.pairs, angles.tolist(), strict=True):
        found[a, a] = found[b, b] = np.cos(angle)
        found[b, a], found[a, b] = -np.sin(angle), np.sin(angle)
    behind = 2 * len(turns.pairs)
    if behind < width:
        found[behind:, behind:] = _orthogonal(rng, width - behind)
    return found


def _orthogonal(rng: np.random.Generator, width: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((width, width)))
    found: np.ndarray = q * np.sign(np.diag(r))
    return found


class _Moments:
    """Moments of the similarities between dimensions of rotated rows, kept for the statistics that share them."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self._rows, self._seed = rows, seed
        self._found: dict[tuple[str, str], GroupMoments] = {}

    def __call__(
        self, groups: Sequence[str], *, measure: str = "cosine", absolute: bool = False
    ) -> dict[str, GroupMoments]:
        """Return the moments of several groups; see `group_moments`."""
        missing = [
            group
            for group in dict.fromkeys(groups)
            if (known := self._found.get((group, measure))) is None or (absolute and known.mean_absolute is None)
        ]
        if missing:
            columns = scaled_columns(rotated(self._rows, self._seed).arrays[0])
            made = group_moments(columns, self._rows.projections, missing, measure=measure, absolute=absolute)
            self._found |= {(group, measure): one for group, one in made.items()}
        return {group: self._found[group, measure] for group in groups}


def rotated_values(
    statistic: Statistic, rows: Rows, comparisons: Sequence[Comparison], *, count: int = ROTATIONS
) -> dict[Comparison, list[float]]:
    """Return a statistic in several rotations of each head (seeds 0, 1, ...), for several comparisons at once.

    Parameters
    ----------
    statistic, rows, comparisons : Statistic, Rows, sequence of Comparison
        What, on what, and where; what is found is kept with the rows.
    count : int
        How many rotations.
    """

    def compute() -> dict[Comparison, list[float]]:
        every = [_values(statistic, rows, comparisons, seed) for seed in each("rotations", range(count))]
        return {c: [one[number] for one in every] for number, c in enumerate(comparisons)}

    return rows.keep(("rotated", statistic, tuple(comparisons), count), compute)


def _values(statistic: Statistic, rows: Rows, comparisons: Sequence[Comparison], seed: int) -> list[float]:
    if not isinstance(statistic, PairStatistic):
        turned = rotated(rows, seed)
        return statistic.values(turned.arrays, turned, comparisons)
    moments = rows.keep(("rotated moments", seed), lambda: _Moments(rows, seed))
    return statistic.from_moments(moments, comparisons)
