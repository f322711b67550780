"""Non-target: the token before the target (before its first one, where it has several), in the same sentences.

Different words stand there, at other positions, so it is lower for a trivial reason too; in GPT-2 the first position
is an attention sink besides.
"""

from __future__ import annotations

from qkvcheck.capture import PRECEDING, Samples, Variant
from qkvcheck.claims.controls.registry import NON_TARGET, VariantControl, register_control
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Capture

SAME_FOR_ALL = "the token before the target is the same whatever word follows"


@register_control
class NonTarget(VariantControl):
    """One position to the left of the target."""

    name = NON_TARGET
    says = "the token before the target: other words at other positions, so lower for trivial reasons too"
    order = 4
    label = "token before it"
    colour = "before"

    def vary(self, samples: Samples) -> Samples:
        """Return the samples one position to the left."""
        if min(samples.contexts.preceding_indices) < 0:
            raise NotCapturedError("in one of the contexts there is no token before the target")
        refused = {
            Capture.WORDS: SAME_FOR_ALL,
            Capture.MATCHED: "positions are matched between target and preceding token already",
        }
        return samples.under(Variant(position=PRECEDING, refused=refused))
