"""P5+: contexts that nobody picked, drawn at random under a seed of the claims file."""

from __future__ import annotations

import pytest


@pytest.mark.claim(id="P5+")
def test_target_is_alike_in_contexts_nobody_picked(claim, samples, controls):
    """Not one of 59 fresh contexts has a mean similarity to the corpus at or below 0.9."""
    claim.check((samples.fresh, samples.target), controls=controls.of(lambda s: (s.fresh, s.target)))
