"""Verdicts over all layers, and against untrained networks, beside the definition; no model is needed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from qkvcheck.capture.activations import Activations
from qkvcheck.claims.claim import Claim, Direction, Kind, cells
from qkvcheck.claims.judging import JudgeOptions
from qkvcheck.claims.layers import judge_against_untrained, judge_layers
from qkvcheck.claims.verdict import Decision
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.sample import Sample

QQ = Comparison("QQ", "cosine")
PLACES = {"Q": slice(0, 8)}


def claim_of(direction: str = "above", threshold: float = 0.4, **more) -> Claim:
    kind = more.pop("kind", Kind.EVERY_LAYER)
    told = {"groups": ("QQ",), "primary": (QQ,), "kind": kind, **more}
    return Claim("L", "says", "variance", Direction(direction), threshold, **told)


def cosines(x: np.ndarray) -> np.ndarray:
    pairs = itertools.combinations(x.astype(np.float64).T, 2)
    return np.array([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs])


def captured(*layers: np.ndarray, numbers=None) -> Activations:
    values = np.stack(layers, axis=1)
    return Activations(values, ("context", "layer", "width"), tuple(numbers or range(len(layers))), PLACES)


@pytest.fixture
def high(rng) -> np.ndarray:
    return rng.choice([-5.0, 5.0], size=8) * np.r_[-1, np.ones(7)] + rng.normal(size=(30, 8))


@pytest.fixture
def low(rng) -> np.ndarray:
    return rng.normal(size=(30, 8))


def judged(given, claim=None, **options):
    claim = claim or claim_of()
    return judge_layers(claim, cells(claim, layers=[6])[0], given, **options)


def test_all_layers_have_to_clear(high, low, rng):
    also = high + 0.1 * rng.normal(size=high.shape)
    found = judged(captured(high, also, numbers=(2, 5)))
    assert (found.verdict, found.reason) == (Decision.SUPPORTED, "holds at layers 2, 5")
    found = judged(captured(high, low, numbers=(2, 5)))
    assert (found.verdict, found.reason) == (Decision.REFUTED, "holds at layers 2; misses at 5")
    assert found.evidence.least_at_layer == 5
    point = found.evidence.profile[1]
    assert (found.estimate, found.low, found.high) == (point.estimate, point.low, point.high)
    assert found.estimate < found.evidence.profile[0].estimate
    assert (found.n, found.n_distinct, found.simultaneous, found.level) == (30, 30, True, 0.95)
    threshold = found.evidence.profile[0].estimate
    found = judged(captured(high, also, numbers=(2, 5)), claim_of(threshold=threshold))
    assert found.verdict == Decision.INCONCLUSIVE
    assert "open at 2" in found.reason


def test_a_layer_beneath_the_threshold_where_low_is_claimed(high, low):
    found = judged(captured(high, low), claim_of("at_most", 0.4))
    assert (found.verdict, found.reason) == (Decision.REFUTED, "holds at layers 1; misses at 0")


def test_numbers_of_each_layer(high, low):
    found = judged(captured(high, low))
    for x, point in zip((high, low), found.evidence.profile, strict=True):
        without = [cosines(np.delete(x, row, axis=0)).var() for row in range(30)]
        assert point.estimate == pytest.approx(30 * cosines(x).var() - 29 * np.mean(without), abs=1e-10)
        assert point.mean_square == pytest.approx((cosines(x) ** 2).mean(), abs=1e-12)
        assert (point.n_distinct, point.reason, point.untrained) == (30, None, None)
        # Intervals that hold for both layers at once are wider than each layer's own.
        error = np.std([30 * cosines(x).var() - 29 * one for one in without], ddof=1) / np.sqrt(30) * np.sqrt(33 / 27)
        half = point.high - point.estimate  # the lower end may be cut: no variance is below 0
        assert stats.t.ppf(0.975, 29) * error <= half * (1 + 1e-9) <= stats.t.ppf(1 - 0.025 / 2, 29) * error * 1.05


def test_layers_with_few_distinct_contexts_are_left_out(high, low):
    repeated = np.repeat(low[:4], 8, axis=0)[:30]
    found = judged(captured(repeated, high))
    assert found.verdict == Decision.SUPPORTED
    assert found.reason.startswith("holds at layers 1; layer 0 not judged: 4 distinct contexts of 30 (26 have the")
    first, second = found.evidence.profile
    assert (first.estimate, first.n_distinct, first.mean_square) == (None, 4, None)
    assert second.estimate is not None
    (merged,) = found.evidence.merged
    assert (merged.layer, merged.contexts, merged.distinct) == (0, 30, 4)
    none = judged(captured(repeated), options=JudgeOptions(("stand-in",)))
    assert (none.verdict, none.qualifier) == (Decision.NOT_JUDGED, ("stand-in",))
    assert none.reason.startswith("4 distinct contexts of 30")
    few = judged(captured(low[:15]), options=JudgeOptions(min_distinct=10))
    assert few.verdict == Decision.REFUTED


class Twins:
    """Untrained networks whose samples are given, by layer."""

    def __init__(self, by_layer):
        self._by_layer = by_layer
        self.count = len(next(iter(by_layer.values())))

    def at(self, layer, given, **_):
        self._layer, self.given = layer, given
        return self

    def measure(self, number, *, first=None):
        return [number(Sample((x,), PLACES)) for x in self._by_layer[self._layer][:first]]


def test_untrained_networks_beside_each_layer(high, low, rng):
    twins = {layer: [rng.normal(size=(30, 8)) for _ in range(3)] for layer in (0, 1)}
    given, networks = captured(high, low), Twins(twins)
    found = judged(given, untrained=networks)
    assert networks.given is given
    for layer, point in enumerate(found.evidence.profile):
        for seeds, of in ((point.untrained, np.var), (point.untrained_mean_square, lambda c: (c**2).mean())):
            values = [of(cosines(x)) for x in twins[layer]]
            want = (np.mean(values), min(values), max(values))
            assert (seeds.mean, seeds.low, seeds.high) == pytest.approx(want, abs=1e-12)


def test_of_several_captures_the_first_one_names_the_layers(high, low):
    claim = replace(claim_of(threshold=0.0), statistic="variance_difference")
    pair = captured(high, high, numbers=(2, 5)), captured(low, low, low, numbers=(2, 5, 7))
    found = judged(pair, claim)
    assert [point.layer for point in found.evidence.profile] == [2, 5]
    assert found.evidence.profile[0].estimate == pytest.approx(found.evidence.profile[1].estimate)
    assert found.n == 30


def test_an_unknown_statistic_is_told_with_its_claim(high):
    claim = replace(claim_of(), statistic="varience")
    with pytest.raises(ClaimError, match="claim L: statistic 'varience' is not known; .*Did you mean 'variance'"):
        judged(captured(high), claim)


def against(x, twins, direction="above", threshold=0.1, **options):
    claim = claim_of(direction, threshold, kind=Kind.AGAINST_UNTRAINED, label=options.pop("label", ""))
    seeds = Twins({6: twins}).at(6, None) if isinstance(twins, list) else twins
    return judge_against_untrained(
        claim, cells(claim, layers=[6])[0], Sample((x,), PLACES), {"untrained": seeds}, **options
    )


def test_the_difference_from_untrained_networks(high, low, rng):
    twins = [rng.normal(size=(30, 8)) for _ in range(19)]
    found = against(high, twins, options=JudgeOptions(("stand-in",)), label="exploratory")
    values = [cosines(x).var() for x in twins]
    difference = cosines(high).var() - np.mean(values)
    assert found.verdict == Decision.SUPPORTED
    assert (found.estimate, found.plug_in) == pytest.approx((difference, difference), abs=1e-12)
    assert found.low < difference < found.high
    assert found.low > 0.1
    assert found.evidence.number == pytest.approx(cosines(high).var(), abs=1e-12)
    assert (found.evidence.replicates, found.evidence.dimension_matrix) == (None, None)
    assert (found.grade, found.n_needed) == (None, None)
    assert found.qualifier == ("stand-in", "exploratory")
    (control,) = found.controls
    assert (control.seeds, control.passes, control.passing) == (19, None, None)
    assert (control.low, control.high) == (found.low, found.high)
    assert against(low, twins).verdict == Decision.REFUTED
    assert against(low, twins, "at_most").verdict == Decision.SUPPORTED
    assert against(high, twins, threshold=difference).verdict == Decision.INCONCLUSIVE
    # What is claimed is the difference: that twins have large numbers themselves is no qualifier.
    alike = against(high, [high + 0.5 * rng.normal(size=high.shape) for _ in range(19)], threshold=-0.5)
    assert (alike.verdict, alike.qualifier) == (Decision.SUPPORTED, ())


@pytest.mark.parametrize(
    ("count", "reason"), [(18, "18 untrained seed(s); specificity needs 19"), (0, "no untrained seed was asked for")]
)
def test_too_few_seeds_are_not_judged(high, rng, count, reason):
    found = against(high, [rng.normal(size=(30, 8)) for _ in range(count)], options=JudgeOptions(("stand-in",)))
    assert (found.verdict, found.reason, found.qualifier) == (Decision.NOT_JUDGED, reason, ("stand-in",))


def test_what_has_no_untrained_network_is_not_judged(high, rng):
    assert against(high, "no network").reason == "no network"
    claim = claim_of(kind=Kind.AGAINST_UNTRAINED)
    none = judge_against_untrained(claim, cells(claim, layers=[6])[0], Sample((high,), PLACES), {})
    assert (none.verdict, none.reason) == (Decision.NOT_JUDGED, "no untrained seeds")
    twins = [rng.normal(size=(30, 8)) for _ in range(19)]
    few = against(high[:5], twins)
    assert (few.verdict, few.reason) == (Decision.NOT_JUDGED, "5 distinct contexts of 5; at least 20 are needed")


def test_a_claim_about_contexts_at_every_layer(high, low):
    """It has no squares, and a dimension that is the same in every context is no obstacle."""
    comparison = Comparison("Q", "cosine")
    claim = claim_of(threshold=0.5, axis="contexts", groups=("Q",), primary=(comparison,), controls=("untrained",))
    claim = replace(claim, statistic="row_mean")
    high[:, 3] = 1.0
    found = judged(captured(high, low), claim, untrained=Twins({0: [low, high], 1: [low, low]}))

    def row_mean(x):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        return np.mean([a @ b for a, b in itertools.combinations(unit, 2)])

    for x, seeds, point in zip((high, low), ([low, high], [low, low]), found.evidence.profile, strict=True):
        without = [row_mean(np.delete(x, row, axis=0)) for row in range(30)]
        assert point.estimate == pytest.approx(30 * row_mean(x) - 29 * np.mean(without), abs=1e-10)
        assert point.mean_square is None
        assert point.untrained.mean == pytest.approx(np.mean([row_mean(one) for one in seeds]), abs=1e-10)
        assert point.untrained_mean_square is None
    assert found.reason == "holds at layers 0; misses at 1"


@pytest.mark.parametrize(("count", "notes"), [(0, ("no untrained network asked",)), (19, ("training not tested",))])
def test_a_claim_about_all_layers_says_that_training_is_not_tested(high, rng, count, notes):
    """The range of untrained networks stands beside each layer; no difference from it is tested."""

    class Networks:
        def at(self, layer, captured, *, head=None):
            del layer, captured, head
            return self

        count = 19

        def measure(self, number, *, first=None):
            assert first is None
            return [number(Sample((rng.normal(size=(30, 8)),), PLACES)) for _ in range(count)]

    claim = claim_of(controls=("untrained",))
    assert judged(captured(high), claim, untrained=Networks()).qualifier == notes
    assert judged(captured(high), claim_of(), untrained=Networks()).qualifier == ()
    assert judged(captured(high), claim_of("at_most", 0.1, controls=("untrained",))).qualifier == ()
