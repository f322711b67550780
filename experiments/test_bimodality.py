"""P3a, P3b, B14, P3c, P4, P8 and B10: the two poles of the similarities, their signs and their strength."""

from __future__ import annotations

import pytest

from qkvcheck.plugin import ClaimCheck


@pytest.mark.claim(id="P3a")
def test_cosines_between_dimensions_have_two_poles(claim: ClaimCheck) -> None:
    """Var(cos) above 4/9, which no unimodal law reaches."""
    claim.check()


@pytest.mark.claim(id="P3b")
def test_poles_lean_to_the_positive_side(claim: ClaimCheck) -> None:
    """mean(cos) / mean|cos| above 0, with both poles present."""
    claim.check()


@pytest.mark.claim(id="B14")
def test_positive_pole_is_the_usual_one(claim: ClaimCheck) -> None:
    """mean(cos) / mean|cos| of 1/3 or more: positive cosines weigh twice as much as negative ones."""
    claim.check()


@pytest.mark.claim(id="P3c")
def test_similarities_between_contexts_have_two_poles(claim: ClaimCheck) -> None:
    """The literal reading: two poles among the similarities of the contexts."""
    claim.check()


@pytest.mark.claim(id="P4")
def test_magnitudes_are_strong(claim: ClaimCheck) -> None:
    """mean|cos| above 0.6."""
    claim.check()


@pytest.mark.claim(id="P8")
def test_correlation_converges_as_cosine_does(claim: ClaimCheck) -> None:
    """Var(Pearson) above 4/9: the same poles after every dimension is centred."""
    claim.check()


@pytest.mark.claim(id="B10")
def test_cosines_vary_more_than_one_peak_allows(claim: ClaimCheck) -> None:
    """Var(cos) above what a unimodal law with the same mean can have."""
    claim.check()
