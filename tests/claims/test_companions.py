"""Companions: beside which verdicts they stand, and that they decide nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qkvcheck.claims import (
    Beside,
    Companion,
    Evidence,
    Verdict,
    companions_by_name,
    evidence_from_dict,
    judge,
    register_companion,
)
from qkvcheck.claims.companions import registry
from qkvcheck.errors import ClaimError
from qkvcheck.record import Finding
from qkvcheck.report.explain import explain_lines
from qkvcheck.report.page_claims import page_claim
from qkvcheck.report.sentences import claim_sentences
from qkvcheck.report.terminal import summary_lines
from tests.made_up import make_run


def rows(seed: int = 0, *, offset: float = 3.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(30, 12)) + offset


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(registry._COMPANIONS)
    companions_by_name()
    yield
    registry._COMPANIONS.clear()
    registry._COMPANIONS.update(before or registry._COMPANIONS)


def beside(verdict: Verdict) -> dict[str, Beside]:
    return {one.name: one for one in verdict.evidence.beside or ()}


def test_the_share_of_pairs_above_the_threshold_is_counted() -> None:
    x = rows()
    verdict = judge(x, statistic="row_mean", group="Q", above=0.9)
    found = beside(verdict)["share-above"]
    assert verdict.measure == "cosine"
    cosines = [float(x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j])) for i in range(30) for j in range(i)]
    assert found.value == np.mean(np.array(cosines) > 0.9)
    assert 0.1 < found.value < 0.9
    assert found.text == f"{found.value:.0%} of the pairs of contexts are above 0.9"


def test_it_stands_beside_its_own_statistics_alone() -> None:
    assert beside(judge(rows(), statistic="row_mean", group="Q", above=0.9))
    assert "share-above" not in beside(judge(rows(), statistic="variance", group="QQ", above=0.4))


@pytest.mark.usefixtures("registered")
def test_a_companion_of_a_project_decides_nothing_and_is_shown() -> None:
    plain = judge(rows(), statistic="row_mean", group="Q", above=0.9)

    @register_companion
    class Told(Companion):
        name = "test-warning"
        says = "a warning"

        def look(self, claim: Any, own: Any, verdict: Verdict) -> Beside:
            del claim, own, verdict
            return Beside(self.name, "something to know of this number", 1.0, warns=True)

    told = judge(rows(), statistic="row_mean", group="Q", above=0.9)
    assert beside(told)["test-warning"].warns
    assert replace(told, evidence=Evidence()) == replace(plain, evidence=Evidence())
    finding = Finding(told)
    run = make_run()
    assert any("something to know" in line.text for line in summary_lines(run, [finding]))
    assert any("test-warning" in line for line in explain_lines(finding, run))
    assert "Something to know of this number." in claim_sentences([finding])[0][1]
    assert [name for _, found in page_claim("claim", [finding], anchor="a").beside for name, _ in found][-1] == (
        "test-warning"
    )


@pytest.mark.usefixtures("registered")
def test_another_companion_of_the_same_name_is_refused() -> None:
    class Other(Companion):
        name = "share-above"
        says = "another"

        def look(self, claim: Any, own: Any, verdict: Verdict) -> None:
            del claim, own, verdict
            return None

    with pytest.raises(ClaimError, match=r"share-above.* registered already"):
        register_companion(Other)


def test_what_stands_beside_comes_back_from_a_result_file() -> None:
    evidence = judge(rows(), statistic="row_mean", group="Q", above=0.9).evidence
    assert evidence.beside
    assert list(evidence_from_dict(evidence.to_dict()).beside or ()) == list(evidence.beside)


def test_a_mean_leaves_no_more_than_its_variance(rng: np.random.Generator) -> None:
    """1 - m^2 (Bhatia and Davis 2000): never less than the variance, and reached where all are -1 or 1."""
    for scale in (0.05, 0.2, 0.5, 1.0, 3.0):
        for _ in range(200):
            s = np.clip(rng.normal(rng.uniform(-1, 1), scale, size=40), -1, 1)
            assert s.var() <= 1 - s.mean() ** 2 + 1e-12
            if s.mean() > 0.9:
                assert s.var() <= 0.19
    ends = np.r_[np.ones(39), -1.0]
    assert ends.mean() == pytest.approx(0.95)
    assert ends.var() == pytest.approx(1 - 0.95**2)


@pytest.mark.parametrize("measure", ["cosine", "pearson"])
@pytest.mark.parametrize("offset", [0.0, 1.0, 3.0, 9.0])
def test_two_poles_of_contexts_and_alike_contexts_exclude_each_other(measure: str, offset: float) -> None:
    x = rows(offset=0.0) + offset * np.random.default_rng(3).normal(size=12)
    poles = judge(x, statistic="row_variance", group="Q", measure=measure, above=4 / 9)
    alike = judge(x, statistic="row_mean", group="Q", measure=measure, above=0.9)
    assert "SUPPORTED" not in (poles.verdict, alike.verdict) or poles.verdict != alike.verdict
    c = np.corrcoef(x) if measure == "pearson" else (u := x / np.linalg.norm(x, axis=1)[:, None]) @ u.T
    mean = c[np.triu_indices(30, 1)].mean()
    found = beside(poles)["exclusion"]
    assert found.value == pytest.approx(1 - mean**2, abs=1e-12)
    assert poles.plug_in is not None
    assert poles.plug_in <= found.value + 1e-12
    assert found.warns == (found.value <= 4 / 9)
    assert found.text.startswith(
        f"with a mean similarity of {mean:.2f} their variance is at most {found.value:.2f} = 1 - "
    )
    assert ("which rows that are so alike can't meet" in found.text) == found.warns
    low = beside(judge(x, statistic="row_variance", group="Q", measure=measure, at_most=0.1))["exclusion"]
    assert not low.warns
