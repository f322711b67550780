"""Which rows are one observation: by what the model had seen, else by their numbers, dimension by dimension."""

from __future__ import annotations

import time

import numpy as np
import pytest

from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.claims.judging import judge_sample
from qkvcheck.groups import Comparison
from qkvcheck.statistics.distinct import Merged, distinct_rows, first_equal_rows, rounding_of
from qkvcheck.statistics.sample import Rows, Sample, too_few

HALF, BRAIN = 2.0**-10, 2.0**-7
"""Relative rounding of float16 and bfloat16."""


def bfloat16(x: np.ndarray) -> np.ndarray:
    """Round to the nearest bfloat16, kept as float32."""
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("known", [False, True])
def test_one_huge_dimension_merges_nothing(rng, dtype, known):
    """Every cosine is above 1 - 1e-5, and every other dimension says that the rows differ."""
    x = rng.normal(size=(54, 30))
    x[:, 7] = 1e4 * (1 + 1e-3 * rng.normal(size=54))
    x = x.astype(dtype)
    assert cosine(x[0], x[1]) > 1 - 1e-5
    seen = [str(row) for row in range(54)] if known else None
    assert first_equal_rows(x, seen=seen).tolist() == list(range(54))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("size", [1e3, 1e8, 1e12])
def test_a_huge_row_merges_no_others(rng, size, known):
    """As where one target stands at the first position: its row dwarfs all others in every dimension."""
    x = rng.normal(size=(54, 30))
    x[11] *= size
    seen = [str(row) for row in range(54)] if known else None
    for dtype in (np.float32, np.float64):
        assert first_equal_rows(x.astype(dtype), seen=seen).tolist() == list(range(54))


def test_duplicates_are_one(rng):
    x = rng.normal(size=(6, 50))
    doubled = np.vstack([x, x[1], x[4], np.zeros((2, 50))])
    assert first_equal_rows(doubled).tolist() == [0, 1, 2, 3, 4, 5, 1, 4, 8, 8]
    assert distinct_rows(doubled).tolist() == [0, 1, 2, 3, 4, 5, 8]


def test_distinct_rows_take_what_equal_rows_take(rng):
    x = rng.normal(size=(3, 20))
    x = np.vstack([x, x[1] * 1.005, x[2] + 0.1])
    assert distinct_rows(x).tolist() == [0, 1, 2, 3, 4]
    assert distinct_rows(x, rounding=BRAIN).tolist() == [0, 1, 2, 4]
    assert distinct_rows(x, seen=["a", "b", "c", "d", "c"]).tolist() == [0, 1, 2, 3]


def test_a_multiple_of_a_row_is_another_row(rng):
    x = rng.normal(size=(3, 20))
    assert distinct_rows(np.vstack([x, 3 * x[1], -x[2]])).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("dtype", "apart", "known", "one"),
    [
        (np.float32, 1e-6, False, True),  # other batches explain it
        (np.float32, 1e-6, True, False),  # the tokens say that these are two contexts
        (np.float32, 1e-7, True, True),  # as at the first layer
        (np.float32, 1e-5, False, True),
        (np.float32, 1e-4, False, False),
        (np.float64, 1e-6, False, False),  # no rounding of float64
        (np.float64, 1e-14, False, True),
        (np.float64, 1e-12, False, False),
    ],
)
def test_rows_that_are_nearly_equal(rng, dtype, apart, known, one):
    x = rng.normal(size=(5, 40))
    signs = rng.choice([-1.0, 1.0], size=40)
    x = np.vstack([x, x[2] * (1 + apart * signs)]).astype(dtype)
    seen = list("abcdef") if known else None
    assert first_equal_rows(x, seen=seen)[5] == (2 if one else 5)


@pytest.mark.parametrize("place", [0, 17, 39])
def test_one_dimension_that_differs_is_enough(rng, place):
    x = rng.normal(size=(5, 40)).astype(np.float32)
    other = x[2].copy()
    other[place] += 1e-3
    assert distinct_rows(np.vstack([x, other])).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("scale", [1e-30, 1e30, 1e-200, 1e200])
def test_a_dimension_counts_at_its_own_size(rng, scale):
    """Small dimensions tell rows apart as large ones do, and numbers near zero have the rounding of their dimension."""
    x = np.repeat(rng.normal(size=(1, 6)), 4, axis=0)
    x[:, 3] = scale * np.array([1.0, 2.0, 2.0, 1.0])
    assert first_equal_rows(x).tolist() == [0, 1, 1, 0]
    x[:, 3] = scale * np.array([1.0, 1e-16, 0.0, 1.0])
    assert first_equal_rows(x).tolist() == [0, 1, 1, 0]


def test_what_the_model_has_seen_decides(rng):
    """The same tokens are one context, however far another layout put their rows."""
    x = rng.normal(size=(4, 10)).astype(np.float32)
    x = np.vstack([x, x[1] + 0.05])
    assert first_equal_rows(x, seen=["a", "b", "c", "d", "b"]).tolist() == [0, 1, 2, 3, 1]
    assert first_equal_rows(x, seen=list("abcde")).tolist() == [0, 1, 2, 3, 4]
    # Other tokens with the row of another: one, and so is who has the same tokens as either.
    x = np.vstack([x[:4], x[1], x[1] + 0.05])
    assert first_equal_rows(x, seen=["a", "b", "c", "d", "e", "e"]).tolist() == [0, 1, 2, 3, 1, 1]


@pytest.mark.parametrize(("rounded", "unit"), [(bfloat16, BRAIN), (lambda x: x.astype(np.float16), HALF)])
def test_narrow_formats(rng, rounded, unit):
    """The next number of the format is no other row; two contexts are."""
    x = np.asarray(rounded(rng.normal(size=(20, 60))), dtype=np.float32)
    nearby = np.asarray(rounded(x[3] * (1 + unit * rng.choice([-1.0, 1.0], size=60))), dtype=np.float32)
    rows = np.vstack([x, nearby])
    for seen in (None, [str(row) for row in range(21)]):
        assert first_equal_rows(rows, seen=seen, rounding=unit).tolist() == [*range(20), 3]
    assert first_equal_rows(rows).tolist() == list(range(21))  # as float32 it is another row
    same = np.vstack([x, x[3] * 1.2]).astype(np.float32)
    assert first_equal_rows(same, seen=[*map(str, range(20)), "3"], rounding=unit)[20] == 3
    # An offset of ten times what varies, as real models have it: rows stay apart where tokens are known.
    x = np.asarray(rounded(10 + rng.normal(size=(20, 60))), dtype=np.float32)
    assert first_equal_rows(x, seen=[str(row) for row in range(20)], rounding=unit).tolist() == list(range(20))


def test_rounding_of():
    ones = np.full((2, 2), 0.1)
    assert rounding_of(ones) == np.finfo(np.float64).eps
    for x in (ones.astype(np.float32), ones.astype(np.float32).astype(np.float64), ones.astype(int)):
        assert rounding_of(x) == np.finfo(np.float32).eps
    assert rounding_of(ones.astype(np.float16)) == HALF


def brute_force(x: np.ndarray, seen: list[str] | None, allowed: float) -> list[int]:
    """Every pair, every dimension, from the definition."""
    first: list[int] = []
    size = [np.sqrt(sum(v**2 for v in column) / len(column)) or 1.0 for column in x.T]
    of_row = [np.sqrt(sum((v / s) ** 2 for v, s in zip(row, size, strict=True)) / len(row)) for row in x]
    for row in range(len(x)):
        found = row
        same = [k for k in range(row) if seen is not None and seen[k] == seen[row]]
        if same:
            found = first[same[0]]
        else:
            for k in range(row):
                larger = max(of_row[k], of_row[row])
                near = all(
                    abs(a - b) <= allowed * max(s * larger, abs(a), abs(b))
                    for a, b, s in zip(x[k], x[row], size, strict=True)
                )
                if first[k] == k and near:
                    found = k
                    break
        first.append(found)
    return first


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("known", [False, True])
def test_it_is_what_every_pair_by_hand_gives_near_the_bound(seed, known):
    """Pairs that are from a tenth to ten times as far apart as is allowed, in dimensions and rows of all sizes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(30, 6)) * 10.0 ** rng.integers(-3, 4, size=6) * 10.0 ** rng.integers(-2, 3, size=(30, 1))
    x[rng.integers(30, size=4), rng.integers(6, size=4)] *= 1e4
    unit = 2.0**-20
    allowed = (4 if known else 128) * unit
    size = np.sqrt((x**2).mean(axis=0))
    of_row = np.sqrt(((x / size) ** 2).mean(axis=1))
    apart = allowed * 10 ** rng.uniform(-1, 1, size=(30, 1)) * np.maximum(np.abs(x), size * of_row[:, None])
    rows = np.vstack([x, x + rng.choice([-1.0, 1.0], size=x.shape) * apart * (rng.uniform(size=x.shape) < 0.5)])
    seen = [str(row) for row in range(60)] if known else None
    found = first_equal_rows(rows, seen=seen, rounding=unit).tolist()
    assert found == brute_force(rows, seen, allowed)
    assert 5 < sum(first != row for row, first in enumerate(found)) < 25


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_every_pair_by_hand_gives(seed):
    """Few values in few dimensions, so that rows are equal in some dimensions, and in all."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, size=(40, 5)) * 10.0 ** rng.integers(-3, 4, size=5)
    x += 1e-16 * rng.normal(size=x.shape) * np.abs(x)
    names = [str(number) for number in rng.integers(0, 30, size=40)]
    unit = np.finfo(np.float64).eps
    assert first_equal_rows(x, rounding=unit).tolist() == brute_force(x, None, 128 * unit)
    assert first_equal_rows(x, seen=names, rounding=unit).tolist() == brute_force(x, names, 4 * unit)


def test_merged_in_words():
    assert Merged(54, 0, 0, True).why == ""
    assert Merged(54, 1, 0, True).why == "1 has the tokens of another up to the target"
    both = Merged(54, 6, 44, True)
    assert both.distinct == 4
    assert both.why == (
        "6 have the tokens of another up to the target; 44 have the numbers of another up to rounding, though their "
        "tokens differ"
    )
    assert Merged(3, 0, 1, False).why == "1 has the numbers of another up to rounding, their tokens are not known"


def test_a_sample_counts_and_says_why(rng):
    x = rng.normal(size=(10, 6))
    x[8], x[9] = x[0], x[1]
    seen = ("0", "1", "2", "3", "4", "5", "5", "7", "8", "1")
    known = Sample((x, x[:8]), {"Q": slice(0, 6)}, seen=(seen, None))
    assert known.rows.merged == (Merged(10, 2, 1, True), Merged(8, 0, 0, False))
    assert (known.rows.n, known.rows.n_distinct) == (10, 7)
    assert [len(array) for array in known.rows.arrays] == [7, 8]
    assert too_few(known.rows, 20) == (
        "7 distinct contexts of 10 (2 have the tokens of another up to the target; 1 has the numbers of another up to "
        "rounding, though their tokens differ); at least 20 are needed"
    )
    made = Rows((x,), (["a"] * 10,), {"Q": slice(0, 6)}, {}, 10, 10)  # with nothing told of what was merged
    assert too_few(made, 20) == "10 distinct contexts of 10; at least 20 are needed"
    plain = Sample((x[:8],), {"Q": slice(0, 6)})
    assert too_few(plain.rows, 20) == "8 distinct contexts of 8; at least 20 are needed"


def test_a_verdict_carries_what_was_merged(rng):
    claim = Claim(
        "X", "alike", "row_mean", Direction.ABOVE, -1.0, groups=("Q",), axis="contexts",
        primary=(Comparison("Q", "cosine"),), controls=("non-target",),
    )  # fmt: skip
    x = rng.normal(size=(30, 6))
    doubled = np.vstack([x, x[:5]])
    beside = Sample((np.vstack([x[:24], x[:11]]),), {"Q": slice(0, 6)})
    cell = cells(claim, layers=[3])[0]
    verdict = judge_sample(claim, cell, Sample((doubled,), {"Q": slice(0, 6)}), controls={"non-target": beside})
    (found,) = verdict.evidence.merged
    assert (found.layer, found.contexts, found.distinct) == (3, 35, 30)
    assert found.why == "5 have the numbers of another up to rounding, their tokens are not known"
    assert (verdict.controls[0].n, verdict.controls[0].n_distinct) == (35, 24)
    assert judge_sample(claim, cell, Sample((x,), {"Q": slice(0, 6)})).evidence.merged is None


def one_by_one(x, seen, allowed):
    """Every row with every one that was kept before it, dimension by dimension."""
    sizes = np.abs(x).max(axis=0)
    values = x / np.where(sizes > 0, sizes, 1.0)
    spread = np.sqrt((values**2).mean(axis=0))
    values = values / np.where(spread > 0, spread, 1.0)
    length = np.sqrt((values**2).mean(axis=1))
    found, kept = [], []
    for row, own in enumerate(values):
        before = next((other for other in range(row) if seen is not None and seen[other] == seen[row]), None)
        if before is not None:
            found.append(found[before])
            continue
        near = next(
            (
                other
                for other in kept
                if all(
                    abs(a - b) <= allowed * max(length[row], length[other], abs(a), abs(b))
                    for a, b in zip(own, values[other], strict=True)
                )
            ),
            row,
        )
        found.append(near)
        kept += [row] if near == row else []
    return found


@pytest.mark.parametrize("seed", range(40))
def test_rows_are_found_as_one_by_one(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 40)), int(rng.integers(1, 7))
    x = rng.normal(size=(n, d)) * np.exp(rng.normal(size=(n, 1)) * rng.choice([0, 1, 4]))
    x = x[rng.integers(0, n, size=n)]
    x = (x * (1 + rng.choice([0.0, 1e-3, 3e-3, 1e-2]) * rng.normal(size=x.shape))).astype(np.float32)
    seen = None if seed % 2 else [str(name) for name in rng.integers(0, n, size=n)]
    rounding = 1e-3
    allowed = 4 * rounding if seen is not None else min(128 * rounding, max(4 * rounding, 0.01))
    expected = one_by_one(x.astype(np.float64), seen, allowed)
    assert first_equal_rows(x, seen=seen, rounding=rounding).tolist() == expected


@pytest.mark.needs_time
def test_the_cost_grows_with_the_rows_and_not_with_their_square():
    x = np.random.default_rng(0).normal(size=(24_000, 6))

    def seconds(rows):
        begun = time.process_time()
        first_equal_rows(rows)
        return time.process_time() - begun

    first_equal_rows(x[:100])
    assert seconds(x) < 30 * max(seconds(x[:3000]), 1e-3)  # 64 times for every row with every other


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rows_within_reach_of_the_larger_one_alone_are_one(sign):
    allowed = 4 * 1e-3
    near = 100.0 / (1 - 0.9995 * allowed)  # within reach of `near`, and not of 100
    assert allowed * 100.0 < near - 100.0 <= allowed * near
    x = sign * np.array([[100.0], [near], [300.0]])
    assert first_equal_rows(x, seen=["a", "b", "c"], rounding=1e-3).tolist() == [0, 0, 2]
