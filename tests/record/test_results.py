"""The result file and its documentation."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest

from qkvcheck.claims.verdict import ControlResult, Decision, Verdict
from qkvcheck.errors import ClaimError
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import read_results, write_results
from tests.conftest import ROOT
from tests.made_up import make_run, make_verdict


def test_every_field_is_documented():
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    verdict, control = text.split("## A control")
    for part, kind in ((verdict, Verdict), (control, ControlResult)):
        named = set(re.findall(r"`(\w+)`", part))
        assert {field.name for field in fields(kind)} <= named


def test_a_trip_through_the_file(tmp_path):
    verdict = make_verdict("A-L06-QQ", low=0.4, high=0.6, qualifier=("stand-in",),
                           controls=(ControlResult("untrained", 0.1, 0.4, False),))  # fmt: skip
    finding = Finding(verdict, Decision.REFUTED, "was other")
    write_results(tmp_path / "r.json", make_run(), [finding])
    run, findings = read_results(tmp_path / "r.json")
    assert run == make_run()
    assert findings == [finding]
    data = json.loads((tmp_path / "r.json").read_text())
    data["verdicts"][0]["a later field"] = 1  # fields may be added
    (tmp_path / "r.json").write_text(json.dumps(data))
    assert read_results(tmp_path / "r.json")[1] == [finding]


def test_other_files_are_refused(tmp_path):
    (tmp_path / "r.json").write_text('{"schema": "other/1"}')
    with pytest.raises(ClaimError, match="not of schema 'qkvcheck/results/1'"):
        read_results(tmp_path / "r.json")


NOT_WHOLE = {
    "no-model": (lambda data: data.pop("model"), "model is missing"),
    "no-seed": (lambda data: data["settings"].pop("seed"), "settings.seed is missing"),
    "no-key": (lambda data: data["verdicts"][0].pop("key"), "verdicts[0].key is missing"),
    "unknown-verdict": (
        lambda data: data["verdicts"][0].update(verdict="SUPORTED"),
        "verdicts[0].verdict is 'SUPORTED'; it has to be one of SUPPORTED, REFUTED, INCONCLUSIVE, NOT JUDGED. "
        "Did you mean 'SUPPORTED'?",
    ),
    "no-object": (lambda data: data.update(verdicts=[1]), "verdicts[0] is 1; it has to be an object"),
    "no-list": (lambda data: data.update(verdicts={}), "verdicts is {}; it has to be a list of objects"),
    "layer": (
        lambda data: data["verdicts"][0].update(layer="six"), "verdicts[0].layer is 'six'; it has to be a whole number"
    ),
    "negative-layer": (
        lambda data: data["verdicts"][0].update(layer=-1), "verdicts[0]: layer is -1; it has to be from 0 to 9999"
    ),
    "in-a-mapping": (
        lambda data: data["versions"].update(numpy=2), "versions.numpy is 2; it has to be a text"
    ),
    "matrix": (
        lambda data: data["verdicts"][0]["evidence"].update(context_matrix={"n": 3, "above": [1]}),
        "verdicts[0].evidence.context_matrix: n is 3 and above holds 1 numbers; they have to go together",
    ),
    "histograms": (
        lambda data: data["verdicts"][0]["evidence"].update(histograms={"untrained": [1, -1]}),
        "verdicts[0].evidence: the histogram of 'untrained' has to hold counts from 0",
    ),
    "twice": (lambda data: data["verdicts"].append(data["verdicts"][0]), "verdicts holds 'P3a-L06-QQ' twice"),
    "surrogate": (
        lambda data: data["model"].update(spec="\ud800"),
        r"model.spec is '\ud800'; it holds half of a character (a lone surrogate)",
    ),
    "infinity": (
        lambda data: data["verdicts"][0].update(estimate=float("inf")),
        "verdicts[0].estimate is inf; it has to be a finite number",
    ),
    "large": (lambda data: data["corpus"].update(contexts=10**30), "corpus.contexts is 1000000000000000000"),
}  # fmt: skip


@pytest.mark.parametrize("damage", NOT_WHOLE)
def test_a_file_that_is_not_whole_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "r.json"
    write_results(path, make_run(), [Finding(make_verdict())])
    data = json.loads(path.read_text())
    change, message = NOT_WHOLE[damage]
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ClaimError) as caught:
        read_results(path)
    told = str(caught.value)
    assert f"r.json': {message}" in told
    assert told.endswith("rite it anew with --qkv-json.")
    assert "\n" not in told
