"""Verdicts: what is judged on which rows, the controls beside it, and the trip through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qkvcheck.claims.claim import Claim, cells
from qkvcheck.claims.judging import JudgeOptions, judge_sample
from qkvcheck.claims.verdict import Decision, judge_conditions, not_judged, verdict_from_dict
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.formulas import variance
from qkvcheck.statistics.sample import Sample

PROJECTIONS = {"Q": slice(0, 10), "K": slice(10, 20), "V": slice(20, 30)}


def make_claim(**changes) -> Claim:
    fields = {
        "id": "X", "statement": "x", "statistic": "variance", "direction": "above", "threshold": 0.3,
        "groups": ("QQ", "QK"), "measures": ("cosine", "pearson"), "primary": (Comparison("QQ", "cosine"),),
        "controls": ("non-target", "untrained"),
    }  # fmt: skip
    return Claim(**{**fields, **changes})


@pytest.fixture
def poles(rng) -> np.ndarray:
    """(30, 30) with strong column means of both signs: V near 1."""
    return rng.choice([-5.0, 5.0], size=30) + rng.normal(size=(30, 30))


@pytest.fixture
def noise(rng) -> np.ndarray:
    return rng.normal(size=(30, 30))


def judged(claim, array, **options):
    return judge_sample(claim, cells(claim, layers=[6])[0], Sample((array,), PROJECTIONS), **options)


def test_supported_and_refuted(poles, noise):
    claim = make_claim()
    up, down = judged(claim, poles), judged(claim, noise)
    assert (up.verdict, down.verdict) == (Decision.SUPPORTED, Decision.REFUTED)
    assert up.plug_in == pytest.approx(variance(poles[:, :10]))
    assert up.low < up.estimate < up.high
    assert up.low > 0.3
    assert (up.key, up.layer, up.group, up.measure, up.role) == ("X-L06-QQ", 6, "QQ", "cosine", "decides")
    assert (up.n, up.n_distinct, up.threshold) == (30, 30, 0.3)


def test_each_cell_takes_its_own_blocks(rng):
    claim = make_claim(groups=("QQ", "KK", "VV", "QK", "QV", "KV"))
    array = rng.normal(size=(30, 30)) + np.repeat([0.0, 1.0, 4.0], 10)
    blocks = [array[:, :10], array[:, 10:20], array[:, 20:]]
    parts = {"QQ": (0, None), "KK": (1, None), "VV": (2, None), "QK": (0, 1), "QV": (0, 2), "KV": (1, 2)}
    for cell in cells(claim, layers=[6]):
        first, second = parts[cell.group]
        want = variance(blocks[first], None if second is None else blocks[second], measure=cell.measure)
        assert judge_sample(claim, cell, Sample((array,), PROJECTIONS)).plug_in == pytest.approx(want, abs=1e-12)


def test_repeated_contexts_count_once(poles):
    doubled = np.vstack([poles, poles[:20]])
    verdict = judged(make_claim(), doubled)
    assert (verdict.n, verdict.n_distinct) == (50, 30)
    alone = judged(make_claim(), poles)
    assert verdict.plug_in == pytest.approx(variance(poles[:, :10]), abs=1e-12)
    assert (verdict.estimate, verdict.low, verdict.high) == (alone.estimate, alone.low, alone.high)


def test_too_few_distinct_contexts(poles):
    repeated = np.tile(poles[:5], (10, 1))
    verdict = judged(make_claim(), repeated)
    assert verdict.verdict == Decision.NOT_JUDGED
    assert verdict.reason == (
        "5 distinct contexts of 50 (45 have the numbers of another up to rounding, their tokens are not known); at "
        "least 20 are needed"
    )
    assert verdict.estimate is None
    assert judged(make_claim(), poles[:19]).verdict == Decision.NOT_JUDGED
    assert judged(make_claim(), poles[:20]).verdict == Decision.SUPPORTED


def test_controls_are_measured_alike(poles, noise):
    controls = {"untrained": Sample((noise,), PROJECTIONS), "not-asked-for": Sample((noise,), PROJECTIONS)}
    (control,) = judged(make_claim(), poles, controls=controls).controls
    assert (control.name, control.passes) == ("untrained", False)
    bias_corrected = judged(make_claim(), noise).estimate
    assert control.estimate == pytest.approx(bias_corrected, abs=1e-12)
    assert control.difference == pytest.approx(judged(make_claim(), poles).estimate - bias_corrected, abs=1e-12)
    assert control.specificity is None  # one network says nothing about training


def test_a_control_can_take_it_away(poles, rng):
    also = Sample((poles + rng.normal(size=poles.shape),), PROJECTIONS)
    assert judged(make_claim(), poles, controls={"untrained": also}).qualifier == ("also holds untrained",)
    assert judged(make_claim(), poles, controls={"non-target": also}).qualifier == ("no untrained network asked",)
    alike = Sample((poles + 0.1 * rng.normal(size=poles.shape),), PROJECTIONS)
    verdict = judged(make_claim(controls=("other-token",)), poles, controls={"other-token": alike})
    assert verdict.qualifier == ("any repeated token",)
    fails = {"untrained": Sample((rng.normal(size=poles.shape),), PROJECTIONS)}
    named = judged(make_claim(), poles, controls=fails, options=JudgeOptions(("stand-in",)))
    assert named.qualifier == ("stand-in", "training not tested")


def test_control_with_too_few_contexts_says_so(poles):
    beside = {"untrained": Sample((np.tile(poles[:2], (20, 1)),), PROJECTIONS)}
    (control,) = judged(make_claim(), poles, controls=beside).controls
    assert control.estimate is None
    assert control.reason.startswith("2 distinct contexts of 40 (38 have the numbers of another up to rounding")


def test_both_poles_have_to_be_there(rng):
    claim = make_claim(statistic="sign_balance", threshold=0.0, pole_share=0.01, equally_common_below=1 / 3)
    one_sided = 5 + rng.normal(size=(30, 30))
    verdict = judged(claim, one_sided)
    assert verdict.estimate > 0.9
    assert verdict.verdict == Decision.REFUTED
    assert "not both poles present: 0.0% of pairs below -0.5" in verdict.reason
    mixed = np.r_[-np.ones(2), np.ones(8), np.ones(20)] * 5 + rng.normal(size=(30, 30))
    assert judged(claim, mixed).verdict == Decision.SUPPORTED
    even = np.r_[-np.ones(4), np.ones(6), np.ones(20)] * 5 + rng.normal(size=(30, 30))
    assert "about equally common" in judged(claim, even).reason


@pytest.mark.parametrize(("sign", "told"), [(1.0, False), (-1.0, False), (0.0, True)])
def test_equally_common_is_near_zero_on_either_side(rng, sign, told):
    """An estimate far below zero says that one pole is much the commoner, as one far above does."""
    claim = make_claim(
        statistic="sign_balance", threshold=-1.0, pole_share=0.01, equally_common_below=1 / 3, groups=("QQ", "QK"),
        primary=(Comparison("QK", "cosine"),),
    )  # fmt: skip
    q = np.r_[np.ones(5), -np.ones(5)] if sign == 0.0 else np.r_[np.ones(9), -np.ones(1)]
    k = (sign or 1.0) * np.r_[np.ones(9), -np.ones(1)]
    array = 5 * np.r_[q, k, np.ones(10)] + rng.normal(size=(30, 30))
    cell = next(cell for cell in cells(claim, layers=[6]) if cell.comparison == Comparison("QK", "cosine"))
    verdict = judge_sample(claim, cell, Sample((array,), PROJECTIONS))
    unit = array / np.linalg.norm(array, axis=0)
    cosines = unit[:, :10].T @ unit[:, 10:20]
    assert verdict.plug_in == pytest.approx(cosines.mean() / np.abs(cosines).mean(), abs=1e-12)
    assert (abs(verdict.estimate) < 1 / 3) is told
    assert np.sign(round(verdict.estimate, 1)) == sign
    low, high = (cosines < -0.5).mean(), (cosines > 0.5).mean()
    text = f"{low:.1%} of pairs below -0.5, {high:.1%} above 0.5"
    assert verdict.reason == (f"about equally common: {text}" if told else text)


def test_evidence_holds_the_histogram(poles):
    evidence = judged(make_claim(), poles).evidence
    assert sum(evidence.distribution.histogram) == evidence.distribution.pairs == 45


def test_conditions():
    claim = make_claim(direction="exact", threshold=None, statistic="setup")
    cell = cells(claim, layers=[6])[0]
    assert judge_conditions(claim, cell, {"a": np.True_, "b": True}, n=3).verdict == Decision.SUPPORTED
    verdict = judge_conditions(claim, cell, {"a": True, "b is so": np.False_}, n=3)
    assert (verdict.verdict, verdict.reason) == (Decision.REFUTED, "does not hold: b is so")
    assert not_judged(claim, cell, "why").reason == "why"


def test_through_json(poles, noise):
    verdict = judged(
        make_claim(), poles, controls={"untrained": Sample((noise,), PROJECTIONS)}, options=JudgeOptions(("stand-in",))
    )
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    assert verdict_from_dict(json.loads(text)) == verdict


def test_not_a_number_is_no_verdict(poles):
    poles[3, 3] = np.nan
    with pytest.raises(ClaimError, match="NaN or infinite"):
        judged(make_claim(), poles)


def test_unknown_statistic(poles):
    with pytest.raises(ClaimError, match="statistic 'mode' is not known; allowed: variance"):
        judged(make_claim(statistic="mode"), poles)


@pytest.mark.parametrize(
    ("direction", "threshold", "expected"),
    [
        ("above", 0.5, Decision.SUPPORTED),
        ("above", 0.99, Decision.REFUTED),
        ("at_most", 0.99, Decision.SUPPORTED),
        ("at_most", 0.5, Decision.REFUTED),
    ],
)
def test_the_whole_interval_decides(poles, direction, threshold, expected):
    first = judged(make_claim(direction=direction, threshold=threshold), poles)
    assert first.verdict == expected
    inside = make_claim(direction=direction, threshold=(first.low + first.estimate) / 2)
    assert judged(inside, poles).verdict == Decision.INCONCLUSIVE


def test_inconclusive_says_how_many_contexts_would_settle_it(noise):
    noise = noise + 2 * np.random.default_rng(0).normal(size=noise.shape[1])  # else an end is cut at 0
    first = judged(make_claim(threshold=0.9), noise)
    threshold = first.estimate + 0.25 * (first.high - first.estimate)
    verdict = judged(make_claim(threshold=threshold), noise)
    assert verdict.verdict == Decision.INCONCLUSIVE
    # The half-width has to shrink to a quarter: sixteen times the contexts.
    assert verdict.n_needed == pytest.approx(16 * 30, abs=3)
    assert first.n_needed is None


def test_family_has_simultaneous_intervals(rng):
    array = rng.normal(size=(40, 30)) + 2 * rng.normal(size=30)
    claim = make_claim(groups=("QQ", "KK", "VV", "QK", "QV", "KV"))
    cells_there = cells(claim, layers=[6])
    family = [cell for cell in cells_there if cell.role == "family"]
    sample = Sample((array,), PROJECTIONS)
    alone = judge_sample(claim, family[0], sample)
    together = judge_sample(claim, family[0], sample, family=family)
    assert together.simultaneous
    assert not alone.simultaneous
    assert together.high - together.low > 1.1 * (alone.high - alone.low)
    assert together.estimate == pytest.approx(alone.estimate, abs=1e-12)


def test_clusters_decide_the_interval(rng):
    """Copies with a little noise in clusters of three: the interval has to know of them."""
    centres = np.repeat(rng.normal(size=(18, 30)), 3, axis=0) + rng.normal(size=30)
    array = centres + 0.1 * rng.normal(size=(54, 30))
    labels = tuple(f"c{i // 3}" for i in range(54))
    alone = judged(make_claim(), array)
    claim = make_claim()
    clustered = judge_sample(claim, cells(claim, layers=[6])[0], Sample((array,), PROJECTIONS, (labels,), "label"))
    assert (alone.clusters, clustered.clusters) == (54, 18)
    assert clustered.high - clustered.low > 1.4 * (alone.high - alone.low)
    few = Sample((array,), PROJECTIONS, (tuple(f"c{i % 7}" for i in range(54)),), "label")
    verdict = judge_sample(claim, cells(claim, layers=[6])[0], few)
    assert verdict.verdict == Decision.NOT_JUDGED
    assert verdict.reason == "7 clusters of contexts by label; at least 10 are needed"


def test_order_of_the_contexts_changes_nothing(rng):
    array = rng.normal(size=(40, 30)) + 2 * rng.normal(size=30)
    order = rng.permutation(40)
    claim = make_claim(groups=("QQ", "KK", "VV"))
    family = [cell for cell in cells(claim, layers=[6]) if cell.role == "family"]
    one, other = (
        judge_sample(claim, family[0], Sample((a,), PROJECTIONS), family=family) for a in (array, array[order])
    )
    assert one.verdict == other.verdict
    for name in ("estimate", "low", "high", "plug_in"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)


@pytest.mark.filterwarnings("error")
def test_degenerate_input(poles):
    """Nothing is judged on it, and no warning is given."""
    constant = poles.copy()
    constant[:, 3] = 2.5
    for measure in (0, 2):
        claim = make_claim()
        verdict = judge_sample(claim, cells(claim, layers=[6])[measure], Sample((constant,), PROJECTIONS))
        assert verdict.verdict == Decision.NOT_JUDGED
        assert "1 of 10 dimensions of Q are the same in every context (the first is 3)" in verdict.reason
    assert judged(make_claim(), np.ones((40, 30))).reason.startswith("1 distinct contexts of 40")
    assert judged(make_claim(), poles[:1]).reason.startswith("1 distinct contexts of 1;")
    for bad in (np.nan, np.inf):
        broken = poles.copy()
        broken[3, 25] = bad  # in V, where QQ does not look
        with pytest.raises(ClaimError, match="NaN or infinite"):
            judged(make_claim(), broken)


class FakeSeeds:
    """Untrained networks whose samples are given."""

    def __init__(self, arrays):
        self.samples = [Sample((array,), PROJECTIONS) for array in arrays]
        self.count = len(arrays)

    def measure(self, number, *, first=None):
        return [number(sample) for sample in self.samples[:first]]


def test_untrained_seeds_give_specificity(poles, rng):
    weak = FakeSeeds([rng.normal(size=(30, 30)) for _ in range(19)])
    verdict = judged(make_claim(), poles, controls={"untrained": weak})
    (control,) = verdict.controls
    assert (control.specificity, control.seeds, control.passing, control.passes) == ("specific", 19, 0, False)
    assert control.p_value == pytest.approx(1 / 20)
    values = [variance(sample.arrays[0][:, :10]) for sample in weak.samples]
    assert control.estimate == pytest.approx(np.mean(values), abs=1e-12)
    assert control.low < control.difference < control.high
    assert verdict.qualifier == ()
    strong = FakeSeeds([poles + rng.normal(size=poles.shape) for _ in range(19)])
    assert "also holds untrained" in judged(make_claim(), poles, controls={"untrained": strong}).qualifier
    few = judged(make_claim(), poles, controls={"untrained": FakeSeeds(weak.samples[0].arrays * 3)}).controls[0]
    assert few.specificity is None
    assert few.reason == "3 untrained seed(s); specificity needs 19"


@pytest.mark.parametrize(("passing", "count", "most"), [(2, 4, False), (3, 4, True), (2, 3, True), (1, 3, False)])
def test_most_networks_are_more_than_half(poles, noise, passing, count, most):
    """Half of an even number is not most; what holds in most untrained networks is no work of training."""
    twins = FakeSeeds([poles] * passing + [noise] * (count - passing))
    verdict = judged(make_claim(), poles, controls={"untrained": twins})
    (control,) = verdict.controls
    assert (control.seeds, control.passing, control.passes) == (count, passing, most)
    assert ("also holds untrained" in verdict.qualifier) is most


@pytest.mark.parametrize(("passing", "most"), [(9, False), (10, False), (11, True)])
def test_most_of_twenty(poles, noise, passing, most):
    """With as many seeds as specificity needs, too."""
    twins = FakeSeeds([poles] * passing + [noise] * (20 - passing))
    (control,) = judged(make_claim(), poles, controls={"untrained": twins}).controls
    assert (control.seeds, control.passing, control.passes) == (20, passing, most)
    assert control.specificity is not None


def test_specificity_beside_words(poles, noise):
    claim = make_claim(controls=("different-words",))
    (control,) = judged(claim, poles, controls={"different-words": Sample((noise,), PROJECTIONS)}).controls
    assert control.specificity == "specific"
    assert control.low > 0.05
    (control,) = judged(claim, poles, controls={"different-words": "no words"}).controls
    assert (control.estimate, control.reason) == (None, "no words")


def test_what_is_to_be_low_is_specific_where_the_control_is_higher(poles, noise, rng):
    claim = make_claim(direction="at_most", controls=("different-words", "untrained"))
    twins = FakeSeeds([poles + rng.normal(size=poles.shape) for _ in range(19)])
    verdict = judged(claim, noise, controls={"different-words": Sample((poles,), PROJECTIONS), "untrained": twins})
    assert (verdict.verdict, verdict.qualifier) == (Decision.SUPPORTED, ())
    for control in verdict.controls:
        assert (control.specificity, control.passes) == ("specific", False)
        assert control.low < control.difference < control.high < -0.05
    assert verdict.controls[1].p_value == pytest.approx(1 / 20)
    lower = judged(claim, poles, controls={"different-words": Sample((noise,), PROJECTIONS)})
    assert lower.controls[0].specificity == "reversed"


def test_reference_lines_are_no_evidence(poles):
    claim = make_claim(controls=("shuffled", "within-column"))
    verdict = judged(claim, poles)
    assert [(c.name, c.kind, c.specificity) for c in verdict.controls] == [
        ("shuffled", "reference", None),
        ("within-column", "reference", None),
    ]
    assert verdict.controls[0].estimate == pytest.approx(1 / 30)


def test_fresh_contexts_are_counted(rng):
    """None of 59 beyond the bound supports, most of them refute, a few leave it open."""
    claim = make_claim(
        statistic="least_row_mean", threshold=0.9, axis="contexts", groups=("Q",), measures=("cosine",),
        primary=(Comparison("Q", "cosine"),), controls=(),
    )  # fmt: skip
    cell = cells(claim, layers=[6])[0]
    corpus = 10 + 0.1 * rng.normal(size=(54, 30))
    fresh = 10 + 0.1 * rng.normal(size=(59, 30))
    assert judge_sample(claim, cell, Sample((fresh, corpus), PROJECTIONS)).verdict == Decision.SUPPORTED
    one_off = np.vstack([fresh[:58], rng.normal(size=(1, 30))])
    verdict = judge_sample(claim, cell, Sample((one_off, corpus), PROJECTIONS))
    assert verdict.verdict == Decision.INCONCLUSIVE
    assert verdict.evidence.violations.violations == 1
    off = judge_sample(claim, cell, Sample((rng.normal(size=(59, 30)), corpus), PROJECTIONS))
    assert off.verdict == Decision.REFUTED
    assert off.reason.startswith("59 of 59 fresh contexts miss it")
    # 54 clean contexts only give a rate below 5.4 %.
    assert judge_sample(claim, cell, Sample((fresh[:54], corpus), PROJECTIONS)).verdict == Decision.INCONCLUSIVE


def test_offset_goes_with_every_verdict_over_dimensions(poles):
    verdict = judged(make_claim(), poles)
    assert 0.8 < verdict.offset_share < 1
    parts = verdict.evidence.offset
    assert parts.mean_square == pytest.approx(parts.offset + parts.cross + parts.residual)
    assert verdict.grade == "certified bimodal"


def test_clusters_that_hold_the_same_row_are_one(rng):
    """Left out alone, one of them would leave a copy of its row behind."""
    array = rng.normal(size=(30, 30)) + rng.normal(size=30)
    array[1] = array[0]  # the same row under two labels
    labels = tuple(f"c{i % 15:02d}" for i in range(30))
    claim = make_claim()
    cell = cells(claim, layers=[6])[0]
    verdict = judge_sample(claim, cell, Sample((array,), PROJECTIONS, (labels,), "label"))
    assert (verdict.n_distinct, verdict.clusters) == (29, 14)
    by_hand = tuple("c00" if label == "c01" else label for label in labels)
    same = judge_sample(claim, cell, Sample((array,), PROJECTIONS, (by_hand,), "label"))
    assert (same.low, same.high) == (verdict.low, verdict.high)
