"""Words of a report: no stronger than the verdicts, and each number beside the one it belongs to."""

from __future__ import annotations

import pytest

from qkvcheck.claims.evidence import Evidence
from qkvcheck.claims.verdict import ControlResult
from qkvcheck.record.finding import Finding
from qkvcheck.report.sentences import LEADS, claim_sentences, poles_sentence
from tests.made_up import distribution, make_verdict, seeds_control

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
            "in this network it is higher (difference +0.1000, 95% interval +0.0600 to +0.1400)",
            "without training",
        ),
        ("equivalent", (), "alike, no difference of 0.05 or more", "higher"),
        ("not specific", (), "this network does not meet the claim better by 0.05 or more", "higher"),
        ("reversed", (), "in this network it is higher", "open"),
        ("unresolved", (), "open whether this network meets the claim better by 0.05 or more", "higher"),
        ("unresolved", ("also holds untrained",), "that it holds is no sign of training", "higher"),
        (None, (), "19 untrained networks have 0.4000 on average (none of them meets the claim).", "higher"),
    ],
)
def test_words_of_the_untrained_control(specificity, qualifier, said, unsaid):
    control = ControlResult("untrained", 0.4, 0.1, False, 0.06, 0.14, specificity, kind="seeds", seeds=19, passing=0)
    told = words_of(Finding(make_verdict(controls=(control,), qualifier=qualifier)))
    assert said in told
    assert unsaid not in told


def test_what_was_not_tested_is_told():
    one = ControlResult("untrained", 0.1, 0.4, False, kind="seeds", seeds=1, passing=0,
                        reason="1 untrained seed(s); specificity needs 19")  # fmt: skip
    told = words_of(Finding(make_verdict(controls=(one,), qualifier=("training not tested",))))
    assert "Whether training made it is not tested: that takes 19 untrained networks." in told
    words = ControlResult("different-words", 0.49, 0.01, True, -0.01, 0.03, "equivalent")
    same = make_verdict(controls=(words,), qualifier=("other words do the same",))
    assert words_of(Finding(same)).endswith("So other words do the same.")
    assert "do the same" not in words_of(Finding(make_verdict(controls=(words,))))


def test_a_difference_from_seeds_stands_beside_the_number_it_is_the_difference_of():
    control = ControlResult("untrained", 0.4, 0.12, False, 0.06, 0.18, "specific", kind="seeds", seeds=19, passing=0)
    told = words_of(Finding(make_verdict(plug_in=0.52, controls=(control,))))
    assert "the claim); this network, uncorrected, has 0.5200: in this network it is higher (difference +0.12" in told
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
    verdict = make_verdict("B4-L06-QQ", kind="every_layer", evidence=Evidence(profile=[], least_at_layer=8))
    assert words_of(Finding(verdict)).startswith(
        "Supported over all layers, Q-Q: the variance of the cosines at layer 8 is 0.5000"
    )


@pytest.mark.parametrize(
    ("passing", "seeds", "said"),
    [
        (0, 19, "(none of them meets the claim)"),
        (1, 19, "(1 of them meets the claim)"),
        (18, 19, "(18 of them meet the claim)"),
        (19, 19, "(all of them meet the claim)"),
        (1, 1, ", which meets the claim"),
        (0, 1, ", which misses the claim"),
        (None, 19, "0.4000 on average."),
    ],
)
def test_words_tell_how_many_untrained_networks_meet_the_claim(passing, seeds, said):
    control = ControlResult("untrained", 0.4, 0.1, passing == seeds, kind="seeds", seeds=seeds, passing=passing)
    assert said in words_of(Finding(make_verdict(controls=(control,))))


@pytest.mark.parametrize(
    ("estimate", "direction", "side"),
    [(0.5, "above", "for"), (0.4, "above", "against"), (0.5, "at_most", "against"), (0.4, "at_most", "for")],
)
def test_words_tell_which_way_more_contexts_would_settle_it(estimate, direction, side):
    verdict = make_verdict(verdict="INCONCLUSIVE", estimate=estimate, direction=direction, n_needed=78_000)
    told = words_of(Finding(verdict))
    assert f"some 78,000 distinct contexts would just settle it, {side} the claim, if the estimate stays" in told


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"statistic": "variance_difference", "high": -0.18}, True),
        ({"statistic": "variance_difference", "high": 0.01}, False),
        ({"statistic": "variance_difference", "high": -0.18, "direction": "at_most"}, False),
        ({"statistic": "variance", "high": -0.18}, False),
        ({"statistic": "variance", "high": -0.18, "kind": "against_untrained", "evidence": Evidence(number=0.2)}, True),
    ],
)
def test_words_tell_of_a_difference_the_other_way_round(fields, said):
    told = words_of(Finding(make_verdict(**{"verdict": "REFUTED", "direction": "at_least", **fields})))
    assert ("the other way round" in told) is said


@pytest.mark.parametrize(
    ("specificity", "said"),
    [
        ("specific", "this network has more of two poles than random weights give"),
        ("reversed", "random weights give more of two poles than this network has"),
        ("equivalent", "random weights give as much of two poles"),
        ("not specific", "no sign that this network has more of two poles"),
        ("unresolved", "is open"),
        (None, "mean offset."),
    ],
)
def test_poles_sentence_says_no_more_of_training_than_was_shown(specificity, said):
    verdict = make_verdict(plug_in=0.5, controls=(seeds_control(specificity),), offset_share=0.7)
    told = poles_sentence([Finding(verdict)])
    assert told is not None
    assert said in told
    assert ("poles" in told) == (specificity is not None)


@pytest.mark.parametrize(
    ("variance", "said"),
    [
        (0.2, "less than a flat"),
        (0.4, "more than a flat histogram has, or a single"),
        (0.45, "more than any single peak"),
    ],
)
def test_poles_sentence_says_no_more_of_the_shape_than_its_variance_does(variance, said):
    told = poles_sentence(
        [Finding(make_verdict(plug_in=variance, controls=(seeds_control("reversed"),), offset_share=0.7))]
    )
    assert f"is {variance:.4f} (uncorrected), {said}" in told


def test_poles_sentence_has_the_run_s_own_numbers():
    evidence = Evidence(
        distribution=distribution(low=0.21, high=0.34), histograms={"untrained": [2, 1, 1, 1, 1, 2, 1, 1]}
    )
    deciding = make_verdict(
        plug_in=0.5171, controls=(seeds_control("specific"),), offset_share=0.7, evidence=evidence, low=0.4
    )
    told = poles_sentence([Finding(make_verdict("P4-L06-QQ", statistic="mean_absolute")), Finding(deciding)])
    assert told is not None
    assert "P3a at layer 6, Q-Q: 21% of the pairs are below -0.5 and 34% above 0.5; the variance" in told
    assert "Networks with random weights have 0.1000 on average, less than a flat histogram has; the first of" in told
    assert "them has 30% of the pairs below -0.5 and 20% above 0.5. So this network has more of two poles" in told
    assert told.endswith("Of this network's mean squared cosine 70% is mean offset.")
    assert poles_sentence([Finding(make_verdict())]) is None
