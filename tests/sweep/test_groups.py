"""Groups: rows or moments, merged in any way, are what all contexts together have."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.sweep.groups import MEASURES, Packed, bytes_of, group_of, merged, packed, shrunk, unpacked
from tests.sweep.made_up import BLOCKS

RNG = np.random.default_rng(0)


def rows(n, *, shift=3.0):
    return (RNG.normal(size=(n, 2, 12)) + shift * np.linspace(-1, 1, 12)).astype(np.float32)


def group(array):
    return shrunk(group_of(array, BLOCKS))


@pytest.mark.parametrize("sizes", [(3, 4), (9, 40), (40, 3), (50, 60), (1, 1), (13, 1)])
def test_merged_is_as_of_all_at_once(sizes):
    every = rows(sum(sizes))
    found = merged(group(every[: sizes[0]]), group(every[sizes[0] :]))
    assert isinstance(found.kept, Packed) == (sum(sizes) > 13)
    for place in range(2):
        x = every[:, place].astype(np.float64)
        moments = found.moments(place)
        np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=0, atol=1e-14)
        centred = x - x.mean(axis=0)
        np.testing.assert_allclose(moments.scatter, centred.T @ centred, rtol=0, atol=1e-11)
        assert (moments.low == x.min(axis=0)).all()
        assert (moments.high == x.max(axis=0)).all()
        for at, measure in enumerate(MEASURES):
            for number, block in enumerate(BLOCKS.values()):
                part = x[:, block] - (x[:, block].mean(axis=1, keepdims=True) if measure == "pearson" else 0.0)
                unit = part / np.linalg.norm(part, axis=1, keepdims=True)
                np.testing.assert_allclose(found.units[place, at, block], unit.sum(axis=0), rtol=0, atol=1e-13)
                assert found.lengths[place, at, number] == pytest.approx((unit**2).sum(), rel=1e-13)


def test_merging_is_associative():
    parts = [rows(n) for n in (20, 3, 31, 8)]
    left = merged(merged(merged(group(parts[0]), group(parts[1])), group(parts[2])), group(parts[3]))
    right = merged(group(parts[0]), merged(group(parts[1]), merged(group(parts[2]), group(parts[3]))))
    for place in range(2):
        one, other = left.moments(place), right.moments(place)
        assert np.abs(one.scatter - other.scatter).max() <= 1e-12 * np.abs(one.scatter).max()
        np.testing.assert_allclose(one.mean, other.mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(left.units, right.units, rtol=0, atol=1e-12)


def test_a_constant_row_has_no_direction():
    array = rows(4)
    array[1] = 2.0
    found = group_of(array, BLOCKS)
    assert found.lengths[0].tolist() == [pytest.approx([4.0] * 3), pytest.approx([3.0] * 3)]


def test_packing_loses_nothing_and_takes_what_it_says():
    square = RNG.normal(size=(5, 5))
    square = square + square.T
    assert (unpacked(packed(square), 5) == square).all()
    found = group(rows(50))
    arrays = (found.units, found.lengths, found.kept.mean, found.kept.low, found.kept.high, found.kept.scatter)
    assert sum(array.nbytes for array in arrays) == bytes_of(2, 12)
