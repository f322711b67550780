"""B4, B5, B6 and B20: poles and likeness from layer to layer, from block to block, and against untrained networks."""

from __future__ import annotations

import pytest

from qkvcheck.plugin import ClaimCheck


@pytest.mark.claim(id="B4")
def test_poles_stand_at_every_layer(claim: ClaimCheck) -> None:
    """V above 4/9 at every layer, with intervals that hold for all layers at once."""
    claim.check()


@pytest.mark.claim(id="B20")
def test_the_target_is_alike_at_every_layer(claim: ClaimCheck) -> None:
    """Mean row similarity above 0.9 at every layer, with intervals that hold for all layers at once."""
    claim.check()


@pytest.mark.claim(id="B5")
def test_queries_and_keys_against_values(claim: ClaimCheck) -> None:
    """V of QQ and of KK at least 0.05 above V of VV, under the same deletions."""
    claim.check()


@pytest.mark.claim(id="B6")
def test_training_made_the_poles(claim: ClaimCheck) -> None:
    """V at least 0.05 above what one more untrained network would have."""
    claim.check()
