"""Deletions: moments of pair groups without some of many rows; what `group_moments.Deletions` is for few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qkvcheck.statistics.group_moments import GroupMoments, MomentSource, moments_of_sums
from qkvcheck.statistics.many.pair_sums import PairSumsWithout
from qkvcheck.statistics.similarity import check_measure


class ManyDeletions:
    """Moments of pair groups without some of the rows, for one set of rows after the other.

    Parameters
    ----------
    columns, blocks, left_out
        As `PairSumsWithout` takes them.

    Raises
    ------
    ClaimError
        If nothing is left.
    """

    def __init__(self, columns: np.ndarray, blocks: Mapping[str, slice], left_out: Sequence[np.ndarray]) -> None:
        self._sums = PairSumsWithout(columns, blocks, left_out)

    def without(self, number: int) -> MomentSource:
        """Return the moments' source for the rows that a set does not leave out; sets count from 0."""

        def source(
            groups: Sequence[str], *, measure: str = "cosine", absolute: bool = False
        ) -> dict[str, GroupMoments]:
            check_measure(measure)
            return {
                group: moments_of_sums(self._sums.sums(group, measure), number, absolute=absolute) for group in groups
            }

        return source
