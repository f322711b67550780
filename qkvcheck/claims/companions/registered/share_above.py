"""Share above: how many pairs of contexts are above the threshold that their mean is held against."""

from __future__ import annotations

import numpy as np

from qkvcheck.claims.claim import Claim
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict
from qkvcheck.statistics import PAIRED, Measurement, drawn_rows, row_similarities


@register_companion
class ShareAbove(Companion):
    """A mean can be high while many pairs are not, and low for the sake of a few."""

    name = "share-above"
    says = "the share of pairs of contexts that are above the threshold themselves"
    order = 1
    statistics = frozenset({"row_mean", "row_cosine"})

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return the share, over pairs of distinct contexts."""
        if claim.threshold is None:
            return None
        x = own.parts[0][0]
        drawn = drawn_rows(len(x), PAIRED)
        similar = row_similarities(x[drawn], measure=own.comparison.measure)
        share = float((similar[np.triu_indices(len(similar), k=1)] > claim.threshold).mean())
        of = "contexts" if len(drawn) == len(x) else f"{len(drawn):,} of {len(x):,} contexts, drawn,"
        return Beside(self.name, f"{share:.0%} of the pairs of {of} are above {claim.threshold:g}", share)
