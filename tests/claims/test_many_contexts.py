"""Verdicts on many contexts: what they say of groups and of what was drawn, and that controls are paired in groups."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qkvcheck.claims.claim import Claim, Direction, cells
from qkvcheck.claims.evidence import ClusterGroups, DrawnContexts, evidence_from_dict
from qkvcheck.claims.judging import judge_sample
from qkvcheck.claims.verdict import verdict_from_dict
from qkvcheck.errors import DocumentError
from qkvcheck.groups import POSITION, Comparison
from qkvcheck.record.finding import Finding
from qkvcheck.report.explain import explain_lines
from qkvcheck.report.figures.registered.contexts import context_figures
from qkvcheck.report.figures.registry import FigureInput
from qkvcheck.report.page_claims import page_claim
from qkvcheck.statistics.many.limits import PAIRED, PICTURED, SCORED
from qkvcheck.statistics.sample import Sample
from tests.made_up import make_run

N = PAIRED + 200
PLACES = {"Q": slice(0, 6), "K": slice(6, 12)}


def sample_of(seed=0, *, n=N, shift=2.0):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(n, 12)) + shift).astype(np.float32)
    names = tuple(f"c{k:05d}" for k in range(n))
    places = tuple(f"position {k % 3:04d}" for k in range(n))
    return Sample((x,), PLACES, (names,), "distinct row", heads={"Q": 2, "K": 2}, factors={POSITION: places})


def claim_of(statistic, group, axis):
    return Claim(
        "X", "alike", statistic, Direction.ABOVE, 0.1, groups=(group,), axis=axis, measures=("cosine",),
        primary=(Comparison(group, "cosine"),), controls=("non-target",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    claim = claim_of("row_mean", "Q", "contexts")
    return judge_sample(claim, cells(claim, layers=[6])[0], sample_of(), controls={"non-target": sample_of(1)})


@pytest.fixture(scope="module")
def dimensions():
    claim = claim_of("variance", "QQ", "dimensions")
    return judge_sample(claim, cells(claim, layers=[6])[0], sample_of(), controls={"non-target": sample_of(1)})


def test_a_verdict_says_in_how_many_groups_its_clusters_left(rows, dimensions):
    for verdict in (rows, dimensions):
        assert verdict.evidence.groups == ClusterGroups(N, 200, 0)
        assert verdict.clusters == N
        assert len(verdict.evidence.replicates.without) == 200
        assert verdict.evidence.effective_contexts == pytest.approx(N)
        lines = "\n".join(explain_lines(Finding(verdict), make_run()))
        assert f"{N} clusters by distinct row, left out in 200 groups (seed 0)" in lines


def test_a_control_of_the_same_clusters_is_paired_in_their_groups(rows):
    (control,) = rows.controls
    assert control.low < control.difference < control.high
    assert control.high - control.low < 0.1


def test_what_looks_at_pairs_says_of_how_many(rows):
    assert rows.evidence.drawn == DrawnContexts(N, PAIRED, 0)
    assert rows.evidence.context_matrix.n == PICTURED
    text = "\n".join(explain_lines(Finding(rows), make_run()))
    assert f"Over pairs of {PAIRED:,} of {N:,} (drawn, seed 0) contexts: lowest" in text
    beside = {one.name: one.text for one in rows.evidence.beside}
    assert f"of the pairs of {PAIRED:,} of {N:,} contexts, drawn," in beside["share-above"]
    assert f"both of {SCORED} of the {N:,} contexts, drawn" in beside["score-metric"]
    assert "pairs of contexts with the target at one place" in beside["same-position"]


def test_few_contexts_say_nothing_of_the_kind():
    claim = claim_of("row_mean", "Q", "contexts")
    verdict = judge_sample(claim, cells(claim, layers=[6])[0], sample_of(n=60))
    found = verdict.to_dict()["evidence"]
    assert not {"groups", "drawn"} & set(found)
    assert set(found["context_matrix"]) == {"n", "above"}


def test_it_survives_json(rows):
    again = verdict_from_dict(json.loads(json.dumps(rows.to_dict())))
    assert again.to_dict() == rows.to_dict()
    assert again.evidence.context_matrix.contexts == rows.evidence.context_matrix.contexts


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"groups": {"clusters": 3, "groups": 9, "seed": 0}}, "groups are 9 of 3 clusters"),
        ({"context_matrix": {"n": 2, "above": [0.1], "contexts": [1]}}, "contexts have to be 2 numbers from 0"),
    ],
)
def test_damaged_evidence_is_told(part, told):
    with pytest.raises(DocumentError, match=told):
        evidence_from_dict(part)


def test_the_page_names_the_contexts_that_were_drawn(rows):
    texts = [f"text {k} her" for k in range(N)]
    figures = list(context_figures(FigureInput([rows], 6, "corpus", make_run(texts=texts))))
    matrix = next(one for one in figures if one.name.startswith("contexts-"))
    assert f"{PICTURED} of {N:,} contexts, drawn" in matrix.caption
    assert len(matrix.rows) == PICTURED
    assert [row[0] for row in matrix.rows] == [f"text {k} her" for k in rows.evidence.context_matrix.contexts]


def test_the_page_says_in_how_many_groups_clusters_left(rows):
    found = page_claim("X", [Finding(rows)], anchor="x")
    ((_, beside),) = found.beside
    assert beside[0] == ("groups", f"{N:,} clusters left the jackknife in 200 groups (seed 0)")
    assert "the largest of 200 groups of clusters makes" in dict(beside)["most-influential"]
