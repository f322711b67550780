"""Inconclusive claims, and --qkv-strict."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")


OPEN = """
schema = "qkvcheck/claims/1"
layer = 6

[[claim]]
id = "OPEN"
statement = "rows are more alike than can be told"
statistic = "row_mean"
direction = "above"
threshold = 0.88
axis = "contexts"
groups = ["Q", "K"]
measures = ["pearson"]
primary = [["Q", "pearson"]]
controls = []
"""


@pytest.fixture
def open_project(pytester):
    pytester.makeini(
        "[pytest]\nqkv_claims = claims.toml\nqkv_baselines = recorded\nqkv_model = embedded\nqkv_layers = 6"
    )
    (pytester.path / "claims.toml").write_text(OPEN)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.claim(id="OPEN")
        def test_open(claim, activations):
            claim.check(activations)
        """
    )
    return pytester


@WORKERS
def test_inconclusive_has_a_letter_and_a_count_of_its_own(open_project, workers):
    result = open_project.runpytest("--junitxml=j.xml", "-k", "OPEN-L06-Q", *workers)
    assert result.ret == 0
    out = result.stdout.str()
    assert "1 inconclusive" in result.stdout.lines[-1]
    assert "?" in "".join(line for line in result.stdout.lines if line.startswith(("test_", "?")) or "%]" in line)
    assert "open: -v tells how many contexts would settle it" in " ".join(out.split())
    verbose = open_project.runpytest("-v", "-k", "OPEN-L06-Q", *workers).stdout.str()
    assert "OPEN-L06-Q is open: some" in verbose
    assert "1 claim: 0 supported on the stand-in, 0 refuted on the stand-in, 1 inconclusive" in out
    told = {
        p.get("name"): p.get("value") for p in ElementTree.parse(open_project.path / "j.xml").getroot().iter("property")
    }
    assert told["qkvcheck.verdict"] == "inconclusive on the stand-in"


@WORKERS
def test_strict_makes_it_a_failure(open_project, workers):
    result = open_project.runpytest("--qkv-strict", "-k", "OPEN-L06-Q", *workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*distinct contexts would just settle it*", "*give more different contexts*"])
    assert "Traceback" not in result.stdout.str()


def test_strict_in_environment_and_ini(open_project, monkeypatch):
    monkeypatch.setenv("QKV_STRICT", "1")
    assert open_project.runpytest("-k", "OPEN-L06-Q").ret == 1
    monkeypatch.setenv("QKV_STRICT", "perhaps")
    result = open_project.runpytest("-k", "OPEN-L06-Q")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "qkv_strict 'perhaps' is neither yes nor no" in result.stderr.str()


@pytest.mark.long
@WORKERS
def test_strict_does_not_let_auto_fall_back(open_project, workers, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    result = open_project.runpytest_subprocess("--qkv-strict", "--qkv-model", "auto", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--qkv-strict: auto would fall back to embedded, a stand-in" in result.stderr.str()


def test_inconclusive_on_record_is_no_change(open_project):
    open_project.runpytest("--qkv-update=all")
    assert json.loads((open_project.path / "recorded" / "embedded.json").read_text())["verdicts"]["OPEN-L06-Q"][
        "verdict"
    ] == "INCONCLUSIVE"  # fmt: skip
    assert open_project.runpytest().ret == 0
