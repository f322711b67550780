"""What a verdict carries beside its number: clusters, replicates, intervals of a family, pictures' numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from qkvcheck.claims.claim import Claim, Direction, Role, cells
from qkvcheck.claims.judging import JudgeOptions, judge_sample
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.statistics.measurement import measure
from qkvcheck.statistics.registry import statistic_named
from qkvcheck.statistics.sample import Sample

PLACES = {"Q": slice(0, 5), "K": slice(5, 9), "V": slice(9, 12)}


def claim_of(statistic="variance", groups=("QQ", "KK", "VV"), **more) -> Claim:
    told = {"groups": groups, "primary": (Comparison(groups[0], "cosine"),), **more}
    return Claim("X", "x", statistic, Direction.ABOVE, 0.1, **told)


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.normal(size=(30, 12)) + 1.5 * rng.normal(size=12)


def variance(x: np.ndarray, group: str = "QQ") -> float:
    columns = x[:, PLACES[group[0]]].T
    return float(np.var([a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in itertools.combinations(columns, 2)]))


def test_clusters_and_replicates_go_with_the_number(x):
    labels = tuple(f"c{row % 12:02d}" for row in range(30))  # six of three, six of two
    claim = claim_of()
    verdict = judge_sample(claim, cells(claim, layers=[6])[0], Sample((x,), PLACES, (labels,), "first token"))
    assert (verdict.clusters, verdict.cluster_kind) == (12, "first token")
    assert verdict.evidence.effective_contexts == pytest.approx(30**2 / (6 * 9 + 6 * 4))
    without = [variance(x[np.array(labels) != f"c{number:02d}"]) for number in range(12)]
    assert verdict.evidence.replicates.whole == pytest.approx(variance(x), abs=1e-12)
    assert verdict.evidence.replicates.without == pytest.approx(without, abs=1e-12)
    pseudo = 12 * variance(x) - 11 * np.array(without)
    error = pseudo.std(ddof=1) / np.sqrt(12) * np.sqrt(15 / 9)
    assert verdict.evidence.standard_error == pytest.approx(error, rel=1e-9)
    assert verdict.high - verdict.low == pytest.approx(2 * stats.t.ppf(0.975, 11) * error, rel=1e-9)
    assert (verdict.level, verdict.simultaneous, verdict.grade is not None) == (0.95, False, True)


@pytest.mark.parametrize("size", [1, 2])
def test_two_cells_are_a_family_and_one_is_none(x, size):
    """Only cells that decide nothing share their intervals."""
    claim = claim_of()
    decides, *family = cells(claim, layers=[6])
    sample = Sample((x,), PLACES)
    found = judge_sample(claim, family[0], sample, family=family[:size])
    own = measure(statistic_named("variance"), sample, family[0].comparison, together=claim.comparisons)
    together = tuple(sorted(cell.comparison for cell in family[:size]))
    critical = own.critical(together) if size > 1 else None
    want = own.estimate(critical=critical)
    assert (found.low, found.high, found.simultaneous) == (want.low, want.high, size > 1)
    alone = judge_sample(claim, decides, sample, family=family)
    assert (decides.role, alone.simultaneous) == (Role.DECIDES, False)


def test_only_what_is_open_says_how_many_contexts_are_needed(x):
    claim = claim_of()
    cell, sample = cells(claim, layers=[6])[0], Sample((x,), PLACES)
    first = judge_sample(claim, cell, sample)
    between = claim_of()
    object.__setattr__(between, "threshold", (first.estimate + first.high) / 2)
    found = judge_sample(between, cell, sample)
    half, distance = (found.high - found.low) / 2, between.threshold - found.estimate
    assert found.n_needed == int(np.ceil(30 * (half / distance) ** 2)) + 1
    assert judge_sample(claim_of("mean_square"), cell, sample).grade is None


def test_pictures_are_of_the_first_measure(x):
    """Two contexts are drawn once, in the measure that the claim names first; the matrix in each."""
    claim = claim_of("row_mean", ("Q",), measures=("pearson", "cosine"), axis="contexts")
    for cell in cells(claim, layers=[6]):
        found = judge_sample(claim, cell, Sample((x,), PLACES)).evidence
        similar = np.corrcoef(x[:, :5])
        if cell.measure == "cosine":
            unit = x[:, :5] / np.linalg.norm(x[:, :5], axis=1, keepdims=True)
            similar = unit @ unit.T
        assert found.context_matrix.above == pytest.approx(similar[np.triu_indices(30, k=1)].tolist(), abs=6e-5)
        assert (found.scatter is not None) is (cell.measure == "pearson")
        assert found.row_quantiles["0.5"] == pytest.approx(np.median(similar[np.triu_indices(30, k=1)]), abs=1e-12)
    plain = judge_sample(claim, cell, Sample((x,), PLACES), options=JudgeOptions(pictures=False)).evidence
    assert (plain.context_matrix, plain.scatter) == (None, None)
    over = claim_of(measures=("cosine", "pearson"))
    for cell in cells(over, layers=[6])[::3]:
        found = judge_sample(over, cell, Sample((x,), PLACES)).evidence
        assert (found.dimension_matrix is not None) is (found.offset is not None) is (cell.measure == "cosine")
        assert found.histograms == {}


def test_a_number_that_is_none_is_told(monkeypatch, x):
    """With the cell and what was found."""
    statistic = statistic_named("mean_square")
    monkeypatch.setattr(type(statistic), "of_moments", lambda *_: {"QQ": float("nan")})
    claim = claim_of("mean_square", ("QQ",))
    with pytest.raises(ClaimError, match="X-L06-QQ: the statistic mean_square is nan; check the activations"):
        judge_sample(claim, cells(claim, layers=[6])[0], Sample((x,), PLACES))
