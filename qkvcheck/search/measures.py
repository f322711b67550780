"""Search measures: what a claim's adversary measures of an example, be it one context or a set of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property

import numpy as np

from qkvcheck.capture import Samples, Variant
from qkvcheck.claims import Captured, Cell, Claim, distinct_of, obstacle_to, sample_of
from qkvcheck.contexts import Context, ContextSet
from qkvcheck.errors import ClaimError
from qkvcheck.models import HookedModel
from qkvcheck.statistics import Sample, distinct, plug_in, row_similarities, split_group, statistic_named

ON_CONTEXTS = ("row_mean", "least_row_mean")
"""Statistics that a single context can break: the mean similarity to the corpus."""
MEASURED_ON: dict[str, Callable[[Samples], Captured]] = {
    "token_minus_context": lambda samples: samples.words(),
    "stability": lambda samples: samples.words(),
    "variance_difference": lambda samples: samples.matched_within,
    "token_share": lambda samples: samples.words_and_weights,
    "generic_removed": lambda samples: samples.generic_removed,
}
"""What a statistic takes, where it is not the target alone; a claim may name another with ``sample``."""


class ContextMeasure:
    """The mean similarity of a context's target to those of the corpus.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    cell : Cell
        Layer, block and measure.
    """

    def __init__(self, samples: Samples, cell: Cell) -> None:
        self._samples = samples
        self._cell = cell
        self._prefixes = {context.prefix for context in samples.contexts.contexts}
        if cell.group not in samples.hooked.blocks:
            raise ClaimError(f"block {cell.group!r} is not one of {', '.join(samples.hooked.blocks)}; mend --group.")

    @cached_property
    def _reference(self) -> np.ndarray:
        rows = distinct(sample_of(self._samples.target, layer=self._cell.layer)).arrays[0]
        return split_group(rows, self._cell.group, self._samples.hooked.blocks)[0]

    def key(self, example: Context) -> Hashable | None:
        """Return what the model sees of a context, or None for one of the corpus' own."""
        seen = example.prefix if self._samples.hooked.layout.causal else example.token_ids
        return None if example.prefix in self._prefixes else seen

    def value(self, example: Context) -> float:
        """Return its mean similarity to the corpus."""
        row = self._samples.alone(example).block(self._cell.layer, self._cell.group)
        return float(row_similarities(row, self._reference, measure=self._cell.measure).mean())

    def beside(self, hooked: HookedModel) -> ContextMeasure:
        """Return the same measure in another model: the example and the corpus there."""
        return ContextMeasure(self._samples.beside(hooked), self._cell)

    def corpus(self, claim: Claim) -> float:
        """Return the worst of the corpus' own contexts, each beside the others."""
        similar = row_similarities(self._reference, measure=self._cell.measure)
        means = (similar.sum(axis=1) - np.diag(similar)) / (len(similar) - 1)
        return float(means.max() if claim.direction == "at_most" else means.min())

    def distance(self, first: Context, second: Context) -> int:
        """Return how many tokens left of the target have to change (Levenshtein 1966)."""
        return _edits(first.prefix, second.prefix)


class SetMeasure:
    """A claim's statistic on a set of contexts.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    claim, cell : Claim, Cell
        What is claimed, and where.
    """

    def __init__(self, samples: Samples, claim: Claim, cell: Cell) -> None:
        self._samples = samples
        self._claim = claim
        self._cell = cell
        self._statistic = statistic_named(claim.statistic, claim=claim.id)
        self._name = str(claim.settings.get("sample", claim.statistic))

    def _choose(self, samples: Samples) -> Captured:
        return MEASURED_ON[self._name](samples) if self._name in MEASURED_ON else samples.target

    def key(self, example: ContextSet) -> Hashable | None:
        """Return what the model sees of a set."""
        return tuple(sorted(context.prefix for context in example.contexts))

    def value(self, example: ContextSet) -> float | None:
        """Return the claim's statistic on a set; None for a set on which it can't be judged."""
        sample = sample_of(self._choose(self._samples.under(Variant(), contexts=example)), layer=self._cell.layer)
        return self._number(sample) if self._obstacle(sample) is None else None

    def beside(self, hooked: HookedModel) -> SetMeasure:
        """Return the same measure in another model."""
        return SetMeasure(self._samples.beside(hooked), self._claim, self._cell)

    def _obstacle(self, sample: Sample) -> str | None:
        place = (self._cell.group, self._cell.measure)
        return obstacle_to(self._claim, self._statistic, sample, distinct_of(sample), place, 2)

    def _number(self, sample: Sample) -> float:
        place = (self._cell.group, self._cell.measure)
        return float(plug_in(self._statistic, distinct_of(sample), [place])[place])

    def corpus(self, claim: Claim) -> float:
        """Return the corpus' own number."""
        sample = sample_of(self._choose(self._samples), layer=self._cell.layer)
        obstacle = self._obstacle(sample)
        if obstacle is not None:
            raise ClaimError(f"claim {claim.id} can't be judged on the corpus: {obstacle}.")
        return self._number(sample)

    def distance(self, first: ContextSet, second: ContextSet) -> int:
        """Return how many contexts of one set the other does not hold."""
        one, other = ({context.prefix for context in drawn.contexts} for drawn in (first, second))
        return len(one ^ other)


def measure_of(samples: Samples, claim: Claim, cell: Cell) -> ContextMeasure | SetMeasure:
    """Return what a search measures for a claim.

    Raises
    ------
    ClaimError
        If the claim is not judged by a number of contexts.
    """
    if claim.threshold is None or claim.id in ("B4", "B6"):
        raise ClaimError(
            f"claim {claim.id} can't be searched: it is not one number of a set of contexts. Choose another, as P5."
        )
    if claim.statistic in ON_CONTEXTS and claim.settings.get("sample") is None:
        return ContextMeasure(samples, cell)
    return SetMeasure(samples, claim, cell)


def _edits(first: Sequence[int], second: Sequence[int]) -> int:
    row = list(range(len(second) + 1))
    for i, token in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (token != other))
    return row[-1]
