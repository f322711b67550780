"""Given networks: untrained networks whose captures a file holds, in the place of twins that would be run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qkvcheck.capture import Captured, sample_of
from qkvcheck.claims.seed_numbers import SeedNumber
from qkvcheck.statistics import Sample


class GivenNetworks:
    """A measurement in untrained networks that somebody else ran (see `qkvcheck.claims.comparison.Networks`).

    Parameters
    ----------
    captures : sequence of Activations
        What each network gave for the contexts of the claim, in their order.
    """

    def __init__(self, captures: Sequence[Captured]) -> None:
        self._captures = tuple(captures)

    def at(self, layer: int, captured: Captured, *, head: int | None = None) -> GivenSeeds:
        """Return the measurement at a layer, or at one head of it."""
        del captured  # the same contexts, as the file says
        return GivenSeeds([sample_of(one, layer=layer, head=head) for one in self._captures])


class GivenSeeds:
    """The same at one layer, one sample a network (see `qkvcheck.claims.seed_numbers.Seeds`)."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = tuple(samples)

    @property
    def count(self) -> int:
        """How many networks there are."""
        return len(self._samples)

    def measure(self, number: SeedNumber, *, first: int | None = None) -> list[Any]:
        """Return what a computation finds in each network's sample, or in the `first` few."""
        return [number(sample) for sample in self._samples[:first]]
