"""Words of the statistics: what a number is, and how to read its scale. Pure."""

from __future__ import annotations

from qkvcheck.claims import Kind, Verdict
from qkvcheck.statistics import statistics_by_name

ONE = {"cosine": "cosine", "pearson": "Pearson correlation"}
MANY = {"cosine": "cosines", "pearson": "Pearson correlations"}


def statistic_words(verdict: Verdict) -> str:
    """Return what a verdict's number is, in words."""
    known = statistics_by_name().get(verdict.statistic)
    template = None if known is None else known.words
    if verdict.kind == Kind.SEARCH:
        template = "the least mean {one} of any context met with the corpus"
    if template is None:  # a name from a file is no template
        words = f"{verdict.statistic.replace('_', ' ')} ({verdict.measure})"
    else:
        one = ONE.get(verdict.measure, verdict.measure.capitalize())
        words = template.format(one=one, many=MANY.get(verdict.measure, verdict.measure))
    if verdict.kind == Kind.AGAINST_UNTRAINED:
        words += " less that in untrained networks"
    layer = verdict.evidence.least_at_layer
    return words if layer is None else f"{words} at layer {layer}"


def scale_words(verdict: Verdict) -> str | None:
    """Return how a verdict's number is to be read, or None where that isn't known."""
    if verdict.kind == Kind.AGAINST_UNTRAINED and verdict.evidence.number is not None:
        return "0 if it is as large in untrained networks, below 0 if it is larger there."
    if verdict.kind == Kind.SEARCH:
        return "1 if even the least alike of the contexts met is the same as the corpus; one below the bound refutes."
    known = statistics_by_name().get(verdict.statistic)
    return None if known is None else known.reading
