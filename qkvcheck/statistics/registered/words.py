"""Statistics over a grid of words: every context continued with each word, at the same positions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from qkvcheck.groups import MEASURES, Capture, Comparison
from qkvcheck.statistics import formulas
from qkvcheck.statistics.jackknife import Replicates
from qkvcheck.statistics.offset import token_share
from qkvcheck.statistics.registry import Statistic, register_statistic
from qkvcheck.statistics.sample import Part, Rows, parts_of


@register_statistic
class TokenShare(Statistic):
    """The token's share of the offset."""

    name = "token_share"
    axis = "contexts"
    measures = ("cosine",)
    words = "the token's share of the offset"
    reading = (
        "1 if the whole offset is this token's own, 0 if the weights alone or any other word would give it, below 0 "
        "if the token lessens it."
    )
    captured_on = Capture.WORDS_AND_WEIGHTS

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        del measure
        return token_share(parts[0][0])


class _LeavesContexts(Statistic):
    """A statistic of a grid that follows without some contexts from sums over all of them."""

    @abstractmethod
    def without(self, words: np.ndarray, measure: str, left_out: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return the number without each set of contexts, or None where every set needs a pass over the grid."""

    def replicate(
        self, rows: Rows, comparisons: Sequence[Comparison], clusters: Sequence[str]
    ) -> dict[Comparison, Replicates]:
        """Return the numbers without each cluster."""
        labels = np.array(rows.labels[0])
        left_out = [labels == cluster for cluster in clusters]
        found: dict[Comparison, Replicates] = {}
        for comparison in comparisons:
            parts = parts_of(rows.arrays, comparison, rows)
            without = self.without(parts[0][0], comparison.measure, left_out)
            if without is None:
                found |= super().replicate(rows, [comparison], clusters)
            else:
                found[comparison] = Replicates(self.compute(parts, comparison.measure), without)
        return found


@register_statistic
class TokenMinusContext(_LeavesContexts):
    """The token's share of the variance less the context's."""

    name = "token_minus_context"
    axis = "contexts"
    measures = ("variance", "similarity")
    possible = (-1.0, 1.0)
    words = "the token's share of the variance less the context's"
    reading = (
        "every context was continued with each of several words; 1 if only the word makes a difference, 0 if word and "
        "context make as much of one, -1 if only the context does."
    )
    captured_on = Capture.WORDS
    one_target = False
    is_difference = True

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        words = parts[0][0]
        if measure == "similarity":
            return formulas.token_minus_context_similarity(words)
        return formulas.token_minus_context(words)

    def without(self, words: np.ndarray, measure: str, left_out: Sequence[np.ndarray]) -> np.ndarray | None:
        # Of similarities the mean that is taken off changes with every set, and with it every length.
        return None if measure == "similarity" else formulas.token_minus_context_without(words, left_out)


@register_statistic
class Stability(_LeavesContexts):
    """The anisotropy-adjusted self-similarity: how far the same token stands above different ones."""

    name = "stability"
    axis = "contexts"
    measures = MEASURES
    possible = (-np.inf, 1.0)
    words = "the target's likeness from sentence to sentence, beyond that of different words,"
    reading = (
        "1 if the target's vectors are the same in every sentence, 0 if they are no more alike than those of "
        "different words in different sentences, below 0 if they are less alike than those."
    )
    captured_on = Capture.WORDS

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        return formulas.stability(parts[0][0], measure=measure)

    def without(self, words: np.ndarray, measure: str, left_out: Sequence[np.ndarray]) -> np.ndarray:
        return formulas.stability_without(words, left_out, measure=measure)
