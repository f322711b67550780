"""Statistics over pairs of contexts: how alike the target's vectors are from sentence to sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qkvcheck.groups import MEASURES, Capture
from qkvcheck.statistics import formulas
from qkvcheck.statistics.jackknife import FISHER_Z, LOGARITHM
from qkvcheck.statistics.many.row_sums import RowSums
from qkvcheck.statistics.registered.dimensions import TWO_PEAKS
from qkvcheck.statistics.registry import RowStatistic, Statistic, register_statistic
from qkvcheck.statistics.sample import Part


@register_statistic
class RowMean(RowStatistic):
    """The mean similarity between contexts: self-similarity (Ethayarajh 2019)."""

    name = "row_mean"
    words = "the mean {one} between contexts"
    reading = "1 if the vectors are the same in every sentence, about 0 for vectors that have nothing in common."
    of_contexts = True
    ends = FISHER_Z
    possible = (-1.0, 1.0)

    def of_similarities(self, similarities: np.ndarray) -> float:
        return float(similarities[np.triu_indices(len(similarities), k=1)].mean())

    def of_row_sums(self, sums: RowSums) -> np.ndarray:
        return sums.mean


@register_statistic
class RowCosine(RowMean):
    """The same under the name that markers of other projects use."""

    name = "row_cosine"
    words = "the mean cosine between contexts"
    measures = ("cosine",)
    of_contexts = False


@register_statistic
class RowVariance(RowStatistic):
    """The variance of the similarities between contexts."""

    name = "row_variance"
    words = "the variance of the {many} between contexts"
    reading = f"0 if all pairs of sentences are as alike, {TWO_PEAKS}."
    # Skewed where it is small: on the raw scale it covered 0.88.
    scale = LOGARITHM
    widening = 6.0
    possible = (0.0, 1.0)

    def of_similarities(self, similarities: np.ndarray) -> float:
        return float(similarities[np.triu_indices(len(similarities), k=1)].var())

    def of_row_sums(self, sums: RowSums) -> np.ndarray:
        found: np.ndarray = np.maximum(sums.mean_square - sums.mean**2, 0.0)
        return found


@register_statistic
class LeastRowMean(Statistic):
    """The lowest, over fresh contexts, of the mean similarity to the corpus."""

    name = "least_row_mean"
    words = "the least mean {one} of a fresh context to the corpus"
    reading = "1 if even the least alike of the fresh contexts is the same as the corpus."
    captured_on = Capture.FRESH
    axis = "contexts"
    measures = MEASURES
    counts = True
    of_contexts = True

    def compute(self, parts: Sequence[Part], measure: str) -> float:
        return formulas.least_row_mean(parts[0][0], parts[1][0], measure=measure)
