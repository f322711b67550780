"""B1, B2, B3, B7 and B8: what the poles are made of, and whose offset it is."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from qkvcheck.statistics import attribute


@pytest.mark.claim(id="B1")
def test_poles_collapse_under_centring(claim):
    """Subtracting each dimension's mean takes at least two thirds of the mean squared cosine away."""
    claim.check()


@pytest.mark.claim(id="B2")
def test_poles_are_mean_offset(claim):
    """At least nine tenths of the mean squared cosine is the product of two offsets."""
    claim.check()


@pytest.mark.claim(id="B3")
def test_poles_are_the_tokens_own(claim):
    """V above 1/3 after the mean over other words in the same contexts is taken off."""
    claim.check()


@pytest.mark.claim(id="B7")
def test_offset_is_the_tokens(claim, samples, contexts):
    """Of the offset at least half is the token's; the five shares of its energy go with the verdict."""
    rows = samples.captured("words_and_weights").projection(claim.cell.layer, claim.cell.group)
    claim.note(attribution=asdict(attribute(rows, np.array(contexts.target_indices))))
    claim.check()


@pytest.mark.claim(id="B8")
def test_alike_beyond_what_all_words_share(claim):
    """Mean row cosine above 0.5 after the mean over other words is taken off."""
    claim.check()
