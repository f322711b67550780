"""Coverage with many contexts: intervals of the delete-a-group jackknife hold the population's value.

2000 contexts in 200 groups. The planted similarities between dimensions are known in closed form (offsets of the size
of their spread, noise with seven common factors); the mean cosine of two rows is the squared length of the mean unit
row, found once from two million rows. `pytest tests/statistics/test_coverage_groups.py -m slow -s` prints the figures.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from qkvcheck.groups import Comparison
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample

pytestmark = pytest.mark.slow

N, WIDTH, DRAWS = 2000, 48, 600
LEAST, MOST = 0.92, 0.98
PLACES = {
    "variance": Comparison("QQ", "cosine"),
    "mean_absolute": Comparison("QQ", "cosine"),
    "row_mean": Comparison("Q", "cosine"),
}


class Population:
    """Rows with offsets and common factors, in clusters whose members are alike."""

    def __init__(self, *, clusters: int, alike: float) -> None:
        fixed = np.random.default_rng(1)
        self.offset = fixed.normal(size=WIDTH)
        load = fixed.normal(size=(7, WIDTH))
        self.load = load / np.sqrt((load**2).sum(axis=0))
        sizes = np.random.default_rng(2).integers(1, 2 * N // clusters, size=clusters) if clusters < N else np.ones(N)
        member = np.repeat(np.arange(len(sizes)), sizes.astype(int))
        self.member = (
            np.resize(member, N) if len(member) >= N else np.concatenate([member, N + np.arange(N - len(member))])
        )
        self.alike = alike

    def noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        common = rng.normal(size=(count, 7)) @ self.load
        return np.sqrt(0.5) * (common + rng.normal(size=(count, WIDTH)))

    def draw(self, rng: np.random.Generator) -> Sample:
        number = np.unique(self.member, return_inverse=True)[1]
        shared = self.noise(rng, number.max() + 1)[number]
        rows = self.offset + np.sqrt(self.alike) * shared + np.sqrt(1 - self.alike) * self.noise(rng, N)
        names = tuple(f"cluster {m:05d}" for m in self.member.tolist())
        return Sample((rows,), {"Q": slice(0, WIDTH)}, (names,), "label")

    def truth(self, statistic: str) -> float:
        if statistic == "row_mean":
            rng, total = np.random.default_rng(3), np.zeros(WIDTH)
            for _ in range(20):
                rows = self.offset + self.noise(rng, 100_000)
                total += (rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))).sum(axis=0)
            return float((total / 2_000_000) @ (total / 2_000_000))
        covariance = 0.5 * self.load.T @ self.load + 0.5 * np.eye(WIDTH)
        size = np.sqrt(self.offset**2 + 1)
        c = ((np.outer(self.offset, self.offset) + covariance) / np.outer(size, size))[np.triu_indices(WIDTH, k=1)]
        return float(c.var() if statistic == "variance" else np.abs(c).mean())


@lru_cache
def covered(clusters: int, alike: float) -> dict[str, float]:
    """Return how often each statistic's interval holds its value, over the same draws."""
    population, rng = Population(clusters=clusters, alike=alike), np.random.default_rng(21)
    truths, inside = {name: population.truth(name) for name in PLACES}, dict.fromkeys(PLACES, 0)
    for _ in range(DRAWS):
        sample = population.draw(rng)
        for name, place in PLACES.items():
            found = measure(statistic_named(name), sample, place).estimate()
            assert found.clusters == 200
            inside[name] += found.low <= truths[name] <= found.high
    return {name: count / DRAWS for name, count in inside.items()}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize(("clusters", "alike"), [(N, 0.0), (500, 0.3)])
def test_groups_cover(name, clusters, alike):
    share = covered(clusters, alike)[name]
    print(f"\nn = {N}, {clusters} clusters in 200 groups, alike {alike}: {name:14s} covers {share:.3f}")
    assert LEAST <= share <= MOST


def test_rows_of_a_cluster_apart_would_not_do():
    """The check can fail: groups of rows in the place of clusters cover too rarely where clusters are alike."""
    population, rng = Population(clusters=500, alike=0.5), np.random.default_rng(22)
    truth, place, inside = population.truth("variance"), PLACES["variance"], 0
    for _ in range(150):
        sample = population.draw(rng)
        alone = Sample(sample.arrays, sample.projections)
        found = measure(statistic_named("variance"), alone, place).estimate()
        inside += found.low <= truth <= found.high
    print(f"\nrows of a cluster apart: variance covers {inside / 150:.3f}")
    assert inside / 150 < 0.88
