"""One test a claim of claims.toml: it passes if the claim holds, or if what was found is on record."""

import pytest


@pytest.mark.claim(id="values-tell-givers-apart")
def test_values_tell_givers_apart(claim):
    claim.check()


@pytest.mark.claim(id="values-move-together")
def test_values_move_together(claim):
    claim.check()
