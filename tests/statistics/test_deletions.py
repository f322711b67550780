"""Sums over pairs without some rows: both kernels against the definition, written out pair by pair."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from qkvcheck.statistics.similarity import KERNEL_VARIABLE, deletions_kernel

KERNELS = ["deletions", *(["numba_deletions"] if find_spec("numba") else [])]


def by_definition(x, y, gone, scales) -> list[float]:
    """Sum abs(x' y - taken' taken) r r' over all ordered pairs, in the precision of longdouble."""
    x, y = (np.asarray(one, dtype=np.longdouble) for one in (x, x if y is None else y))
    found = []
    for (one, two), (own, theirs) in zip(gone, scales, strict=True):
        left = x.T @ y - one.T.astype(np.longdouble) @ two
        found.append(float((np.abs(left) * own[:, None] * theirs).sum()))
    return found


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("wide", "other"), [(5, None), (64, None), (150, None), (2, 3), (70, 1100), (1100, 65)])
@pytest.mark.parametrize("rows", [(1,), (1, 1, 2, 3), (4, 2)], ids=str)
def test_both_kernels_are_the_definition(rng, name, wide, other, rows):
    """Within one block and across two, wider than a tile; sets of one row, of two and of more."""
    x = rng.normal(size=(9, wide)) + 1
    y = None if other is None else rng.normal(size=(9, other))
    second = x if y is None else y
    sets = [rng.choice(9, size, replace=False) for size in rows]
    own = [rng.uniform(0, 1, size=wide) for _ in sets]
    gone = [(x[one], second[one]) for one in sets]
    scales = [(one, one if y is None else rng.uniform(0, 1, size=other)) for one in own]
    kernel = import_module(f"qkvcheck.statistics.kernels.{name}").absolute_sums
    np.testing.assert_allclose(kernel(x, y, gone, scales), by_definition(x, y, gone, scales), rtol=1e-13)


@pytest.mark.skipif("numba_deletions" not in KERNELS, reason="no numba")
def test_numba_sums_of_deletions_do_not_depend_on_threads(rng):
    from qkvcheck.statistics.kernels.numba_deletions import absolute_sums

    x, scale = rng.normal(size=(9, 400)), rng.uniform(size=400)
    gone = [(x[[row]], x[[row]]) for row in range(9)]
    one, two, three = (absolute_sums(x, None, gone, [(scale, scale)] * 9, threads=t) for t in (1, 2, 3))
    assert (one == two).all()
    assert (one == three).all()


def test_numba_is_taken_where_there_is_work_enough(monkeypatch):
    monkeypatch.delenv(KERNEL_VARIABLE, raising=False)
    assert deletions_kernel(sums=1000).__module__.endswith(".deletions")
    assert deletions_kernel(sums=10**8).__module__.endswith(KERNELS[-1])
    monkeypatch.setenv(KERNEL_VARIABLE, "torch")
    assert deletions_kernel(sums=10**8).__module__.endswith(".deletions")
