"""The GitHub action: its YAML is whole, and its shell steps do what they say. What GitHub does itself is not run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.project.test_example_project import clean_environment, copy_example

pytestmark = pytest.mark.needs_time

TEXT = (ROOT / "action.yml").read_text("utf-8")
ACTION = yaml.safe_load(TEXT)
STEPS = ACTION["runs"]["steps"]
SCRIPTS = {step["id"]: step for step in STEPS if "run" in step}


def run_step(name: str, inputs: dict[str, str], *, cwd: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    """Run a step's script as GitHub's runner does, with defaults for other inputs, and `programs` first on PATH."""
    runner = cwd / "runner"
    runner.mkdir(exist_ok=True)
    values = {key: given.get("default", "") for key, given in ACTION["inputs"].items()} | inputs
    env = {
        key: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda match: values[match[1]], text)
        for key, text in SCRIPTS[name]["env"].items()
    }
    files = {f"GITHUB_{key}": str(runner / key) for key in ("OUTPUT", "STEP_SUMMARY")}
    (runner / "script.sh").write_text(SCRIPTS[name]["run"], "utf-8")
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(runner / "script.sh")]
    changes = {**env, **files, "RUNNER_TEMP": str(runner), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=cwd, env=clean_environment() | changes, capture_output=True, text=True)


@pytest.fixture
def recorder(tmp_path) -> Path:
    """A folder with a `python` that only writes down, a JSON list a call, what it was asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = f"import json, sys; print(json.dumps(sys.argv[1:]), file=open({str(tmp_path / 'calls')!r}, 'a'))"
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{program}" "$@"\n', "utf-8")
    (folder / "python").chmod(0o755)
    return folder


def calls(folder: Path) -> list[list[str]]:
    file = folder / "calls"
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def test_inputs_are_declared_used_and_described():
    table = (ROOT / "docs" / "continuous-integration.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \|(?: `.*?`)? \|", table, re.MULTILINE)) >= set(ACTION["inputs"])
    assert set(re.findall(r"inputs\.([\w-]+)", TEXT)) == set(ACTION["inputs"])
    for given in ACTION["inputs"].values():
        assert given["description"].endswith(".")
        assert isinstance(given["default"], str)


def test_no_expression_becomes_a_part_of_a_shell_script():
    assert set(SCRIPTS) == {"install", "judge"}
    for step in SCRIPTS.values():
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    assert STEPS[-1]["if"] == "always()"
    for step in STEPS:
        assert ("run" in step) != bool(re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "")))


@pytest.mark.parametrize(
    ("inputs", "want"),
    [
        ({}, [["qkvcheck"]]),
        ({"qkvcheck": "0.1.0"}, [["qkvcheck==0.1.0"]]),
        ({"qkvcheck": "."}, [["."]]),
        ({"qkvcheck": ""}, []),
        ({"qkvcheck": "", "torch-index-url": "file:///wheels"}, [["--index-url", "file:///wheels", "torch"]]),
    ],
)
def test_what_is_installed(recorder, tmp_path, inputs, want):
    ran = run_step("install", inputs, cwd=tmp_path, programs=recorder)
    assert ran.returncode == 0, ran.stderr
    assert calls(tmp_path) == [["-m", "pip", "install", *arguments] for arguments in want]


def test_arguments_reach_pytest_and_nothing_in_them_is_executed(recorder, tmp_path):
    hostile = "$(touch broken) `touch broken`; touch broken"
    inputs = {
        "path": "one.py 'the other.py'", "model": hostile, "baseline": "a b.json", "artifact": "one",
        "arguments": f"-m 'claim(layer=6)'\n-x '{hostile}'",
    }  # fmt: skip
    ran = run_step("judge", inputs, cwd=tmp_path, programs=recorder)
    assert ran.returncode == 0, ran.stderr
    results = tmp_path / "runner" / "qkvcheck" / "one"
    assert calls(tmp_path) == [[
        "-m", "pytest", f"--qkv-json={results}/results.json", "--junitxml", f"{results}/junit.xml",
        f"--qkv-model={hostile}", "--qkv-baseline=a b.json", "one.py", "the other.py", "-m", "claim(layer=6)",
        "-x", hostile,
    ]]  # fmt: skip
    assert not (tmp_path / "broken").exists()
    assert (tmp_path / "runner" / "OUTPUT").read_text("utf-8") == f"results={results}\n"


@pytest.fixture
def project(installed, tmp_path) -> Path:
    """A folder with the example in `project`, and a Python that knows the wheel in `bin`."""
    copy_example(tmp_path / "project")
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{installed}" exec "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(0o755)
    return tmp_path


def test_a_refuted_claim_fails_the_step_and_leaves_its_results(project):
    """The example's claims, about another model: there one of them is wrong, once it is asked for more."""
    claims = project / "project" / "claims.toml"
    told = claims.read_text("utf-8")
    assert "threshold = 0.6" in told
    claims.write_text(told.replace("threshold = 0.6", "threshold = 0.4"), "utf-8")
    inputs = {"directory": "project", "model": "embedded", "arguments": "--qkv-untrained-seeds 1"}
    ran = run_step("judge", inputs, cwd=project, programs=project / "bin")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    results = project / "runner" / "qkvcheck" / "qkvcheck"
    verdicts = json.loads((results / "results.json").read_text("utf-8"))["verdicts"]
    assert "REFUTED" in {verdict["verdict"] for verdict in verdicts}
    assert 'failures="1"' in (results / "junit.xml").read_text("utf-8")
    summary = (project / "runner" / "STEP_SUMMARY").read_text("utf-8")
    assert summary.startswith("```\n=")
    assert "\n2 claims: " in summary


def test_a_mistake_is_shown_where_there_is_no_table(project):
    inputs = {"directory": "project", "model": "./absent"}
    ran = run_step("judge", inputs, cwd=project, programs=project / "bin")
    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert "'./absent' does not exist" in (project / "runner" / "STEP_SUMMARY").read_text("utf-8")
