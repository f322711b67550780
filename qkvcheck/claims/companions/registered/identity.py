"""Identity: beside the share of words named rightly: the target's own, and an exact permutation test."""

from __future__ import annotations

from qkvcheck.claims.claim import Claim
from qkvcheck.claims.companions.registry import Companion, register_companion
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict
from qkvcheck.errors import ClaimError
from qkvcheck.statistics import Measurement, permutation_test, right_names

_IDENTITY = frozenset({"token_identity"})
_LEAST = 1e-300
"""Below it a p-value is said to be less than this."""


@register_companion
class TargetNamed(Companion):
    """All words count alike in the number; the claims are about one."""

    name = "target-named"
    says = "in how many contexts the target itself is named rightly, and which word least often"
    order = 50
    statistics = _IDENTITY

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        shares = right_names(own.rows, own.comparison).mean(axis=0)
        text = f"the target is named rightly in {shares[0]:.0%} of the contexts, the hardest word in {shares.min():.0%}"
        return Beside(self.name, f"{text}; by chance in {1 / len(shares):.0%}", float(shares[0]))


@register_companion
class PermutedWords(Companion):
    """Whether it is more than chance, with no assumption on the vectors."""

    name = "permuted-words"
    says = "an exact permutation test: one half of the contexts named by the other, against all orders of its words"
    order = 51
    statistics = _IDENTITY

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        try:
            share, p_value = permutation_test(own.parts[0][0])
        except ClaimError as error:
            return Beside(self.name, f"not measured: {error}")
        p = f"p < {_LEAST:g}" if p_value < _LEAST else f"p = {p_value:.2g}"
        return Beside(
            self.name,
            f"of one half of the contexts the other names {share:.0%} rightly, {p} (exact, over all orders)",
            p_value,
        )
