"""The example of a statistic, a control and a figure of one's own, from pytest to search."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qkvcheck import encode_corpus, load_model, read_corpus
from qkvcheck.capture import capture
from tests.conftest import ROOT
from tests.project.test_example_project import clean_environment

pytestmark = pytest.mark.long

EXAMPLE = ROOT / "examples" / "own-statistic"
FILES = "participation_ratio.py every_other.py ratio_figure.py"
SETTINGS = ("--qkv-model", "embedded", "--qkv-untrained-seeds", "1", "-p", "no:cacheprovider")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    to = tmp_path_factory.mktemp("elsewhere") / "own-statistic"
    return shutil.copytree(EXAMPLE, to, ignore=shutil.ignore_patterns("baselines", "__pycache__", "*.json", "*.html"))


@pytest.fixture(scope="module")
def run(project, installed) -> Callable[..., str]:
    def run(module: str, *arguments: str, status: int = 0, **variables: str) -> str:
        environment = clean_environment(PYTHONPATH=str(installed), **variables)
        command = [sys.executable, "-m", module, *arguments]
        ran = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout if status == 0 else ran.stderr

    return run


@pytest.fixture(scope="module")
def judged(run) -> str:
    return run("pytest", *SETTINGS, "--qkv-update=all", "--qkv-json", "r.json", "--qkv-report", "r.html")


def test_terminal_has_the_number_and_the_column(judged, run):
    (row,) = (line for line in judged.splitlines() if line.startswith("spread "))
    assert ">.300" in row.split()
    every = run("pytest", *SETTINGS, "-v", COLUMNS="200")
    assert "participation ratio > 0.3" in every
    (head,) = (line for line in every.splitlines() if line.startswith("claim  cell"))
    assert "half" in head.split()


@pytest.mark.usefixtures("judged")
def test_it_is_recorded_and_found_again(project, run):
    kept = json.loads((project / "baselines" / "embedded.json").read_text("utf-8"))["verdicts"]
    assert set(kept) == {"spread-L06-Q", "spread-L06-K", "spread-L06-V"}
    assert "Not on record" not in run("pytest", *SETTINGS)


@pytest.mark.usefixtures("judged")
def test_numbers_are_those_of_the_definition(project):
    hooked = load_model("embedded")
    contexts = encode_corpus(read_corpus("replication"), hooked.encoder, target=" her")
    energy = (capture(hooked, contexts, layers=[6]).projection(6, "K").astype(np.float64) ** 2).mean(axis=0)
    verdicts = {v["key"]: v for v in json.loads((project / "r.json").read_text("utf-8"))["verdicts"]}
    expected = energy.sum() ** 2 / (len(energy) * (energy**2).sum())
    assert verdicts["spread-L06-K"]["plug_in"] == pytest.approx(expected, rel=1e-9)
    assert "every-other" in [control["name"] for control in verdicts["spread-L06-K"]["controls"]]


@pytest.mark.usefixtures("judged")
def test_explain_says_what_it_is(run):
    told = run("qkvcheck.cli", "explain", "spread-L06-Q", "r.json", "--load", FILES)
    assert "1 if all dimensions hold as much" in told
    assert "every other sentence: whether half of the corpus gives the same" in told
    assert "1 if all dimensions" not in run("qkvcheck.cli", "explain", "spread-L06-Q", "r.json")


@pytest.mark.usefixtures("judged")
def test_report_has_its_figure(project, run):
    run("qkvcheck.cli", "report", "r.json", "--out", "again.html", QKV_LOAD=FILES)
    for name in ("r.html", "again.html"):
        page = (project / name).read_text("utf-8")
        assert 'id="participation-6"' in page
        assert "the participation ratio of the dimensions is" in page
        assert "half of the sentences" in page


def test_search_attacks_it(run):
    options = ("--claims", "claims.toml", "--model", "embedded", "--budget", "5", "--load", "participation_ratio.py")
    found = json.loads(run("qkvcheck.cli", "search", "--claim", "spread", *options, "--json"))["search"]
    assert found["claim"] == "spread"
    assert 0 < found["worst"]["value"] < found["corpus"]


def test_a_control_nobody_registered_stops_the_run(run, project):
    text = (project / "pytest.ini").read_text("utf-8").replace(" every_other.py", "")
    (project / "other.ini").write_text(text, "utf-8")
    told = run("pytest", *SETTINGS, "-c", "other.ini", "--rootdir", ".", status=4)
    (line,) = told.strip().splitlines()
    assert line.startswith("ERROR: claim spread: control 'every-other' is not known; allowed: different-words")
