"""--qkv-limit: the first contexts of a corpus, told in the result, and never compared with a record of others."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("loaded")

ONLY = ("-k", "LOW-L06-Q")


def test_the_first_contexts_are_judged_and_told(project):
    assert project.runpytest("--qkv-limit=30", "--qkv-json=r.json", *ONLY).ret in (0, 1)
    found = json.loads((project.path / "r.json").read_text())
    assert found["settings"]["limit"] == 30
    assert found["corpus"]["contexts"] == len(found["corpus"]["texts"]) == 30
    (verdict,) = found["verdicts"]
    assert verdict["n"] == 30


def test_a_record_of_all_contexts_is_not_compared(project):
    assert project.runpytest("--qkv-update=all", *ONLY).ret == 0
    told = project.runpytest("--qkv-limit=30", *ONLY).stdout.str()
    assert "embedded.json is not comparable (other contexts" in told
    assert "is not comparable" not in project.runpytest("--qkv-limit=54", *ONLY).stdout.str()


def test_wrong_limits_are_one_line(project):
    for given in ("1", "0", "some"):
        result = project.runpytest(f"--qkv-limit={given}", *ONLY)
        assert result.ret == 4
        (line,) = [line for line in result.errlines if line]
        assert line == f"ERROR: --qkv-limit '{given}' is not a whole number from 2 to 2147483647; check it."


def test_long_work_is_told_of_before_it_begins(project, monkeypatch):
    monkeypatch.setattr("qkvcheck.plugin.progress.WORTH_A_LOOK", 1)
    monkeypatch.setattr("qkvcheck.plugin.progress.TOLD_FROM", 0.0)
    result = project.runpytest("--qkv-limit=30", "-k", "BOTH")
    (line,) = [line for line in result.outlines if line.startswith("qkvcheck: 30 contexts")]
    assert "30 contexts, 60 forwards of one through this model and 1 untrained networks: some " in line
    assert " GB and " in line
    assert "30 contexts," not in project.runpytest("--qkv-limit=30", "-k", "BOTH", "-qq").stdout.str()
