"""The numbers behind the pictures, against the definition."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qkvcheck.claims import drawn as pictures
from qkvcheck.claims.claim import cells
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.claims.drawn import context_matrix, dimension_matrix, scatter
from qkvcheck.claims.evidence import evidence_from_dict
from qkvcheck.claims.judging import judge_sample
from qkvcheck.statistics.sample import Sample
from qkvcheck.statistics.similarity import summarise_group
from tests.conftest import ROOT

CLAIMS = load_claims(*(ROOT / "experiments" / name for name in ("claims.toml", "beyond.toml")))


def drawn(n=30, d=100, *, seed=0, offset=1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + offset * rng.normal(size=d)).astype(np.float32)


def coarse(x: np.ndarray, y: np.ndarray | None, cells_: int) -> np.ndarray:
    """Return the mean cosine of each cell's pairs from the whole matrix."""
    ordered = []
    for block in (x, x if y is None else y):
        unit = block.astype(np.float64) / np.linalg.norm(block.astype(np.float64), axis=0)
        ordered.append(unit[:, np.argsort(unit.sum(axis=0), kind="stable")])
    whole = ordered[0].T @ ordered[1]
    parts = [np.array_split(np.arange(len(whole[0])), cells_) for _ in range(2)]
    parts[0] = np.array_split(np.arange(len(whole)), cells_)
    found = np.empty((cells_, cells_))
    for i, rows in enumerate(parts[0]):
        for j, columns in enumerate(parts[1]):
            cell = whole[np.ix_(rows, columns)]
            other = ~np.eye(len(rows), dtype=bool) if y is None and i == j else np.ones_like(cell, dtype=bool)
            found[i, j] = cell[other].mean()
    return found


@pytest.mark.parametrize("across", [False, True])
def test_dimension_matrix_is_the_mean_of_its_pairs(across, monkeypatch):
    monkeypatch.setattr(pictures, "CELLS", 7)
    x = drawn()
    y = drawn(d=40, seed=1) if across else None
    found = dimension_matrix(x, y)
    assert (found.rows, found.columns) == (7, 7)
    np.testing.assert_allclose(np.reshape(found.cells, (7, 7)), coarse(x, y, 7), atol=6e-4)


def test_context_matrix_is_the_correlation():
    rows = drawn(n=9)
    found = context_matrix(rows, measure="pearson")
    assert found.n == 9
    np.testing.assert_allclose(found.above, np.corrcoef(rows)[np.triu_indices(9, k=1)], atol=6e-5)


def test_scatter_shows_the_pair_next_to_the_median():
    rows = drawn(n=7, d=5000)  # 21 pairs: one of them is the median, so that rounding can't choose
    found = scatter(rows, measure="pearson")
    every = np.corrcoef(rows.astype(np.float64))
    one, other = found.contexts
    values = every[np.triu_indices(7, k=1)]
    assert abs(every[one, other] - np.median(values)) == np.abs(values - np.median(values)).min()
    assert found.similarity == pytest.approx(every[one, other], abs=6e-5)
    assert len(found.x) == len(found.y) == 2048
    assert found.x[0] == pytest.approx(rows[one, 0], rel=1e-3)
    assert found.y[-1] == pytest.approx(rows[other, -1], rel=1e-3)


def test_verdicts_carry_them():
    """P3a gets its matrix and the controls' histograms, P5 the contexts' similarities; both are plain data."""
    rows = drawn(n=40, d=60)
    projections = {"Q": slice(0, 20), "K": slice(20, 40), "V": slice(40, 60)}
    sample, control = Sample((rows,), projections), Sample((drawn(n=40, d=60, seed=4),), projections)
    claim = CLAIMS.claims["P3a"]
    cell = next(c for c in cells(claim, layers=[6]) if c.group == "QK")
    found = judge_sample(claim, cell, sample, controls={"non-target": control, "untrained": "no model"}).evidence
    own = summarise_group(control.arrays[0][:, :20], control.arrays[0][:, 20:40])
    assert found.histograms == {"non-target": own.counts.tolist()}
    assert (found.dimension_matrix.rows, found.dimension_matrix.columns) == (20, 20)
    assert evidence_from_dict(json.loads(json.dumps(found.to_dict()))) == found
    claim = CLAIMS.claims["P5"]
    found = judge_sample(claim, next(c for c in cells(claim, layers=[6]) if c.group == "K"), sample).evidence
    np.testing.assert_allclose(
        found.context_matrix.above, np.corrcoef(rows[:, 20:40])[np.triu_indices(40, k=1)], atol=6e-5
    )
    assert len(found.scatter.x) == 20
