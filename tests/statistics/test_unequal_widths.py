"""Keys and values narrower than queries: every statistic and kernel, against float64 NumPy from its definition."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from qkvcheck.errors import ClaimError
from qkvcheck.groups import PAIR_GROUPS, PROJECTIONS, Comparison
from qkvcheck.statistics import Sample, measure, statistics_by_name, summarise_groups
from qkvcheck.statistics.registry import PairStatistic, Statistic
from qkvcheck.statistics.similarity import numba_obstacle
from qkvcheck.statistics.streaming import accumulate, summarise_moments

WIDTHS = {"Q": 12, "K": 4, "V": 4}
PLACES = {"Q": slice(0, 12), "K": slice(12, 16), "V": slice(16, 20)}
CONTEXTS, WORDS = 24, 5
MEASURES = ("cosine", "pearson")
OF_PAIRS = ("variance", "mean_square", "mean_absolute", "sign_balance", "collapse", "offset_share", "block_difference",
            "unimodal_excess", "variance_difference")  # fmt: skip
OF_ROWS = ("row_mean", "row_cosine", "row_variance", "least_row_mean")
OF_WORDS = ("token_share", "token_identity", "token_minus_context", "stability")


def made(seed: int, *, words: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (CONTEXTS, words, 20) if words else (CONTEXTS, 20)
    return rng.normal(size=shape) + 1.5 * rng.normal(size=20)


def block(x: np.ndarray, name: str) -> np.ndarray:
    """Cut by counting columns, not by the places that are under test."""
    start = sum(WIDTHS[other] for other in PROJECTIONS[: PROJECTIONS.index(name)])
    return x[..., start : start + WIDTHS[name]]


def similarity(a: np.ndarray, b: np.ndarray, how: str) -> float:
    if how == "pearson":
        a, b = a - a.mean(), b - b.mean()
    return float(sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5)


def pairs(x: np.ndarray, group: str, how: str) -> np.ndarray:
    """Every pair of columns, i < j within a block, one after the other."""
    first, second = (block(x, name).T for name in group)
    if group[0] == group[1]:
        return np.array([similarity(a, b, how) for a, b in combinations(first, 2)])
    return np.array([similarity(a, b, how) for a in first for b in second])


def row_pairs(x: np.ndarray, how: str) -> np.ndarray:
    return np.array([similarity(a, b, how) for a, b in combinations(x, 2)])


def expected_of_pairs(name: str, arrays: tuple[np.ndarray, ...], group: str, how: str) -> float:
    x = arrays[0]
    found = pairs(x, group, how)
    if name == "variance":
        return float(np.mean(found**2) - np.mean(found) ** 2)
    if name == "mean_square":
        return float(np.mean(found**2))
    if name == "mean_absolute":
        return float(np.mean(np.abs(found)))
    if name == "sign_balance":
        return float(np.mean(found) / np.mean(np.abs(found)))
    if name == "collapse":
        return float(np.mean(pairs(x, group, "pearson") ** 2) / np.mean(pairs(x, group, "cosine") ** 2))
    if name == "block_difference":
        return float(found.var() - pairs(x, "VV", how).var())
    if name == "unimodal_excess":
        return float(found.var() - (1 / 3 + 2 * abs(found.mean()) / 3 - found.mean() ** 2))
    if name == "variance_difference":
        return float(found.var() - pairs(arrays[1], group, how).var())
    assert name == "offset_share"
    a = [[column.mean() / np.sqrt(np.mean(column**2)) for column in block(x, one).T] for one in group]
    own = [p * q for p, q in combinations(a[0], 2)] if group[0] == group[1] else [p * q for p in a[0] for q in a[1]]
    return float(np.mean(np.square(own)) / np.mean(pairs(x, group, "cosine") ** 2))


def expected_of_rows(name: str, arrays: tuple[np.ndarray, ...], group: str, how: str) -> float:
    x = block(arrays[0], group)
    if name == "least_row_mean":
        reference = block(arrays[1], group)
        return min(float(np.mean([similarity(row, other, how) for other in reference])) for row in x)
    return float(row_pairs(x, how).var() if name == "row_variance" else row_pairs(x, how).mean())


def expected_of_words(name: str, arrays: tuple[np.ndarray, ...], group: str, how: str) -> float:
    x = block(arrays[0], group)
    if name == "token_share":
        offset = x[:, 0].mean(axis=0)
        return float((offset - x[:, :-1].mean(axis=(0, 1))) @ offset / (offset @ offset))
    if name == "token_identity":
        return float(np.mean([named_rightly(x, left_out) for left_out in range(CONTEXTS)]))
    if name == "token_minus_context":
        centred = x - x.mean(axis=(0, 1))
        token = sum(CONTEXTS * np.sum(centred[:, word].mean(axis=0) ** 2) for word in range(WORDS))
        context = sum(WORDS * np.sum(centred[row].mean(axis=0) ** 2) for row in range(CONTEXTS))
        return float((token - context) / np.sum(centred**2))
    same = np.mean([similarity(a, b, how) for a, b in combinations(x[:, 0], 2)])
    floor = np.mean(
        [
            similarity(x[i, a], x[j, b], how)
            for i in range(CONTEXTS) for j in range(CONTEXTS) if i != j
            for a in range(WORDS) for b in range(WORDS) if a != b
        ]
    )  # fmt: skip
    return float((same - floor) / (1 - floor))


def named_rightly(x: np.ndarray, left_out: int) -> float:
    """Share of one context's words that are nearest to their own mean, by the covariance within words of the others."""
    others = np.delete(x, left_out, axis=0)
    means = others.mean(axis=0)
    within = (others - means).reshape(-1, x.shape[2])
    covariance = sum(np.outer(row, row) for row in within) / len(within)
    ridge = 0.001 * np.trace(covariance) / x.shape[2]
    inverse = np.linalg.inv(0.999 * covariance + ridge * np.eye(x.shape[2]))
    nearest = [np.argmin([(row - m) @ inverse @ (row - m) for m in means]) for row in x[left_out]]
    return float(np.mean(np.array(nearest) == np.arange(x.shape[1])))


def arrays_for(name: str) -> tuple[np.ndarray, ...]:
    if name in OF_WORDS:
        return (made(0, words=WORDS),)
    return (made(0), made(1)) if name in ("variance_difference", "least_row_mean") else (made(0),)


CASES = [
    *((name, group, how, expected_of_pairs) for name in OF_PAIRS for group in PAIR_GROUPS for how in MEASURES),
    *((name, group, how, expected_of_rows) for name in OF_ROWS for group in PROJECTIONS for how in MEASURES),
    *((name, group, "cosine", expected_of_words) for name in OF_WORDS for group in PROJECTIONS),
]


def test_every_statistic_of_ours_is_here():
    ours = {name for name, one in statistics_by_name().items() if type(one).__module__.startswith("qkvcheck.")}
    assert ours == {name for name, *_ in CASES}


@pytest.mark.parametrize(("name", "group", "how", "expected"), CASES)
def test_statistics(name, group, how, expected):
    arrays = arrays_for(name)
    statistic: Statistic = statistics_by_name()[name]
    found = measure(statistic, Sample(arrays, PLACES), Comparison(group, how))
    assert found.plug_in == pytest.approx(expected(name, arrays, group, how), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", [n for n, one in statistics_by_name().items() if isinstance(one, PairStatistic)])
@pytest.mark.parametrize("group", PAIR_GROUPS)
def test_statistics_without_one_context(name, group):
    """What the jackknife leaves out is computed another way than the whole."""
    x = made(0)
    rows = Sample((x,), PLACES).rows
    replicates = statistics_by_name()[name].replicate(rows, [Comparison(group, "cosine")], rows.clusters)
    without = replicates[Comparison(group, "cosine")].without
    for row in (0, 7, CONTEXTS - 1):
        expected = expected_of_pairs(name, (np.delete(x, row, axis=0),), group, "cosine")
        assert without[row] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kernel", ["reference", "torch", "numba"])
@pytest.mark.parametrize("how", MEASURES)
def test_kernels(kernel, how):
    if kernel == "numba" and numba_obstacle() is not None:
        pytest.skip("no numba")
    x = made(3)
    found = summarise_groups(x, PLACES, PAIR_GROUPS, measure=how, kernel=kernel)
    for group, own in zip(PAIR_GROUPS, found, strict=True):
        expected = pairs(x, group, how)
        assert own.pairs == len(expected)
        assert own.mean_square == pytest.approx(np.mean(expected**2), rel=1e-5)
        assert own.mean_absolute == pytest.approx(np.mean(np.abs(expected)), rel=1e-5)
        counted, _ = np.histogram(expected, bins=len(own.counts), range=(-1, 1))
        assert np.abs(np.asarray(own.counts) - counted).sum() <= 2  # one on an edge may go to either side


def test_a_group_across_blocks_of_two_widths_has_their_product_of_pairs():
    found = summarise_groups(made(0), PLACES, ["QQ", "KK", "QK", "KV"])
    assert [one.pairs for one in found] == [66, 6, 48, 16]


def test_a_block_of_one_dimension_has_no_pairs():
    """Heads of one dimension, as multi-query keys of tiny models have."""
    with pytest.raises(ClaimError, match="at least two dimensions"):
        summarise_groups(made(0), {"K": slice(0, 1)}, ["KK"])


@pytest.mark.parametrize("how", MEASURES)
def test_a_stream_of_contexts(how):
    x = made(4)
    found = summarise_moments(accumulate([x[:10], x[10:]]), PLACES, PAIR_GROUPS, measure=how)
    for group, own in zip(PAIR_GROUPS, found, strict=True):
        assert own.variance == pytest.approx(pairs(x, group, how).var(), rel=1e-6)
