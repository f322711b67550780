"""Outlier dimensions: whether a mean similarity between contexts is that of a few large dimensions."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Decision, Verdict, number_text
from qkvcheck.statistics import TOP, Measurement, participation, row_mean_without, top_dimensions

ROW_MEANS = frozenset({"row_mean", "row_cosine"})


@register_companion
class WithoutTop(Companion):
    """One dimension with a large constant makes all rows alike, whatever the others do."""

    name = "without-top-dimensions"
    says = f"the same number without the {TOP} dimensions that hold most of the squared offset"
    order = 2
    statistics = ROW_MEANS

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        x, measure = own.parts[0][0], own.comparison.measure
        if x.ndim != 2 or x.shape[1] < TOP + 2:
            return None
        top = top_dimensions(x, measure=measure)
        left = row_mean_without(x, top, measure=measure)
        listed = ", ".join(str(int(one)) for one in top)
        text = f"without its {TOP} largest dimensions ({listed}) it is {number_text(left)} (uncorrected)"
        falls = verdict.verdict == Decision.SUPPORTED and claim.threshold is not None and not claim.meets(left)
        return Beside(self.name, text + (", which misses the claim" if falls else ""), left, warns=falls)


@register_companion
class Participation(Companion):
    """Over how many dimensions the rows are spread."""

    name = "participation-ratio"
    says = "over what share of the dimensions the rows' energy is spread"
    order = 3
    statistics = ROW_MEANS

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        x = own.parts[0][0]
        if x.ndim != 2:
            return None
        share = participation(x, measure=own.comparison.measure)
        width = x.shape[1]
        return Beside(
            self.name,
            f"the rows' energy is spread as over {share * width:.1f} of {width} dimensions "
            f"(participation ratio {share:.3f})",
            share,
        )
