"""P5 and P7: the target's vectors from one context to the next."""

from __future__ import annotations

import pytest

from qkvcheck.plugin import ClaimCheck


@pytest.mark.claim(id="P5")
def test_target_is_alike_across_contexts(claim: ClaimCheck) -> None:
    """Mean row similarity above 0.9."""
    claim.check()


@pytest.mark.claim(id="P7")
def test_target_is_stable_beside_other_words(claim: ClaimCheck) -> None:
    """The same word stands at least half way from the floor of different words to identity."""
    claim.check()
