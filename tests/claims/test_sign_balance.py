"""P3b and B14: where both signs weigh alike the line leads with that, and the verdict stays what its interval says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.claims import Claim, Decision, Verdict, cells, judge_sample, load_claims
from qkvcheck.groups import Comparison
from qkvcheck.record.finding import Finding, label
from qkvcheck.report.sentences import claim_sentences
from qkvcheck.report.texts import settled_text
from qkvcheck.statistics import Sample
from tests.claims.test_claim import CLAIMS

FILE = load_claims(*CLAIMS)
P3B, B14 = FILE.claims["P3b"], FILE.claims["B14"]


def judged(x: np.ndarray, claim: Claim = P3B, *, group: str = "QQ") -> Verdict:
    width = x.shape[1]
    places = {"Q": slice(0, width)} if group == "QQ" else {"Q": slice(0, width // 2), "K": slice(width // 2, width)}
    claim = replace(claim, groups=(group,), primary=(Comparison(group, "cosine"),))
    (cell,) = cells(claim, layers=[6])
    return judge_sample(claim, cell, Sample((x,), places))


def signed(rng: np.random.Generator, signs: np.ndarray, *, n: int = 54) -> np.ndarray:
    return 3 * signs + rng.normal(size=(n, len(signs)))


def test_random_signs_are_told_as_equally_common(rng):
    """768 dimensions of random sign: the interval says now this, now that, all within a hundredth of 0."""
    found = [judged(signed(rng, rng.choice([-1.0, 1.0], size=768))) for _ in range(8)]
    assert max(abs(verdict.estimate) for verdict in found) < 0.01
    assert len({verdict.verdict for verdict in found}) > 1  # a coin toss
    for verdict in found:
        assert verdict.lead == "about equally common"
        assert verdict.reason.startswith("about equally common: ")
        assert "within a block of 768 dimensions the mean cosine can't be below -0.0013, nor" in verdict.reason
        assert (verdict.n_needed, settled_text(verdict)) == (None, "")
        assert label(Finding(verdict)).startswith("about equally common, ")
        told = claim_sentences([Finding(verdict)])[0][0]
        assert told.startswith(f"About equally common, {verdict.verdict.lower()} at layer 6, Q-Q: ")
        assert told.count("qually common") == 1
    assert {judged(signed(rng, rng.choice([-1.0, 1.0], size=768)), B14).verdict for _ in range(2)} == {Decision.REFUTED}


def test_the_verdict_is_that_of_the_interval(rng):
    for _ in range(6):
        x = signed(rng, rng.choice([-1.0, 1.0], size=96))
        plain = judged(x, replace(P3B, equally_common_below=None))
        told = judged(x)
        assert (told.verdict, told.estimate, told.low, told.high) == (
            plain.verdict, plain.estimate, plain.low, plain.high,
        )  # fmt: skip
        assert plain.lead is None


@pytest.mark.parametrize(("minus", "lead"), [(10, None), (40, "about equally common"), (86, None)])
def test_a_clear_majority_has_no_such_lead(rng, minus, lead):
    verdict = judged(signed(rng, np.r_[-np.ones(minus), np.ones(96 - minus)]))
    assert verdict.lead == lead
    assert (abs(verdict.estimate) < 1 / 3) == (lead is not None)
    assert ("mean cosine can't be below" in verdict.reason) == (lead is not None)


def test_the_floor_is_what_no_columns_go_below(rng):
    """The mean cosine over pairs is a squared length: at least -1 / (d - 1), reached where columns sum to nothing."""
    verdict = judged(signed(rng, np.tile([1.0, -1.0], 5)))
    x = signed(rng, np.tile([1.0, -1.0], 5))
    pairs = np.triu_indices(10, 1)
    for columns in (x, rng.normal(size=(30, 10)), np.hstack([x[:, :5], -x[:, :5]])):
        unit = columns / np.linalg.norm(columns, axis=0)
        mean = (unit.T @ unit)[pairs].mean()
        assert mean >= -1 / 9 - 1e-12
    assert mean == pytest.approx(-1 / 9)  # the last: each column with its opposite
    least = judged(np.hstack([x[:, :5], -x[:, :5]]))
    told = float(least.reason.rpartition("nor this number below ")[2])
    assert told == pytest.approx(least.plug_in, abs=6e-5)
    assert "can't be below -0.1111" in verdict.reason


def test_across_two_blocks_nothing_bounds_it(rng):
    verdict = judged(signed(rng, rng.choice([-1.0, 1.0], size=192)), group="QK")
    assert verdict.lead == "about equally common"
    assert "can't be below" not in verdict.reason


def test_one_pole_alone_is_told_first(rng):
    verdict = judged(rng.normal(size=(54, 96)))
    assert verdict.lead is None
    assert verdict.reason.startswith("not both poles present: ")
