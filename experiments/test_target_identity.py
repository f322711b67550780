"""P6, P6n and B11: the token against its context, the token before it, and the other words."""

from __future__ import annotations

import pytest

from qkvcheck.plugin import ClaimCheck


@pytest.mark.claim(id="P6")
def test_token_overwhelms_the_context(claim: ClaimCheck) -> None:
    """The token explains more of the variance than its left context does."""
    claim.check()


@pytest.mark.claim(id="P6n")
def test_target_differs_from_the_preceding_token(claim: ClaimCheck) -> None:
    """Var(cos) at the target is at least 0.05 above that at the token before it, positions matched."""
    claim.check()


@pytest.mark.claim(id="B11")
def test_token_can_be_told_from_the_others(claim: ClaimCheck) -> None:
    """A discriminant analysis of all other contexts names more than half of the words rightly."""
    claim.check()
