"""Report: the claims of a run on one screen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qkvcheck.claims.claim import EXPLORATORY
from qkvcheck.claims.evidence import Beside, Evidence
from qkvcheck.claims.verdict import ControlResult, Decision
from qkvcheck.record.finding import Finding
from qkvcheck.record.shift import Outcome, Shift
from qkvcheck.report.screen import screen_lines, shown_of
from qkvcheck.report.terminal import colour_of, summary_lines
from tests.made_up import make_run, make_verdict
from tests.report.test_terminal import RUN

WIDTHS = (80, 100, 120)


def make(verdict="SUPPORTED", *, claim="P3a", group="QQ", layer=6, role="decides", estimate=0.51234, **more):
    key = f"{claim}-L{layer:02d}-{group}"
    told = {"verdict": verdict, "role": role, "estimate": estimate, "threshold": 0.4444, "low": 0.46, "high": 0.5567}
    told |= {"statement": f"{claim} says a thing of some length, in words: its formula", "n": 54, "n_distinct": 54}
    return make_verdict(key, **{**told, **more})


def rows_of(findings, *, width=80, **options) -> list[str]:
    return [line.text for line in screen_lines(RUN, findings, width=width, **options)]


def row_of(findings, *, width=80) -> str:
    (row,) = [text for text in rows_of(findings, width=width) if text.startswith(findings[0].verdict.claim)]
    return row


@pytest.mark.parametrize("width", WIDTHS)
def test_a_claim_is_a_line_and_no_line_is_too_long(width):
    """However many cells a claim has; what a terminal would break mid-word is not printed."""
    findings = [
        Finding(make(claim=f"P{number}", group=group, role=role, qualifier=(EXPLORATORY,) if number > 12 else ()))
        for number in range(19)
        for group, role in (("QQ", "decides"), ("KK", "decides"), ("VV", "family"))
    ]
    lines = rows_of(findings, width=width)
    for number in range(19):
        assert sum(line.split()[:1] == [f"P{number}"] for line in lines) == 1
    assert max(map(len, lines)) <= width
    assert len(lines) <= 36
    assert lines.count("exploratory:") == 1


@pytest.mark.parametrize(
    ("width", "numbers"),
    [
        (80, ["QQ", ".512", "[.460,", ".557]", ">.444", ".031", "supported"]),
        (100, ["QQ", "0.5123", "[0.4600,", "0.5567]", ">", "0.4444", "0.0312", "supported"]),
    ],
)
def test_row_holds_estimate_interval_bound_untrained_and_verdict(width, numbers):
    finding = Finding(make(controls=(ControlResult("untrained", 0.03123, 0.5, False),)))
    row = row_of([finding], width=width)
    assert row.split()[-len(numbers) :] == numbers
    assert row.startswith("P3a ")
    assert "formula" not in row


def test_what_looks_like_the_bound_is_told_with_one_digit_more():
    row = row_of([Finding(make(estimate=0.44443, low=0.4, high=0.48))])
    assert ".4444 [.4000, .4800]" in row
    assert ".444 [.400, .480]" in row_of([Finding(make(estimate=0.4444, low=0.4, high=0.48))])


def test_negative_and_whole_numbers_keep_their_sign_and_their_one():
    row = row_of([Finding(make(estimate=-0.0014, low=-1.25, high=1.0))])
    assert "-.001 [-1.250, 1.000]" in row


def test_of_several_deciding_cells_the_one_nearest_to_failing_is_shown():
    alike = {"threshold": 0.9, "direction": "above"}
    q = Finding(make(claim="P5", group="Q", estimate=0.95, **alike))
    k = Finding(make(claim="P5", group="K", estimate=0.92, **alike))
    other = Finding(make("REFUTED", claim="P5", group="V", estimate=0.1, role="family", **alike))
    assert shown_of([q, k, other]) is k
    most = {"threshold": 0.9, "direction": "at_most"}
    q = Finding(make(claim="P5", group="Q", estimate=0.5, **most))
    k = Finding(make(claim="P5", group="K", estimate=0.2, **most))
    assert shown_of([k, q]) is q
    unclear = Finding(make("INCONCLUSIVE", claim="P5", group="V", estimate=0.1, **most))
    assert shown_of([k, unclear, q]) is unclear
    refuted = Finding(make("REFUTED", claim="P5", group="QV", estimate=0.95, **most))
    assert shown_of([k, unclear, refuted]) is refuted
    moved = Finding(make(claim="P5", group="QK", estimate=0.1, **most), "REFUTED", "another verdict than on record")
    assert shown_of([k, unclear, refuted, moved]) is moved
    text = "\n".join(rows_of([k, unclear, refuted]))
    assert "QV+2" in text.split()
    assert "+1: one more cell decides" in text


def test_letters_stand_for_notes_and_only_those_used_are_explained():
    plain = "\n".join(rows_of([Finding(make())]))
    for means in ("untrained networks do it", "other words", "any repeated", "more to know", "on record", "+1:", "[]:"):
        assert means not in plain
    notes = ("stand-in", "also holds untrained", "other words do the same", "any repeated token")
    assert row_of([Finding(make(qualifier=notes))]).endswith("supported uwt")
    assert row_of([Finding(make("REFUTED"), "REFUTED")]).endswith("refuted r")
    assert row_of([Finding(make("INCONCLUSIVE"))]).endswith("open")
    assert row_of([Finding(make("NOT JUDGED", estimate=None, low=None, high=None))]).endswith("not judged")
    assert row_of([Finding(make(), "REFUTED", "moved")]).endswith("CHANGED to supported")
    assert row_of([Finding(make(), "SUPPORTED", "moved")]).endswith("CHANGED, supported")
    assert row_of([Finding(make(), None, "not on record in a.json")]).endswith("NEW, supported")
    flipped = Shift(Decision.REFUTED, Decision.SUPPORTED, Outcome.FLIP)
    assert row_of([Finding(make(), compared=flipped)]).endswith("FLIPPED to supported")
    beyond = Shift(Decision.SUPPORTED, Decision.SUPPORTED, Outcome.BEYOND, margin=0.1)
    assert row_of([Finding(make(), compared=beyond)]).endswith("supported m")
    both = Shift(Decision.REFUTED, Decision.REFUTED, Outcome.SAME)
    assert row_of([Finding(make("REFUTED"), compared=both)]).endswith("refuted r")
    assert row_of([Finding(make(qualifier=("unresolved against different-words",)))]).endswith("supported !")
    assert row_of([Finding(make(lead="about equally common"))]).endswith("supported !")
    warned = Evidence(beside=(Beside("rotations", "hangs on the basis", 0.1, warns=True),))
    assert row_of([Finding(make(evidence=warned))]).endswith("supported !")
    assert row_of([Finding(make(qualifier=(EXPLORATORY,)))]).endswith("supported")
    assert row_of([Finding(make(qualifier=("on SmolLM2-135M",)))]).endswith("supported")
    assert "!: more to know: -v" in "\n".join(rows_of([Finding(make(evidence=warned))]))


def test_colours_are_those_of_the_cells():
    colours = {
        line.text.split()[0]: line.colour
        for line in screen_lines(
            RUN,
            [
                Finding(make(claim="P1", qualifier=())),
                Finding(make("REFUTED", claim="P2")),
                Finding(make("REFUTED", claim="P3"), "REFUTED"),
                Finding(make("INCONCLUSIVE", claim="P4")),
            ],
        )
        if line.text.startswith("P")
    }
    assert colours == {"P1": "green", "P2": "red", "P3": "yellow", "P4": "yellow"}


FAILING = {
    "for the worse": ("REFUTED", Shift(Decision.SUPPORTED, Decision.REFUTED, Outcome.FLIP), "FLIPPED from supported"),
    "for the better": ("SUPPORTED", Shift(Decision.REFUTED, Decision.SUPPORTED, Outcome.FLIP), "FLIPPED from refuted"),
    "to open": (
        "INCONCLUSIVE",
        Shift(Decision.SUPPORTED, Decision.INCONCLUSIVE, Outcome.FLIP),
        "FLIPPED from supported",
    ),
    "to untrained": ("SUPPORTED", Shift(Decision.REFUTED, Decision.SUPPORTED, Outcome.FLIP), "FLIPPED from refuted"),
    "beyond": ("SUPPORTED", Shift(Decision.SUPPORTED, Decision.SUPPORTED, Outcome.BEYOND), "BEYOND the margin"),
}


@pytest.mark.parametrize("case", FAILING)
def test_what_fails_against_a_checkpoint_is_red_whichever_way_it_went(case):
    """In the table of claims, with one line a claim and with one a cell, and in the list of what moved."""
    verdict, shift, told = FAILING[case]
    note = ("also holds untrained",) if case == "to untrained" else ()
    finding = Finding(make(verdict, qualifier=note), compared=shift)
    assert finding.shift_fails(strict=False)
    (row,) = [line for line in screen_lines(RUN, [finding], width=120) if line.text.startswith("P3a")]
    (cell,) = [line for line in summary_lines(RUN, [finding], width=200) if " QQ cosine" in line.text]
    assert (row.colour, cell.colour) == ("red", "red")
    assert cell.text.endswith(f"{verdict.lower()} ({told}){''.join(f', {one}' for one in note)}")
    still = replace(finding, compared=replace(shift, was=Decision(verdict), outcome=Outcome.WITHIN))
    assert colour_of(still) == {"SUPPORTED": "green", "REFUTED": "yellow", "INCONCLUSIVE": "yellow"}[verdict] or note


def test_a_cell_that_flips_is_the_one_shown_of_its_claim():
    tight = Finding(make(claim="P5", group="K", estimate=0.45))
    better = Finding(make(claim="P5", group="Q", estimate=0.9), compared=FAILING["for the better"][1])
    assert shown_of([tight, better]) is better


def test_a_claim_none_of_whose_cells_decides_is_told_in_brackets():
    text = "\n".join(rows_of([Finding(make("REFUTED", role="family"))]))
    assert "[refuted]" in text
    assert "[]: no cell of this run decides" in text


def test_layers_that_differ_stand_in_the_rows():
    both = [Finding(make(claim="A")), Finding(make(claim="B", layer=1))]
    assert "L06 QQ" in row_of(both)
    assert not any(" L06 " in text and "claim" in text for text in rows_of(both))
    assert any(text.split()[:2] == ["claim", "L06"] for text in rows_of(both[:1]))
    heads = [Finding(make(claim="A", head=3))]
    assert "H03 QQ" in row_of(heads)


def test_long_names_give_way_and_stay_whole_where_they_can():
    lines = rows_of([Finding(make(claim="values-tell-givers-apart")), Finding(make(claim="P1"))])
    assert any(line.startswith("values-tell-givers-apart ") for line in lines)
    assert max(map(len, lines)) <= 80
    wide = rows_of([Finding(make(claim="values-move-together")), Finding(make(claim="P1"))], width=84)
    assert any(line.startswith("values-move-together  ") for line in wide)  # few letters of its words tell nothing
    assert any(line.startswith("P1 ") and " P1 says" in line for line in wide)
    longer = rows_of([Finding(make(claim="x" * 60)), Finding(make(claim="P1"))])
    assert max(map(len, longer)) <= 80


def test_gate_and_tally_close_the_screen():
    lines = rows_of([Finding(make())], gate_off="nothing on record")
    assert lines[-1] == "The gate is off: nothing on record. Record the verdicts with --qkv-update=all."
    assert lines[-2].startswith("1 claim: 1 supported")


def test_what_the_run_is_of_is_said_and_activations_of_a_file_too():
    text = "\n".join(rows_of([Finding(make())]))
    said = "embedded (ships with qkvcheck): gpt2, 12 layers, 2.6M parameters, fingerprint 0123456789ab"
    assert said in " ".join(text.split())
    assert "54 (54 distinct) of replication, target ' her', layers 5, 6 (zero-based)" in " ".join(text.split())
    assert "no result about" in text
    plain = make_run(corpus={"name": "mine", "seen": None})
    assert screen_lines(plain, [Finding(make())], width=80)[0].text.startswith("judged ")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_all_cells_breaks_between_its_parts(width):
    """A row longer than the terminal keeps its numbers whole; its verdict goes on below itself or indented."""
    notes = ("stand-in", "other words do the same", "any repeated token", "unresolved against different-words")
    controls = (ControlResult("untrained", 0.21, 0.29, False), ControlResult("different-words", 0.33, 0.17, False))
    finding = Finding(make(qualifier=notes, controls=controls, offset_share=0.976))
    lines = [line.text for line in summary_lines(RUN, [finding], every_cell=True, width=width)]
    assert max(map(len, lines)) <= width
    (row,) = [text for text in lines if text.startswith("       L06 QQ")]
    assert "0.5123 [0.4600, 0.5567]     > 0.4444" in row
    words = " ".join(" ".join(lines).split())
    assert "supported on the stand-in, other words do the same, any repeated token, unresolved against" in words
    assert "0.3300 0.2100 98%" in words


def test_every_layer_is_one_line():
    told = {"kind": "every_layer", "evidence": Evidence(least_at_layer=1)}
    findings = [Finding(make(claim="B4", layer=layer, **told)) for layer in (1, 2)]
    rows = [line for line in rows_of(findings) if line.startswith("B4")]
    assert len(rows) == 1
    assert " all QQ " in rows[0]
