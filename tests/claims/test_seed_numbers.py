"""What is computed in untrained networks, and how a claim is compared with it; each against loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from qkvcheck.claims.claim import Claim, Criterion, Direction, cells
from qkvcheck.claims.judging import judge_sample
from qkvcheck.claims.seed_numbers import SeedHistogram, SeedPlugIns, SeedReplicates, SeedValues
from qkvcheck.claims.verdict import ControlKind
from qkvcheck.groups import Comparison
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample
from tests.claims.test_comparison import Twins

PLACES = {"Q": slice(0, 6), "K": slice(6, 12)}
QQ, KK = Comparison("QQ", "cosine"), Comparison("KK", "cosine")


def cosines(x: np.ndarray, group: str) -> np.ndarray:
    columns = x[:, PLACES[group[0]]].T
    pairs = itertools.combinations(columns, 2)
    return np.array([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs])


@pytest.fixture
def x(rng) -> np.ndarray:
    """Q has both poles, K one."""
    return 5 * np.r_[np.ones(4), -np.ones(2), np.ones(6)] + rng.normal(size=(24, 12))


@pytest.fixture
def sample(x) -> Sample:
    return Sample((x,), PLACES)


@pytest.mark.parametrize(("threshold", "pole_share", "holds"), [
    (0.5, None, [True, False]), (0.5, 0.01, [True, False]), (-1.0, None, [True, True]), (-1.0, 0.01, [True, False]),
    (-1.0, 0.8, [False, False]), (2.0, None, [False, False]),
])  # fmt: skip
def test_plug_ins_and_whether_they_meet_the_criterion(x, sample, threshold, pole_share, holds):
    criterion = Criterion(Direction.ABOVE, threshold, pole_share)
    number = SeedPlugIns(statistic_named("variance"), (QQ, KK), criterion, "dimensions", 20)
    found = number(sample)
    for group, (value, meets, distinct), want in zip(("QQ", "KK"), found, holds, strict=True):
        assert value == pytest.approx(cosines(x, group).var(), abs=1e-12)
        assert (meets, distinct) == (want, 24)


def test_a_share_that_is_just_large_enough(x, sample):
    """The smaller pole decides, and a share that is met exactly is met."""
    c = cosines(x, "QQ")
    share = float(min((c < -0.5).mean(), (c > 0.5).mean()))
    for asked, want in ((share, True), (float(np.nextafter(share, 1)), False)):
        criterion = Criterion(Direction.ABOVE, -1.0, asked)
        ((_, meets, _),) = SeedPlugIns(statistic_named("variance"), (QQ,), criterion, "dimensions", 20)(sample)
        assert meets is want


def test_places_that_cannot_be_judged(x):
    """One of two places: the other has its number; and too few contexts."""
    x[:, 8] = 1.0
    criterion = Criterion(Direction.ABOVE, 0.1)
    number = SeedPlugIns(statistic_named("variance"), (QQ, KK), criterion, "dimensions", 20)
    first, second = number(Sample((x,), PLACES))
    assert first[0] == pytest.approx(cosines(x, "QQ").var(), abs=1e-12)
    assert second == [None, second[1], 24]
    assert second[1].startswith("1 of 6 dimensions of K are the same in every context (the first is 2)")
    few = SeedPlugIns(statistic_named("variance"), (QQ,), criterion, "dimensions", 25)(Sample((x,), PLACES))
    assert few == [[None, "24 distinct contexts of 24; at least 25 are needed", 24]]
    # Over contexts a dimension may be constant.
    place = Comparison("K", "cosine")
    ((value, _, _),) = SeedPlugIns(statistic_named("row_mean"), (place,), criterion, "contexts", 20)(
        Sample((x,), PLACES)
    )
    assert value is not None


def test_replicates_histogram_and_values(x, sample):
    clusters = ("row 000003", "row 000007")
    found = SeedReplicates(statistic_named("variance"), (QQ, KK), clusters)(sample)
    for group, values in zip(("QQ", "KK"), found, strict=True):
        want = [cosines(np.delete(x, row, axis=0), group).var() for row in (3, 7)]
        assert values == pytest.approx(want, abs=1e-12)
    assert SeedHistogram(QQ)(sample) == np.histogram(cosines(x, "QQ"), bins=100, range=(-1, 1))[0].tolist()
    both = SeedValues((statistic_named("variance"), statistic_named("mean_square")), KK)(sample)
    assert both == pytest.approx([cosines(x, "KK").var(), (cosines(x, "KK") ** 2).mean()], abs=1e-12)


def judged(x, twins, **more):
    told = {"groups": ("QQ",), "primary": (QQ,), "controls": ("untrained",), **more}
    claim = Claim("X", "x", told.pop("statistic", "variance"), Direction.ABOVE, told.pop("threshold", 0.1), **told)
    verdict = judge_sample(claim, cells(claim, layers=[6])[0], Sample((x,), PLACES), controls={"untrained": twins})
    return verdict.controls[0]


def test_poles_are_asked_of_untrained_networks_too(x, rng):
    """One that has the number and not the poles does not meet the claim."""
    lopsided = 5 + rng.normal(size=x.shape)
    arrays = [x + 0.1 * rng.normal(size=x.shape), lopsided, lopsided]
    networks = Twins(arrays)
    networks.count = 3
    networks.measure = lambda number, *, first=None: [number(Sample((a,), PLACES)) for a in arrays[:first]]
    for share, passing in ((None, 3), (0.01, 1)):
        found = judged(x, networks, threshold=-0.5, pole_share=share)
        assert (found.seeds, found.passing, found.passes) == (3, passing, passing > 1.5)
        assert found.estimate == pytest.approx(np.mean([cosines(a, "QQ").var() for a in arrays]), abs=1e-12)


def test_where_no_seed_can_be_measured(x):
    networks = Twins([])
    networks.count = 0
    none = judged(x, networks)
    assert (none.seeds, none.kind, none.estimate) == (0, ControlKind.SEEDS, None)
    assert none.reason == "no untrained seed was asked for"
    flat = x.copy()
    flat[:, 2] = 1.0
    networks.measure = lambda number, *, first=None: [number(Sample((a,), PLACES)) for a in (x, flat)[:first]]
    networks.count = 2
    one = judged(x, networks)
    assert (one.seeds, one.kind, one.estimate, one.passes) == (2, ControlKind.SEEDS, None, None)
    assert one.reason.startswith("1 of 6 dimensions of Q are the same in every context")


def test_distinct_contexts_of_the_worst_network(x):
    """Where one network gives several contexts one row, that is told."""
    merged = x.copy()
    merged[3], merged[5] = merged[1], merged[1]
    networks = Twins([])
    networks.count = 2
    networks.measure = lambda number, *, first=None: [number(Sample((a,), PLACES)) for a in (x, merged)[:first]]
    found = judged(x, networks)
    assert (found.n, found.n_distinct) == (24, 22)


@pytest.mark.parametrize(("name", "widening"), [("variance", 3), ("collapse", 6)])
@pytest.mark.parametrize("direction", [Direction.ABOVE, Direction.AT_MOST])
def test_the_interval_of_one_further_seed(x, rng, name, widening, direction):
    """By hand: the spread of the seeds, and the paired difference with the first one, widened as its statistic is."""
    twins = [rng.normal(size=x.shape) + rng.normal(size=12) for _ in range(19)]

    def number(z):
        c = cosines(z, "QQ")
        return c.var() if name == "variance" else (cosines(z - z.mean(axis=0), "QQ") ** 2).mean() / (c**2).mean()

    networks = Twins(twins)
    networks.count = 19
    networks.measure = lambda what, *, first=None: [what(Sample((a,), PLACES)) for a in twins[:first]]
    claim = Claim("X", "x", name, direction, 0.1, groups=("QQ",), primary=(QQ,), controls=("untrained",), margin=1e-9)
    own = Sample((x,), PLACES)
    (found,) = judge_sample(claim, cells(claim, layers=[6])[0], own, controls={"untrained": networks}).controls
    values = np.array([number(z) for z in twins])
    pseudo = [
        24 * number(z) - 23 * np.array([number(np.delete(z, r, axis=0)) for r in range(24)]) for z in (x, twins[0])
    ]
    paired = pseudo[0] - pseudo[1]
    error = paired.std(ddof=1) / np.sqrt(24) * np.sqrt((24 + widening) / (24 - widening))
    half = np.hypot(stats.t.ppf(0.975, 18) * values.std(ddof=1) * np.sqrt(20 / 19), stats.t.ppf(0.975, 23) * error)
    difference = number(x) - values.mean()
    assert found.by_seed == pytest.approx(values, abs=1e-10)
    assert found.difference == pytest.approx(difference, abs=1e-10)
    assert (found.low, found.high) == pytest.approx((difference - half, difference + half), rel=1e-7, abs=1e-9)
    beyond = values >= number(x) if direction == Direction.ABOVE else values <= number(x)
    assert found.p_value == pytest.approx((1 + beyond.sum()) / 20)


def test_many_clusters_leave_in_the_trained_networks_groups(rng):
    """A network whose rows are merged otherwise has other groups of its own, and is paired under the trained one's."""
    names = tuple(f"c{k:03d}" for k in range(420))
    rows, other = rng.normal(size=(420, 12)) + 1, rng.normal(size=(420, 12)) + 1
    other[100:140] = other[60:100]
    own, network = (Sample((array,), PLACES, (names,), "label") for array in (rows, other))
    statistic = statistic_named("variance")
    number = SeedReplicates(statistic, (QQ,), own.rows.clusters, own.rows.grouping)
    (found,) = number(network)
    group_of = own.rows.grouping.of
    kept = [k for k in range(420) if not 100 <= k < 140]
    assert network.rows.grouping.of != {name: group_of[name] for name in network.rows.grouping.of}
    for at in (0, 77, 199):
        stay = [k for k in kept if group_of[names[k]] != own.rows.clusters[at]]
        assert found[at] == pytest.approx(cosines(other[stay], "QQ").var(), abs=1e-12)
