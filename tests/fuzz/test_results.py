"""Result files: read or refused, and what is read can be explained, tabled, drawn and compared."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qkvcheck.claims.evidence import (
    ContextMatrix,
    DimensionMatrix,
    Evidence,
    FoundExample,
    KeptReplicates,
    ProfilePoint,
    Scatter,
    SeedRange,
)
from qkvcheck.record.results import Results, load_results, read_results, results_document
from qkvcheck.report.explain import explain_lines
from qkvcheck.report.page import page
from qkvcheck.report.terminal import quiet_lines, summary_lines
from qkvcheck.statistics.bounds import ViolationRate
from qkvcheck.statistics.offset import Attribution, OffsetParts
from tests.fuzz.damage import altered, damaged, fuzz, reads_or_refuses
from tests.fuzz.schemas import results
from tests.made_up import Finding, distribution, make_run, make_verdict, search_record, seeds_control


def every_evidence() -> Evidence:
    seeds = SeedRange(0.2, 0.1, 0.3)
    return Evidence(
        distribution=distribution((3, 1, 4, 1)),
        standard_error=0.1,
        effective_contexts=3.5,
        replicates=KeptReplicates(0.5, [0.4, 0.6]),
        row_quantiles={"0": 0.1, "0.25": 0.2, "0.5": 0.3, "0.75": 0.4, "1": 0.5},
        offset=OffsetParts(0.29, 0.2, -0.01, 0.1, 0.2, 0.1, 0.02),
        context_matrix=ContextMatrix(3, [0.1, 0.2, 0.3]),
        dimension_matrix=DimensionMatrix(2, 2, [0.1, 0.2, 0.3, 0.4]),
        scatter=Scatter([0, 1], 0.5, [0.1, 0.2], [0.3, 0.1]),
        histograms={"untrained": [1, 2, 3, 4], "non-target": [1, 2, 3, 4]},
        violations=ViolationRate(1, 59, 0.0, 0.1, 0.95),
        allowed_rate=0.05,
        means=[0.1, 0.2],
        profile=[
            ProfilePoint(0, 0.3, 0.2, 0.4, 54, mean_square=0.31, untrained=seeds),
            ProfilePoint(1, None, None, None, 2, reason="too few"),
        ],
        least_at_layer=0,
        number=0.4,
        search=search_record(worst=FoundExample(0.1, "We saw her", 2), found=FoundExample(0.2, texts=["a", "b"])),
        conditions={"it holds": True, "it does not": False},
        attribution=Attribution(0.1, 0.2, 0.3, 0.1, 0.3, 0.4),
        further={"pairs of": 3},
    )


def whole() -> dict:
    """Return a small result file with everything that one may hold."""
    given = every_evidence()
    controls = (seeds_control("specific"), seeds_control(None))
    pairs = [
        make_verdict(f"P3a-L06-{group}", evidence=replace(given, context_matrix=None, scatter=None), controls=controls)
        for group in ("QQ", "KK", "VV", "QK", "QV", "KV")
    ]
    rows = make_verdict("P5-L06-Q", measure="pearson", evidence=replace(given, dimension_matrix=None), n_needed=90)
    texts = [f"sentence {number} gave her a coat" for number in range(3)]
    findings = [Finding(one) for one in (*pairs, rows)]
    return json.loads(json.dumps(results_document(make_run(texts=texts), findings)))


WHOLE = whole()
BYTES = json.dumps(WHOLE, indent=1).encode()
SMALL = {**WHOLE, "verdicts": WHOLE["verdicts"][:1]}


def explained(path) -> None:
    run, findings = read_results(path)
    for finding in findings:
        assert all(isinstance(line, str) for line in explain_lines(finding, run))
    lines = summary_lines(run, findings, every_cell=True)
    assert [*lines, *quiet_lines(run, findings)]
    json.dumps(results_document(run, findings), allow_nan=False).encode()


def drawn(path) -> str:
    found = load_results(path)
    text = page([found])
    assert text.encode()
    assert page([found, found]).encode()
    return text


@pytest.mark.needs_time  # matplotlib
def test_the_whole_file_is_read(tmp_path):
    path = tmp_path / "r.json"
    path.write_bytes(BYTES)
    explained(path)
    text = drawn(path)
    assert all(f'id="{name}-6' in text for name in ("histograms", "matrix", "offset", "scatter", "worst", "contexts"))


@pytest.mark.needs_time
def test_parts_that_do_not_go_together_are_left_out(tmp_path):
    document = json.loads(BYTES)
    entries = {entry["key"]: entry["evidence"] for entry in document["verdicts"]}
    entries["P3a-L06-QK"]["dimension_matrix"] = {"rows": 1, "columns": 2, "cells": [0.1, 0.2]}
    entries["P3a-L06-QQ"]["histograms"]["untrained"] = [1]
    entries["P5-L06-Q"]["scatter"]["contexts"] = [0, 99]
    entries["P5-L06-Q"]["row_quantiles"] = {"0": 0.1}
    for evidence in entries.values():  # nothing is judged at any layer
        evidence["profile"] = evidence["profile"][1:]
        evidence["offset"]["mean_square"] = 5e-324
    document["model"]["training"] = {"words": "many"}
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    explained(path)
    text = drawn(path)
    assert 'id="matrix-6' not in text
    assert 'id="profile"' not in text
    assert "context 100" in text


def test_damaged_bytes(examples, tmp_path):
    path = tmp_path / "r.json"

    def check(content):
        path.write_bytes(content)
        reads_or_refuses(explained, path, name="results: bytes")

    fuzz(damaged(json.dumps(SMALL, indent=1).encode()), check, examples=examples)


@pytest.mark.parametrize("inputs", [altered(SMALL), results()], ids=["altered", "drawn"])
def test_documents(inputs, examples, tmp_path):
    path = tmp_path / "r.json"

    def check(document):
        path.write_text(json.dumps(document))
        reads_or_refuses(explained, path, name="results: documents")

    fuzz(inputs, check, examples=examples)


@pytest.mark.needs_time
@pytest.mark.filterwarnings("ignore")  # matplotlib's words on absurd numbers
@pytest.mark.parametrize("inputs", [altered(WHOLE), results()], ids=["altered", "drawn"])
def test_pages(inputs, examples, tmp_path):
    """A page takes seconds, so there are fewer."""
    path = tmp_path / "r.json"

    def check(document):
        path.write_text(json.dumps(document))
        reads_or_refuses(drawn, path, name="results: pages", seconds=120)

    fuzz(inputs, check, examples=examples // 10)


def test_a_record_of_an_old_version_is_read(tmp_path):
    """Of activations from a file, with zeros and "unknown" for what no file says, and no kinds of claims."""
    document = json.loads(BYTES)
    document["model"] = {"spec": "a.npz", "source": "activations captured elsewhere", "fingerprint": "f", "layers": 1}
    document["settings"]["device"] = "unknown"
    for entry in document["verdicts"]:
        del entry["kind"]
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    found: Results = load_results(path)
    assert (found.run.settings.device, found.run.corpus.target) == (None, None)
    assert {str(finding.verdict.kind) for finding in found.findings} == {"every_layer"}
