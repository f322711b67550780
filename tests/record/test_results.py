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


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("model"),
        lambda data: data["settings"].pop("seed"),
        lambda data: data["verdicts"][0].pop("key"),
        lambda data: data["verdicts"][0].update(verdict="PERHAPS"),
        lambda data: data.update(verdicts=[1]),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "r.json"
    write_results(path, make_run(), [Finding(make_verdict())])
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ClaimError, match="are not whole .*; write them anew with --qkv-json") as caught:
        read_results(path)
    assert "\n" not in str(caught.value)
