"""Position matched: only the contexts with the target at its commonest position."""

from __future__ import annotations

from collections import Counter

from qkvcheck.capture import Samples, Variant
from qkvcheck.claims.controls.registry import VariantControl, register_control
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Capture


@register_control
class PositionMatched(VariantControl):
    """It tells whether mixing positions made the number."""

    name = "position-matched"
    says = "only the commonest position: whether mixing positions made the number"
    order = 5
    label = "commonest position"

    def vary(self, samples: Samples) -> Samples:
        """Return the samples of some of the contexts."""
        contexts = samples.contexts
        counts = Counter(contexts.target_indices)
        commonest = min(counts, key=lambda index: (-counts[index], index))
        rows = [row for row, index in enumerate(contexts.target_indices) if index == commonest]
        if len(rows) == len(contexts):
            raise NotCapturedError("the target stands at one position in all contexts already")
        refused = {Capture.MATCHED: "positions are matched between target and preceding token already"}
        return samples.under(Variant(refused=refused), contexts=contexts.subset(rows))
