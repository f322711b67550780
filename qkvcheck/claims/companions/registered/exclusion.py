"""Exclusion: how large a variance of the similarities between contexts can be where their mean is what it is."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim, Direction
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict
from qkvcheck.statistics import Measurement, row_mean


@register_companion
class Exclusion(Companion):
    """Numbers in [-1, 1] with mean m have a variance of at most 1 - m^2 (Bhatia and Davis 2000).

    For (1 - s)(1 + s) is not negative, so the mean of s^2 is at most 1, and the variance is that less m^2. A claim of a
    mean above 0.9 and one of a variance above 4/9, of the same rows in the same measure, exclude each other: with the
    first the variance is at most 0.19.
    """

    name = "exclusion"
    says = "the largest variance that their mean leaves to similarities between contexts"
    order = 2
    statistics = frozenset({"row_variance"})

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return the bound, on the mean over pairs of distinct contexts."""
        mean = row_mean(own.parts[0][0], measure=own.comparison.measure)
        most = 1 - mean**2
        text = f"with a mean similarity of {mean:.2f} their variance is at most {most:.2f} = 1 - {mean:.2f}^2"
        short = claim.direction in (Direction.ABOVE, Direction.AT_LEAST) and not claim.meets(most)
        if short:
            text += ": less than this claim asks for, which rows that are so alike can't meet"
        return Beside(self.name, text, most, warns=short)
