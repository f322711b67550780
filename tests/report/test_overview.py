"""The overview: no stronger than the verdicts, and what training changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qkvcheck.claims.evidence import Evidence
from qkvcheck.claims.verdict import ControlResult
from qkvcheck.record.finding import Finding
from qkvcheck.report.overview import (
    ALSO_RANDOM,
    BY_CONSTRUCTION,
    NOT_BETTER,
    OF_TRAINING,
    TRAINING_OPEN,
    contrast_sentences,
    lead_sentence,
    learned_sentence,
    standings,
)
from qkvcheck.report.sentences import poles_sentence
from tests.made_up import make_verdict, seeds_control


@pytest.mark.parametrize(
    ("fields", "remark", "learned"),
    [
        ({"controls": (seeds_control("specific"),)}, OF_TRAINING, "Supported beyond what random weights do: P3a."),
        ({"controls": (seeds_control("unresolved"),)}, TRAINING_OPEN, "No claim about the model as a whole is shown"),
        ({"controls": ()}, TRAINING_OPEN, "No claim about the model as a whole is shown"),
        ({"qualifier": ("not specific to training",)}, NOT_BETTER, "No claim about the model as a whole is shown"),
        ({"qualifier": ("also holds untrained",)}, ALSO_RANDOM, "No claim about the model as a whole is shown"),
        ({"threshold": None, "direction": "exact"}, BY_CONSTRUCTION, "No claim about the model as a whole is shown"),
    ],
)
def test_overview_says_what_the_controls_leave(fields, remark, learned):
    found = standings({"P3a": [Finding(make_verdict(**fields))]})
    assert [(entry.claims, entry.remark) for entry in found] == [(("P3a",), remark)]
    assert learned_sentence(found).startswith(learned)


def test_overview_takes_the_weakest_of_the_cells_that_decide():
    cells = [
        make_verdict("P3a-L06-QQ", controls=(seeds_control("specific"),)),
        make_verdict("P3a-L06-KK", controls=(seeds_control("unresolved"),)),
    ]
    assert standings({"P3a": [Finding(cell) for cell in cells]})[0].remark == TRAINING_OPEN


def test_overview_sorts_and_counts():
    claims = {
        name: [Finding(make_verdict(f"{name}-L06-QQ", verdict=verdict, qualifier=qualifier, role=role, **further))]
        for name, verdict, qualifier, role, further in (
            ("A", "REFUTED", (), "decides", {}),
            ("B", "SUPPORTED", (), "decides", {}),
            ("C", "REFUTED", (), "decides", {}),
            ("D", "INCONCLUSIVE", ("exploratory",), "decides", {}),
            ("E", "REFUTED", (), "family", {}),
            ("F", "SUPPORTED", (), "decides", {"threshold": None, "direction": "exact"}),
        )
    }
    found = standings(claims)
    assert [(entry.verdict, entry.claims, entry.exploratory) for entry in found] == [
        ("SUPPORTED", ("B",), False),
        ("REFUTED", ("A", "C"), False),
        ("SUPPORTED", ("F",), False),
        ("INCONCLUSIVE", ("D",), True),
    ]
    assert lead_sentence(found) == (
        "4 claims: 2 supported (1 open whether by training, 1 about the measurement itself), 2 refuted. "
        "1 exploratory claim: 1 inconclusive"
    )
    assert lead_sentence(standings({})) == "No claim was decided"


def untrained(specificity, *, passes):
    return ControlResult(
        "untrained", 0.5, -0.1, passes, -0.2, -0.1, specificity, kind="seeds", seeds=19, passing=19 if passes else 0
    )


def test_contrasts_tell_what_training_changed_in_claims_that_do_not_hold():
    claims = {
        "A": [Finding(make_verdict("A-L06-QQ", verdict="REFUTED", controls=(untrained("reversed", passes=True),)))],
        "B": [
            Finding(make_verdict("B-L06-QQ", verdict="REFUTED", controls=(untrained("reversed", passes=False),))),
            Finding(make_verdict("B-L06-KK", verdict="REFUTED", controls=(untrained("unresolved", passes=True),))),
        ],
        "C": [
            Finding(make_verdict("C-L06-QQ", verdict="INCONCLUSIVE", controls=(untrained("unresolved", passes=True),))),
            Finding(make_verdict("C-L06-KK", controls=(untrained("specific", passes=False),))),
        ],
        "D": [Finding(make_verdict("D-L06-QQ", controls=(untrained("reversed", passes=True),)))],
        "E": [
            Finding(
                make_verdict(
                    "E-L06-QQ",
                    verdict="REFUTED",
                    controls=(untrained("reversed", passes=None),),
                    kind="against_untrained",
                    evidence=Evidence(number=0.4),
                )
            )
        ],
    }
    assert contrast_sentences(claims) == [
        "Refuted here, but met by most networks with random weights: A.",
        "Networks with random weights come closer to these, by more than the margin: A.",
        "Supported in part, and in that part beyond random weights: C in K-K.",
    ]
    assert contrast_sentences({}) == []


def test_one_network_with_random_weights_is_not_told_as_most_of_them():
    control = ControlResult("untrained", 0.5, -0.1, True, kind="seeds", seeds=1, passing=1)
    refuted = Finding(make_verdict(verdict="REFUTED", plug_in=0.4, controls=(control,), offset_share=0.7))
    told = "Refuted here, but met by the one network with random weights: P3a."
    assert contrast_sentences({"P3a": [refuted]}) == [told]
    evidence = Evidence(histograms={"untrained": [2, 1, 1, 1, 1, 2, 1, 1]})
    told = poles_sentence([Finding(replace(refuted.verdict, evidence=evidence))])
    assert "One network with random weights has 0.5000, more than any single peak allows; it has 30%" in told
