"""Scale: the axis on which lines of numbers are drawn beneath each other. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEP = 0.25
"""The shared scale ends at a multiple of it."""


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes
    ----------
    low, high : float
        Its ends.
    """

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return where a number stands, in percent of the width; 2 % are left free at both ends.

        Examples
        --------
        >>> Scale(0.0, 1.0).at(0.5), Scale(-1.0, 1.0).at(1.0)
        (50.0, 98.0)
        """
        return round(2 + 96 * (value - self.low) / (self.high - self.low), 2)

    def holds(self, value: float) -> bool:
        """Tell whether a number can be drawn; the space left free at the ends counts.

        Examples
        --------
        >>> Scale(0.0, 1.0).holds(1.01), Scale(0.0, 1.0).holds(1.5)
        (True, False)
        """
        return 0 <= self.at(value) <= 100

    @property
    def ticks(self) -> list[float]:
        """Its ends and what lies evenly between them: steps of a quarter on the shared scale, halves on a long one."""
        step = STEP if self.high - self.low <= 5 * STEP else 2 * STEP
        if self.low < -1 or self.high > 1:
            return [self.low, self.high]
        first = math.ceil(self.low / step)
        return [step * n for n in range(first, math.floor(self.high / step) + 1)]


def shared_scale(numbers: Iterable[float]) -> Scale:
    """Return the scale of all lines: from 0 to 1, and as far below 0 as a number lies, in steps of a quarter.

    Examples
    --------
    >>> shared_scale([0.2, 0.9]), shared_scale([-0.3, 7.0])
    (Scale(low=0.0, high=1.0), Scale(low=-0.5, high=1.0))
    """
    least = min((number for number in numbers if -1 <= number <= 1), default=0.0)
    return Scale(min(0.0, STEP * math.floor(least / STEP)), 1.0)


def own_scale(numbers: Sequence[float]) -> Scale:
    """Return a scale for numbers beyond -1 to 1: it ends at round numbers.

    Examples
    --------
    >>> own_scale([35.0, 41.0])
    Scale(low=0.0, high=50.0)
    """
    least, most = min(0.0, *numbers), max(1.0, *numbers)
    step = 10.0 ** math.floor(math.log10(most - least))
    return Scale(step * math.floor(least / step), step * math.ceil(most / step))
