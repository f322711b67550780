"""Dip: Hartigan's dip of the similarities between dimensions, beside what their variance certifies."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict
from qkvcheck.groups import MEASURES
from qkvcheck.statistics import Measurement, dip, dip_obstacle, sampled_similarities


@register_companion
class Dip(Companion):
    """A variance below the certificate may have two modes; the dip looks for them, with no p-value."""

    name = "dip"
    says = "how far the histogram is from having one peak (Hartigan's dip; pairs are not independent: no p-value)"
    order = 10
    statistics = frozenset({"variance", "unimodal_excess"})
    axis = "dimensions"

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        x, y = own.parts[0]
        if x.ndim != 2 or own.comparison.measure not in MEASURES:
            return None
        if (lacking := dip_obstacle()) is not None:
            return Beside(self.name, lacking)
        similar, pairs = sampled_similarities(x, y, measure=own.comparison.measure)
        found = dip(similar)
        of = f"{len(similar):,} of {pairs:,} pairs" if len(similar) < pairs else f"{pairs:,} pairs"
        text = f"Hartigan's dip is {found:.4f} over {of} (0: one peak, 0.25: two points; no p-value, pairs depend)"
        return Beside(self.name, text, found)
