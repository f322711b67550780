"""B1, B2, B3, B7 and B8: what the poles are made of, and whose offset it is."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from qkvcheck.capture import Samples
from qkvcheck.contexts import ContextSet
from qkvcheck.plugin import ClaimCheck
from qkvcheck.statistics import attribute


@pytest.mark.claim(id="B1")
def test_poles_collapse_under_centring(claim: ClaimCheck) -> None:
    """Subtracting each dimension's mean takes at least two thirds of the mean squared cosine away."""
    claim.check()


@pytest.mark.claim(id="B2")
def test_poles_are_mean_offset(claim: ClaimCheck) -> None:
    """At least nine tenths of the mean squared cosine is the product of two offsets."""
    claim.check()


@pytest.mark.claim(id="B3")
def test_poles_are_the_tokens_own(claim: ClaimCheck) -> None:
    """V above 1/3 after the mean over other words in the same contexts is taken off."""
    claim.check()


@pytest.mark.claim(id="B7")
def test_offset_is_the_tokens(claim: ClaimCheck, samples: Samples, contexts: ContextSet) -> None:
    """Of the offset at least half is the token's; the five shares of its energy go with the verdict."""
    rows = samples.words_and_weights.projection(claim.cell.layer, claim.cell.group)
    claim.note(attribution=asdict(attribute(rows, np.array(contexts.target_indices))))
    claim.check()


@pytest.mark.claim(id="B8")
def test_alike_beyond_what_all_words_share(claim: ClaimCheck) -> None:
    """Mean row cosine above 0.5 after the mean over other words is taken off."""
    claim.check()
