"""Curves over layers: whose they are, which points they have, and that a profile is drawn once."""

from __future__ import annotations

import re

import pytest

from qkvcheck.claims.claim import Role
from qkvcheck.claims.evidence import Evidence, ProfilePoint, SeedRange
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import Results
from qkvcheck.report.figures.drawn import figures_of
from qkvcheck.report.page import page
from tests.made_up import make_run, make_verdict, seeds_control


def of_contexts(claim, layer, group="Q", **more):
    told = {"axis": "contexts", "statistic": "stability", "role": Role.OTHER_LAYER, **more}
    return make_verdict(f"{claim}-L{layer:02d}-{group}", **told)


def drawn(*verdicts):
    figures = figures_of(make_run(layers=(6,)), [Finding(verdict) for verdict in verdicts])
    return next((figure for figure in figures if figure.name == "curves"), None)


def test_a_claim_about_contexts_at_three_layers_is_a_curve():
    points = [(4, 0.1), (5, 0.2), (6, 0.3)]
    verdicts = [of_contexts("P7", layer, estimate=e, low=e - 0.1, high=e + 0.1) for layer, e in points]
    verdicts[2] = of_contexts(
        "P7", 6, estimate=0.3, low=0.2, high=0.4, role=Role.DECIDES, controls=(seeds_control(None),)
    )
    figure = drawn(*reversed(verdicts))
    assert figure.header == ("cell", "layer", "estimate", "low", "high", "untrained")
    assert figure.rows == (
        ("P7, Q cosine", 4, 0.1, 0.0, 0.2, None),
        ("P7, Q cosine", 5, 0.2, 0.1, 0.3, None),
        ("P7, Q cosine", 6, 0.3, 0.2, 0.4, 0.1),
    )
    assert "P7, Q cosine 0.10 to 0.30" in figure.alt
    assert figure.wide


def test_a_page_has_its_only_picture_too():
    """Other than histograms, which stand by themselves."""
    verdicts = [of_contexts("P7", layer, estimate=0.1 * layer, low=0, high=1) for layer in (4, 5, 6)]
    text = page([Results(make_run(), tuple(Finding(verdict) for verdict in verdicts))])
    assert re.findall(r'<figure id="([^"]+)">', text) == ["curves"]
    assert ">More pictures</h2>" in text


@pytest.mark.parametrize("change", [
    {"role": Role.FAMILY}, {"axis": "dimensions"}, {"estimate": None, "low": None, "high": None}, {"head": 2},
    {"kind": "count"},
])  # fmt: skip
def test_other_cells_are_none(change):
    assert drawn(*(of_contexts("P7", layer, **change) for layer in (4, 5, 6))) is None


def test_two_layers_are_no_curve():
    assert drawn(*(of_contexts("P7", layer) for layer in (5, 6))) is None


def test_a_profile_is_drawn_once_without_the_layers_that_are_not_judged():
    profile = [
        ProfilePoint(0, None, None, None, 4, "too few"),
        *(ProfilePoint(n, 0.1 * n, 0.0, 1.0, 54, untrained=SeedRange(0.7, 0.6, 0.8)) for n in (1, 2, 3)),
    ]
    told = {"kind": "every_layer", "evidence": Evidence(profile=profile, least_at_layer=1), "measure": "pearson"}
    figure = drawn(*(of_contexts("B20", layer, group, **told) for layer in (5, 6) for group in "QK"))
    assert [row[:2] for row in figure.rows] == [(f"B20, {g} pearson", n) for g in "QK" for n in (1, 2, 3)]
    assert figure.rows[1] == ("B20, Q pearson", 2, 0.2, 0.0, 1.0, 0.7)


def test_no_more_panels_than_a_page_bears():
    verdicts = [of_contexts(f"X{n:02d}", layer, order=n) for n in range(12) for layer in (4, 5, 6)]
    figure = drawn(*verdicts)
    assert len(figure.rows) == 27
    assert "3 more are in the table" in figure.caption
