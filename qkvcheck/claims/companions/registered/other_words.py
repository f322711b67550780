"""Other words: a mean similarity between contexts beside what other words have, and in units of their spread."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim
from qkvcheck.claims.companions.registered.outlier_dimensions import ROW_MEANS
from qkvcheck.claims.companions.registry import Around, Companion, WideCompanion, register_companion
from qkvcheck.claims.controls.registry import DIFFERENT_WORDS, NON_TARGET
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict, number_text
from qkvcheck.errors import ClaimError
from qkvcheck.statistics import Measurement, Sample, parts_of, standardised_row_mean

_BASELINES = {DIFFERENT_WORDS: "different words in the same frames", NON_TARGET: "the tokens before the target"}


@register_companion
class AboveBaseline(Companion):
    """Any two words are alike in an anisotropic space: what is left above that (Ethayarajh 2019)."""

    name = "above-other-words"
    says = "how far the number is above that of different words in different contexts, the anisotropy baseline"
    order = 4
    statistics = ROW_MEANS

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        for name, words in _BASELINES.items():
            found = verdict.control(name)
            if found is not None and found.estimate is not None and found.difference is not None:
                text = f"{found.difference:+.4f} against {words}, which have {number_text(found.estimate)}"
                return Beside(self.name, text, found.difference, found.low, found.high)
        asked = [found for name in _BASELINES if (found := verdict.control(name)) is not None]
        return Beside(self.name, f"not measured: {asked[0].reason}") if asked else None


@register_companion
class Standardised(WideCompanion):
    """Each dimension in units of its spread over other words (Timkey and van Schijndel 2021)."""

    name = "standardised"
    says = "the same number after each dimension is standardised over different words in the same frames"
    order = 5
    statistics = ROW_MEANS

    def look_around(self, claim: Claim, own: Measurement, verdict: Verdict, around: Around) -> Beside | None:
        words = around.controls.get(DIFFERENT_WORDS)
        if DIFFERENT_WORDS not in claim.controls or words is None:
            return None
        if not isinstance(words, Sample):
            return Beside(self.name, f"not measured: {words}") if isinstance(words, str) else None
        others = parts_of(words.rows.arrays, own.comparison, words.rows)[0][0]
        try:
            found = standardised_row_mean(own.parts[0][0], others, measure=own.comparison.measure)
        except ClaimError as error:
            return Beside(self.name, f"not measured: {error}")
        text = (
            f"with each dimension standardised over {len(others)} other words it is {number_text(found)} (uncorrected)"
        )
        return Beside(self.name, text, found)
