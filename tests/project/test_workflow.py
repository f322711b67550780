"""The workflow: what can be known of it without GitHub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.conftest import ROOT

FILE = ROOT / ".github" / "workflows" / "ci.yml"
WORKFLOW = yaml.safe_load(FILE.read_text("utf-8"))
JOBS = WORKFLOW["jobs"]
RUNS = {name: "\n".join(step.get("run", "") for step in job["steps"]) for name, job in JOBS.items()}
ENVIRONMENT = r"(?:py(?P<python>\d+)-)?torch(?P<torch>\d+)-tf(?P<transformers>\d+)"


def tox_environments() -> set[str]:
    """Return the environments that tox.ini gives, braces written out."""
    text = (ROOT / "tox.ini").read_text("utf-8")
    found = set(re.findall(r"^\[testenv:([\w-]+)\]", text, re.MULTILINE))
    for name in re.findall(r"^\[testenv:(.*\{.*)\]", text, re.MULTILINE):
        spread = [""]
        for plain, braces in re.findall(r"([^{}]+)|\{([^}]*)\}", name):
            spread = [start + part for start in spread for part in ([plain] if plain else braces.split(","))]
        found |= set(spread)
    return found


def test_tox_environments_that_jobs_name_exist():
    known = tox_environments()
    assert {"tests", "experiments", "torch24-tf457", "py313-torch213-tf5"} <= known
    named = {name for text in RUNS.values() for name in re.findall(r"tox run -e (\S+)", text)}
    named |= {entry["environment"] for entry in JOBS["versions"]["strategy"]["matrix"]["include"]}
    assert {"slow", "ratios", "parallel", "py310-torch24-tf457"} <= named <= known


def test_faults_are_made_and_readers_fuzzed_every_night():
    text = (ROOT / ".github" / "workflows" / "nightly.yml").read_text("utf-8")
    found = re.findall(r"tox run -e (\S+)", text)
    assert found == ["faults", "long", "recipes", "fuzz"]
    assert set(found) <= tox_environments()
    nightly = yaml.safe_load(text)
    assert nightly[True]["schedule"]  # YAML reads "on" as true
    assert nightly["permissions"] == {"contents": "read"}


def test_pairs_of_versions_can_be_installed():
    """As tox.ini says: torch 2.4 goes with 4.57 and Python up to 3.12, transformers 5.24 with 3.11 and newer."""
    pairs = JOBS["versions"]["strategy"]["matrix"]["include"]
    parsed = [re.fullmatch(ENVIRONMENT, pair["environment"]) for pair in pairs]
    assert [match["python"] for match in parsed] == [pair["python"].replace(".", "") for pair in pairs]
    for match in parsed:
        python = int(match["python"])
        assert match["torch"] != "24" or (match["transformers"] == "457" and python <= 312)
        assert match["transformers"] != "5" or python >= 311
    assert {match["python"] for match in parsed} == {"310", "311", "312", "313"}
    assert {match["torch"] for match in parsed} == {"24", "28", "213"}
    assert {match["transformers"] for match in parsed} == {"457", "5"}


def test_every_job_has_an_end():
    assert [name for name, job in JOBS.items() if not 0 < job.get("timeout-minutes", 0) <= 60] == []


def test_required_needs_every_job_that_is_not_marked():
    unmarked = {name for name, job in JOBS.items() if not job.get("continue-on-error")}
    assert set(JOBS["required"]["needs"]) == unmarked - {"required"}
    assert JOBS["required"]["if"] == "always()"
    assert set(JOBS) - unmarked == {"gpt2"}


@pytest.mark.parametrize(
    ("results", "status"),
    [(["success", "success"], 0), (["success", "failure"], 1), (["skipped", "success"], 1), (["cancelled"], 1)],
)
def test_required_fails_unless_every_needed_job_succeeded(results, status):
    needs = {f"job{number}": {"result": result, "outputs": {}} for number, result in enumerate(results)}
    ran = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", RUNS["required"]], env={**os.environ, "NEEDS": json.dumps(needs)}
    )
    assert ran.returncode == status


def test_jobs_call_what_anybody_can_run():
    assert ".ci/run" in RUNS["check"].split()
    assert any(step.get("uses") == "./" for step in JOBS["installed"]["steps"])


def test_nothing_is_allowed_but_reading_and_no_expression_is_run():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in JOBS.values())
    assert not any("${{" in text for text in RUNS.values())


def test_verdicts_of_two_files_are_compared(tmp_path):
    def write(name: str, *verdicts: tuple[str, str, float | None]) -> str:
        entries = [{"key": key, "verdict": verdict, "estimate": estimate} for key, verdict, estimate in verdicts]
        (tmp_path / name).write_text(json.dumps({"verdicts": entries}), "utf-8")
        return str(tmp_path / name)

    def compared(*files: str) -> tuple[int, str]:
        command = [sys.executable, str(ROOT / ".ci" / "same_verdicts.py"), *files]
        ran = subprocess.run(command, capture_output=True, text=True)
        return ran.returncode, ran.stdout.strip()

    one = write("one", ("A", "SUPPORTED", 0.5), ("B", "NOT JUDGED", None))
    other = write("other", ("B", "NOT JUDGED", None), ("A", "SUPPORTED", 0.5 + 1e-12))
    assert compared(one, other) == (0, "2 verdicts are the same in 2 files")
    for changed, said in (
        ([("A", "REFUTED", 0.5), ("B", "NOT JUDGED", None)], "A: SUPPORTED (0.5), REFUTED (0.5)"),
        ([("A", "SUPPORTED", 0.6), ("B", "NOT JUDGED", None)], "A: SUPPORTED (0.5), SUPPORTED (0.6)"),
        ([("A", "SUPPORTED", 0.5)], "B is in one of them only"),
    ):
        file = write("changed", *changed)
        assert compared(one, other, file) == (1, f"{file}: {said}")
