"""P5+ and B9: contexts that nobody picked, drawn at random or sought by hypothesis."""

from __future__ import annotations

import pytest

from qkvcheck.plugin import ClaimCheck


@pytest.mark.claim(id="P5+")
def test_target_is_alike_in_contexts_nobody_picked(claim: ClaimCheck) -> None:
    """Not one of 59 fresh contexts has a mean similarity to the corpus at or below 0.9."""
    claim.check()


@pytest.mark.claim(id="B9")
def test_target_is_alike_in_every_context(claim: ClaimCheck) -> None:
    """No context that hypothesis finds has a mean similarity to the corpus at or below 0.9."""
    claim.check()
