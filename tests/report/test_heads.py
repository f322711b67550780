"""Several heads of a claim in one line, one sentence, one row and one figure; none of them louder than its verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qkvcheck.claims.evidence import Evidence, HeadFamily
from qkvcheck.claims.verdict import ControlResult, Decision
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import Results
from qkvcheck.record.shift import Outcome, Shift
from qkvcheck.report.explain import explain_lines
from qkvcheck.report.figures.drawn import figures_of
from qkvcheck.report.figures.picture import carrying
from qkvcheck.report.heads import family_label, head_families, reason_lines, spread_sentence, spread_text
from qkvcheck.report.page import page
from qkvcheck.report.sentences import claim_sentences
from qkvcheck.report.tally import decision
from qkvcheck.report.terminal import summary_lines
from qkvcheck.report.texts import failure_text, properties_of
from tests.made_up import distribution, make_run, make_verdict


def found(head: int, estimate: float | None, *, claim="M", group="K", change=None, recorded=None, **more) -> Finding:
    """A finding of one head; it is supported above 0.5."""
    held = estimate is not None and estimate > 0.5
    reads = {"Q": head, "K": head // 3, "V": head // 3}
    verdict = replace(
        make_verdict(
            f"{claim}-L06-{group}", estimate=estimate, threshold=0.5, statistic="row_mean", axis="contexts",
            low=None if estimate is None else estimate - 0.02, high=None if estimate is None else estimate + 0.02,
            verdict=Decision.SUPPORTED if held else Decision.REFUTED,
            evidence=Evidence(heads=HeadFamily(9, "simultaneous over 9 heads", reads)),
        ),
        key=f"{claim}-L06.H{head:02d}-{group}", head=head, **more,
    )  # fmt: skip
    return Finding(verdict, recorded, change)


NINE = [found(head, 0.6 + 0.03 * head) for head in range(8)] + [found(8, 0.3)]


def lines(findings, **options) -> list[str]:
    return [line.text for line in summary_lines(make_run(), findings, **options)]


def test_nine_heads_are_one_line():
    (line,) = [text for text in lines(NINE) if " heads " in text and "L06" in text]
    assert "L06 9 heads K cosine  0.300 H08 0.690 0.810 H07   > 0.5000" in line
    assert line.endswith("1 refuted (H08), 8 supported")
    assert not any("H03" in text for text in lines(NINE))


def test_each_head_has_a_line_when_asked():
    shown = [text for text in lines(NINE, every_cell=True) if "L06.H" in text]
    assert [text.split()[0] for text in shown] == [f"L06.H{head:02d}" for head in range(9)]


def test_one_head_alone_is_named():
    (line,) = [text for text in lines(NINE[3:4]) if "L06" in text]
    assert line.split()[:4] == ["L06.H03", "K", "cosine", "0.6900"]


def test_the_colour_is_that_of_the_worst_head():
    def colour(findings) -> str:
        return next(one.colour for one in summary_lines(make_run(), findings) if "L06 " in one.text)

    assert colour(NINE) == "red"
    assert colour(NINE[:8]) == "green"
    assert colour([*NINE[:7], found(7, 0.4, recorded=Decision.REFUTED)]) == "yellow"


def test_a_claim_about_heads_holds_if_it_does_in_all_of_them():
    assert decision(NINE) == Decision.REFUTED
    assert decision(NINE[:8]) == Decision.SUPPORTED
    assert "0 supported, 1 refuted" in lines(NINE)[-1]


def test_families_are_heads_of_one_cell():
    other = [found(head, 0.7, group="Q") for head in (1, 0)]
    plain = Finding(make_verdict("M-L06-K"))
    families = head_families([*NINE, *other, plain])
    assert [len(family) for family in families] == [9, 2, 1]
    assert [finding.verdict.head for finding in families[1]] == [0, 1]


def test_what_differs_between_heads_is_counted():
    some = [replace(f, verdict=replace(f.verdict, qualifier=("also holds untrained",))) for f in NINE[:2]]
    assert family_label([*some, *NINE[2:8]]) == "supported, also holds untrained (2)"
    assert family_label([found(0, 0.3), found(1, 0.3)]) == "refuted"
    recorded = [found(0, 0.3, recorded=Decision.REFUTED), found(1, 0.3)]
    assert family_label(recorded) == "refuted (1 of the refuted recorded)"
    moved = [found(0, 0.7), found(1, 0.7, change="moved")]
    assert family_label(moved) == "supported (CHANGED: H01)"
    better = replace(NINE[3], compared=Shift(Decision.REFUTED, Decision.SUPPORTED, Outcome.FLIP))
    assert family_label([*NINE[:3], better]) == "supported (FLIPPED: H03)"
    (line,) = [one for one in summary_lines(make_run(), [*NINE[:3], better]) if " 4 heads " in one.text]
    assert line.colour == "red"
    many = [found(head, 0.3) for head in range(6)] + [found(head, 0.7) for head in range(6, 30)]
    assert family_label(many) == "6 refuted (H00 H01 H02 H03 and 2 more), 24 supported"


def test_numbers_are_those_of_the_heads():
    assert spread_text(NINE) == "0.300 H08 0.690 0.810 H07"
    assert spread_sentence(NINE) == "from 0.3000 (head 8) to 0.8100 (head 7), median 0.6900"
    assert spread_text([found(0, None), found(1, 0.7)]) == "0.700 H01 0.700 0.700 H01"
    assert spread_text([found(0, None)]) == "-"


def test_reasons_are_told_once_and_open_heads_together():
    same = [replace(f, verdict=replace(f.verdict, reason="too few")) for f in NINE[:3]]
    assert reason_lines(same) == ["H00 H01 H02: too few"]
    open_ones = [
        replace(f, verdict=replace(f.verdict, n_needed=100 * (number + 1))) for number, f in enumerate(NINE[:3])
    ]
    assert reason_lines([*open_ones, *NINE[3:]]) == [
        "M is open at layer 6, K, in 3 of 9 heads: some 100 (H00) to 300 (H02) distinct contexts would just settle "
        "them, if nothing moves"
    ]
    different = [replace(f, verdict=replace(f.verdict, reason=f"why {f.verdict.head}")) for f in NINE]
    assert reason_lines(different)[-1] == "and 5 more reasons of other heads (-v)"


def test_the_page_has_one_sentence_one_row_and_every_cell():
    untrained = ControlResult("untrained", 0.2, 0.1, passes=False, kind="seeds", seeds=19, passing=0)
    nine = [replace(f, verdict=replace(f.verdict, controls=(untrained,))) for f in NINE]
    (told,) = claim_sentences(nine)
    assert told[0] == (
        "In 9 heads at layer 6, K: 1 refuted (H08), 8 supported. The mean cosine between contexts is from 0.3000 "
        "(head 8) to 0.8100 (head 7), median 0.6900 (intervals hold for 9 heads at once); the claim asks for more "
        "than 0.5 in each."
    )
    assert told[1] == [
        "Networks with random weights have 0.2000 in the median of the same heads, and meet the claim in 0 of 9."
    ]
    text = page([Results(make_run(), tuple(nine))])
    assert "M-L06-K in 9 heads" in text
    assert "K 9 heads</td>" in text
    assert "0.6900 (0.3000 to 0.8100)</td>" in text
    assert "0.2000 to 0.2000</td>" in text
    assert all(f"M-L06.H{head:02d}-K" in text for head in range(9))


def test_a_threshold_of_zero_is_told():
    zero = [replace(f, verdict=replace(f.verdict, threshold=0.0)) for f in NINE]
    assert "the claim asks for more than 0 in each" in claim_sentences(zero)[0][0]


def test_one_head_in_words_and_for_junit():
    finding, run = NINE[7], make_run()
    assert claim_sentences([finding])[0][0].startswith("Supported at layer 6, head 7, K: the mean cosine")
    assert "7 (zero-based), which reads K head 2 and V head 2; interval simultaneous over 9 heads" in failure_text(
        finding, run
    )
    assert any("which reads K head 2 and V head 2" in line for line in explain_lines(finding, run))
    assert properties_of(finding)[0][0] == "qkvcheck.verdict"
    assert properties_of(finding, by_head=True)[0][0] == "qkvcheck.H07.verdict"


def test_the_figure_has_each_head_with_its_interval():
    figures = {figure.name: figure for figure in figures_of(make_run(), NINE)}
    figure = figures["heads-6"]
    assert figure.header == ("cell", "head", "estimate", "low", "high", "untrained", "verdict")
    assert [row[1] for row in figure.rows] == list(range(9))
    assert figure.rows[8] == ("M, K cosine", 8, 0.3, pytest.approx(0.28), pytest.approx(0.32), None, "refuted")
    assert "From the least to the largest: M, K cosine 0.30 to 0.81" in figure.alt
    assert "heads-6" not in {figure.name for figure in figures_of(make_run(), NINE[:1])}


def test_pictures_of_all_of_the_width_are_of_no_head():
    shape = distribution()
    whole = make_verdict("Z-L06-QQ", evidence=Evidence(distribution=shape))
    head = replace(make_verdict("A-L06-QQ", evidence=Evidence(distribution=shape)), key="A-L06.H00-QQ", head=0)
    assert carrying([head, whole], "distribution", "cosine")["QQ"].claim == "Z"
    assert carrying([head], "distribution", "cosine") == {}


def test_heads_of_two_models_are_compared_head_by_head():
    text = page([Results(make_run(), tuple(NINE)), Results(make_run(model={"spec": "other"}), tuple(NINE[:3]))])
    assert "head 02 K cosine" in text
