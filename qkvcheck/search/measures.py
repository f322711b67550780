"""Search measures: what a claim's adversary measures of an example, be it one context or a set of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property

import numpy as np

from qkvcheck.capture import Captured, Samples, Variant, sample_of
from qkvcheck.claims import Cell, Claim, Direction, Kind, captured_for, number_of
from qkvcheck.contexts import Context, ContextSet
from qkvcheck.errors import ClaimError, NotCapturedError
from qkvcheck.groups import Capture
from qkvcheck.statistics import row_similarities, split_group, statistic_named


class ContextMeasure:
    """The mean similarity of a context's target to those of the corpus.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus.
    cell : Cell
        Layer, head, block and measure.
    """

    def __init__(self, samples: Samples, cell: Cell) -> None:
        self._samples = samples
        self._cell = cell
        self._prefixes = {context.prefix for context in samples.contexts.contexts}
        if cell.group not in samples.hooked.projections:
            raise ClaimError(
                f"block {cell.group!r} is not one of {', '.join(samples.hooked.projections)}; check --group."
            )

    @cached_property
    def _reference(self) -> np.ndarray:
        rows = sample_of(self._samples.target, layer=self._cell.layer, head=self._cell.at_head).rows
        return split_group(rows.arrays[0], self._cell.group, rows.projections)[0]

    def key(self, example: Context) -> Hashable | None:
        """Return what the model sees of a context, or None for one of the corpus' own."""
        seen = example.prefix if self._samples.hooked.architecture.causal else example.token_ids
        return None if example.prefix in self._prefixes else seen

    def value(self, example: Context) -> float:
        """Return its mean similarity to the corpus."""
        layer = self._cell.layer
        alone = sample_of(self._samples.alone(example, layer), layer=layer, head=self._cell.at_head)
        row, _ = alone.part(self._cell.group)
        return float(row_similarities(row, self._reference, measure=self._cell.measure).mean())

    def values(self, examples: Sequence[Context]) -> list[float]:
        """Return the mean similarity of several contexts, captured together."""
        self._samples.prepare(examples, self._cell.layer)
        return [self.value(example) for example in examples]

    def corpus(self, claim: Claim) -> float:
        """Return the worst of the corpus' own contexts, each beside the others."""
        similar = row_similarities(self._reference, measure=self._cell.measure)
        means = (similar.sum(axis=1) - np.diag(similar)) / (len(similar) - 1)
        return float(means.max() if claim.direction == Direction.AT_MOST else means.min())

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
        self._capture = captured_for(claim)

    def _captured(self, samples: Samples) -> Captured:
        # Of a set of contexts the positions are matched within it, not in another corpus.
        return samples.matched_within if self._capture == Capture.MATCHED else samples.captured(self._capture)

    def key(self, example: ContextSet) -> Hashable | None:
        """Return what the model sees of a set."""
        return tuple(sorted(context.prefix for context in example.contexts))

    def value(self, example: ContextSet) -> float | None:
        """Return the claim's statistic on a set; None for a set on which it can't be judged."""
        try:
            captured = self._captured(self._samples.under(Variant(), contexts=example))
            return number_of(captured, self._claim, self._cell)
        except (ClaimError, NotCapturedError):
            return None

    def values(self, examples: Sequence[ContextSet]) -> list[float | None]:
        """Return the claim's statistic on several sets, each on its own."""
        return [self.value(example) for example in examples]

    def corpus(self, claim: Claim) -> float:
        """Return the corpus' own number."""
        return number_of(self._captured(self._samples), claim, self._cell)

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
    if claim.kind not in (Kind.INTERVAL, Kind.SEARCH):
        raise ClaimError(
            f"claim {claim.id} can't be searched: it is not one number of a set of contexts (its kind is "
            f"{claim.kind}). Choose another."
        )
    if statistic_named(claim.statistic, claim=claim.id).of_contexts and claim.capture is None:
        return ContextMeasure(samples, cell)
    return SetMeasure(samples, claim, cell)


def _edits(first: Sequence[int], second: Sequence[int]) -> int:
    row = list(range(len(second) + 1))
    for i, token in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (token != other))
    return row[-1]
