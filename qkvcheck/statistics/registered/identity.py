"""Identity: whether a word can be told from the others by its vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qkvcheck.errors import ClaimError
from qkvcheck.groups import Capture, Comparison
from qkvcheck.statistics.further.discriminant import named_rightly
from qkvcheck.statistics.jackknife import Replicates
from qkvcheck.statistics.registry import Statistic, register_statistic
from qkvcheck.statistics.sample import Part, Rows, parts_of


@register_statistic
class TokenIdentity(Statistic):
    """The share of (context, word) rows that a discriminant analysis of all other contexts gives to their own word."""

    name = "token_identity"
    axis = "contexts"
    measures = ("accuracy", "cosine")
    words = "the share of words that are named rightly in a context left out"
    reading = "1 if every word can be told from the others, 0.05 by chance with 20 words."
    captured_on = Capture.WORDS
    one_target = False

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        del measure
        return float(named_rightly(parts[0][0]).mean())

    def replicate(
        self, rows: Rows, comparisons: Sequence[Comparison], clusters: Sequence[str]
    ) -> dict[Comparison, Replicates]:
        """Return the share, and without each cluster that of the other contexts; nothing is fitted anew for that."""
        labels = np.array(rows.labels[0])
        kept = [labels != cluster for cluster in clusters]
        if not all(keep.any() for keep in kept):
            raise ClaimError("every context is left out; nothing can be measured on what remains.")
        found = {}
        for comparison in comparisons:
            share = right_names(rows, comparison).mean(axis=1)
            without = np.array([share[keep].mean() for keep in kept])
            found[comparison] = Replicates(float(share.mean()), without)
        return found


def right_names(rows: Rows, comparison: Comparison) -> np.ndarray:
    """Return whether each (context, word) is named rightly; computed once for rows."""

    def compute() -> np.ndarray:
        return named_rightly(parts_of(rows.arrays, comparison, rows)[0][0])

    return rows.keep(("right names", comparison), compute)
