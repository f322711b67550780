"""Two ways: beside the token against its context: what noise gives, other projections, an interval over words too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qkvcheck.claims.claim import Claim
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import BY_SIDE, Verdict, number_text
from qkvcheck.groups import PROJECTIONS, Comparison
from qkvcheck.statistics import LEVEL, Measurement, Replicates, noise_token_minus_context, two_way_estimate

_TOKEN = frozenset({"token_minus_context"})
MIN_WORDS = 10
"""With fewer words no interval over them is formed, as none is over fewer clusters of contexts."""


@register_companion
class NoiseValue(Companion):
    """With fewer words than contexts pure noise is below zero, so that zero is no neutral line."""

    name = "noise-value"
    says = "what the number would be if words and contexts stood in a random order"
    order = 40
    statistics = _TOKEN

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        contexts, words = own.parts[0][0].shape[:2]
        noise = 0.0 if own.comparison.measure == "similarity" else noise_token_minus_context(contexts, words)
        text = f"cells in a random order give {noise:+.4f} on average (closed form)"
        if verdict.plug_in is not None:
            text += f"; less that, the number is {verdict.plug_in - noise:+.4f} (uncorrected)"
        return Beside(self.name, text, noise)


@register_companion
class OtherProjections(Companion):
    """A claim that one projection decides says nothing of the others."""

    name = "other-projections"
    says = "the same number in the projections that do not decide"
    order = 41
    statistics = _TOKEN

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        here = own.comparison
        others = [Comparison(name, here.measure) for name in PROJECTIONS if name != here.group]
        found = {
            one.group: replace(own, comparison=one).estimate(level=verdict.level or LEVEL)
            for one in others
            if one in own.together
        }
        if not found:
            return None
        told = [
            f"{name} {number_text(e.value)} [{number_text(e.low)}, {number_text(e.high)}]" for name, e in found.items()
        ]
        return Beside(self.name, f"beside {here.group}: {', '.join(told)} (each interval by itself)")


@register_companion
class WordsToo(Companion):
    """The verdict's interval is over contexts, as if these words were all there are."""

    name = "over-words-too"
    says = "the number with an interval over contexts and over words (two-way jackknife)"
    order = 42
    statistics = _TOKEN

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        grid, measure = own.parts[0][0], own.comparison.measure
        words = grid.shape[1]
        if words < MIN_WORDS:
            return Beside(self.name, f"not measured: {words} words; at least {MIN_WORDS} are needed")
        without = [own.statistic.compute([(np.delete(grid, j, axis=1), None)], measure) for j in range(words)]
        found = two_way_estimate(
            own.replicates,
            Replicates(own.replicates.whole, np.array(without)),
            scale=own.statistic.scale,
            widening=own.statistic.widening,
            level=verdict.level or LEVEL,
        )
        would = BY_SIDE[claim.side(found.low, found.high)]
        text = f"over contexts and over the {words} words it is {number_text(found.value)} "
        text += f"[{number_text(found.low)}, {number_text(found.high)}]"
        text += "" if would == verdict.verdict else f": by that interval the claim would be {would}"
        return Beside(self.name, text, found.value, found.low, found.high, warns=would != verdict.verdict)
