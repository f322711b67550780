"""Rotated: the number in other orthonormal bases of each head, which give the same scores."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim, Kind
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict, number_text
from qkvcheck.statistics import ROTATIONS, Measurement, rotated_values, rotation_obstacle


@register_companion
class Rotated(Companion):
    """Dimensions are axes of a basis that the network's function does not fix."""

    name = "rotated"
    says = "the number in 20 other orthonormal bases of each head: how much it owes to the axes"
    order = 20
    axis = "dimensions"
    every_cell = True

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return mean and range over the rotations, or why there are none."""
        if verdict.plug_in is None:
            return None
        obstacle = rotation_obstacle(own.rows, own.comparison.group)
        if obstacle is not None:
            return Beside(self.name, f"no rotation is known to change no score: {obstacle}")
        found = rotated_values(own.statistic, own.rows, own.together)[own.comparison]
        turned = own.rows.turns is not None and own.rows.turns.rotary and set(own.comparison.group) - {"V"}
        how = "turns within the pairs of rotary embedding" if turned else "rotations of each head"
        text = f"in {ROTATIONS} {how} that change no score it is {number_text(min(found))} to {number_text(max(found))}"
        text += f", here {number_text(own.plug_in)}"
        depends = claim.kind is Kind.INTERVAL and len({claim.meets(one) for one in (own.plug_in, *found)}) > 1
        if depends:
            text += ": on which side of the threshold it is hangs on the basis"
        return Beside(self.name, text, sum(found) / len(found), min(found), max(found), warns=depends)
