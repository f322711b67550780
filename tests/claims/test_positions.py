"""What mixing a target's places does: pairs at one place and others, and untrained networks at one place."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.claims.companions.registered.positions import commonest
from qkvcheck.claims.judging import judge_sample
from qkvcheck.claims.kept import digest
from qkvcheck.claims.seed_numbers import SeedAtPlace
from qkvcheck.groups import POSITION, Comparison
from qkvcheck.statistics import Sample, statistic_named

PLACES = {"Q": slice(0, 12)}
Q = Comparison("Q", "cosine")
AT = ["position 0002"] * 14 + ["position 0003"] * 9 + ["position 0011"]


class Seeds:
    """Untrained networks whose samples are given."""

    def __init__(self, samples):
        self._samples, self.count = samples, len(samples)

    def measure(self, number, *, first=None):
        return [number(sample) for sample in self._samples[:first]]


def claim_of(statistic="row_mean", comparison=Q, threshold=0.5):
    axis = "contexts" if len(comparison.group) == 1 else "dimensions"
    told = {"axis": axis, "groups": (comparison.group,), "measures": (comparison.measure,), "primary": (comparison,)}
    return Claim("X", "x", statistic, Direction.ABOVE, threshold, controls=("untrained",), **told)


def beside(claim, sample, **controls):
    verdict = judge_sample(claim, cells(claim, layers=[6])[0], sample, controls=controls)
    return {one.name: one for one in verdict.evidence.beside or ()}


def sample_of(rng, *, mixed=True, spread=1.0):
    """Rows whose mean hangs on the place."""
    means = {place: 3 * rng.normal(size=12) for place in sorted(set(AT))}
    x = np.stack([means[place if mixed else AT[0]] for place in AT]) + spread * rng.normal(size=(24, 12))
    return Sample((x,), PLACES, factors={POSITION: tuple(AT)})


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_pairs_at_one_place_and_others(rng):
    sample = sample_of(rng)
    x = sample.arrays[0]
    same, others = [], []
    for i, j in itertools.combinations(range(24), 2):
        (same if AT[i] == AT[j] else others).append(cosine(x[i], x[j]))
    found = beside(claim_of(), sample)["same-position"]
    assert found.value == pytest.approx(np.mean(same) - np.mean(others), abs=1e-10)
    assert found.text == (
        f"{np.mean(same):.4f} over the 127 pairs of contexts with the target at one place, "
        f"{np.mean(others):.4f} over the 149 others"
    )


def test_one_place_alone_is_told(rng):
    sample = replace(sample_of(rng), factors={POSITION: ("position 0002",) * 24})
    assert beside(claim_of(), sample)["same-position"].text.startswith("all of the 276 pairs")
    every = replace(sample, factors={POSITION: tuple(f"position {n:04d}" for n in range(24))})
    assert beside(claim_of(), every)["same-position"].text.startswith("none of the 276 pairs")
    assert "same-position" not in beside(claim_of(), replace(sample, factors={}))


@pytest.mark.parametrize(("statistic", "group"), [("row_mean", "Q"), ("variance", "QQ")])
def test_untrained_networks_at_the_commonest_place(rng, statistic, group):
    own = sample_of(rng)
    networks = [sample_of(rng, spread=0.3) for _ in range(3)]

    def number(x):
        if group == "Q":
            return np.mean([cosine(a, b) for a, b in itertools.combinations(x[:14], 2)])
        return np.var([cosine(a, b) for a, b in itertools.combinations(x[:14].T, 2)])

    wanted = [number(one.arrays[0]) for one in networks]
    threshold = float(sorted(wanted)[1] + 1e-9)
    claim = claim_of(statistic, Comparison(group, "cosine"), threshold)
    found = beside(claim, own, untrained=Seeds(networks))["untrained-at-place"]
    assert (found.low, found.high) == pytest.approx((min(wanted), max(wanted)), abs=1e-10)
    assert found.value == pytest.approx(np.mean(wanted), abs=1e-10)
    assert found.text == (
        f"at position 2 alone (14 of 24 contexts) it is {number(own.arrays[0]):.4f}, in 3 untrained networks "
        f"{np.mean(wanted):.4f} ({min(wanted):.4f} to {max(wanted):.4f}); 1 of 3 meet the criterion there"
    )


def test_it_warns_where_mixing_hides_that_untrained_networks_pass(rng):
    own, mixed = sample_of(rng), [sample_of(rng, spread=0.3) for _ in range(3)]
    found = beside(claim_of(threshold=0.9), own, untrained=Seeds(mixed))["untrained-at-place"]
    assert found.low > 0.9
    assert found.warns
    alike = [sample_of(rng, mixed=False, spread=0.3) for _ in range(3)]
    assert not beside(claim_of(threshold=0.9), own, untrained=Seeds(alike))["untrained-at-place"].warns
    assert not beside(claim_of(threshold=0.999), own, untrained=Seeds(mixed))["untrained-at-place"].warns


def test_one_network_has_no_range(rng):
    found = beside(claim_of(), sample_of(rng), untrained=Seeds([sample_of(rng)]))["untrained-at-place"]
    assert f"in an untrained network {found.value:.4f}; " in found.text
    assert found.low == found.high == found.value


def test_it_is_silent_where_nothing_can_be_asked(rng):
    own, other = sample_of(rng), sample_of(rng)
    bare = replace(other, factors={})
    one = replace(own, factors={POSITION: ("position 0002",) * 24})
    for sample, controls in (
        (own, {}), (own, {"untrained": "none"}), (own, {"untrained": other}), (own, {"untrained": Seeds([])}),
        (own, {"untrained": Seeds([bare])}), (one, {"untrained": Seeds([other])}),
    ):  # fmt: skip
        assert "untrained-at-place" not in beside(claim_of(), sample, **controls)


def test_the_commonest_place_is_the_first_of_those_as_common():
    assert commonest(["position 0010", "position 0009", "position 0010", "position 0009"]) == "position 0009"
    assert commonest(["position 0002"] * 3) is None
    assert commonest([]) is None


def test_a_seeds_number_has_a_name_of_its_own():
    one, other = (SeedAtPlace(statistic_named("row_mean"), (Q,), place) for place in AT[13:15])
    assert digest(one) != digest(other)
    assert one(Sample((np.ones((3, 12)),), PLACES)) is None
