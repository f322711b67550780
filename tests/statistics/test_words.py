"""Statistics over a grid of words and over two captures, as a claim asks for them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample

MEASURED = ("variance", "variance-few", "similarity")
PLACES = {"Q": slice(0, 4), "K": slice(4, 7)}


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return cosine(a - a.mean(), b - b.mean())


@pytest.fixture
def grid(rng) -> np.ndarray:
    """(context, word, width), with a part of the word's and one of the context's."""
    return rng.normal(size=(6, 1, 7)) + 2 * rng.normal(size=(1, 5, 7)) + 0.4 * rng.normal(size=(6, 5, 7)) + 1


def number(name: str, array, group: str, measure_name: str, **more) -> float:
    arrays = array if isinstance(array, tuple) else (array,)
    return measure(statistic_named(name), Sample(arrays, PLACES, **more), Comparison(group, measure_name)).plug_in


@pytest.mark.parametrize("group", ["Q", "K"])
def test_token_share(grid, group):
    """All words but the last one, which is what the weights put out alone."""
    words = grid[..., PLACES[group]]
    offset = words[:, 0].mean(axis=0)
    token = offset - words[:, :4].reshape(24, -1).mean(axis=0)
    assert number("token_share", grid, group, "cosine") == pytest.approx(token @ offset / (offset @ offset), abs=1e-12)


@pytest.mark.parametrize("group", ["Q", "K"])
def test_token_minus_context_by_variance_and_by_similarity(grid, group):
    words = grid[..., PLACES[group]]
    centred = words - words.mean(axis=(0, 1))
    total = sum(float(v @ v) for v in centred.reshape(30, -1))
    tokens = sum(6 * float(v @ v) for v in centred.mean(axis=0))
    contexts = sum(5 * float(v @ v) for v in centred.mean(axis=1))
    assert number("token_minus_context", grid, group, "variance") == pytest.approx(
        (tokens - contexts) / total, abs=1e-12
    )
    word = [cosine(centred[a, w], centred[b, w]) for w in range(5) for a, b in itertools.combinations(range(6), 2)]
    place = [cosine(centred[c, a], centred[c, b]) for c in range(6) for a, b in itertools.combinations(range(5), 2)]
    want = np.mean(word) - np.mean(place)
    assert number("token_minus_context", grid, group, "similarity") == pytest.approx(want, abs=1e-12)


def test_a_named_part_of_the_words(grid):
    subsets = {"few": (0, 2, 3)}
    found = number("token_minus_context", grid, "Q", "variance-few", subsets=subsets)
    assert found == pytest.approx(number("token_minus_context", grid[:, [0, 2, 3]], "Q", "variance"), abs=1e-14)
    assert found != pytest.approx(number("token_minus_context", grid, "Q", "variance"), abs=1e-3)


@pytest.mark.parametrize(("measure_name", "alike"), [("cosine", cosine), ("pearson", correlation)])
def test_stability(grid, measure_name, alike):
    words = grid[..., :4]
    same = np.mean([alike(words[a, 0], words[b, 0]) for a, b in itertools.combinations(range(6), 2)])
    others = [
        alike(words[a, v], words[b, w])
        for a, b in itertools.permutations(range(6), 2)
        for v, w in itertools.permutations(range(5), 2)
    ]
    want = (same - np.mean(others)) / (1 - np.mean(others))
    assert number("stability", grid, "Q", measure_name) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "measure_name"),
    [("stability", "cosine"), ("stability", "pearson"), *(("token_minus_context", m) for m in MEASURED)],
)
@pytest.mark.parametrize("offset", [0, 30])
def test_without_each_cluster_it_is_what_the_contexts_left_give(rng, name, measure_name, offset):
    """Clusters of one, two and three contexts, each left out by hand."""
    grid = rng.normal(size=(12, 1, 7)) + 2 * rng.normal(size=(1, 5, 7)) + 0.4 * rng.normal(size=(12, 5, 7)) + offset
    clusters = tuple("abccdddefghi")
    sample = Sample((grid,), PLACES, (clusters,), "label", subsets={"few": (0, 2, 3)})
    found = measure(statistic_named(name), sample, Comparison("Q", measure_name)).replicates
    assert len(found.without) == 9
    for cluster, value in zip("abcdefghi", found.without, strict=True):
        kept = grid[np.array(clusters) != cluster]
        alone = number(name, kept, "Q", measure_name, subsets={"few": (0, 2, 3)})
        assert value == pytest.approx(alone, abs=1e-10)
        assert offset or value != pytest.approx(found.whole, abs=1e-7)


@pytest.mark.parametrize(("measure_name", "alike"), [("cosine", cosine), ("pearson", correlation)])
def test_least_row_mean(rng, measure_name, alike):
    fresh, corpus = rng.normal(size=(5, 7)) + 0.5, rng.normal(size=(8, 7)) + 0.5
    means = [np.mean([alike(one[:4], other[:4]) for other in corpus]) for one in fresh]
    assert number("least_row_mean", (fresh, corpus), "Q", measure_name) == pytest.approx(min(means), abs=1e-12)


@pytest.mark.parametrize("group", ["QQ", "QK"])
@pytest.mark.parametrize("measure_name", ["cosine", "pearson"])
def test_variance_difference(rng, group, measure_name):
    """V of the first capture less V of the second."""
    alike = cosine if measure_name == "cosine" else correlation
    target, other = rng.normal(size=(9, 7)) + 2 * rng.normal(size=7), rng.normal(size=(9, 7))

    def variance(x):
        columns = x.T
        within = itertools.combinations(columns[:4], 2)
        pairs = within if group == "QQ" else itertools.product(columns[:4], columns[4:])
        return np.var([alike(a, b) for a, b in pairs])

    want = variance(target) - variance(other)
    assert number("variance_difference", (target, other), group, measure_name) == pytest.approx(want, abs=1e-12)


def test_a_difference_of_blocks_needs_all_of_them(rng):
    with pytest.raises(ClaimError, match="a difference of blocks needs all of them; measure it in a sample with Q"):
        statistic_named("block_difference").compute([(rng.normal(size=(5, 3)), None)], "cosine")
