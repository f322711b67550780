"""What a page leads with where a run was held against a checkpoint or its record."""

from __future__ import annotations

import pytest

from qkvcheck.claims.verdict import Decision
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import Results
from qkvcheck.record.shift import Outcome, Shift
from qkvcheck.report.compared import NAMED, moved_sentences
from qkvcheck.report.page import page
from tests.made_up import make_run, make_verdict


def found(key="P5-L06-Q", *, was="SUPPORTED", now="SUPPORTED", outcome=Outcome.SAME, **more):
    shift = Shift(Decision(was), Decision(now), outcome, 0.25, 0.5, 0.25, margin=0.1)
    return Finding(make_verdict(key, verdict=Decision(now)), compared=shift, **more)


FLIPPED = found(was="REFUTED", outcome=Outcome.FLIP)
BEYOND = found("P5-L06-K", outcome=Outcome.BEYOND)


def test_flips_come_first_and_each_says_which_way():
    flips, beyond = moved_sentences([found("P5-L06-V"), BEYOND, FLIPPED])
    assert flips.lead == "Since the checkpoint that it is compared with, 1 of 3 cells turned:"
    assert flips.text == "P5 (Q, layer 6): refuted before, 0.2500 -> 0.5000."
    assert beyond.lead.endswith("1 of 3 cells moved beyond the margin:")
    assert beyond.text == "P5 (K, layer 6): beyond the margin, 0.2500 -> 0.5000."
    assert flips.fails
    assert beyond.fails


@pytest.mark.parametrize("outcome", [Outcome.SAME, Outcome.WITHIN, Outcome.MOVED, Outcome.OPEN])
def test_what_did_not_turn_is_said_too(outcome):
    (told,) = moved_sentences([found(outcome=outcome)])
    assert not told.fails
    assert told.lead == "Compared with another checkpoint (1 cell):"


def test_a_change_to_the_record_is_named():
    (told,) = moved_sentences([Finding(make_verdict("P5-L06-Q"), Decision.REFUTED, "on record as REFUTED")])
    assert (told.lead, told.text) == ("Not as on record (1):", "P5 (Q, layer 6): on record as REFUTED.")
    assert told.fails


def test_a_run_that_was_held_against_nothing_says_nothing():
    assert moved_sentences([Finding(make_verdict()), Finding(make_verdict("P5-L06-Q"), Decision.SUPPORTED)]) == []


def test_few_are_named_and_the_page_leads_with_them():
    many = [found(f"P5-L{layer:02d}-Q", was="REFUTED", outcome=Outcome.FLIP) for layer in range(NAMED + 2)]
    (told,) = moved_sentences(many)
    assert told.text.endswith(" and 2 more.")
    text = page([Results(make_run(), tuple(many))])
    assert text.index('<strong class="refuted">Since the checkpoint') < text.index('class="forest"')
    assert "P5 (Q, layer 0): refuted before" in text
    assert "Since the checkpoint" not in page([Results(make_run(), (Finding(make_verdict()),))])
