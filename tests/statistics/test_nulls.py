"""Permutation nulls: closed forms against permutations."""

from __future__ import annotations

import numpy as np
import pytest

from qkvcheck.groups import Comparison
from qkvcheck.statistics.nulls import null_value
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Rows


@pytest.mark.parametrize(
    "name", ["variance", "mean_square", "mean_absolute", "sign_balance", "collapse", "offset_share"]
)
def test_closed_references_are_what_permutations_give(rng, name):
    x = rng.normal(size=(25, 200)) + 1.5 * rng.normal(size=200)
    rows = Rows((x,), ([],), {"Q": slice(0, 200)}, {}, 25, 25)
    statistic, comparison = statistic_named(name), Comparison("QQ", "cosine")
    for kind in ("within-column", "shuffled"):
        value, how = null_value(kind, statistic, rows, comparison)
        assert how == "closed form"
        found = []
        for _ in range(20):
            mixed = rng.permuted(x, axis=0) if kind == "within-column" else rng.normal(size=x.shape)
            again = Rows((mixed,), ([],), rows.projections, {}, 25, 25)
            found += statistic.values(again.arrays, again, [comparison])
        assert value == pytest.approx(np.mean(found), abs=0.003, rel=0.02)


@pytest.mark.parametrize("kind", ["shuffled", "within-column"])
def test_references_without_a_closed_form_are_a_permutation(rng, kind):
    """Rows alike in pairs of words and apart from context to context: a permutation takes the likeness of rows away."""
    x = np.repeat(rng.normal(size=(25, 1)), 60, axis=1) + 0.1 * rng.normal(size=(25, 60))
    rows = Rows((x,), ([],), {"Q": slice(0, 60)}, {}, 25, 25)
    statistic, comparison = statistic_named("row_variance"), Comparison("Q", "cosine")
    value, how = null_value(kind, statistic, rows, comparison)
    assert how == "one permutation"
    (own,) = statistic.values(rows.arrays, rows, [comparison])
    assert own > 0.5
    assert value < 0.1
