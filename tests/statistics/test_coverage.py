"""Coverage: the 95 % intervals hold the population's value, and a claim at its threshold is rarely supported.

The populations: (1) 2500 contexts drawn from the word lists, run through the embedded model; (2) columns with offsets
of three times their spread and noise with seven common factors; (3) the same in clusters whose members are alike
(intraclass correlation 0.3 and 0.5). `pytest tests/statistics/test_coverage.py -m slow -s` prints the figures.
"""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture, capture_words
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.contexts.sampling import draw_contexts
from qkvcheck.contexts.targets import resolve_target
from qkvcheck.groups import Comparison
from qkvcheck.statistics.jackknife import Replicates, jackknife_estimate
from qkvcheck.statistics.measurement import measure as measured
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Rows, Sample
from tests.conftest import CLAIM_FILES

pytestmark = pytest.mark.slow

DRAWS = 1000
POPULATION = 2500
# Some two standard errors of a share near its bound in 1000 draws.
LEAST, MOST = 0.92 - 0.013, 0.98 + 0.009
FALSE_POSITIVES = 0.05 + 0.013

OVER_ROWS = [
    ("variance", "QQ", "cosine"),
    ("variance", "QQ", "pearson"),
    ("unimodal_excess", "QQ", "cosine"),
    ("mean_absolute", "QQ", "cosine"),
    ("sign_balance", "QQ", "cosine"),
    ("row_mean", "Q", "pearson"),
    ("row_mean", "K", "pearson"),
    ("row_variance", "Q", "cosine"),
    ("collapse", "QQ", "cosine"),
    ("offset_share", "QQ", "cosine"),
]
OVER_WORDS = [("stability", "Q", "cosine"), ("token_minus_context", "Q", "variance"), ("token_share", "Q", "cosine")]


def blocks_of(width: int) -> dict[str, slice]:
    return {name: slice(i * width, (i + 1) * width) for i, name in enumerate("QKV")}


@pytest.fixture(scope="module")
def population(embedded):
    """Target, preceding token, and the words grid of 2500 contexts at layer 6."""
    text, number = resolve_target(" her", embedded.encoder)
    drawn = draw_contexts(
        embedded.encoder, count=POPULATION, rng=np.random.default_rng(3), target=text, target_id=number
    )
    listed = load_claims(*CLAIM_FILES).words
    words = [*listed.pronouns, *listed.others]
    target, preceding = (capture(embedded, drawn, layers=[6], positions=p).at(6) for p in ("target", "preceding"))
    grid = capture_words(embedded, drawn, words, layers=[6]).at(6)
    alone = embedded.architecture.weights_alone(embedded.model, 6).numpy()
    with_weights = np.concatenate([grid, np.broadcast_to(alone, (POPULATION, 1, len(alone)))], axis=1)
    return {"target": target, "preceding": preceding, "words": grid, "words and weights": with_weights}


def value_in(statistic, place, arrays, blocks):
    n = len(arrays[0])
    rows = Rows(tuple(arrays), tuple([str(i) for i in range(n)] for _ in arrays), blocks, {}, n, n)
    return statistic_named(statistic).values(rows.arrays, rows, [place])[0]


def covered(statistic, place, draw, truth, *, label, draws=DRAWS, difference=False):
    """Return how often the interval holds the truth, and how often it lies above it."""
    chosen, inside, above = statistic_named(statistic), 0, 0
    for _ in range(draws):
        if difference:
            first, second = (measured(chosen, s, place).replicates for s in draw())
            found = jackknife_estimate(first - second, widening=chosen.widening)
        else:
            replicates: Replicates = measured(chosen, draw(), place).replicates
            found = jackknife_estimate(replicates, scale=chosen.scale, widening=chosen.widening)
        inside += found.low <= truth <= found.high
        above += found.low > truth
    print(f"\n{label:34s} {statistic:20s} {' '.join(place):12s} covers {inside / draws:.3f}, above {above / draws:.3f}")
    return inside / draws, above / draws


@pytest.mark.parametrize("n", [27, 54])
@pytest.mark.parametrize(("statistic", "group", "measure"), OVER_ROWS)
def test_on_the_embedded_model(population, statistic, group, measure, n):
    array, rng = population["target"], np.random.default_rng(11)
    blocks, place = blocks_of(128), Comparison(group, measure)
    truth = value_in(statistic, place, [array], blocks)

    def draw():
        return Sample((array[rng.choice(POPULATION, n, replace=False)],), blocks)

    inside, above = covered(statistic, place, draw, truth, label=f"embedded, n = {n}")
    assert LEAST <= inside <= MOST
    assert above <= FALSE_POSITIVES


@pytest.mark.parametrize("n", [27, 54])
@pytest.mark.parametrize(("statistic", "group", "measure"), OVER_WORDS)
def test_with_other_words(population, statistic, group, measure, n):
    array = population["words and weights" if statistic == "token_share" else "words"]
    rng, blocks, place = np.random.default_rng(12), blocks_of(128), Comparison(group, measure)
    truth = value_in(statistic, place, [array], blocks)

    def draw():
        return Sample((array[rng.choice(POPULATION, n, replace=False)],), blocks)

    inside, above = covered(statistic, place, draw, truth, label=f"embedded words, n = {n}")
    assert LEAST <= inside <= MOST
    assert above <= FALSE_POSITIVES


@pytest.mark.parametrize("n", [27, 54])
@pytest.mark.parametrize("statistic", ["variance", "mean_absolute"])
def test_paired_differences(population, statistic, n):
    rng, blocks, place = np.random.default_rng(13), blocks_of(128), Comparison("QQ", "cosine")
    arms = [population["target"], population["preceding"]]
    first, second = (value_in(statistic, place, [arm], blocks) for arm in arms)

    def draw():
        rows = rng.choice(POPULATION, n, replace=False)
        return [Sample((arm[rows],), blocks) for arm in arms]

    inside, above = covered(statistic, place, draw, first - second, label=f"paired, n = {n}", difference=True)
    assert LEAST <= inside <= MOST
    assert above <= FALSE_POSITIVES


@pytest.mark.parametrize(
    ("n", "clusters", "alike"), [(27, 27, 0.0), (54, 54, 0.0), (27, 18, 0.3), (54, 27, 0.3), (54, 18, 0.5)]
)
@pytest.mark.parametrize(
    ("statistic", "measure"),
    [("variance", "cosine"), ("variance", "pearson"), ("mean_absolute", "cosine"), ("sign_balance", "cosine")],
)
def test_with_offsets_and_clusters(statistic, measure, n, clusters, alike):
    """The population's similarities are known in closed form."""
    fixed, rng, width = np.random.default_rng(1), np.random.default_rng(14), 64
    offset = 3.0 * fixed.normal(size=width)
    load = fixed.normal(size=(7, width))
    load /= np.sqrt((load**2).sum(axis=0))
    covariance = 0.5 * load.T @ load + 0.5 * np.eye(width)
    size = np.sqrt(offset**2 + 1)
    pairs = np.triu_indices(width, k=1)
    c = (covariance if measure == "pearson" else (np.outer(offset, offset) + covariance) / np.outer(size, size))[pairs]
    truth = {"variance": c.var(), "mean_absolute": np.abs(c).mean(), "sign_balance": c.mean() / np.abs(c).mean()}

    def noise(count):
        return np.sqrt(0.5) * (rng.normal(size=(count, 7)) @ load + rng.normal(size=(count, width)))

    def draw():
        member = np.sort(np.arange(n) % clusters)
        rows = offset + np.sqrt(alike) * noise(clusters)[member] + np.sqrt(1 - alike) * noise(n)
        return Sample((rows,), {"Q": slice(0, width)}, (tuple(f"c{m:03d}" for m in member),), "label")

    inside, above = covered(
        statistic, Comparison("QQ", measure), draw, truth[statistic], label=f"planted, n = {n}, {clusters} clusters"
    )
    assert LEAST <= inside <= MOST
    assert above <= FALSE_POSITIVES


def test_the_plain_jackknife_of_rows_would_not_do():
    """The check can fail: rows of a cluster taken for independent ones are covered far too rarely."""
    rng, width = np.random.default_rng(15), 64
    offset = 3.0 * np.random.default_rng(1).normal(size=width)
    size = np.sqrt(offset**2 + 1)
    c = (np.outer(offset, offset) / np.outer(size, size))[np.triu_indices(width, k=1)]

    def draw():
        rows = offset + np.repeat(rng.normal(size=(18, width)), 3, axis=0) * np.sqrt(0.9)
        return Sample((rows + np.sqrt(0.1) * rng.normal(size=(54, width)),), {"Q": slice(0, width)})

    inside, _ = covered(
        "variance", Comparison("QQ", "cosine"), draw, c.var(), label="rows of a cluster apart", draws=200
    )
    assert inside < 0.85
