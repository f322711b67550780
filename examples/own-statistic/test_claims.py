"""What this project claims, by a statistic of its own."""

import pytest


@pytest.mark.claim(id="spread")
def test_vectors_are_spread_over_many_dimensions(claim):
    """The participation ratio is above 0.3 in Q, K and V."""
    claim.check()
