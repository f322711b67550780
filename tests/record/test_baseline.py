"""Baselines: what is written, what is compared, and what is never deleted; and the results document."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qkvcheck.claims.verdict import Verdict
from qkvcheck.errors import ClaimError
from qkvcheck.record.baseline import compare, difference, read_baseline, write_baseline
from qkvcheck.record.finding import Finding, finding_from_dict
from qkvcheck.record.results import results_document, write_results
from qkvcheck.record.run import Run
from tests import made_up
from tests.made_up import make_run

RUN = make_run(model={"fingerprint": "f1"}, corpus={"sha256": "c1"}, settings={"claims_sha256": "k"})


def make_verdict(key="A-L06-QQ", verdict="SUPPORTED", estimate=0.5, role="decides") -> Verdict:
    return made_up.make_verdict(key, verdict=verdict, estimate=estimate, role=role, low=None, high=None, level=None,
                                threshold=None, n_distinct=None)  # fmt: skip


def with_fingerprint(value: str) -> Run:
    return replace(RUN, origin=replace(RUN.origin, fingerprint=value))


def test_recorded_verdicts_come_back(tmp_path):
    path = tmp_path / "b" / "m.json"
    assert write_baseline(path, RUN, [make_verdict(), make_verdict("B-L06-QQ", "NOT JUDGED", None)], mode="all") == (
        f"1 verdicts recorded in {path}"
    )
    baseline = read_baseline(path)
    assert {key: entry.to_dict() for key, entry in baseline.verdicts.items()} == {
        "A-L06-QQ": {"estimate": 0.5, "low": None, "high": None, "n": 54, "verdict": "SUPPORTED"}
    }
    assert difference(baseline, RUN) is None
    assert difference(baseline, with_fingerprint("f2")) == "other weights, architecture or tokenizer"
    half = replace(RUN, settings=replace(RUN.settings, dtype="bfloat16"), corpus=replace(RUN.corpus, sha256="other"))
    assert difference(baseline, half) == "other contexts, other dtype (float32 on record, bfloat16 now)"
    assert path.read_text().endswith("}\n")
    assert [p.name for p in path.parent.iterdir()] == ["m.json"]


def test_comparison(tmp_path):
    path = tmp_path / "m.json"
    write_baseline(path, RUN, [make_verdict(), make_verdict("B-L06-QQ", "REFUTED", 0.1)], mode="all")
    baseline = read_baseline(path)
    same = compare(baseline, make_verdict())
    assert (same.recorded, same.change, same.moved.change) == ("SUPPORTED", None, 0.0)
    flipped = compare(baseline, make_verdict("B-L06-QQ", "SUPPORTED", 0.6))
    assert flipped.change == "on record as REFUTED (0.1000), now SUPPORTED (0.6000)"
    assert compare(baseline, make_verdict(verdict="REFUTED", estimate=0.2)).change is not None
    assert compare(baseline, make_verdict("C-L06-QQ")).recorded is None
    assert compare(None, make_verdict()).recorded is None


def test_update_never_deletes(tmp_path):
    path = tmp_path / "m.json"
    write_baseline(path, RUN, [make_verdict(), make_verdict("B-L06-QQ", "REFUTED", 0.1)], mode="all")
    changed = make_verdict("B-L06-QQ", "SUPPORTED", 0.9)
    added = make_verdict("C-L06-QQ")
    assert write_baseline(path, RUN, [changed, added], mode="new").startswith("1 verdicts")
    assert read_baseline(path).verdicts["B-L06-QQ"].verdict == "REFUTED"
    assert write_baseline(path, RUN, [changed], mode="all").startswith("1 verdicts")
    assert {key: e.verdict for key, e in read_baseline(path).verdicts.items()} == {
        "A-L06-QQ": "SUPPORTED", "B-L06-QQ": "SUPPORTED", "C-L06-QQ": "SUPPORTED",
    }  # fmt: skip


def test_another_model_is_not_mixed_in(tmp_path):
    path = tmp_path / "m.json"
    write_baseline(path, RUN, [make_verdict()], mode="all")
    with pytest.raises(ClaimError, match="recorded with other weights, architecture or tokenizer"):
        write_baseline(path, with_fingerprint("f2"), [make_verdict("B-L06-QQ")], mode="new")
    told = write_baseline(path, with_fingerprint("f2"), [make_verdict("B-L06-QQ")], mode="all")
    assert told.endswith("m.json; the 1 recorded there with other weights, architecture or tokenizer are replaced")
    assert list(read_baseline(path).verdicts) == ["B-L06-QQ"]


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("{}", "is not of schema")])
def test_file_that_is_none(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ClaimError, match=message):
        read_baseline(tmp_path / "m.json")
    with pytest.raises(ClaimError, match=r"can't be read .*--qkv-update=all"):
        read_baseline(tmp_path / "none.json")


def test_results_document(tmp_path):
    findings = [Finding(make_verdict("B-L06-QQ"), "SUPPORTED"), Finding(make_verdict("A-L06-QQ"))]
    write_results(tmp_path / "r.json", RUN, findings)
    data = json.loads((tmp_path / "r.json").read_text())
    assert data == json.loads(json.dumps(results_document(RUN, findings)))
    assert data["schema"] == "qkvcheck/results/1"
    assert [v["key"] for v in data["verdicts"]] == ["A-L06-QQ", "B-L06-QQ"]
    wanted = {
        "claim", "statement", "layer", "group", "measure", "axis", "statistic", "estimate", "plug_in", "low", "high",
        "level", "threshold", "direction", "n", "n_distinct", "verdict", "offset_share", "controls", "qualifier",
        "reason", "evidence",
    }  # fmt: skip
    assert wanted <= set(data["verdicts"][0])
    assert data["verdicts"][0]["low"] is None


def test_finding_through_json():
    finding = Finding(make_verdict(), "REFUTED", "changed")
    assert finding_from_dict(json.loads(json.dumps(finding.to_dict()))) == finding
