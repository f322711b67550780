"""The sweep command: on the 54 sentences the experiments' numbers; a mistake is one line and nothing is lost."""

from __future__ import annotations

import gzip
import io
import json
import shlex

import numpy as np
import pytest

from qkvcheck import cli
from qkvcheck.capture import Plan, Samples, sample_of
from qkvcheck.claims import Words, cells, judge_layers, judge_sample, load_claims
from qkvcheck.commands import sweep
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.record import load_results
from qkvcheck.report.figures import drawn
from tests.conftest import CLAIM_FILES, ROOT

CLAIMS = ["--claims", *map(str, CLAIM_FILES)]
FOUND = list(load_claims(*CLAIM_FILES).claims)
FIGURES = drawn.figures_of
MOVES = ("P3a", "P3b", "P4", "P5", "P8", "B1", "B2", "B5", "B10", "B14")


@pytest.fixture(scope="module")
def held(embedded):
    """The command with the model that the tests have, so that it is loaded once; its pages are without pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "figures_of", lambda *_, **__: [])
        patch.setattr("qkvcheck.models.load_model", lambda *_, **__: embedded)
        patch.setattr("qkvcheck.sweep.work.load_model", lambda *_, **__: embedded)
        yield embedded


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "replication.txt"
    path.write_text("\n".join(line.text for line in read_corpus("replication").lines) + "\n", encoding="utf-8")
    return path


def swept(*arguments):
    return cli.main(["sweep", "--model", "embedded", *CLAIMS, *map(str, arguments)])


@pytest.fixture(scope="module")
def results(held, corpus, tmp_path_factory):  # noqa: ARG001 (it patches)
    """The 54 sentences at two layers, in three shards, beside one untrained network; its page has its pictures."""
    out = tmp_path_factory.mktemp("swept") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "figures_of", FIGURES)
        assert swept("--corpus", corpus, "--out", out, "--layers", "5,6") == 0
    return load_results(out / "results.json"), out


def expected_of(held, names):
    file = load_claims(*CLAIM_FILES)
    contexts = encode_corpus(read_corpus("replication"), held.encoder, target=" her")
    samples = Samples(held, contexts, Plan((5, 6), Words().lists()))
    for name in names:
        claim = file.claims[name]
        every = cells(claim, layers=(5, 6), deciding=6)
        for cell in every:
            family = [one for one in every if one.role == "family" and one.layer == cell.layer]
            sample = sample_of(samples.target, layer=cell.layer)
            yield cell.key, judge_sample(claim, cell, sample, family=family if cell.role == "family" else [])


def test_the_54_sentences_give_the_experiments_numbers(results, held):
    found = {finding.verdict.key: finding.verdict for finding in results[0].findings}
    count = 0
    for key, expected in expected_of(held, MOVES):
        own = found[key]
        assert (own.verdict, own.n, own.n_distinct, own.clusters, own.grade, own.cluster_kind) == (
            expected.verdict,
            expected.n,
            expected.n_distinct,
            expected.clusters,
            expected.grade,
            expected.cluster_kind,
        )
        for name in ("estimate", "plug_in", "low", "high"):
            assert getattr(own, name) == pytest.approx(getattr(expected, name), abs=1e-10), (key, name)
        assert own.evidence.standard_error == pytest.approx(expected.evidence.standard_error, abs=1e-10)
        assert own.evidence.effective_contexts == pytest.approx(expected.evidence.effective_contexts)
        if expected.evidence.distribution is not None:
            assert own.evidence.distribution.histogram == expected.evidence.distribution.histogram
        count += 1
    assert count == 136


def test_every_claim_is_there_and_says_what_it_needs(results):
    file = load_claims(*CLAIM_FILES)
    by_claim = {finding.verdict.claim: finding.verdict for finding in results[0].findings}
    assert set(by_claim) == set(file.claims)
    reasons = {name: by_claim[name].reason for name in ("P1", "P3c", "P5+", "P6", "P6n", "P9", "B4", "B9")}
    assert all(reason.startswith("not judged in a sweep: needs ") for reason in reasons.values())
    assert "words grid" in reasons["P6"]
    assert "row_variance" in reasons["P3c"]
    assert "--layers all" in reasons["B4"]
    assert "specificity needs 19" in by_claim["B6"].reason


def test_controls_are_those_that_a_sweep_has(results):
    verdict = next(f.verdict for f in results[0].findings if f.verdict.key == "P3a-L06-QQ")
    controls = {control.name: control for control in verdict.controls}
    assert controls["non-target"].low < controls["non-target"].difference < controls["non-target"].high
    assert (controls["untrained"].seeds, controls["untrained"].specificity) == (1, None)
    assert controls["shuffled"].estimate == pytest.approx(1 / 54)
    assert controls["different-words"].reason == "a sweep doesn't capture it"
    assert controls["within-column"].reason.startswith("needs the rows")


def test_files_of_a_sweep(results):
    _, out = results
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoints", "manifest.json", "report.html", "results.json", "swept.json",
    ]  # fmt: skip
    told = json.loads((out / "swept.json").read_text("utf-8"))
    assert (told["contexts"], told["distinct"], told["groups"], told["groups_shared"]) == (54, 54, 47, False)
    assert told["counts"] == {"records": 54, "occurrences": 54, "bare": 0, "repeated": 0}
    page = (out / "report.html").read_text("utf-8")
    assert "P3a" in page
    assert page.count("<figure") > 10


@pytest.mark.long
def test_a_sweep_that_is_done_is_judged_again_to_the_same_bits(results, corpus):
    _, out = results
    before = (out / "results.json").read_bytes()
    assert swept("--corpus", corpus, "--out", out, "--layers", "5,6", "--resume") == 0
    assert (out / "results.json").read_bytes() == before


EVERY_LAYER = """
schema = "qkvcheck/claims/1"
[[claim]]
id = "B4"
kind = "every_layer"
statement = "two poles at every layer"
statistic = "variance"
direction = "above"
threshold = 0.4444444444444444
axis = "dimensions"
groups = ["QQ"]
primary = [["QQ", "cosine"]]
"""


def test_a_line_a_claim_is_printed_and_every_cell_on_demand(results, corpus, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    again = ("--corpus", corpus, "--out", results[1], "--layers", "5,6", "--resume")
    assert swept(*again) == 0
    short = capsys.readouterr().out.splitlines()
    claims = [line.split()[0] for line in short if line.startswith(("P", "B")) and not line.startswith("  ")]
    assert claims[: len(FOUND)] == FOUND
    assert len(short) < 60
    assert max(map(len, short[3:-2])) <= 100  # what was met, and where files are, hold names of any length
    assert swept(*again, "-v") == 0
    every = capsys.readouterr().out
    assert len(every.splitlines()) > 2 * len(short)
    assert "P5+: not judged in a sweep: needs contexts that nobody picked" in every


def test_every_layer(held, corpus, tmp_path):
    claims = tmp_path / "claims.toml"
    claims.write_text(EVERY_LAYER, encoding="utf-8")
    out = tmp_path / "out"
    more = ("--layers", "all", "--untrained-seeds", 0, "--claims", claims)
    assert swept("--corpus", corpus, "--out", out, *more) == 0
    verdicts = {f.verdict.key: f.verdict for f in load_results(out / "results.json").findings}
    profile = verdicts["B4-L06-QQ"].evidence.profile
    contexts = encode_corpus(read_corpus("replication"), held.encoder, target=" her")
    claim = load_claims(claims).claims["B4"]
    (cell,) = cells(claim, layers=(6,))
    samples = Samples(held, contexts, Plan((6,), Words().lists()))
    expected = judge_layers(claim, cell, samples.profile)
    assert [point.layer for point in profile] == list(range(12))
    assert profile[0].estimate is None
    for one, other in zip(profile[1:], expected.evidence.profile[1:], strict=True):
        assert (one.estimate, one.mean_square) == pytest.approx((other.estimate, other.mean_square), abs=1e-10)


@pytest.mark.usefixtures("held")
def test_several_targets_have_a_folder_each(corpus, tmp_path):
    lines = corpus.read_text("utf-8")
    path = tmp_path / "two.txt"
    path.write_text(lines + lines.replace(" her", " him"), encoding="utf-8")
    claims = tmp_path / "claims.toml"
    claims.write_text(EVERY_LAYER.replace('kind = "every_layer"', ""), encoding="utf-8")
    more = ("--layers", "6", "--untrained-seeds", 0, "--claims", claims)
    assert swept("--corpus", path, "--out", tmp_path / "out", "--target", " her", "--target", " him", *more) == 0
    assert swept("--corpus", corpus, "--out", tmp_path / "alone", *more) == 0
    folders = [tmp_path / "out" / "target-0-her", tmp_path / "out" / "target-1-him", tmp_path / "alone"]
    her, him, alone = (load_results(folder / "results.json").findings[0].verdict for folder in folders)
    assert her.estimate == pytest.approx(alone.estimate, abs=1e-5)  # other contexts are in its forwards
    assert abs(him.estimate - her.estimate) > 1e-3
    assert {(v.n, v.n_distinct) for v in (her, him, alone)} == {(54, 54)}


# Mistakes -------------------------------------------------------------------------------------------


def refused(capsys, *arguments, status=2):
    """Return the one line that a mistake gives; no traceback, and nothing on the other stream."""
    assert swept(*arguments) == status
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("qkvcheck: embedded, ")]
    assert len(lines[-1]) < 600
    assert lines[-1].startswith("qkvcheck: ")
    return lines[-1]


def write(folder, name, raw):
    path = folder / name
    path.write_bytes(raw)
    return path


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("name", "raw", "more", "said"),
    [
        ("a.txt", b"", (), "there is no record to read: "),
        ("a.txt.gz", b"garbage", (), "there is no record to read: "),
        ("a.parquet", b"PAR1 and no more", (), "no whole Parquet file"),
        ("a.csv", b"id,body\n1,I saw her.\n", (), "has no column 'text'; it has id, body"),
        ("a.docx", b"x", (), "of a kind that is not read"),
        ("a.txt", b"Nobody went away.\n", (), "target ' her' was never found with anything before it, in 1 records"),
        ("a.jsonl", b'{"body": "I saw her."}\n', (), "target ' her' was never found"),
        ("a.txt", b"I saw her.\n", ("--target", " herself and"), "it must be exactly one token"),
        ("a.txt", b"I saw her.\n", ("--target", "her"), "Does it need a leading space (' her')?"),
        ("a.txt", b"I saw her.\n", ("--target", " her", "--target", " her"), "names a token twice"),
        ("a.txt", b"I saw her.\n", ("--window", "64"), "--window 64 is too long; embedded has 64 positions"),
        ("a.txt", b"I saw her.\n", ("--window", "0"), "--window 0 is too small"),
        ("a.txt", b"I saw her.\n", ("--layers", "12"), "layer 12 does not exist"),
        ("a.txt", b"I saw her.\n", ("--max-memory", "700MB"), "leaves room for 0 groups"),
        ("a.txt", b"I saw her.\n", ("--max-memory", "lots"), "is no size"),
        ("a.txt", b"I saw her.\n", ("--clusters", "explains-most"), "--clusters 'explains-most' is not known"),
        ("a.txt", b"I saw her.\n", ("--clusters", "label"), "does not label every context"),
        ("a.txt", b"\xff\nI saw her.\n", ("--strict",), "--strict: 1 record(s) can't be used"),
        ("a.txt", b"I saw her.\n", ("--claims", "none.toml"), "none.toml"),
    ],
)
def test_a_mistake_is_one_line(name, raw, more, said, tmp_path, capsys):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    line = refused(capsys, "--corpus", write(tmp_path, name, raw), "--out", tmp_path / "out", *more)
    assert said in line


def test_a_pattern_that_names_no_file(tmp_path, capsys):
    line = refused(capsys, "--corpus", tmp_path / "*.txt", "--out", tmp_path / "out")
    assert "names no file" in line


@pytest.mark.usefixtures("held")
def test_a_sweep_that_was_killed_before_it_began(corpus, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "checkpoints").mkdir(parents=True)
    (out / "manifest.json.123.tmp").write_text("{", encoding="utf-8")
    claims = tmp_path / "claims.toml"
    claims.write_text(EVERY_LAYER.replace('kind = "every_layer"', ""), encoding="utf-8")
    arguments = ("--corpus", corpus, "--out", out, "--layers", "6", "--untrained-seeds", 0, "--claims", claims)
    assert swept(*arguments, "--resume") == 0
    assert "the sweep starts anew" in capsys.readouterr().err
    assert "holds a sweep; go on with it (--resume)" in refused(capsys, *arguments)


@pytest.mark.usefixtures("held")
def test_a_folder_that_is_not_empty(tmp_path, capsys):
    path = write(tmp_path, "a.txt", b"I saw her.\n")
    assert "is not empty (it holds a.txt) and holds no sweep" in refused(capsys, "--corpus", path, "--out", tmp_path)
    assert "is not empty" in refused(capsys, "--corpus", path, "--out", tmp_path, "--resume")
    assert "is a file" in refused(capsys, "--corpus", path, "--out", path)


@pytest.mark.usefixtures("held")
def test_bad_records_are_told_and_the_rest_is_judged(corpus, tmp_path, capsys):
    lines = [json.dumps({"text": line}) for line in corpus.read_text("utf-8").splitlines()]
    raw = "\n".join([*lines[:20], "{broken", *lines[20:]]).encode()
    write(tmp_path, "a.jsonl.gz", gzip.compress(raw))
    write(tmp_path, "b.jsonl", b"")
    long = b'{"text": "' + b"x" * 5_000_000 + b'"}\n'
    write(tmp_path, "c.jsonl", long)
    out = tmp_path / "out"
    assert swept("--corpus", tmp_path / "*.jsonl*", "--out", out, "--layers", "6", "--untrained-seeds", 0) == 0
    said = capsys.readouterr()
    assert "b.jsonl: holds no record" in said.err
    assert "2 record(s) can't be used" in said.out
    told = json.loads((out / "swept.json").read_text("utf-8"))
    assert (told["contexts"], told["faults"]) == (54, 2)
    assert any("record 21: is no JSON" in line for line in told["faults_told"])
    assert any("c.jsonl, record 1: is 5,000,013 bytes long" in line for line in told["faults_told"])


@pytest.mark.usefixtures("held")
def test_standard_input(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep.sys, "stdin", io.TextIOWrapper(io.BytesIO(corpus.read_bytes())))
    out = tmp_path / "out"
    assert swept("--corpus", "-", "--out", out, "--layers", "6", "--untrained-seeds", 0) == 0
    assert (out / "input.txt").read_bytes() == corpus.read_bytes()
    assert json.loads((out / "swept.json").read_text("utf-8"))["contexts"] == 54


@pytest.mark.usefixtures("held")
def test_more_clusters_than_groups(corpus, tmp_path):
    out = tmp_path / "out"
    assert swept("--corpus", corpus, "--out", out, "--layers", "6", "--untrained-seeds", 0, "--clusters", "prefix",
                 "--max-memory", "766MB") == 0  # fmt: skip
    told = json.loads((out / "swept.json").read_text("utf-8"))
    assert told["groups_shared"]
    verdict = next(f.verdict for f in load_results(out / "results.json").findings if f.verdict.key == "P3a-L06-QQ")
    assert verdict.clusters == told["groups"] < 54
    assert "shared out among" in verdict.cluster_kind
    assert np.isfinite(verdict.low)


@pytest.mark.usefixtures("held")
def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "sweep.md").read_text("utf-8")
    example = next(line for line in page.splitlines() if line.startswith("qkvcheck sweep"))
    claims = tmp_path / "claims.toml"
    claims.write_text(EVERY_LAYER.replace('kind = "every_layer"', ""), encoding="utf-8")
    arguments = shlex.split(example)[1:]
    arguments[arguments.index("--out") + 1] = str(tmp_path / "result")
    assert cli.main([*arguments, "--claims", str(claims)]) == 0
    assert (tmp_path / "result" / "results.json").exists()
