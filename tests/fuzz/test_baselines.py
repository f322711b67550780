"""Recorded verdicts: read or refused; what is read can be compared with, added to and written again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import strategies as st

from qkvcheck.claims.evidence import Evidence, KeptReplicates
from qkvcheck.record.baseline import compare, conditions_of, difference, read_baseline, stale_keys, write_baseline
from qkvcheck.record.change import Entry, NoiseFloor
from qkvcheck.record.finding import Finding
from qkvcheck.record.results import results_document
from qkvcheck.report.texts import failure_text
from tests.fuzz.damage import altered, damaged, fuzz, reads_or_refuses
from tests.fuzz.schemas import plain_of, texts
from tests.made_up import make_run, make_verdict

RUN = make_run()
VERDICTS = [
    make_verdict(f"P5-L06-{name}", evidence=Evidence(replicates=KeptReplicates(0.5, [0.4, 0.5, 0.6]))) for name in "QKV"
]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("b") / "b.json"
    write_baseline(path, RUN, VERDICTS, mode="all")
    document = json.loads(path.read_text())
    document["noise"] = {"statistics": {"variance": 1e-7}, "variations": {"one thread": 1e-7}, "machine": {"cpu": "x"}}
    return json.dumps(document, indent=1).encode()


def documents() -> st.SearchStrategy[dict]:
    entries = st.dictionaries(st.sampled_from([v.key for v in VERDICTS]) | texts(), plain_of(Entry), max_size=4)
    conditions = st.just(asdict(conditions_of(RUN)))
    return st.fixed_dictionaries(
        {"schema": st.sampled_from(("qkvcheck/baseline/1", "qkvcheck/baseline/2")), "conditions": conditions},
        optional={
            "verdicts": entries,
            "noise": st.just({}) | plain_of(NoiseFloor),
            "versions": st.dictionaries(texts(), texts(), max_size=2),
            "model": texts(),
        },
    )


def compared(path) -> None:
    baseline = read_baseline(path)
    difference(baseline, RUN)
    findings: list[Finding] = [compare(baseline, verdict, versions=RUN.versions) for verdict in VERDICTS]
    stale_keys(baseline, findings)
    assert all(failure_text(finding, RUN) for finding in findings)
    json.dumps(results_document(RUN, findings), allow_nan=False)
    again = path.with_name("again.json")
    again.write_bytes(path.read_bytes())
    write_baseline(again, replace(RUN), VERDICTS, mode="all")
    assert set(read_baseline(again).verdicts) >= {verdict.key for verdict in VERDICTS}


def test_damaged_bytes(examples, written, tmp_path):
    path = tmp_path / "b.json"

    def check(content):
        path.write_bytes(content)
        reads_or_refuses(compared, path, name="baselines: bytes")
        # What the message of a refusal advises has to work.
        write_baseline(path, RUN, VERDICTS, mode="all")
        assert set(read_baseline(path).verdicts) >= {verdict.key for verdict in VERDICTS}

    fuzz(damaged(written), check, examples=examples)


@pytest.mark.parametrize("how", ["altered", "drawn"])
def test_documents(how, examples, written, tmp_path):
    path = tmp_path / "b.json"

    def check(document):
        path.write_text(json.dumps(document))
        reads_or_refuses(compared, path, name="baselines: documents")

    fuzz(altered(json.loads(written)) if how == "altered" else documents(), check, examples=examples)
