"""The package against a second implementation that was written from the documentation alone, to 1e-10."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import factorial

import numpy as np
import pytest

from qkvcheck.claims import load_claims
from qkvcheck.claims.claim import Claim, Direction, Role, cells
from qkvcheck.claims.judging import judge_sample
from qkvcheck.groups import POSITION, Comparison, Turns
from qkvcheck.statistics import Sample, dip, measure, rotated_values, statistic_named
from qkvcheck.statistics.further.discriminant import right_by_chance
from tests.conftest import CLAIM_FILES
from tests.statistics import second_bases as bases
from tests.statistics import second_implementation as second

CLOSE = {"rel": 1e-10, "abs": 1e-10}
SEEDS = range(3)
MEASURES = ("cosine", "pearson")
HEADS = {"Q": 4, "K": 2, "V": 2}
PLACES = {"Q": slice(0, 24), "K": slice(24, 36), "V": slice(36, 46)}
GROUPS = ("QQ", "KK", "VV", "QK", "QV", "KV")


def near(number):
    return pytest.approx(number, **CLOSE)


def clusters_of(n):
    """Clusters of several rows: 1, 2, 3, 1, 2, 3, ... of them, not side by side."""
    sizes, labels = itertools.cycle((1, 2, 3)), []
    for number in itertools.count():
        labels += [f"cluster {number:02d}"] * next(sizes)
        if len(labels) >= n:
            return tuple(np.random.default_rng(n).permutation(labels[:n]).tolist())


def rows_of(seed, n=33, width=46):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(size=width))
    return scale * (rng.normal(size=(n, width)) + 1.5 * rng.normal(size=width))


def grid_of(seed, n=33, w=11, width=46, *, words=0.6):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(width, width)) / np.sqrt(width)
    cells_of = rng.normal(size=(n, w, width)) + rng.normal(size=(n, 1, width))
    return cells_of @ mix + words * rng.normal(size=(1, w, width)) + 1.0


def claim_of(statistic, comparison, threshold, controls=()):
    axis = "contexts" if len(comparison.group) == 1 else "dimensions"
    told = {"axis": axis, "groups": (comparison.group,), "measures": (comparison.measure,), "primary": (comparison,)}
    return Claim("X", "x", statistic, Direction.ABOVE, threshold, controls=tuple(controls), **told)


def judged(statistic, sample, group, how, threshold=0.5, *, controls=None, **more):
    claim = claim_of(statistic, Comparison(group, how), threshold, controls or ())
    cell = next(one for one in cells(claim, layers=[6]) if one.role == Role.DECIDES)
    return judge_sample(claim, cell, sample, controls=controls, **more)


def beside(verdict):
    return {one.name: one for one in verdict.evidence.beside or ()}


def parts(x, group):
    first, other = (x[..., PLACES[name]] for name in group)
    return (first, None) if group[0] == group[1] else (first, other)


def plug_in(statistic, x, group, how):
    return measure(statistic_named(statistic), Sample((x,), PLACES), Comparison(group, how)).plug_in


@pytest.mark.parametrize("how", MEASURES)
@pytest.mark.parametrize("seed", SEEDS)
def test_unimodal_excess(seed, how):
    x = rows_of(seed)
    for group in GROUPS:
        similar = second.pairs(*parts(x, group), centred=how == "pearson")
        assert plug_in("unimodal_excess", x, group, how) == near(second.unimodal_excess(similar))


@pytest.mark.parametrize("how", MEASURES)
@pytest.mark.parametrize(("n", "statistic"), [(24, second.unimodal_excess), (33, second.sign_balance)])
def test_intervals_over_clusters(n, statistic, how):
    """Few clusters and few units; sign balance, a ratio, is widened more."""
    x, clusters = rows_of(7, n), clusters_of(n)
    found = judged(statistic.__name__, Sample((x,), PLACES, (clusters,)), "VV", how)

    def number(rows):
        return statistic(second.pairs(rows[:, PLACES["V"]], centred=how == "pearson"))

    widen = 6 if statistic is second.sign_balance else 3
    value, low, high = second.jackknife_interval(x, number, clusters, widen=widen)
    if statistic is second.sign_balance:  # its ends are cut where no sign balance can be
        low, high = max(low, -1.0), min(high, 1.0)
    expected = (value, low, high)
    assert (found.estimate, found.low, found.high) == near(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_contexts_that_are_one_count_once(seed):
    """Their clusters become one, and the rows that stay are the first of each, in their order."""
    grid, labels = grid_of(seed, 24, 11), list(clusters_of(24))
    twice = [5, 0, 17]
    sample = Sample((np.concatenate([grid[:7], grid[twice], grid[7:]]),), PLACES,
                    ((*labels[:7], *(f"new {n}" for n in twice), *labels[7:]),))  # fmt: skip
    mine = grid[..., PLACES["K"]]
    found = beside(judged("token_minus_context", sample, "K", "variance", 0.0))
    assert found["noise-value"].value == near(second.noise_value(24, 11))
    told = found["over-words-too"]
    assert (told.value, told.low, told.high) == near(second.over_words_too(mine, tuple(labels), widen=3))
    verdict = judged("token_identity", sample, "K", "accuracy")
    firsts = [*range(7), *(n for n in twice if n > 6), *(n for n in range(7, 24) if n not in twice)]
    assert verdict.plug_in == near(second.token_identity(mine)[0])
    p_value = second.permuted_words(mine[firsts])
    assert beside(verdict)["permuted-words"].value == pytest.approx(p_value, rel=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_dip(seed):
    pytest.importorskip("diptest")
    rng = np.random.default_rng(seed)
    for numbers in (
        rng.normal(size=20), np.r_[rng.normal(size=9), 5 + rng.normal(size=16)], np.r_[0.1, 0.1, rng.uniform(size=22)],
        rng.integers(0, 6, size=25) / 5, np.r_[np.zeros(9), np.ones(9), 0.4],
    ):  # fmt: skip
        assert dip(numbers) == near(second.dip(numbers))
    x = rows_of(seed, width=13)
    sample = Sample((x,), {"Q": slice(0, 7), "K": slice(7, 13)})
    within, across = second.pairs(x[:, :7], centred=False), second.pairs(x[:, :7], x[:, 7:], centred=False)
    for group, similar in (("QQ", within), ("QK", across)):
        assert beside(judged("variance", sample, group, "cosine"))["dip"].value == near(second.dip(similar))


def test_which_pairs_the_dip_takes_of_many():
    pytest.importorskip("diptest")
    x = rows_of(1, n=24, width=260)
    sample = Sample((x,), {"Q": slice(0, 205), "K": slice(205, 260)})
    assert 205 * 204 // 2 > 20_000
    similar = second.pairs(x[:, :205], centred=False)
    drawn = np.random.default_rng(0).choice(len(similar), 20_000, replace=False, shuffle=False)
    # The dip itself is compared above; a program a mode is too slow for so many.
    assert beside(judged("variance", sample, "QQ", "cosine"))["dip"].value == near(dip(similar[drawn]))


@pytest.mark.parametrize("how", MEASURES)
@pytest.mark.parametrize("seed", SEEDS)
def test_beside_a_mean_of_rows(seed, how):
    x, others = rows_of(seed), rows_of(seed + 50)
    others[:, 40] = 0.25  # a dimension in which all other words are alike
    clusters, centred = clusters_of(33), how == "pearson"
    at = tuple(f"position {number:04d}" for number in np.random.default_rng(seed).integers(2, 6, size=33))
    sample = Sample((x,), PLACES, (clusters,), factors={POSITION: at})
    control = Sample((others,), PLACES, (clusters,))
    for group, place in PLACES.items():
        mine, theirs = x[:, place], others[:, place]
        threshold = float(np.median(second.row_pairs(mine, centred=centred))) + 1e-6
        controls = {"different-words": control}
        found = beside(judged("row_mean", sample, group, how, threshold, controls=controls))
        assert found["share-above"].value == near(second.share_above(mine, threshold, centred=centred))
        assert found["without-top-dimensions"].value == near(second.without_top_dimensions(mine, centred=centred))
        assert found["participation-ratio"].value == near(second.participation_ratio(mine, centred=centred))
        assert found["standardised"].value == near(second.standardised(mine, theirs, centred=centred))
        above = found["above-other-words"]
        expected = second.above_other_words(mine, theirs, clusters, centred=centred)
        assert (above.value, above.low, above.high) == near(expected)
        first, many, other, rest, difference = second.same_position(mine, at, centred=centred)
        same = found["same-position"]
        assert same.value == near(difference)
        assert f"{first:.4f} over the {many} pairs" in same.text
        assert f"{other:.4f} over the {rest} others" in same.text
        exclusion = beside(judged("row_variance", sample, group, how))["exclusion"]
        assert exclusion.value == near(second.exclusion(mine, centred=centred))


@pytest.mark.parametrize("how", MEASURES)
@pytest.mark.parametrize("seed", SEEDS)
def test_sign_balance_and_its_floor(seed, how):
    rng = np.random.default_rng(seed)
    signs, common = rng.choice([-1.0, 1.0], size=46), rng.normal(size=(33, 1))
    x = signs * (2 if how == "cosine" else 2 * common) + rng.normal(size=(33, 46))
    for group in ("QQ", "KK", "VV"):
        mine, _ = parts(x, group)
        verdict = floor_told(x, group, how, {"equally_common_below": 1.0})
        assert verdict.plug_in == near(second.sign_balance(second.pairs(mine, centred=how == "pearson")))
        told = float(verdict.reason.rpartition("nor this number below ")[2])
        floor = second.sign_balance_floor(mine, centred=how == "pearson")
        assert told == pytest.approx(floor, abs=5.1e-5)  # it stands in words alone
        assert verdict.plug_in >= floor


def floor_told(x, group, how, more):
    claim = replace(load_claims(*CLAIM_FILES).claims["P3b"], axis="dimensions", groups=(group,), measures=(how,))
    claim = replace(claim, primary=(Comparison(group, how),), **more)
    cell = next(one for one in cells(claim, layers=[6]) if one.role == Role.DECIDES)
    return judge_sample(claim, cell, Sample((x,), PLACES))


@pytest.mark.parametrize(
    ("seed", "shape", "strength"), [(0, (21, 5), 0.6), (1, (24, 7), 0.3), (2, (20, 11), 1.0), (3, (20, 3), 0.05)]
)
def test_naming_words(seed, shape, strength):
    n, w = shape
    grid, clusters = grid_of(seed, n, w, words=strength), clusters_of(n)
    sample = Sample((grid,), PLACES, (clusters,))
    for group in "QKV":
        mine = grid[..., PLACES[group]]
        verdict = judged("token_identity", sample, group, "accuracy")
        share, by_context, by_word = second.token_identity(mine)
        assert verdict.plug_in == near(share)
        found = beside(verdict)
        assert found["target-named"].value == near(by_word[0])
        assert f"the hardest word in {by_word.min():.0%}" in found["target-named"].text
        assert found["permuted-words"].value == pytest.approx(second.permuted_words(mine), rel=1e-10)
        expected = second.jackknife_interval(by_context, np.mean, clusters)
        assert (verdict.estimate, verdict.low, verdict.high) == near(expected)


def test_the_law_of_right_names_is_that_of_all_orders():
    """The formula, against every order of five words, and with three more that no row is given to."""
    for given in itertools.combinations_with_replacement(range(5), 5):
        law = second.law_of_right_names(list(given))
        assert sum(law) == factorial(5)
        assert right_by_chance(np.bincount(given, minlength=5)).tolist() == [near(one / factorial(5)) for one in law]
        more = second.law_of_right_names([*given, 7, 7, 7])
        told = right_by_chance(np.bincount([*given, 7, 7, 7], minlength=8))
        assert told.tolist() == [near(one / factorial(8)) for one in more]


@pytest.mark.parametrize("seed", SEEDS)
def test_words_of_more_dimensions_than_there_are_rows(seed):
    """Sigma is shrunk over all d dimensions; they fall so steeply that some rows hang on how much."""
    rng = np.random.default_rng(seed)
    grid = (rng.normal(size=(20, 6, 200)) + 0.25 * rng.normal(size=(1, 6, 200))) * 10 ** -np.linspace(0, 4, 200)
    verdict = judged("token_identity", Sample((grid,), {"Q": slice(0, 200)}), "Q", "accuracy")
    assert verdict.plug_in == near(second.token_identity(grid)[0])
    assert beside(verdict)["permuted-words"].value == pytest.approx(second.permuted_words(grid), rel=1e-10)


@pytest.mark.parametrize("shape", [(24, 11), (33, 20), (20, 10)])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_token_against_its_context(seed, shape):
    n, w = shape
    grid, clusters = grid_of(seed, n, w), clusters_of(n)
    sample = Sample((grid,), PLACES, (clusters,))
    for group in "QKV":
        mine = grid[..., PLACES[group]]
        verdict = judged("token_minus_context", sample, group, "variance", 0.0)
        assert verdict.plug_in == near(second.token_minus_context(mine))
        found = beside(verdict)
        assert found["noise-value"].value == near(second.noise_value(n, w))
        told = found["over-words-too"]
        assert (told.value, told.low, told.high) == near(second.over_words_too(mine, clusters, widen=3))


def test_the_noise_value_is_the_mean_over_all_orders():
    grid = np.random.default_rng(0).normal(size=(3, 2, 4))
    every = [grid.reshape(6, 4)[list(order)].reshape(3, 2, 4) for order in itertools.permutations(range(6))]
    assert np.mean([second.token_minus_context(one) for one in every]) == near(second.noise_value(3, 2))


@pytest.mark.parametrize("how", MEASURES)
@pytest.mark.parametrize("seed", SEEDS)
def test_scores_in_the_place_of_rows(seed, how):
    x, centred = rows_of(seed, n=21), how == "pearson"
    sample = Sample((x,), PLACES, heads=HEADS, turns=Turns())
    q, k = bases.scores_in_place(x[:, PLACES["Q"]], x[:, PLACES["K"]], HEADS["Q"], HEADS["K"])
    for group, similar in (
        ("QQ", second.pairs(q, centred=centred)), ("KK", second.pairs(k, centred=centred)),
        ("QK", second.pairs(q, k, centred=centred)),
    ):  # fmt: skip
        found = beside(judged("variance", sample, group, how))["score-metric"]
        assert found.value == near(second.variance(similar))
        found = beside(judged("mean_absolute", sample, group, how))["score-metric"]
        assert found.value == near(np.mean(abs(similar)))
    for group, rows in (("Q", q), ("K", k)):
        found = beside(judged("row_mean", sample, group, how))["score-metric"]
        assert found.value == near(second.mean_of_rows(rows, centred=centred))


@pytest.mark.parametrize("seed", SEEDS)
def test_in_the_metric_of_other_tokens(seed):
    grid = grid_of(seed, 24, 6)
    words = Sample((grid,), PLACES, heads=HEADS)
    sample = Sample((grid[:, 0],), PLACES, heads=HEADS)
    for (group, place), how in itertools.product(PLACES.items(), MEASURES):
        found = beside(judged("row_mean", sample, group, how, tokens=lambda: words))
        expected = bases.token_metric(grid[:, 0, place], grid[..., place], HEADS[group])
        assert found["token-metric"].value == near(expected)
        expected = bases.token_distance(grid[:, 0, place], grid[..., place], HEADS[group])
        assert found["token-distance"].value == near(expected)
        own = beside(judged("stability", words, group, how))
        assert own["token-distance"].value == near(expected)


@pytest.mark.parametrize("turns", [Turns(), Turns(4), Turns(6), Turns(4, neighbours=True)])
@pytest.mark.parametrize("how", MEASURES)
def test_rotations(how, turns):
    x = rows_of(4, n=24)
    sample = Sample((x,), PLACES, heads=HEADS, turns=turns)
    pairing = "neighbours" if turns.neighbours else "halves"
    expected = {group: [] for group in GROUPS}
    for seed in range(20):
        turned = bases.rotated_rows(
            *(x[:, PLACES[name]] for name in "QKV"), query_heads=4, key_heads=2, seed=seed,
            rotary=turns.rotary, pairing=pairing,
        )  # fmt: skip
        y = np.concatenate(turned, axis=1)
        for group in GROUPS:
            expected[group].append(second.variance(second.pairs(*parts(y, group), centred=how == "pearson")))
    for group, numbers in expected.items():
        comparison = Comparison(group, how)
        found = rotated_values(statistic_named("variance"), sample.rows, [comparison])[comparison]
        assert found == near(numbers)
        told = beside(judged("variance", sample, group, how))["rotated"]
        assert (told.low, told.high, told.value) == near((min(numbers), max(numbers), np.mean(numbers)))


def test_where_keys_are_not_rotated_values_draw_first():
    x = rows_of(4, n=24)
    sample = Sample((x,), PLACES, heads=HEADS, turns=Turns(obstacle="normed"))
    expected = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        heads = [rows @ bases.orthogonal(rng, 5) for rows in bases.heads_of(x[:, PLACES["V"]], 2)]
        expected.append(second.variance(second.pairs(np.concatenate(heads, axis=1), centred=False)))
    comparison = Comparison("VV", "cosine")
    assert rotated_values(statistic_named("variance"), sample.rows, [comparison])[comparison] == near(expected)
