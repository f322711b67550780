"""P6 and P6n: the token against its context, and the target against the token before it."""

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
