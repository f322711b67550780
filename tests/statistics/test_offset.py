"""Offset and polarisation: the study's self-tests, against loops written from the definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.formulas import random_mean_absolute
from qkvcheck.statistics.group_moments import CERTIFIED, grade, group_moments
from qkvcheck.statistics.offset import (
    attribute,
    decompose,
    offset_loadings,
    offset_only_mean_absolute,
    planted_mean_square,
    token_share,
)
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Rows
from qkvcheck.statistics.similarity import scaled_columns

BLOCKS = {"Q": slice(0, 8), "K": slice(8, 13), "V": slice(13, 20)}
GROUPS = ("QQ", "KK", "VV", "QK", "QV", "KV")


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.normal(size=(11, 20)) + 1.5 * rng.normal(size=20)


def pairs_of(x: np.ndarray, group: str, measure: str) -> np.ndarray:
    """Every similarity of a group, pair by pair."""
    if measure == "pearson":
        x = x - x.mean(axis=0)
    first, second = (range(20)[BLOCKS[name]] for name in group)
    pairs = itertools.combinations(first, 2) if group[0] == group[1] else itertools.product(first, second)
    return np.array([x[:, i] @ x[:, j] / np.sqrt((x[:, i] @ x[:, i]) * (x[:, j] @ x[:, j])) for i, j in pairs])


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
def test_gram_is_brute_force(x, measure):
    """Blocks of three different widths, all six groups, to 1e-12."""
    found = group_moments(scaled_columns(x), BLOCKS, GROUPS, measure=measure, absolute=True)
    for group in GROUPS:
        c = pairs_of(x, group, measure)
        assert found[group].mean == pytest.approx(c.mean(), abs=1e-12)
        assert found[group].mean_square == pytest.approx((c**2).mean(), abs=1e-12)
        assert found[group].variance == pytest.approx(c.var(), abs=1e-12)
        assert found[group].mean_absolute == pytest.approx(np.abs(c).mean(), abs=1e-12)


def test_gram_on_very_small_and_large_columns(x):
    found = group_moments(scaled_columns(x * np.logspace(-160, 160, 20)), BLOCKS, ["QQ"])["QQ"]
    assert found.mean_square == pytest.approx((pairs_of(x, "QQ", "cosine") ** 2).mean(), abs=1e-12)


def test_moments_refuse(x):
    with pytest.raises(ClaimError, match="measure 'dot' is not known"):
        group_moments(x, BLOCKS, ["QQ"], measure="dot")
    with pytest.raises(ClaimError, match="one dimension"):
        group_moments(x, {"Q": slice(0, 1)}, ["QQ"])
    with pytest.raises(ClaimError, match="NaN"):
        scaled_columns(np.array([[np.nan]]))


@pytest.mark.parametrize("n", [20, 54])
def test_random_vectors_have_one_over_n(rng, n):
    noise = rng.normal(size=(n, 1500))
    blocks = {"Q": slice(0, 1500)}
    assert group_moments(noise, blocks, ["QQ"])["QQ"].mean_square == pytest.approx(1 / n, rel=0.02)
    pearson = group_moments(noise, blocks, ["QQ"], measure="pearson", absolute=True)["QQ"]
    assert pearson.mean_square == pytest.approx(1 / (n - 1), rel=0.02)
    assert pearson.mean_absolute == pytest.approx(random_mean_absolute(n - 1), rel=0.01)


@pytest.mark.parametrize("group", GROUPS)
def test_parts_add_up_to_the_mean_square(x, group):
    """A + X + R = P to 1e-12, and each part is what its definition says."""
    first, second = x[:, BLOCKS[group[0]]], x[:, BLOCKS[group[1]]]
    within = group[0] == group[1]
    found = decompose(first, None if within else second)
    c = pairs_of(x, group, "cosine")
    assert found.offset + found.cross + found.residual == pytest.approx((c**2).mean(), abs=1e-12)
    assert found.pearson_mean_square == pytest.approx((pairs_of(x, group, "pearson") ** 2).mean(), abs=1e-12)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    a = mean / np.sqrt(mean**2 + spread**2)
    b = np.sqrt(1 - a**2)
    indices = [range(20)[BLOCKS[name]] for name in group]
    pairs = list(itertools.combinations(indices[0], 2) if within else itertools.product(*indices))
    r = pairs_of(x, group, "pearson")
    aa, bb = (np.array([v[i] * v[j] for i, j in pairs]) for v in (a, b))
    np.testing.assert_allclose(aa + bb * r, c, atol=1e-12)  # the identity itself
    assert found.offset == pytest.approx((aa**2).mean(), abs=1e-12)
    assert found.residual == pytest.approx(((bb * r) ** 2).mean(), abs=1e-12)
    assert found.cross == pytest.approx(2 * (aa * bb * r).mean(), abs=1e-12)
    np.testing.assert_allclose(offset_loadings(x), a, atol=1e-12)


def test_closed_form_null_is_the_mean_over_permutations(rng):
    x = rng.normal(size=(15, 60)) + rng.normal(size=60)
    blocks = {"A": slice(0, 30), "B": slice(30, 60)}
    squares, absolutes = [], []
    for _ in range(400):
        permuted = rng.permuted(x, axis=0)
        found = group_moments(permuted, blocks, ["AA", "AB"], absolute=True)
        squares.append([found[g].mean_square for g in ("AA", "AB")])
        absolutes.append([found[g].mean_absolute for g in ("AA", "AB")])
    error = np.std(squares, axis=0) / np.sqrt(400)
    for place, y in enumerate((None, x[:, 30:])):
        assert abs(decompose(x[:, :30], y).offset_only - np.mean(squares, axis=0)[place]) < 4 * error[place]
        assert offset_only_mean_absolute(x[:, :30], y) == pytest.approx(np.mean(absolutes, axis=0)[place], rel=0.02)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_closed_form_null_is_the_mean_over_all_permutations(n, across):
    """Not some permutations but every one of n!: no Monte Carlo error hides an n for n - 1."""
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, 4)) + 0.7, rng.normal(size=(n, 3)) - 0.4
    pairs = itertools.product(x.T, y.T) if across else itertools.combinations(x.T, 2)
    squares = []
    for one, other in pairs:
        length = np.sqrt((one @ one) * (other @ other))
        every = [one @ other[list(order)] / length for order in itertools.permutations(range(n))]
        squares.append(np.mean(np.square(every)))
    assert decompose(x, y if across else None).offset_only == pytest.approx(np.mean(squares), abs=1e-13)


@pytest.mark.parametrize("across", [False, True])
def test_folded_normal_null_is_scipys(rng, across):
    """With the variance 1 / (n - 1) that a permuted correlation has."""
    n = 6
    x, y = rng.normal(size=(n, 5)) + 0.5, rng.normal(size=(n, 4)) - 0.3
    pairs = itertools.product(x.T, y.T) if across else itertools.combinations(x.T, 2)
    means = []
    for one, other in pairs:
        a, b = (v.mean() / np.sqrt(v.mean() ** 2 + v.var()) for v in (one, other))
        scale = np.sqrt((1 - a**2) * (1 - b**2) / (n - 1))
        means.append(stats.foldnorm.mean(abs(a * b) / scale, scale=scale))
    assert offset_only_mean_absolute(x, y if across else None) == pytest.approx(np.mean(means), rel=1e-12)


@pytest.mark.parametrize("tau", [0.05, 0.7, 2.0, 20.0])
@pytest.mark.parametrize("n", [3, 54])
def test_planted_mean_square_is_the_integral(tau, n):
    """E a^2 by quadrature: a^2 = (tau z)^2 / (1 + (tau z)^2), z standard normal."""
    share = integrate.quad(
        lambda z: (tau * z) ** 2 / (1 + (tau * z) ** 2) * stats.norm.pdf(z), -40, 40, points=[0.0], limit=400
    )[0]
    assert planted_mean_square(tau, n) == pytest.approx(share**2 + (1 - share) ** 2 / (n - 1), rel=1e-8)


@pytest.mark.parametrize("tau", [1.0, 2.0, 3.0, 5.0])
def test_planted_offsets_follow_the_curve(rng, tau):
    curve = {1.0: 0.13, 2.0: 0.32, 3.0: 0.46, 5.0: 0.62}[tau]
    assert planted_mean_square(tau, 54) == pytest.approx(curve, abs=0.006)
    x = tau * rng.normal(size=4000) + rng.normal(size=(54, 4000))
    found = group_moments(x, {"Q": slice(0, 4000)}, ["QQ"])["QQ"]
    assert found.mean_square == pytest.approx(planted_mean_square(tau, 54), rel=0.04)


def test_certificate(rng):
    """It fires on two points and never on unimodal draws, however wide."""
    two_points = rng.choice([-0.9, 0.9], size=20_000) + 0.02 * rng.normal(size=20_000)
    assert two_points.var() > CERTIFIED
    assert grade(two_points.var()) == "certified bimodal"
    uniform = rng.uniform(-1, 1, size=20_000)
    assert grade(uniform.var() - 0.01) == "not certified"
    for _ in range(200):
        # An atom at one end mixed with a uniform is the widest unimodal law: variance up to 4/9.
        weight = rng.uniform()
        draws = np.where(rng.uniform(size=20_000) < weight, 1.0, rng.uniform(-1, 1, size=20_000))
        assert draws.var() < CERTIFIED + 0.006
        assert grade(draws.var() - 0.006) != "certified bimodal"
        mode = rng.uniform(-1, 1)
        assert grade(rng.triangular(-1, mode, 1, size=2_000).var()) == "not certified"
    assert grade(0.4) == "U-shaped if symmetric"


def test_collapse_and_block_difference(x):
    rows = Rows((x,), ([],), BLOCKS, {}, 11, 11)
    comparisons = [Comparison(group, "cosine") for group in GROUPS]
    found, above = (
        dict(zip(GROUPS, statistic_named(name).values(rows.arrays, rows, comparisons), strict=True))
        for name in ("collapse", "block_difference")
    )
    for group in GROUPS:
        squares = [(pairs_of(x, group, m) ** 2).mean() for m in ("pearson", "cosine")]
        assert found[group] == pytest.approx(squares[0] / squares[1], abs=1e-12)
        want = pairs_of(x, group, "cosine").var() - pairs_of(x, "VV", "cosine").var()
        assert above[group] == pytest.approx(want, abs=1e-12)


def test_attribution(rng):
    """Planted: weights, generic and token each along a direction of their own."""
    weights, generic, token = np.eye(3, 30) * np.array([[1.0], [2.0], [3.0]])
    words = np.zeros((12, 6, 30))
    words[:, :-1] = weights + generic
    words[:, 0] += token
    words[:, 1:-1] -= token / 4  # so that the mean over words is weights + generic
    words[:, -1] = weights
    positions = np.repeat([2, 3], 6)
    words[:6, 0, 10] += 1.0
    words[6:, 0, 10] -= 1.0  # between positions
    words[::2, 0, 11] += 0.5
    words[1::2, 0, 11] -= 0.5  # within them
    energy = 1 + 4 + 9 + 1 + 0.25
    found = attribute(words, positions)
    assert found.weights == pytest.approx(1 / energy)
    assert found.generic == pytest.approx(4 / energy)
    assert found.token == pytest.approx(9 / energy)
    assert found.position == pytest.approx(1 / energy)
    assert found.context == pytest.approx(0.25 / energy)
    assert found.top_share == pytest.approx(9 / 14)
    assert token_share(words) == pytest.approx(9 / 14)
    noisy = attribute(words + rng.normal(size=words.shape), positions)
    shares = (noisy.weights, noisy.generic, noisy.token, noisy.position, noisy.context)
    assert sum(shares) == pytest.approx(1.0)


def test_the_largest_hundredth_of_the_dimensions(rng):
    """Of 250 dimensions two, of 50 one; where there is no offset there is no share."""
    for width, count in ((250, 2), (350, 4), (50, 1)):
        words = rng.normal(size=(6, 4, width)) + rng.normal(size=width)
        offset = words[:, 0].mean(axis=0) ** 2
        for scale in (1e-6, 1.0, 1e6):
            found = attribute(scale * words, np.arange(6))
            assert found.top_share == pytest.approx(np.sort(offset)[-count:].sum() / offset.sum(), rel=1e-12)
            assert token_share(scale * words) == pytest.approx(token_share(words), rel=1e-12)
    words = rng.normal(size=(6, 4, 8))
    words[:, 0] = 0.0
    words[0, 0, 0], words[1, 0, 0] = 1.0, -1.0
    assert attribute(words, np.arange(6)).top_share == 0.0
    assert token_share(words) == 0.0


def test_parts_of_what_is_zero():
    """No length, no offset: nothing is divided by zero."""
    found = decompose(np.zeros((4, 3)))
    assert (found.mean_square, found.share) == (0.0, 0.0)
    with pytest.raises(ClaimError, match=r"an array of shape \(1, 3\) has no pairs to decompose; give two contexts"):
        decompose(np.ones((1, 3)))
    with pytest.raises(ClaimError, match=r"an array of shape \(4, 1\) has no pairs"):
        decompose(np.ones((4, 1)))
    assert decompose(np.ones((2, 1)), np.ones((2, 2))).mean_square == pytest.approx(1.0)


def test_one_side_of_a_pair_may_be_wider(rng):
    """The mean of the offset products, by loops."""
    x, y = rng.normal(size=(7, 3)) + 1, rng.normal(size=(7, 5)) - 1
    a, b = (z.mean(axis=0) / np.sqrt((z**2).mean(axis=0)) for z in (x, y))
    assert decompose(x, y).mean == pytest.approx(np.mean([p * q for p in a for q in b]), abs=1e-12)
    assert decompose(x).mean == pytest.approx(np.mean([p * q for p, q in itertools.combinations(a, 2)]), abs=1e-12)
    found = decompose(x, y)
    assert found.share == pytest.approx(found.offset / found.mean_square, rel=1e-12)


def test_narrow_grids_are_computed_in_float64(rng):
    words = (rng.normal(size=(6, 4, 30)) + 1).astype(np.float32)
    assert token_share(words) == pytest.approx(token_share(words.astype(np.float64)), abs=1e-13)
    one, other = (attribute(grid, np.arange(6)) for grid in (words, words.astype(np.float64)))
    assert one.token == pytest.approx(other.token, abs=1e-13)


def test_signs_that_cancel_have_no_balance():
    """Nothing is above or below zero where every cosine is zero."""
    x = np.eye(4)
    rows = Rows((x,), ([],), {"Q": slice(0, 4)}, {}, 4, 4)
    for name in ("sign_balance", "collapse"):
        found = statistic_named(name).values(rows.arrays, rows, [Comparison("QQ", "cosine")])
        assert found == [0.0]
