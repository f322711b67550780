"""Whose configuration a run takes, and who may let a model's own code run."""

from __future__ import annotations

import json

import pytest

from qkvcheck.models.loading import embedded_directory
from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")
TRUST = "--qkv-trust-remote-code"
TEST = """
    import pytest

    @pytest.mark.claim(id="X", statistic="row_mean", group="Q", above=0.1, controls=())
    def test_rows(claim):
        claim.check()
"""
HOSTILE_INI = f"[pytest]\naddopts = {TRUST}\n"


@pytest.fixture
def project(pytester, monkeypatch):
    """A project, and a model's directory with an ini file and code of its own, which leaves a mark when it runs."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\nqkv_layers = 5")
    pytester.makepyfile(test_rows=TEST)
    folder = pytester.path / "model"
    folder.mkdir()
    for path in embedded_directory().iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "hostile", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    mark = f"from pathlib import Path\nPath({str(pytester.path / 'mark')!r}).touch()\n"
    (folder / "code.py").write_text(mark + "class Config: pass\nclass Model: pass\n")
    (folder / "conftest.py").write_text(mark)
    (folder / "pytest.ini").write_text(HOSTILE_INI)
    return pytester


def ran(project) -> bool:
    return (project.path / "mark").exists()


ORDERS = {
    "alone": ["--qkv-model", "model"],
    "first": ["--qkv-model", "model", "test_rows.py"],
    "last": ["test_rows.py", "--qkv-model", "model"],
    "between": ["-q", "--qkv-model", "model", "-x"],
    "equals": ["--qkv-model=model"],
    "untrained": ["--qkv-model", "model#untrained"],
    "its ini by name": ["-c", "model/pytest.ini", "--qkv-model=model", "test_rows.py"],
    "its ini by its long name": ["--config-file=model/pytest.ini", "--qkv-model=model", "--rootdir=."],
    "its folder as root": ["--rootdir=model", "--qkv-model=model"],
    "tokenizer": ["--qkv-tokenizer", "model", "--qkv-model=model"],
    "addopts by override": ["-o", f"addopts={TRUST}", "--qkv-model=model"],
}


IN_WORKERS = pytest.param(["-n2", "--qkv-model", "model"], id="workers", marks=pytest.mark.long)


@pytest.mark.parametrize("arguments", [*(pytest.param(words, id=name) for name, words in ORDERS.items()), IN_WORKERS])
def test_no_code_of_a_model_runs_unless_the_command_line_says_so(project, arguments):
    result = project.runpytest(*arguments)
    assert not ran(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("where", ["ini", "environment"])
def test_trust_from_elsewhere_is_refused(project, monkeypatch, where):
    if where == "ini":
        project.makeini(HOSTILE_INI)
    else:
        monkeypatch.setenv("PYTEST_ADDOPTS", TRUST)
    result = project.runpytest("--qkv-model=model")
    assert not ran(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {TRUST} is not on the command line itself*write it there."])


@WORKERS
def test_trust_on_the_command_line_lets_it_run(project, workers):
    """Without this the tests above could not fail."""
    project.runpytest(TRUST, "--qkv-model=model", *workers)
    assert ran(project)


OPTIONS = ("model", "tokenizer", "corpus", "json", "report", "baseline", "activations", "load")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("hostile", [True, False], ids=["other ini", "no ini"])
def test_a_path_as_a_word_of_its_own_does_not_move_the_root(project, option, hostile):
    """The project's ini file has to be taken, or the run stops."""
    outside = project.path.parent / f"{project.path.name}-outside"
    outside.mkdir()
    value = outside / "file.json"
    value.write_text("{}")
    if hostile:
        (outside / "pytest.ini").write_text("[pytest]\nqkv_layers = 2\n")
    result = project.runpytest(f"--qkv-{option}", str(value))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: pytest took *file.json*; write --qkv-{option}=*file.json with an equals sign."]
    )
    assert "configuration from" not in project.runpytest(f"--qkv-{option}={value}").stderr.str()


def test_a_path_within_the_project_may_stand_alone(project):
    (project.path / "mine.txt").write_text("We saw her again\nThey gave her back\nI met her once\n")
    result = project.runpytest("--qkv-model=embedded", "--qkv-corpus", "mine.txt", "--qkv-json", "r.json")
    assert "ERROR" not in result.stderr.str()
    assert json.loads((project.path / "r.json").read_text())["settings"]["layers"] == [5]


def test_from_a_folder_of_the_project(project, monkeypatch):
    (project.path / "deep").mkdir()
    monkeypatch.chdir(project.path / "deep")
    result = project.runpytest("..", "--qkv-model=embedded", "--qkv-json", "r.json")
    assert "ERROR" not in result.stderr.str()
    assert json.loads((project.path / "deep" / "r.json").read_text())["settings"]["layers"] == [5]
