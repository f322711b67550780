"""What a page leads with where a run was held against a checkpoint or its record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qkvcheck.claims.verdict import Decision
from qkvcheck.record.baseline import Baseline, conditions_of
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import Results
from qkvcheck.record.shift import Outcome, Shift
from qkvcheck.report.compared import NAMED, compared_lines, moved_sentences
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
    assert flips.text == "P5 (Q, layer 6) refuted -> supported (0.2500 -> 0.5000)."
    assert beyond.lead.endswith("1 of 3 cells moved beyond the margin:")
    assert beyond.text == "P5 (K, layer 6) 0.2500 -> 0.5000."
    assert flips.fails
    assert beyond.fails


@pytest.mark.parametrize(
    ("outcome", "ends", "says"),
    [
        (Outcome.SAME, (None, None), "no number moved that can be told from no change."),
        (Outcome.MOVED, (None, None), "1 of 1 numbers moved, without a margin."),
        (Outcome.MOVED, (0.1, 0.4), "1 of 1 numbers moved, without a margin."),
        (Outcome.MOVED, (-0.1, 0.6), "no number moved that can be told from no change."),
        (Outcome.WITHIN, (0.1, 0.4), "1 of 1 within their margin."),
        (
            Outcome.OPEN,
            (0.1, 0.4),
            "0 of 1 within their margin, 1 of 1 not settled: the interval reaches over the margin.",
        ),
    ],
)
def test_what_did_not_turn_is_said_too_and_no_margin_where_there_is_none(outcome, ends, says):
    one = found(outcome=outcome)
    (told,) = moved_sentences([replace(one, compared=replace(one.compared, low=ends[0], high=ends[1]))])
    assert not told.fails
    assert told.lead == "Compared with another checkpoint (1 cell):"
    assert told.text == f"no verdict turned; {says}"


def test_a_shift_whose_interval_holds_nothing_is_not_counted_as_moved():
    apart = replace(found(outcome=Outcome.MOVED).compared, low=0.1, high=0.4)
    not_apart = replace(apart, low=-0.1)
    assert apart.text.endswith("no margin")
    assert not_apart.text.endswith("no margin, and the interval holds 0")
    checkpoint = Baseline(Path("then.json"), conditions_of(make_run()), {})
    findings = [Finding(make_verdict(f"P5-L0{n}-Q"), compared=one) for n, one in enumerate((apart, not_apart))]
    lines = [line.text for line in compared_lines(checkpoint, make_run(), findings, failing=())]
    assert "  2 compared: 1 moved, without a margin, 1 not told from no change, 0 cells stay as it was" in lines


def test_a_change_to_the_record_is_named():
    (told,) = moved_sentences([Finding(make_verdict("P5-L06-Q"), Decision.REFUTED, "on record as REFUTED")])
    assert (told.lead, told.text) == ("Not as on record (1):", "P5 (Q, layer 6): on record as REFUTED.")
    assert told.fails


def test_a_run_that_was_held_against_nothing_says_nothing():
    assert moved_sentences([Finding(make_verdict()), Finding(make_verdict("P5-L06-Q"), Decision.SUPPORTED)]) == []


def test_few_are_named_and_the_page_leads_with_them():
    many = [found(f"P5-L{layer:02d}-Q", was="REFUTED", outcome=Outcome.FLIP) for layer in range(NAMED + 2)]
    (told,) = moved_sentences(many)
    assert told.text.endswith("; and 2 more.")
    text = page([Results(make_run(), tuple(many))])
    assert text.index('<strong class="refuted">Since the checkpoint') < text.index('class="forest"')
    assert "P5 (Q, layer 0) refuted -&gt; supported" in text
    assert "Since the checkpoint" not in page([Results(make_run(), (Finding(make_verdict()),))])
