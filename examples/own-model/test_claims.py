"""What this project claims of its model. Layers count from zero: layer 1 is the second, and last, of two."""

import pytest


@pytest.mark.claim(
    id="values-tell-givers-apart",
    layer=1,
    group="V",
    statistic="row_mean",
    at_most=0.6,
    statement="at ' her' the values differ with the giver: mean cosine between sentences <= 0.6",
)
def test_values_tell_givers_apart(claim, activations):
    claim.check(activations)


@pytest.mark.claim(
    id="values-move-together",
    layer=1,
    group="VV",
    statistic="mean_square",
    above=0.1,
    statement="the values' dimensions move together: mean squared cosine between them > 0.1",
)
def test_values_move_together(claim, activations):
    claim.check(activations)
