"""Rotations of heads, drawn and applied anew from their definition."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.groups import PAIR_GROUPS, Comparison, Turns
from qkvcheck.statistics import Sample, rotated_values, rotation_obstacle, statistic_named, statistics_by_name
from qkvcheck.statistics.basis.rotations import rotated

HEADS = {"Q": 4, "K": 2, "V": 2}
PLACES = {"Q": slice(0, 24), "K": slice(24, 36), "V": slice(36, 46)}
TURNS = [Turns(), Turns(4), Turns(6, neighbours=True), Turns(4, neighbours=True)]


def rows_of(rng, turns, *, heads=HEADS, n=23):
    return Sample((rng.normal(size=(n, 46)) + rng.normal(size=46),), PLACES, heads=heads, turns=turns).rows


def plain_rotation(rng, turns, width):
    """R of (x R)."""
    found = np.eye(width)
    half = turns.rotary // 2
    angles = rng.uniform(0, 2 * np.pi, half)
    for number in range(half):
        a, b = (2 * number, 2 * number + 1) if turns.neighbours else (number, number + half)
        c, s = np.cos(angles[number]), np.sin(angles[number])
        for row in range(width):
            first, second = found[row, a], found[row, b]
            found[row, a], found[row, b] = first * c - second * s, first * s + second * c
    if turns.rotary < width:
        q, r = np.linalg.qr(rng.standard_normal((width - turns.rotary,) * 2))
        for column in range(q.shape[1]):
            q[:, column] *= 1 if r[column, column] > 0 else -1
        found[turns.rotary :, turns.rotary :] = q
    return found


def plainly(x, turns, seed):
    rng = np.random.default_rng(seed)
    keys = [plain_rotation(rng, turns, 6) for _ in range(2)]
    values = [plain_rotation(rng, Turns(), 5) for _ in range(2)]
    done = np.empty_like(x)
    for row in range(len(x)):
        for head in range(4):
            done[row, 6 * head : 6 * head + 6] = x[row, 6 * head : 6 * head + 6] @ keys[head // 2]
        for head in range(2):
            done[row, 24 + 6 * head : 30 + 6 * head] = x[row, 24 + 6 * head : 30 + 6 * head] @ keys[head]
            done[row, 36 + 5 * head : 41 + 5 * head] = x[row, 36 + 5 * head : 41 + 5 * head] @ values[head]
    return done


@pytest.mark.parametrize("turns", TURNS, ids=str)
@pytest.mark.parametrize("seed", [0, 7])
def test_rows_are_those_of_the_definition(rng, turns, seed):
    rows = rows_of(rng, turns)
    np.testing.assert_allclose(rotated(rows, seed).arrays[0], plainly(rows.arrays[0], turns, seed), atol=1e-12)


@pytest.mark.parametrize("turns", TURNS, ids=str)
def test_no_score_changes(rng, turns):
    """Nor does one between places that rotary embedding turns apart."""
    rows = rows_of(rng, turns)
    other = rotated(rows, 3)
    angles = rng.uniform(0, 6, (2, len(turns.pairs)))
    for head in range(4):
        scores = []
        for x in (rows.arrays[0], other.arrays[0]):
            q, k = x[:, 6 * head : 6 * head + 6].copy(), x[:, 24 + 6 * (head // 2) : 30 + 6 * (head // 2)].copy()
            for part, angle in ((q, angles[0]), (k, angles[1])):
                for (a, b), t in zip(turns.pairs, angle, strict=True):
                    z = (part[:, a] + 1j * part[:, b]) * np.exp(1j * t)
                    part[:, a], part[:, b] = z.real, z.imag
            scores.append(q @ k.T)
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-12)


def plain_number(name, x, comparison):
    """V, mean magnitude and balance of signs over pairs, by loops."""
    one, other = (x[:, PLACES[letter]].T for letter in comparison.group)
    if comparison.measure == "pearson":
        one, other = (block - block.mean(axis=1, keepdims=True) for block in (one, other))
    within = comparison.group[0] == comparison.group[1]
    pairs = itertools.combinations(one, 2) if within else itertools.product(one, other)
    c = np.array([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in pairs])
    return {"variance": c.var(), "mean_absolute": np.abs(c).mean(), "sign_balance": c.mean() / np.abs(c).mean()}[name]


@pytest.mark.parametrize("name", ["variance", "mean_absolute", "sign_balance"])
def test_numbers_are_those_of_rotated_rows(rng, name):
    rows = rows_of(rng, Turns(4))
    comparisons = [Comparison(g, m) for g in PAIR_GROUPS for m in ("cosine", "pearson")]
    rotated_values(statistic_named("variance"), rows, comparisons, count=2)  # what is shared is what each would find
    found = rotated_values(statistic_named(name), rows, comparisons, count=2)
    for comparison in comparisons:
        for seed in range(2):
            wanted = plain_number(name, plainly(rows.arrays[0], Turns(4), seed), comparison)
            assert found[comparison][seed] == pytest.approx(wanted, abs=1e-10)


@pytest.mark.parametrize("name", ["collapse", "offset_share", "block_difference", "variance_difference"])
def test_every_statistic_over_dimensions_is_taken(rng, name):
    rows = rows_of(rng, Turns())
    if name == "variance_difference":
        both = (rows.arrays[0], rng.normal(size=(20, 46)))
        rows = Sample(both, PLACES, heads=HEADS, turns=Turns()).rows
    comparison = Comparison("QQ", "cosine")
    found = rotated_values(statistic_named(name), rows, [comparison], count=2)[comparison]
    wanted = [
        statistic_named(name).values(tuple(plainly(x, Turns(), seed) for x in rows.arrays), rows, [comparison])[0]
        for seed in range(2)
    ]
    assert found == pytest.approx(wanted, abs=1e-10)
    assert len(set(found)) == 2
    assert name in statistics_by_name()


def test_what_has_an_obstacle_stays_and_the_rest_turns(rng):
    rows = rows_of(rng, Turns(obstacle="a norm"))
    turned = rotated(rows, 0).arrays[0]
    assert (turned[:, :36] == rows.arrays[0][:, :36]).all()
    assert (turned[:, 36:] != rows.arrays[0][:, 36:]).all()
    assert [rotation_obstacle(rows, group) for group in ("QQ", "KV", "VV")] == ["a norm", "a norm", None]
    clipped = replace(rows, turns=Turns(obstacle="clip", of_values="clip"))
    assert (rotated(clipped, 0).arrays[0] == rows.arrays[0]).all()
    assert rotation_obstacle(clipped, "VV") == "clip"
    assert rotation_obstacle(rows_of(rng, Turns(), heads={}), "VV").startswith("how many heads")
    assert rotation_obstacle(rows_of(rng, None), "QQ").startswith("whether rotary embedding")
    assert rotation_obstacle(rows_of(rng, None), "VV") is None
