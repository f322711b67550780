"""Words of a report: no stronger than the verdicts, and each number beside the one it belongs to."""

from __future__ import annotations

import pytest

from qkvcheck.baseline import Finding
from qkvcheck.measurement import STATISTICS
from qkvcheck.overview import (
    ALSO_RANDOM,
    BY_CONSTRUCTION,
    NOT_BETTER,
    OF_TRAINING,
    TRAINING_OPEN,
    lead_sentence,
    learned_sentence,
    standings,
)
from qkvcheck.similarity import MEASURES
from qkvcheck.verdicts import ControlResult
from qkvcheck.wording import LEADS, STATISTIC_WORDS, claim_sentences, poles_sentence, statistic_words

from .made_up import make_verdict

WORDS = {
    "SUPPORTED": "Supported at layer 6, Q-Q: the variance of the cosines is 0.5000 (95% interval 0.4600 to 0.5400)",
    "REFUTED": "Refuted at layer 6",
    "INCONCLUSIVE": "Inconclusive at layer 6",
    "NOT JUDGED": "Not judged at layer 6",
}


def words_of(*findings: Finding) -> str:
    return " ".join(" ".join([sentence, *beside]) for sentence, beside in claim_sentences(findings))


@pytest.mark.parametrize("verdict", list(WORDS))
def test_words_are_no_stronger_than_the_verdict(verdict):
    reason = "too few contexts" if verdict == "NOT JUDGED" else None
    told = words_of(Finding(make_verdict(verdict=verdict, reason=reason)))
    assert told.startswith(WORDS[verdict])
    others = set(LEADS.values()) - {WORDS[verdict].split(" at ")[0]}
    assert not any(word in told for word in others)
    assert "prove" not in told


@pytest.mark.parametrize(
    ("specificity", "qualifier", "said", "unsaid"),
    [
        (
            "specific",
            (),
            "training raised it (difference +0.1000, 95% interval +0.0600 to +0.1400)",
            "without training",
        ),
        ("equivalent", (), "no difference of 0.05 or more", "raised"),
        ("not specific", (), "the trained network does not meet the claim better by 0.05 or more", "raised"),
        ("reversed", (), "training raised it", "open"),
        ("unresolved", (), "whether the trained network meets the claim better by 0.05 or more is open", "raised"),
        ("unresolved", ("also holds untrained",), "the claim holds without training", "raised"),
        (None, (), "19 untrained networks have 0.4000 on average.", "raised"),
    ],
)
def test_words_of_the_untrained_control(specificity, qualifier, said, unsaid):
    control = ControlResult("untrained", 0.4, 0.1, False, 0.06, 0.14, specificity, kind="seeds", seeds=19, passing=0)
    told = words_of(Finding(make_verdict(controls=(control,), qualifier=qualifier)))
    assert said in told
    assert unsaid not in told


def test_a_difference_from_seeds_stands_beside_the_number_it_is_the_difference_of():
    control = ControlResult("untrained", 0.4, 0.12, False, 0.06, 0.18, "specific", kind="seeds", seeds=19, passing=0)
    told = words_of(Finding(make_verdict(plug_in=0.52, controls=(control,))))
    assert "0.4000 on average, the trained one, uncorrected, 0.5200: training raised it (difference +0.1200" in told
    assert "uncorrected" not in words_of(Finding(make_verdict(plug_in=0.5, controls=(control,))))


def test_every_cell_that_decides_has_its_own_controls():
    cells = [
        make_verdict(f"P5-L06-{block}", controls=(ControlResult("different-words", number, 0.1, False),))
        for block, number in (("Q", 0.125), ("K", 0.25))
    ]
    told = claim_sentences([Finding(cell) for cell in cells])
    assert [beside for _, beside in told] == [
        ["Other words in the target's place have 0.1250."],
        ["Other words in the target's place have 0.2500."],
    ]


def test_a_profile_names_the_layer_of_its_number():
    verdict = make_verdict("B4-L06-QQ", evidence={"profile": [], "least_at_layer": 8})
    assert words_of(Finding(verdict)).startswith(
        "Supported over all layers, Q-Q: the variance of the cosines at layer 8 is 0.5000"
    )


@pytest.mark.parametrize("name", sorted(STATISTICS))
@pytest.mark.parametrize("measure", MEASURES)
def test_every_statistic_has_words(name, measure):
    told = statistic_words(make_verdict(statistic=name, measure=measure))
    assert "{" not in told
    assert "_" not in told
    assert name in STATISTIC_WORDS


def test_own_statistics_keep_their_name():
    assert statistic_words(make_verdict(statistic="my_number", measure="angle")) == "my number (angle)"


def seeds_control(specificity):
    return ControlResult("untrained", 0.1, 0.4, False, 0.3, 0.5, specificity, kind="seeds", seeds=19, passing=0)


@pytest.mark.parametrize(
    ("fields", "remark", "learned"),
    [
        ({"controls": (seeds_control("specific"),)}, OF_TRAINING, "Supported beyond what random weights do: P3a."),
        ({"controls": (seeds_control("unresolved"),)}, TRAINING_OPEN, "Of the claims about the model none is shown"),
        ({"controls": ()}, TRAINING_OPEN, "Of the claims about the model none is shown"),
        ({"qualifier": ("not specific to training",)}, NOT_BETTER, "Of the claims about the model none is shown"),
        ({"qualifier": ("also holds untrained",)}, ALSO_RANDOM, "Of the claims about the model none is shown"),
        ({"threshold": None, "direction": "exact"}, BY_CONSTRUCTION, "Of the claims about the model none is shown"),
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
        name: [Finding(make_verdict(f"{name}-L06-QQ", verdict=verdict, qualifier=qualifier, role=role))]
        for name, verdict, qualifier, role in (
            ("A", "REFUTED", (), "decides"),
            ("B", "SUPPORTED", (), "decides"),
            ("C", "REFUTED", (), "decides"),
            ("D", "INCONCLUSIVE", ("exploratory",), "decides"),
            ("E", "REFUTED", (), "family"),
        )
    }
    found = standings(claims)
    assert [(entry.verdict, entry.claims, entry.exploratory) for entry in found] == [
        ("SUPPORTED", ("B",), False),
        ("REFUTED", ("A", "C"), False),
        ("INCONCLUSIVE", ("D",), True),
    ]
    assert lead_sentence(found) == "3 claims: 1 supported, 2 refuted. 1 exploratory claim: 1 inconclusive"
    assert lead_sentence(standings({})) == "No claim was decided"


@pytest.mark.parametrize(
    ("specificity", "said"),
    [
        ("specific", "this network has more of two poles than random weights give"),
        ("reversed", "random weights give more of two poles than this network has"),
        ("equivalent", "random weights give as much of two poles"),
        ("not specific", "no sign that training made more of two poles"),
        ("unresolved", "is open"),
        (None, "mean offset."),
    ],
)
def test_poles_sentence_says_no_more_of_training_than_was_shown(specificity, said):
    verdict = make_verdict(plug_in=0.5, controls=(seeds_control(specificity),), offset_share=0.7)
    told = poles_sentence([Finding(verdict)])
    assert told is not None
    last = told.split("; 70% of ")[1]
    assert said in last
    assert ("poles" in last) == (specificity is not None)


def test_poles_sentence_has_the_run_s_own_numbers():
    evidence = {"share_low": 0.21, "share_high": 0.34}
    deciding = make_verdict(
        plug_in=0.5171, controls=(seeds_control("specific"),), offset_share=0.7, evidence=evidence, low=0.4
    )
    told = poles_sentence([Finding(make_verdict("P4-L06-QQ", statistic="mean_absolute")), Finding(deciding)])
    assert told is not None
    assert "P3a at layer 6, Q-Q: 21% of the pairs are below -0.5 and 34% above 0.5" in told
    assert "0.5171 on these contexts, where networks with random weights have 0.1000 on average; 70%" in told
    assert poles_sentence([Finding(make_verdict())]) is None
