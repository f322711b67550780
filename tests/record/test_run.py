"""Runs and evidence through JSON, and result files of earlier versions."""

from __future__ import annotations

import json

import pytest

from qkvcheck.claims.evidence import Evidence, FoundExample, KeptReplicates, evidence_from_dict
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import load_results, results_document
from qkvcheck.record.run import Cited, FileOrigin, Run, RunCorpus, RunSettings, run_from_dict
from qkvcheck.report.page import page
from qkvcheck.report.terminal import summary_lines
from qkvcheck.statistics.bounds import ViolationRate
from qkvcheck.statistics.offset import Attribution
from tests.made_up import make_run, make_verdict, search_record, synthetic

FROM_FILE = Run(
    FileOrigin("theirs.npz", "f" * 64, 1),
    RunCorpus("theirs.npz", "c" * 64, 24, 24, [24, 9], texts=[]),
    {"torch": "2"},
    RunSettings([6], "float32", None, 0, "all", "auto", None),
)


def through_json(data):
    return json.loads(json.dumps(data, allow_nan=False))


@pytest.mark.parametrize(
    "run", [make_run(texts=["We saw her"], citations=(Cited(["P1"], "a paper"),)), FROM_FILE], ids=["model", "file"]
)
def test_a_run_through_json(run):
    again = run_from_dict(through_json(run.to_dict()))
    assert (again.origin, again.corpus, again.settings) == (run.origin, run.corpus, run.settings)
    assert [(cited.claims, cited.text) for cited in again.citations] == [
        (cited.claims, cited.text) for cited in run.citations
    ]


def test_what_a_file_does_not_say_is_null():
    data = FROM_FILE.to_dict()
    assert data["model"]["origin"] == "file"
    unknown = [data["model"][name] for name in ("family", "parameters", "training")]
    unknown += [data["corpus"][name] for name in ("target", "first_words", "positions", "lengths", "unseen_tokens")]
    assert [*unknown, data["settings"]["device"]] == [None] * 9


EVIDENCE = {
    **{f"{finding.verdict.key} {finding.verdict.claim}": finding.verdict.evidence for finding in synthetic().findings},
    "nothing": Evidence(),
    "replicates": Evidence(
        standard_error=0.1, effective_contexts=40.5, replicates=KeptReplicates(0.5, [0.4, 0.6]), number=0.25
    ),
    "rows": Evidence(row_quantiles={"0": 0.1, "0.5": 0.4, "1": 0.9}, least_at_layer=3),
    "counted": Evidence(violations=ViolationRate(1, 59, 0.001, 0.08, 0.95), allowed_rate=0.05, means=[0.9, 0.95]),
    "conditions": Evidence(conditions={"it holds": True, "or not": False}, further={"parameters": 7, "why": ["a"]}),
    "attribution": Evidence(attribution=Attribution(*[0.1] * len(Attribution.__dataclass_fields__))),
    "search": Evidence(
        search=search_record(worst=FoundExample(0.5, "We saw her", 2), found=FoundExample(0.4, texts=["a", "b"]))
    ),
}


@pytest.mark.parametrize("name", EVIDENCE)
def test_evidence_through_json(name):
    evidence = EVIDENCE[name]
    assert evidence_from_dict(through_json(evidence.to_dict())) == evidence


def older(run: Run, findings) -> dict:
    """Return a result file as versions before kinds and origins wrote it."""
    data = through_json(results_document(run, findings))
    del data["citations"]
    from_file = data["model"].pop("origin") == "file"
    for verdict in data["verdicts"]:
        for name in ("kind", "order", "not_independent_of"):
            del verdict[name]
    if from_file:
        del data["model"]["training"]
        data["model"].update(family="unknown", parameters=0)
        data["corpus"].update(
            target="unknown", first_words=0, target_indexes=[], positions={}, lengths={}, unseen_tokens=0
        )
        data["settings"]["device"] = "unknown"
    return data


KINDS = {
    "A-L06-QQ": ("interval", {}),
    "B-L06-QQ": ("exact", {"threshold": None, "direction": "exact"}),
    "C-L06-QQ": ("every_layer", {"evidence": Evidence(profile=[], least_at_layer=3)}),
    "D-L06-QQ": ("against_untrained", {"evidence": Evidence(number=0.4)}),
    "E-L06-Q": ("search", {"evidence": EVIDENCE["search"]}),
    "F-L06-Q": ("count", {"evidence": EVIDENCE["counted"]}),
}


@pytest.mark.parametrize("run", [make_run(), FROM_FILE], ids=["model", "file"])
def test_files_of_earlier_versions_are_read(tmp_path, run):
    findings = tuple(Finding(make_verdict(key, kind=kind, **more)) for key, (kind, more) in KINDS.items())
    path = tmp_path / "old.json"
    path.write_text(json.dumps(older(run, findings)))
    found = load_results(path)
    assert (found.run, found.findings) == (run, findings)
    told = "\n".join(line.text for line in summary_lines(found.run, found.findings))
    assert told == "\n".join(line.text for line in summary_lines(run, findings))
    assert "unknown" not in told


@pytest.mark.needs_time
def test_an_earlier_file_of_activations_has_a_page_without_what_is_not_known(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(older(FROM_FILE, [Finding(make_verdict())])))
    text = page([load_results(path)])
    assert "captured elsewhere" in text
    assert "0 parameters" not in text
