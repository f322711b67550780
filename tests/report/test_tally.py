"""Tally: how many claims stand how, the paper's own first, and the same in terminal, page, explain and README."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from qkvcheck.claims import Decision, Tag, cells, load_claims
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import Results
from qkvcheck.report.explain import explain_lines
from qkvcheck.report.page import page
from qkvcheck.report.page_claims import page_claim
from qkvcheck.report.tally import is_tagged, tally, tally_sentences
from qkvcheck.report.terminal import WIDTH, quiet_lines, summary_lines
from tests.conftest import ROOT
from tests.made_up import make_run, make_verdict

RUN = make_run(model={"called": "SmolLM2-135M"})
PLACES = {"P5": ("Q", "paper"), "P3a": ("QQ", "reading"), "P3b": ("QQ", "reading"), "P6n": ("QQ", "extension"),
          "P9": ("QKV", "extension"), "P1": ("QKV", "measurement"), "B1": ("QQ", "extension")}  # fmt: skip
STANDS = {"P5": "SUPPORTED", "P3a": "REFUTED", "P3b": "INCONCLUSIVE", "P6n": "SUPPORTED", "P9": "NOT JUDGED",
          "P1": "SUPPORTED", "B1": "SUPPORTED"}  # fmt: skip


def finding(claim: str, **fields) -> Finding:
    group, tag = PLACES[claim]
    qualifier = ("exploratory",) if claim.startswith("B") else ()
    told = {"verdict": STANDS[claim], "tag": Tag(tag), "qualifier": qualifier, **fields}
    return Finding(make_verdict(f"{claim}-L06-{group}", **told))


EVERY = [finding(claim) for claim in PLACES]


def test_the_papers_own_claims_come_first():
    assert tally_sentences(RUN, EVERY) == [
        "Of the paper's own 3 claims on SmolLM2-135M: 1 supported, 1 refuted, 1 inconclusive",
        "Supported: paper 1 of 1, reading 0 of 2 (1 open), extension 1 of 2 (1 not judged), measurement 1 of 1, "
        "exploratory 1 of 1",
    ]
    assert tally(RUN, EVERY) == ". ".join(tally_sentences(RUN, EVERY))


def test_what_holds_untrained_is_told_of_the_papers_own_alone():
    also = [finding("P5", qualifier=("also holds untrained",)), finding("P6n", qualifier=("also holds untrained",))]
    assert tally_sentences(make_run(), also)[0] == "Of the paper's own 1 claim: 1 supported (1 also untrained)"


def test_a_cell_beside_the_claim_counts_nothing():
    beside = [finding("P3a"), finding("P5", role="beside")]
    assert tally_sentences(make_run(), beside) == [
        "Of the paper's own 1 claim: 0 supported, 1 refuted", "Supported: reading 0 of 1",
    ]  # fmt: skip
    assert tally_sentences(make_run(), [finding("P1")]) == ["Supported: measurement 1 of 1"]
    without = [finding("P1"), finding("P3a", tag=None)]
    assert tally_sentences(make_run(), without) == ["Supported: measurement 1 of 1, without tag 0 of 1"]


def test_without_tags_it_is_as_it_was():
    plain = [replace(one, verdict=replace(one.verdict, tag=None)) for one in EVERY]
    assert not is_tagged(plain)
    want = (
        "6 claims: 3 supported on SmolLM2-135M, 1 refuted on SmolLM2-135M, 1 inconclusive on SmolLM2-135M, 1 not "
        "judged. Beside them 1 exploratory claim: 1 supported on SmolLM2-135M, 0 refuted on SmolLM2-135M"
    )
    assert tally(RUN, plain) == want
    assert [line.text for line in quiet_lines(RUN, plain)] == [f"qkvcheck: m: {want}"]
    assert summary_lines(RUN, plain)[-1].text == want


def test_it_is_the_last_line_and_wraps():
    lines = summary_lines(RUN, EVERY)
    assert [line.text for line in lines[-3:-1]] == [
        "Of the paper's own 3 claims on SmolLM2-135M: 1 supported, 1 refuted, 1 inconclusive",
        "Supported: paper 1 of 1, reading 0 of 2 (1 open), extension 1 of 2 (1 not judged), measurement 1 of 1,",
    ]
    assert lines[-1].text == "  exploratory 1 of 1"
    quiet = [line.text for line in quiet_lines(RUN, EVERY, gate_off="nothing here")]
    assert max(map(len, quiet)) <= WIDTH
    assert (
        " ".join(line.strip() for line in quiet) == f"qkvcheck: m: {tally(RUN, EVERY)}; the gate is off (nothing here)"
    )
    long = replace(RUN, origin=replace(RUN.origin, spec="m" * 150))
    assert "m" * 150 in "".join(line.text for line in quiet_lines(long, EVERY))


def test_page_and_explain_say_whose_a_claim_is():
    own = finding("P5", tag_reason="the paper's 0.9", source="Section 3.", estimate=0.95)
    claim = page_claim("P5", [own], anchor="claim-0")
    assert (claim.tag, claim.tag_reason) == ("the paper says it in these terms", "the paper's 0.9")
    text = page([Results(RUN, [own])])
    assert "Whose it is: the paper says it in these terms (the paper&#39;s 0.9)." in text
    assert "Of the paper&#39;s own 1 claim on SmolLM2-135M: 1 supported. Supported: paper 1 of 1." in text
    plain = page([Results(RUN, [replace(own, verdict=replace(own.verdict, tag=None, tag_reason=None))])])
    assert "Whose it is" not in plain
    assert "of any network and checks the setup" not in plain
    assert "  whose      the paper says it in these terms (paper): the paper's 0.9" in [
        re.sub(r"whose +", "whose      ", line) for line in explain_lines(own, RUN)
    ]


def test_the_readme_agrees_with_the_record_of_smollm2():
    """Claim by claim, from the verdicts on record; exploratory ones are not counted: they grow."""
    file = load_claims(ROOT / "experiments" / "claims.toml", ROOT / "experiments" / "beyond.toml").at_depth(30)
    record = json.loads((ROOT / "experiments" / "baselines" / "smollm2.json").read_text("utf-8"))["verdicts"]
    findings = [
        Finding(make_verdict(cell.key, tag=claim.tag, role=cell.role, verdict=Decision(record[cell.key]["verdict"])))
        for claim in file.claims.values()
        if claim.label != "exploratory"
        for cell in cells(claim, layers=file.layers, deciding=file.layer)
        if cell.key in record
    ]
    own, by_tag = tally_sentences(RUN, findings)
    for name in ("README.md", "docs/claims.md"):
        text = (ROOT / name).read_text("utf-8")
        assert by_tag.removeprefix("Supported: ") in text, name
    assert own.partition(": ")[2] in re.sub(r" \(\d+ also untrained\)", "", (ROOT / "README.md").read_text("utf-8"))


@pytest.mark.parametrize("verdict", list(Decision))
def test_a_lead_stands_before_the_verdict(verdict):
    from qkvcheck.record.finding import label

    words = str(verdict) if verdict is Decision.NOT_JUDGED else verdict.lower()
    assert label(finding("P3b", verdict=verdict, lead="about equally common")) == f"about equally common, {words}"


def _at_depth(model):
    depth = {"smollm2": 30, "embedded": 12}[model]
    return load_claims(ROOT / "experiments" / "claims.toml", ROOT / "experiments" / "beyond.toml").at_depth(depth)


@pytest.mark.parametrize(("model", "column"), [("smollm2", 1), ("embedded", 3)])
def test_the_readme_leads_with_what_is_on_record(model, column):
    """Of each of the paper's own claims: a cell that decides it, with its estimate, and the claim's verdict."""
    record = json.loads((ROOT / "experiments" / "baselines" / f"{model}.json").read_text("utf-8"))["verdicts"]
    text = (ROOT / "README.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| P\d\w?: ", line)]
    file = _at_depth(model)
    own = [
        claim for claim in file.claims.values() if claim.tag in ("paper", "reading") and claim.label != "exploratory"
    ]
    assert [row[0].partition(":")[0] for row in rows] == [claim.id for claim in own]
    for row, claim in zip(rows, own, strict=True):
        deciding = [
            cell for cell in cells(claim, layers=file.layers, deciding=file.layer)
            if cell.role == "decides" and cell.key in record
        ]  # fmt: skip
        told = {f"{record[cell.key]['estimate']:.3f}".replace("0.", ".", 1) for cell in deciding}
        verdicts = {record[cell.key]["verdict"] for cell in deciding}
        worst = next(one for one in ("REFUTED", "INCONCLUSIVE", "SUPPORTED") if one in verdicts)
        number, _, verdict = row[column].partition(" (poles")[0].partition(", ")
        assert number.partition(" ")[0] in told, row
        assert verdict == {"INCONCLUSIVE": "open"}.get(worst, worst.lower()), row


def test_both_readmes_have_the_same_numbers():
    found = []
    for name in ("README.md", "README.vi.md"):
        text = (ROOT / name).read_text("utf-8")
        rows = [line.split("|", 2)[2] for line in text.splitlines() if re.match(r"\| P\d\w?: ", line)]
        found.append([re.findall(r"-?\d*[.,]\d{3}", row) for row in rows])
    english, vietnamese = found
    assert len(english) == 8
    assert [[n.replace("0,", ".") for n in row] for row in vietnamese] == english
