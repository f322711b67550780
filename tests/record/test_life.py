"""The life of a record: made, held against, moved away from, and added to."""

from __future__ import annotations

import json
import textwrap

import pytest

from qkvcheck.models.architecture import Architecture
from qkvcheck.record.baseline import read_baseline, write_noise
from qkvcheck.record.change import NoiseFloor
from tests.plugin.conftest import WORKERS
from tests.record.conftest import EXPERIMENTS, edit, write_project

pytestmark = pytest.mark.usefixtures("loaded")


def test_without_a_file_the_gate_is_off_and_says_so_once(project):
    result = project.runpytest()
    assert result.parseoutcomes()["failed"] == 1  # HIGH, refuted
    assert result.stdout.str().count("The gate is off: no verdicts are on record for embedded.") == 1


def test_a_record_in_another_number_format_is_named(project, recorded):
    result = project.runpytest("--qkv-dtype=bfloat16")
    told = "no verdicts are on record for embedded; embedded.json has other dtype (float32 on record, bfloat16 now)"
    assert told in " ".join(result.stdout.str().split())
    recorded.rename(recorded.with_name("embedded+float64.json"))
    edit(recorded.with_name("embedded+float64.json"), lambda data: data["conditions"].update(dtype="float64"))
    (recorded.parent / "embedded+broken.json").write_text("{")
    shown = " ".join(project.runpytest().stdout.str().split())
    assert "for embedded; embedded+float64.json has other dtype (float64 on record, float32 now)" in shown
    shown = " ".join(project.runpytest("--qkv-corpus=balanced").stdout.str().split())
    assert "no verdicts are on record for embedded. Record" in shown  # of other contexts none is expected


def test_named_file_is_recorded_by_the_command_that_it_tells(project):
    path = str(project.path / "named.json")
    missing = project.runpytest("--qkv-baseline", path)
    assert missing.ret == 4
    assert "record it with --qkv-update=all" in missing.stderr.str()
    assert project.runpytest("--qkv-baseline", path, "--qkv-update=all").ret == 0
    assert project.runpytest("--qkv-baseline", path).ret == 0


def test_other_weights_are_not_comparable_and_never_silent(project, recorded):
    """One weight moved by hand: a record that applies by itself is off, one that was named is a mistake."""
    project.makeconftest("""
        import pytest, torch
        from transformers import AutoTokenizer
        from qkvcheck import from_model, load_model
        from qkvcheck.models.loading import embedded_directory

        @pytest.fixture(scope="session")
        def qkv_model():
            loaded = load_model("embedded")
            with torch.no_grad():
                loaded.model.transformer.h[3].mlp.c_fc.weight[0, 0] += 1e-3
            return from_model(loaded.model, AutoTokenizer.from_pretrained(embedded_directory()), name="embedded")
        """)
    result = project.runpytest()
    assert "embedded.json is not comparable (other weights, architecture or tokenizer)" in result.stdout.str()
    asked = project.runpytest("--qkv-require-baseline")
    assert asked.ret == 1
    last = asked.outlines[-1]
    assert last.startswith("--qkv-require-baseline fails this run: embedded.json is not comparable (other weights, ")
    assert "hold these weights against it with --qkv-compare=" in last  # to record anew would hide what moved
    named = project.runpytest("--qkv-baseline", str(recorded))
    assert named.ret == 1
    assert named.parseoutcomes()["errors"] == 4
    assert "is not comparable with this run (other weights, architecture or tokenizer)" in named.stdout.str()
    assert "Traceback" not in named.stdout.str()


def test_named_record_of_another_corpus_is_one_line(project, recorded):
    result = project.runpytest("--qkv-baseline", str(recorded), "--qkv-corpus", "balanced")
    assert result.ret == 4
    told = result.stderr.str().strip()
    assert "not comparable with this run (other contexts)" in told
    assert "\n" not in told


@pytest.mark.usefixtures("recorded")
def test_layer_index_off_by_one_fails_with_the_table(project, monkeypatch):
    """The weights are the same, so it is our own code that moved; no verdict flips, the numbers tell."""
    right = Architecture.site
    monkeypatch.setattr(Architecture, "site", lambda self, model, layer: right(self, model, layer - 1))
    result = project.runpytest()
    assert result.parseoutcomes()["failed"] == 4
    result.stdout.fnmatch_lines(
        [
            "LOW-L06-Q",
            "*change *same weights, contexts and libraries: our own code or this machine moved*",
            "*recorded *0.*",
            "*now *0.*",
            "*difference *[[]*, *], paired over *clusters",
            "*allowed *0.001, fixed: no noise floor was measured; qkvcheck doctor --noise measures one",
            "*versions *the same as on record",
        ]
    )


def test_drift_is_judged_against_the_noise_floor(project, recorded):
    """A shift of 1e-4 passes the fixed tolerance; beside a measured floor of 1e-7 it is the libraries' fault."""

    def shift(data) -> None:
        entry = data["verdicts"]["LOW-L06-Q"]
        for name in ("estimate", "low", "high", "plug_in"):
            entry[name] += 1e-4
        entry["replicates"] = [value + 1e-4 for value in entry["replicates"]]
        data["versions"]["torch"] = "1.0"

    edit(recorded, shift)
    assert project.runpytest().ret == 0
    conditions = read_baseline(recorded).conditions
    write_noise(recorded, NoiseFloor({"row_mean": 1e-7}, {}, {}), conditions)
    result = project.runpytest()
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(
        [
            "*same weights, same contexts: the libraries moved (torch 1.0 -> *); 0.* on record, now 0.*",
            "*difference *-0.0001* [[]-0.0001*, -0.0001*], paired over *",
            "*allowed *2e-06: 10 x the noise floor 1e-07 measured for this statistic",
        ]
    )
    write_noise(recorded, NoiseFloor({"row_mean": 2e-5}, {}, {}), conditions)
    assert project.runpytest().ret == 0


def test_search_and_exact_claims_move_by_verdict_only(project, recorded):
    """An entry without an estimate is compared by its verdict."""
    edit(recorded, lambda data: data["verdicts"]["LOW-L06-Q"].update(estimate=None))
    assert project.runpytest().ret == 0


GATES = pytest.mark.parametrize("gate", [("--qkv-baseline=recorded/embedded.json",), ("--qkv-require-baseline",)])


@GATES
@WORKERS
@pytest.mark.usefixtures("recorded")
def test_renamed_claim_fails_on_the_missing_one(project, gate, workers):
    write_project(project, first="RENAMED")
    named = project.runpytest(*gate, *workers)
    assert named.ret == 1
    assert named.parseoutcomes()["failed"] == 2
    out = named.stdout.str()
    assert "not on record in embedded.json; add it with --qkv-update=new" in out
    assert "On record in embedded.json and no longer run: LOW-L06-K, LOW-L06-Q; name the claims" in out
    by_itself = project.runpytest(*workers)
    assert by_itself.ret == 0
    assert "Not on record: RENAMED-L06-K, RENAMED-L06-Q; add it with --qkv-update=new." in by_itself.stdout.str()
    assert "no longer run: LOW-L06-K, LOW-L06-Q" in by_itself.stdout.str()


@GATES
@pytest.mark.usefixtures("recorded")
def test_claim_that_is_gone_fails_a_record_that_was_asked_for(project, gate):
    """Everything that ran is as on record; what did not run fails the whole."""
    project.makepyfile(test_claims=EXPERIMENTS.format(first="LOW").split('    @pytest.mark.claim(id="HIGH")')[0])
    result = project.runpytest(*gate)
    assert result.ret == 1
    assert "failed" not in result.parseoutcomes()
    assert "no longer run: HIGH-L06-K, HIGH-L06-Q" in result.stdout.str()


CLAIM_ELSEWHERE = """
    import pytest

    @pytest.mark.claim(id="third", layer=6, group="V", statistic="row_cosine", above=-1)
    def test_third(claim, activations):
        claim.check(activations)
"""


@pytest.fixture
def wider(project):
    """A project with a claim in a folder of its own, all on record."""
    (project.path / "sub").mkdir()
    (project.path / "sub" / "test_third.py").write_text(textwrap.dedent(CLAIM_ELSEWHERE))
    assert project.runpytest("--qkv-update=all").ret == 0
    return project


@pytest.mark.parametrize("arguments", [("sub",), ("--ignore=sub",), ("sub/test_third.py",)])
def test_part_of_a_project_is_no_full_run(wider, arguments):
    result = wider.runpytest("--qkv-require-baseline", *arguments)
    assert result.ret == 0
    assert "no longer run" not in result.stdout.str()


def test_a_claim_that_is_skipped_keeps_its_record(wider):
    text = textwrap.dedent(CLAIM_ELSEWHERE).replace("import pytest\n\n", "import pytest\n\n@pytest.mark.skip\n")
    (wider.path / "sub" / "test_third.py").write_text(text)
    result = wider.runpytest("--qkv-require-baseline")
    assert result.ret == 0
    assert "no longer run" not in result.stdout.str()


@pytest.mark.parametrize("more", ["", "qkv_layers = 6\n", "testpaths = sub .\n"])
def test_a_claim_that_is_gone_is_seen_whatever_the_ini_file_says(wider, more):
    with (wider.path / "tox.ini").open("a") as ini:
        ini.write(f"\n{more}")
    (wider.path / "sub" / "test_third.py").unlink()
    for arguments in ((), (".",)):
        result = wider.runpytest("--qkv-require-baseline", *arguments)
        assert result.ret == 1
        assert "no longer run: third-L06-V" in result.stdout.str()
    chosen = wider.runpytest("--qkv-require-baseline", "--qkv-layers=6")
    assert "no longer run" not in chosen.stdout.str()


@pytest.mark.parametrize(
    "part",
    [
        ("-k", "LOW"),
        ("-m", "claim(group='Q')"),
        ("test_claims.py",),
        pytest.param(("-k", "LOW", "-n2"), marks=pytest.mark.long),
        ("--lf",),
    ],
)
def test_part_of_a_run_says_nothing_of_the_rest(project, recorded, part):
    if part == ("--lf",):
        project.runpytest("--qkv-baseline", str(recorded), "--qkv-layers", "6", "-k", "HIGH", "--qkv-strict")
        edit(recorded, lambda data: data["verdicts"]["LOW-L06-Q"].update(verdict="REFUTED"))
        assert project.runpytest().parseoutcomes()["failed"] == 1
    edit(recorded, lambda data: data["verdicts"].update(OLD=data["verdicts"]["HIGH-L06-Q"]))
    told = project.runpytest(*part).stdout.str()
    assert "no longer run" not in told
    assert "no longer run: OLD" in project.runpytest().stdout.str()


def test_adding_from_a_part_of_a_run_keeps_the_rest(project, recorded):
    before = json.loads(recorded.read_text())

    def forget(data) -> None:
        del data["verdicts"]["LOW-L06-Q"]
        data["verdicts"]["HIGH-L06-K"]["estimate"] = 0.125

    edit(recorded, forget)
    assert project.runpytest("--qkv-update=new", "-k", "L06-Q").ret == 0
    after = json.loads(recorded.read_text())
    assert after["verdicts"]["LOW-L06-Q"] == before["verdicts"]["LOW-L06-Q"]
    assert after["verdicts"]["HIGH-L06-K"]["estimate"] == 0.125
    assert set(after["verdicts"]) == set(before["verdicts"])


def test_old_schema_is_read_and_not_paired(project, recorded):
    def old(data) -> None:
        data["schema"] = "qkvcheck/baseline/1"
        del data["noise"]
        for entry in data["verdicts"].values():
            entry.pop("replicates", None)
            entry.pop("plug_in", None)
        data["verdicts"]["LOW-L06-Q"]["estimate"] += 0.01

    edit(recorded, old)
    result = project.runpytest()
    assert result.parseoutcomes()["failed"] == 1
    assert "not paired (the record keeps no replicates, or other clusters)" in result.stdout.str()
    project.runpytest("--qkv-update=all")
    assert json.loads(recorded.read_text())["schema"] == "qkvcheck/baseline/3"


def test_a_verdict_is_one_line_of_the_file(recorded):
    lines = recorded.read_text().splitlines()
    keys = [line.split('"')[1] for line in lines if line.startswith("  ")]
    assert keys == ["HIGH-L06-K", "HIGH-L06-Q", "LOW-L06-K", "LOW-L06-Q"]
    entry = json.loads(recorded.read_text())["verdicts"]["LOW-L06-Q"]
    assert len(entry["replicates"]) == 47  # first tokens of the corpus


@pytest.mark.long
def test_only_the_controller_writes(project, monkeypatch):
    """Under xdist every process says so when it replaces a file."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # these tests may run under xdist themselves
    project.makeconftest("""
        import os
        from pathlib import Path
        from qkvcheck import files

        plain = files.replace_text

        def told(path, text):
            with open("writers.txt", "a") as file:
                file.write(f"{os.environ.get('PYTEST_XDIST_WORKER', 'controller')} {Path(path).name}\\n")
            plain(path, text)

        files.replace_text = told
        import qkvcheck.record.baseline
        qkvcheck.record.baseline.replace_text = told
        """)
    assert project.runpytest_subprocess("-n2", "--qkv-update=all", "--qkv-json", "r.json").ret == 0
    writers = (project.path / "writers.txt").read_text().splitlines()
    assert sorted(writers) == ["controller embedded.json", "controller r.json"]
