"""What stands beside a verdict of the basis: rotations, scores, other tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.claims.claim import Claim, Direction, Role, cells
from qkvcheck.claims.judging import judge_sample
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Comparison, Turns
from qkvcheck.statistics import Sample, rotated_values, score_values, statistic_named, token_metric

HEADS = {"Q": 4, "K": 2, "V": 2}
PLACES = {"Q": slice(0, 24), "K": slice(24, 36), "V": slice(36, 46)}


def claim_of(statistic="variance", group="QQ", *, threshold=0.4, measure="cosine", groups=(), **more):
    axis = "dimensions" if len(group) == 2 else "contexts"
    told = {"groups": groups or (group,), "measures": (measure,), "primary": (Comparison(group, measure),), **more}
    return Claim("X", "x", statistic, Direction.ABOVE, threshold, **{"axis": axis, **told})


def beside(claim, sample, *, role=Role.DECIDES, **more):
    cell = next(one for one in cells(claim, layers=[6]) if one.role == role)
    return {one.name: one for one in judge_sample(claim, cell, sample, **more).evidence.beside or ()}


@pytest.fixture
def x(rng):
    return rng.normal(size=(24, 46)) + 2 * rng.normal(size=46)


@pytest.fixture
def sample(x):
    return Sample((x,), PLACES, heads=HEADS, turns=Turns())


def test_the_range_over_rotations_stands_beside_every_cell_over_dimensions(sample):
    claim = claim_of(groups=("QQ", "KV"))
    every = claim.comparisons
    for role, group in ((Role.DECIDES, "QQ"), (Role.FAMILY, "KV")):
        found = beside(claim, sample, role=role)["rotated"]
        wanted = rotated_values(statistic_named("variance"), sample.rows, every)[Comparison(group, "cosine")]
        assert len(wanted) == 20
        assert (found.low, found.high, found.value) == (min(wanted), max(wanted), pytest.approx(np.mean(wanted)))
        assert f"{min(wanted):.4f} to {max(wanted):.4f}" in found.text
        assert found.text.startswith("in 20 rotations of each head")
    assert "rotated" not in beside(claim_of("row_mean", "Q"), sample)


def test_it_warns_where_the_basis_decides(sample):
    wanted = rotated_values(statistic_named("variance"), sample.rows, claim_of().comparisons)[
        Comparison("QQ", "cosine")
    ]
    middle = sorted(wanted)[9] + 1e-9
    found = beside(claim_of(threshold=middle), sample)["rotated"]
    assert found.warns
    assert found.text.endswith("hangs on the basis")
    assert not beside(claim_of(threshold=0.9), sample)["rotated"].warns
    assert not beside(claim_of(threshold=0.0), sample)["rotated"].warns


def test_what_turns_is_told(sample):
    turned = replace(sample, turns=Turns(6))
    found = beside(claim_of(groups=("QQ", "VV")), turned)["rotated"]
    assert found.text.startswith("in 20 turns within the pairs of rotary embedding")
    found = beside(claim_of(groups=("QQ", "VV")), turned, role=Role.FAMILY)["rotated"]
    assert found.text.startswith("in 20 rotations of each head")


@pytest.mark.parametrize(("change", "text"), [
    ({"heads": {}}, "how many heads Q, K and V have is not told"),
    ({"turns": Turns(obstacle="they are normed")}, "they are normed"),
    ({"turns": None}, "whether rotary embedding or a norm follows the projections is not told"),
])  # fmt: skip
def test_it_says_why_there_is_none(sample, change, text):
    found = beside(claim_of(), replace(sample, **change))["rotated"]
    assert found.text.startswith("no rotation is known to change no score: ")
    assert text in found.text
    assert found.value is None


def test_the_same_number_of_scores(sample):
    for claim in (claim_of(), claim_of("row_mean", "K", measure="pearson"), claim_of("sign_balance", "QK")):
        comparison = claim.primary[0]
        wanted = score_values(statistic_named(claim.statistic), sample.rows, [comparison])[comparison]
        assert beside(claim, sample)["score-metric"].value == wanted
    assert "score-metric" not in beside(claim_of(group="QV"), sample)
    assert "score-metric" not in beside(claim_of("row_mean", "V"), sample)
    assert "score-metric" not in beside(claim_of(), replace(sample, heads={}))


def test_it_warns_where_scores_are_on_the_other_side(sample):
    own, comparison = statistic_named("variance"), claim_of().primary
    here = own.values(sample.rows.arrays, sample.rows, comparison)[0]
    there = score_values(own, sample.rows, comparison)[comparison[0]]
    found = beside(claim_of(threshold=(here + there) / 2), sample)["score-metric"]
    assert found.warns
    assert found.text.endswith("on the other side of the threshold")
    for threshold in (min(here, there) - 0.01, max(here, there) + 0.01):
        assert not beside(claim_of(threshold=threshold), sample)["score-metric"].warns


def test_likeness_in_the_metric_of_other_tokens(rng, x, sample):
    grid = np.concatenate([x[:, None], rng.normal(size=(24, 5, 46))], axis=1)
    words = Sample((grid,), PLACES, heads=HEADS)
    for group, heads in HEADS.items():
        found = beside(claim_of("row_mean", group), sample, tokens=lambda: words)
        place = PLACES[group]
        wanted = token_metric(x[:, place], grid[:, 1:, place].reshape(120, -1), heads=heads)
        assert (found["token-metric"].value, found["token-distance"].value) == (wanted.cosine, wanted.distance)
        assert "120 other tokens" in found["token-metric"].text
    own = beside(claim_of("stability", "V"), words)  # the words are there
    assert own["token-distance"].value == pytest.approx(wanted.distance, abs=1e-12)


def test_without_other_tokens_there_is_none(sample):
    assert "token-metric" not in beside(claim_of("row_mean", "Q"), sample)

    def absent():
        raise NotCapturedError("the file holds no words")

    found = beside(claim_of("row_mean", "Q"), sample, tokens=absent)
    assert found["token-metric"].text == "no metric of other tokens: the file holds no words"
    assert "token-distance" not in found


def test_one_head_is_looked_at_by_itself(x):
    """As `sample_of` cuts it: a head of Q, and what it reads."""
    columns = np.r_[6:12, 24:30, 36:41]
    places = {"Q": slice(0, 6), "K": slice(6, 12), "V": slice(12, 17)}
    one = Sample((x[:, columns],), places, heads=dict.fromkeys("QKV", 1), turns=Turns())
    found = beside(claim_of(), one)
    assert found["rotated"].low < found["rotated"].high
    scores = x[:, 6:12] @ x[:, 24:30].T
    unit = scores / np.linalg.norm(scores, axis=0)
    cosines = (unit.T @ unit)[np.triu_indices(24, k=1)]
    assert found["score-metric"].value == pytest.approx(cosines.var(), abs=1e-10)
