"""Words of the statistics: what a number is, and how to read its scale. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from qkvcheck.claims import Verdict

ONE = {"cosine": "cosine", "pearson": "Pearson correlation"}
MANY = {"cosine": "cosines", "pearson": "Pearson correlations"}
_TWO_PEAKS = "0.333 for a flat histogram, 1 if half is -1 and half +1. Above 0.444 there can't be a single peak"
STATISTIC_WORDS: Mapping[str, str] = {
    "variance": "the variance of the {many}",
    "mean_square": "the mean squared {one}",
    "mean_absolute": "the mean magnitude of the {many}",
    "sign_balance": "the mean of the {many} over their mean magnitude",
    "collapse": "the mean squared Pearson correlation over the mean squared cosine",
    "offset_share": "the mean offset's share of the mean squared cosine",
    "row_mean": "the mean {one} between contexts",
    "row_cosine": "the mean cosine between contexts",
    "row_variance": "the variance of the {many} between contexts",
    "block_difference": "the variance of the {many} less that in V-V",
    "token_share": "the token's share of the offset",
    "least_row_mean": "the least mean {one} of a fresh context to the corpus",
    "variance_difference": "the variance of the {many} at the target less that at the token before it",
    "token_minus_context": "the token's share of the variance less the context's",
    "stability": "the target's likeness from sentence to sentence, beyond that of different words,",
}
"""What a statistic is, in words; another's name is used as it is."""

STATISTIC_SCALES: Mapping[str, str] = {
    "variance": f"{_TWO_PEAKS}; below that, there may be one peak or several.",
    "mean_square": "0 if no two are alike, 0.333 for a flat histogram, 1 if all are -1 or +1.",
    "mean_absolute": "0.5 for a flat histogram, 1 if all are -1 or +1.",
    "sign_balance": "-1 if all are negative, 0 if both signs weigh alike, 1 if all are positive.",
    "collapse": "1 if taking each dimension's mean off leaves as much, 0 if it leaves nothing. Pearson is scaled anew "
    "after that, so this and the offset's share need not add up to 1.",
    "offset_share": "0 if none of it is mean offset, 1 if all of it is.",
    "row_mean": "1 if the vectors are the same in every sentence, about 0 for vectors that have nothing in common.",
    "row_cosine": "1 if the vectors are the same in every sentence, about 0 for vectors that have nothing in common.",
    "row_variance": f"0 if all pairs of sentences are as alike, {_TWO_PEAKS}.",
    "block_difference": "0 if the histogram is as wide as that of V-V, below 0 if it is narrower.",
    "token_share": "1 if the whole offset is this token's own, 0 if the weights alone or any other word would give "
    "it, below 0 if the token lessens it.",
    "least_row_mean": "1 if even the least alike of the fresh contexts is the same as the corpus.",
    "variance_difference": "0 if the histogram is as wide as at the token before it, below 0 if it is narrower. Both "
    "are taken at the same positions, equally often.",
    "token_minus_context": "every context was continued with each of several words; 1 if only the word makes a "
    "difference, 0 if word and context make as much of one, -1 if only the context does.",
    "stability": "1 if the target's vectors are the same in every sentence, 0 if they are no more alike than those of "
    "different words in different sentences, below 0 if they are less alike than those.",
}
"""How a statistic's number is to be read; another has none."""


def statistic_words(verdict: Verdict) -> str:
    """Return what a verdict's number is, in words."""
    one = ONE.get(verdict.measure, verdict.measure.capitalize())
    words = STATISTIC_WORDS.get(verdict.statistic, f"{verdict.statistic.replace('_', ' ')} ({verdict.measure})")
    if "search" in verdict.evidence:
        words = "the least mean {one} of any context met with the corpus"
    words = words.format(one=one, many=MANY.get(verdict.measure, verdict.measure))
    if "number" in verdict.evidence:  # the estimate is a difference from untrained networks
        words += " less that in untrained networks"
    return f"{words} at layer {layer}" if (layer := verdict.evidence.get("least_at_layer")) is not None else words


def scale_words(verdict: Verdict) -> str | None:
    """Return how a verdict's number is to be read, or None where that isn't known."""
    if "number" in verdict.evidence:
        return "0 if it is as large in untrained networks, below 0 if it is larger there."
    if "search" in verdict.evidence:
        return "1 if even the least alike of the contexts met is the same as the corpus; one below the bound refutes."
    return STATISTIC_SCALES.get(verdict.statistic)
