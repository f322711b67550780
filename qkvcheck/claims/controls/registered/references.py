"""Reference lines: what a statistic would be for permuted numbers (see `qkvcheck.statistics.nulls`)."""

from __future__ import annotations

from qkvcheck.claims.controls.registry import ReferenceControl, register_control
from qkvcheck.statistics import Measurement


class _Permuted(ReferenceControl):
    def line(self, own: Measurement) -> tuple[float, str]:
        """Return the number, and how it was found."""
        return own.null(self.name)


@register_control
class WithinColumn(_Permuted):
    """Contexts permuted independently within each dimension."""

    name = "within-column"
    says = "contexts permuted within each dimension (a line, no evidence): what mean offset alone gives"
    order = 6
    label = "offset alone"


@register_control
class Shuffled(_Permuted):
    """Everything permuted."""

    name = "shuffled"
    says = "everything permuted (a line, no evidence): nearly any structure is above it"
    order = 7
    label = "shuffled"
