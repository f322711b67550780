"""Polarisation: moments of the similarities between dimensions, of all pair groups at once.

This is the inner loop of the jackknife, which asks for them once for every cluster left out. Mean and mean square
come from n x n Gram matrices and no d x d matrix is formed; the mean absolute value has no such form and goes
over tiles. Leaving out rows rescales every column: `Deletions` takes their share off the columns' squared lengths and
forms the small Gram matrices anew, with no pass over the data but those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.statistics.kernels.gram import BlockGram, block_gram, pair_sums
from qkvcheck.statistics.similarity import check_measure, unit_length

SMILE, CERTIFIED = 1 / 3, 4 / 9
"""V of uniform similarities, and the most that a unimodal law on [-1, 1] can have."""

_TILE = 256
_CANCELLED = 1e-4
"""Columns that keep less than this share of their squared length are measured anew: taking off would lose digits."""


@dataclass(frozen=True)
class GroupMoments:
    """Moments of the similarities over the pairs of a group.

    Attributes
    ----------
    mean, mean_square : float
        Of the similarities; the mean square is P.
    mean_absolute : float or None
        None where it was not asked for.
    """

    mean: float
    mean_square: float
    mean_absolute: float | None = None

    @property
    def variance(self) -> float:
        """V = P - mean^2: 1 if half the similarities are at either end, 1/3 if uniform, 1/n if random."""
        return self.mean_square - self.mean**2


def grade(low: float) -> str:
    """Name what the lower bound of V proves.

    No unimodal law on [-1, 1] has a variance above 4/9 (Jacobson 1969, Ann. Math. Statist. 40:1746), and none
    that is symmetric about 0 one above 1/3.

    Returns
    -------
    str
        ``"certified bimodal"`` above 4/9, ``"U-shaped if symmetric"`` above 1/3, else ``"not certified"``, which does
        not exclude two modes.
    """
    if low > CERTIFIED:
        return "certified bimodal"
    return "U-shaped if symmetric" if low > SMILE else "not certified"


class MomentSource(Protocol):
    """Gives the moments of pair groups, of all rows or of some."""

    def __call__(
        self, groups: Sequence[str], *, measure: str = "cosine", absolute: bool = False
    ) -> dict[str, GroupMoments]:
        """Return the moments of several groups; see `group_moments`."""


def group_moments(
    columns: np.ndarray,
    blocks: Mapping[str, slice],
    groups: Sequence[str],
    *,
    measure: str = "cosine",
    absolute: bool = False,
) -> dict[str, GroupMoments]:
    """Return the moments of several pair groups, from Gram matrices (see `qkvcheck.statistics.kernels.gram.pair_sums`).

    Parameters
    ----------
    columns : ndarray of float64
        (context, width), as `scaled_columns` returns them.
    blocks : mapping of str to slice
        Where the blocks stand along the width.
    groups : sequence of str
        Two letters each, such as ``"QQ"`` or ``"QK"``.
    measure : {"cosine", "pearson"}
        Of a pair of columns.
    absolute : bool
        Whether the mean absolute similarity is wanted too; it costs a product of d x d.

    Raises
    ------
    ClaimError
        If the measure is unknown or a block has one dimension only.
    """
    check_measure(measure)
    unit = {name: unit_length(columns[:, blocks[name]], measure) for name in _names(groups)}
    grams = {name: block_gram(u) for name, u in unit.items()}
    return _of_grams(grams, groups, unit if absolute else None)


def _names(groups: Sequence[str]) -> list[str]:
    return sorted({name for group in groups for name in group})


def _of_grams(
    grams: Mapping[str, BlockGram], groups: Sequence[str], unit: Mapping[str, np.ndarray] | None
) -> dict[str, GroupMoments]:
    """Return the moments of groups; with unit columns the mean absolute value too."""
    found = {}
    for group in groups:
        first, second = grams[group[0]], grams[group[1]]
        within = group[0] == group[1]
        pairs = first.width * (first.width - 1) / 2 if within else first.width * second.width
        if pairs == 0:
            raise ClaimError("a block of one dimension has no pairs to compare; give at least two dimensions.")
        total, total_square = pair_sums(first, None if within else second)
        size = None
        if unit is not None:
            size = _sum_absolute(unit[group[0]], unit[group[1]], first.filled if within else 0)
            size /= 2 * pairs if within else pairs
        found[group] = GroupMoments(total / pairs, total_square / pairs, size)
    return found


class Deletions:
    """Moments of pair groups without some of the rows, for one set of rows after the other.

    Parameters
    ----------
    columns : ndarray of float64
        (context, width), as `scaled_columns` returns them.
    blocks : mapping of str to slice
        Where the blocks stand along the width.
    """

    def __init__(self, columns: np.ndarray, blocks: Mapping[str, slice]) -> None:
        columns = self._columns = np.asarray(columns, dtype=np.float64)
        self._blocks = blocks
        # Correlations do not change with a column's mean; with the mean of all rows taken off, that of some is small.
        centred = np.where((columns == columns[:1]).all(axis=0), 0.0, columns - columns.mean(axis=0))
        self._bases = {"cosine": columns, "pearson": centred}
        self._squares = {measure: np.einsum("ij,ij->j", x, x) for measure, x in self._bases.items()}

    def without(self, left_out: np.ndarray) -> MomentSource:
        """Return the moments' source for the rows that are not left out.

        Parameters
        ----------
        left_out : ndarray of bool
            (context,).

        Raises
        ------
        ClaimError
            If nothing is left.
        """
        if left_out.all():
            raise ClaimError("every context is left out; nothing can be measured on what remains.")

        def source(
            groups: Sequence[str], *, measure: str = "cosine", absolute: bool = False
        ) -> dict[str, GroupMoments]:
            check_measure(measure)
            names = _names(groups)
            grams = {name: self._gram(left_out, measure, self._blocks[name]) for name in names}
            unit = None
            if absolute:
                kept = self._columns[~left_out]
                unit = {name: unit_length(kept[:, self._blocks[name]], measure) for name in names}
            return _of_grams(grams, groups, unit)

        return source

    def _gram(self, left_out: np.ndarray, measure: str, block: slice) -> BlockGram:
        """Return the Gram matrix of the columns of one block, rescaled to length 1 on the rows that are kept."""
        x, squares = self._bases[measure][:, block], self._squares[measure][block]
        gone, count = x[left_out], int((~left_out).sum())
        kept = squares - np.einsum("ij,ij->j", gone, gone)
        if measure == "pearson":
            kept = kept - gone.sum(axis=0) ** 2 / count
        anew = kept <= _CANCELLED * squares
        weights = np.divide(1.0, kept, out=np.zeros_like(kept), where=~anew)
        gram = ((x * weights) @ x.T)[np.ix_(~left_out, ~left_out)]
        total = (x @ np.sqrt(weights))[~left_out]
        if measure == "pearson":
            total = total - total.mean()
            gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
        filled = int((~anew).sum())
        if anew.any():
            unit = unit_length(self._columns[~left_out, block][:, anew], measure)
            few = block_gram(unit)
            gram, total, filled = gram + few.gram, total + few.total, filled + few.filled
        return BlockGram(gram, total, x.shape[1], filled)


def _sum_absolute(first: np.ndarray, second: np.ndarray, diagonal: int) -> float:
    """Sum abs(first_i . second_j) over all ordered pairs but a block's own diagonal."""
    total = 0.0
    for start in range(0, first.shape[1], _TILE):
        tile = first[:, start : start + _TILE].T @ second
        total += float(np.abs(tile, out=tile).sum())
    return total - diagonal
