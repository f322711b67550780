"""Verdicts in words, as tables and as plain data, and those of earlier files."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qkvcheck.claims.claim import Claim, Direction, Kind, Role, cells
from qkvcheck.claims.evidence import Evidence, ProfilePoint
from qkvcheck.claims.verdict import (
    ControlKind,
    ControlResult,
    Decision,
    estimate_text,
    judge_conditions,
    make_verdict,
    not_judged,
    number_text,
    threshold_text,
    verdict_from_dict,
)
from qkvcheck.groups import Comparison
from qkvcheck.statistics.bounds import Specificity, ViolationRate
from tests.made_up import make_verdict as made
from tests.made_up import search_record


def claim_of(**changes) -> Claim:
    told = {
        "direction": Direction.AT_MOST, "threshold": 0.25, "source": "p. 3", "groups": ("QK",), "axis": "dimensions",
        "measures": ("pearson",), "primary": (Comparison("QK", "pearson"),), "margin": 0.07, "order": 4,
        "file_sha256": "f" * 64, "not_independent_of": ("Y",),
    }  # fmt: skip
    return Claim("X", "it is so", "variance", **{**told, **changes})


def test_a_verdict_takes_over_claim_and_cell():
    claim = claim_of(label="exploratory")
    cell = cells(claim, layers=[3])[0]
    found = make_verdict(claim, cell, Decision.REFUTED, n=5, qualifier=("stand-in",), estimate=0.4)
    want = {
        "key": "X-L03-QK", "claim": "X", "statement": "it is so", "layer": 3, "group": "QK", "measure": "pearson",
        "axis": "dimensions", "statistic": "variance", "role": Role.DECIDES, "verdict": Decision.REFUTED,
        "kind": Kind.INTERVAL, "threshold": 0.25, "direction": Direction.AT_MOST, "margin": 0.07, "source": "p. 3",
        "claims_sha256": "f" * 64, "order": 4, "not_independent_of": ("Y",), "n": 5, "estimate": 0.4,
        "qualifier": ("stand-in", "exploratory"),
    }  # fmt: skip
    assert {name: getattr(found, name) for name in want} == want
    assert found.exploratory
    plain = make_verdict(claim_of(source=""), cell, Decision.REFUTED, kind=Kind.COUNT)
    assert (plain.kind, plain.source, plain.qualifier, plain.exploratory) == (Kind.COUNT, None, (), False)
    none = not_judged(claim, cell, "why", qualifier=["stand-in"])
    assert (none.verdict, none.reason, none.qualifier) == (Decision.NOT_JUDGED, "why", ("stand-in", "exploratory"))
    assert not_judged(claim_of(), cell, "why").qualifier == ()


def test_conditions_name_those_that_fail():
    claim = claim_of(direction=Direction.EXACT, threshold=None)
    cell = cells(claim, layers=[3])[0]
    found = judge_conditions(
        claim, cell, {"a": True, "b": False, "c": False}, n=7, qualifier=["stand-in"], further={"x": 1}
    )
    assert (found.verdict, found.reason) == (Decision.REFUTED, "does not hold: b; c")
    assert (found.n, found.qualifier, found.evidence.further) == (7, ("stand-in",), {"x": 1})
    assert found.evidence.conditions == {"a": True, "b": False, "c": False}
    held = judge_conditions(claim, cell, {"a": 1}, n=7)
    assert (held.verdict, held.reason, held.qualifier, held.evidence.further) == (Decision.SUPPORTED, None, (), {})
    assert held.evidence.conditions["a"] is True


def test_controls_by_name():
    verdict = made(controls=(ControlResult("a", 0.1, None, None), ControlResult("b", 0.2, None, None)))
    assert (verdict.control("b").estimate, verdict.control("c")) == (0.2, None)


def test_numbers_in_words():
    assert (number_text(None), number_text(0.12344), number_text(-1.0)) == ("-", "0.1234", "-1.0000")
    verdict = made(estimate=0.5, low=0.25, high=0.75, threshold=1 / 3)
    assert estimate_text(verdict) == "0.5000 [0.2500, 0.7500]"
    assert estimate_text(replace(verdict, low=None)) == estimate_text(replace(verdict, high=None)) == "0.5000"
    for direction, sign in (("above", ">"), ("at_least", ">="), ("at_most", "<=")):
        one = replace(verdict, direction=Direction(direction))
        assert (threshold_text(one), threshold_text(one, digits="g")) == (f"{sign} 0.3333", f"{sign} 0.333333")
    assert threshold_text(replace(verdict, threshold=None)) == "exact"


def test_a_verdict_shows_itself():
    verdict = made(estimate=0.5, low=0.25, high=0.75, threshold=0.4)
    assert repr(verdict) == "Verdict(P3a-L06-QQ: SUPPORTED, 0.5000 [0.2500, 0.7500] > 0.4)"
    assert repr(replace(verdict, threshold=None)) == "Verdict(P3a-L06-QQ: SUPPORTED)"


def test_a_verdict_in_a_notebook():
    verdict = made(
        estimate=0.5, low=None, high=None, statement="a < b", qualifier=("stand-in",), reason="since & so",
        controls=(ControlResult("untrained", 0.125, None, None),),
    )  # fmt: skip
    rows = [
        ("claim", "P3a: a &lt; b"), ("verdict", "supported, stand-in"), ("estimate", "0.5000"), ("untrained", "0.1250"),
        ("reason", "since &amp; so"),
    ]  # fmt: skip
    cells_ = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows)
    table = f"<table><caption>P3a-L06-QQ</caption><tbody>{cells_}</tbody></table>"
    assert verdict._repr_html_() == table
    assert "reason" not in replace(verdict, reason=None)._repr_html_()


def test_through_json_with_everything():
    control = ControlResult(
        "untrained", 0.1, 0.4, False, 0.3, 0.5, Specificity.SPECIFIC, "why", ControlKind.SEEDS, 19, 0, 0.05, 54, 53
    )
    verdict = made(
        controls=(control, ControlResult("a", None, None, None)), direction="at_most", kind="count",
        role="family", verdict="INCONCLUSIVE", qualifier=("stand-in",), not_independent_of=("P4",), order=3,
        evidence=Evidence(standard_error=0.1, further={"x": [1]}),
    )  # fmt: skip
    back = verdict_from_dict(json.loads(json.dumps(verdict.to_dict(), allow_nan=False)))
    assert back == verdict
    for name in ("role", "verdict", "direction", "kind"):
        assert type(getattr(back, name)) is type(getattr(verdict, name))
    assert type(back.controls[0].kind) is ControlKind
    assert type(back.controls[0].specificity) is Specificity


@pytest.mark.parametrize(
    ("evidence", "threshold", "kind"),
    [
        (Evidence(), None, Kind.EXACT),
        (Evidence(), 0.4, Kind.INTERVAL),
        (Evidence(profile=[ProfilePoint(0, 0.5, 0.4, 0.6, 54)]), 0.4, Kind.EVERY_LAYER),
        (Evidence(number=0.5), 0.4, Kind.AGAINST_UNTRAINED),
        (Evidence(search=search_record()), 0.4, Kind.SEARCH),
        (Evidence(violations=ViolationRate(0, 59, 0.0, 0.05, 0.95)), 0.4, Kind.COUNT),
    ],
)
def test_files_that_do_not_name_the_kind(evidence, threshold, kind):
    """And neither how a control is compared, nor what a claim depends on."""
    written = made(evidence=evidence, threshold=threshold, controls=(ControlResult("a", 0.1, None, True),)).to_dict()
    del written["kind"], written["not_independent_of"]
    written["controls"] = [{"name": "a", "estimate": 0.1, "difference": None, "passes": True}]
    found = verdict_from_dict(json.loads(json.dumps(written)))
    assert (found.kind, found.not_independent_of) == (kind, ())
    assert (found.controls[0].kind, found.controls[0].specificity) == (ControlKind.PAIRED, None)
