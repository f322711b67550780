"""The plugin and recorded verdicts: recorded, held against, changed in either direction, part by part."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")


@WORKERS
def test_life_of_a_record(project, workers):
    """Record, run, change in either direction, and change of model."""
    recorded = project.path / "recorded" / "embedded.json"
    first = project.runpytest("--qkv-update=all", *workers)
    assert first.ret == 0
    assert f"10 verdicts recorded in {recorded}" in first.stdout.str()
    text = recorded.read_text()

    second = project.runpytest(*workers)
    assert second.ret == 0
    assert second.parseoutcomes()["passed"] == 4
    assert "4 refuted (recorded)" in second.stdout.str()
    assert "r: refuted on record too" in second.stdout.str()
    assert "refuted r" in second.stdout.str()
    assert "gate is off" not in second.stdout.str()
    assert recorded.read_text() == text

    data = json.loads(text)
    data["verdicts"]["HIGH-L06-Q"]["verdict"] = "SUPPORTED"
    data["verdicts"]["LOW-L05-K"]["verdict"] = "REFUTED"
    recorded.write_text(json.dumps(data))
    third = project.runpytest(*workers)
    assert third.ret == 1
    assert third.parseoutcomes()["failed"] == 2
    third.stdout.fnmatch_lines_random(
        ["*FAILED*HIGH-L06-Q?*", "*FAILED*LOW-L05-K?*", "*on record as REFUTED*now SUPPORTED*", "*(CHANGED)*"]
    )

    data["conditions"]["fingerprint"] = "other"
    recorded.write_text(json.dumps(data))
    fourth = project.runpytest(*workers)
    assert fourth.parseoutcomes()["failed"] == 1
    assert "embedded.json is not comparable (other weights, architecture or tokenizer)" in " ".join(
        fourth.stdout.str().split()
    )


def test_recorded_verdict_that_can_no_longer_be_judged_is_a_change(project):
    """Otherwise a gate would pass because nothing was measured."""
    project.runpytest("--qkv-update=all")
    recorded = project.path / "recorded" / "embedded.json"
    data = json.loads(recorded.read_text())
    data["verdicts"]["NONE-L06-QKV"] = {"verdict": "SUPPORTED", "estimate": 0.5, "n": 54}
    recorded.write_text(json.dumps(data))
    result = project.runpytest()
    assert result.parseoutcomes()["failed"] == 1
    assert "on record as SUPPORTED (0.5000), now NOT JUDGED (no estimate)" in result.stdout.str()


def test_part_of_a_run_records_its_part_only(project):
    project.runpytest("--qkv-update=all")
    before = json.loads((project.path / "recorded" / "embedded.json").read_text())
    project.runpytest("--qkv-update=all", "-k", "LOW-L06-Q")
    assert json.loads((project.path / "recorded" / "embedded.json").read_text()) == before


def test_named_record_that_is_not_there(project):
    result = project.runpytest("--qkv-baseline", "nowhere.json")
    assert result.ret == 4
    told = result.stderr.str().strip().removeprefix("ERROR: ")
    assert told == "baseline 'nowhere.json' can't be read (No such file or directory); record it with --qkv-update=all."


def test_a_merge_conflict_in_a_record_is_told_and_recording_anew_is_a_way_out(project):
    only = ("-k", "LOW-L06-Q", "--qkv-controls", "claim")
    assert project.runpytest("--qkv-update=all", *only).ret == 0
    recorded = project.path / "recorded" / "embedded.json"
    text = recorded.read_text()
    entry = next(line for line in text.splitlines(keepends=True) if "LOW-L06-Q" in line)
    recorded.write_text(text.replace(entry, f"<<<<<<< HEAD\n{entry}=======\n{entry}>>>>>>> theirs\n"))
    told = project.runpytest(*only)
    assert told.ret == 1
    (line,) = {line for line in told.outlines if line.startswith("baseline ") and "merge conflict" in line}
    assert "take one side with git checkout --ours -- " in line
    assert line.endswith("or record it with --qkv-update=all.")
    assert "Traceback" not in told.stdout.str()
    again = project.runpytest("--qkv-update=all", *only)
    assert again.ret == 0
    assert "what was there could not be read, and is replaced" in again.stdout.str()
    assert recorded.read_text() == text
    assert project.runpytest(*only).ret == 0


def test_corpora_have_records_of_their_own(project):
    project.runpytest("--qkv-update=all")
    result = project.runpytest("--qkv-update=all", "--qkv-corpus", "balanced", "--qkv-dtype", "float64")
    assert "embedded+balanced+float64.json" in result.stdout.str()
    assert project.runpytest().ret == 0
    assert project.runpytest("--qkv-corpus", "balanced", "--qkv-dtype", "float64").ret == 0
    assert "no verdicts are on record" in project.runpytest("--qkv-corpus", "balanced").stdout.str()
