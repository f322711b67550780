"""The gate across checkpoints, on the example project: its training at three steps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.project.test_example_project import clean_environment, copy_example

pytestmark = pytest.mark.long

RECORD = "baselines/model-200+contexts.txt.json"
FASTER = ("-p", "no:cacheprovider", "--qkv-controls=claim", "--qkv-untrained-seeds=1")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The example with three checkpoints, of which one is on record."""
    folder = copy_example(tmp_path_factory.mktemp("checkpoints") / "own-model")
    for steps in (0, 200, 220):
        python(folder, "make_model.py", "--steps", str(steps), "--out", f"model-{steps}")
    judge(folder, 200, "--qkv-update=all")
    return folder


def python(folder: Path, *arguments: str, status: int = 0) -> str:
    environment = clean_environment(PYTHONPATH=str(ROOT), COLUMNS="200")
    ran = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def judge(folder: Path, steps: int, *arguments: str, status: int = 0) -> str:
    return python(folder, "-m", "pytest", *FASTER, f"--qkv-model=model-{steps}", *arguments, status=status)


def test_a_flip_and_a_shift_beyond_the_margin_fail_in_one_process_and_in_two(project):
    for workers in ((), ("-n2",)):
        told = judge(project, 0, f"--qkv-compare={RECORD}", "--qkv-compare-margin=0.1", "-q", *workers, status=1)
        assert re.search(r"values-tell-givers-apart-L01-V +FLIP: SUPPORTED -> REFUTED", told)
        assert re.search(r"values-move-together-L01-VV +SUPPORTED: .*BEYOND the margin 0.1", told)
        assert "2 failed" in told


def test_a_shift_within_the_margin_passes_and_is_kept(project):
    told = judge(project, 220, f"--qkv-compare={RECORD}", "--qkv-compare-margin=0.5", "--qkv-json=r220.json")
    assert "2 compared: 2 within the margin" in told
    verdicts = json.loads((project / "r220.json").read_text())["verdicts"]
    assert [verdict["compared"]["outcome"] for verdict in verdicts] == ["within", "within"]
    trend = ("-m", "qkvcheck.cli", "compare", RECORD, "r220.json")
    assert "No verdict turned." in python(project, *trend, "--picture", "trend.png")
    assert (project / "trend.png").stat().st_size > 5000


def test_a_shift_without_a_margin_is_told_and_fails_nothing(project):
    told = judge(project, 220, f"--qkv-compare={RECORD}")
    assert told.count("no margin") == 2
    assert "The gate" not in told


def test_what_is_not_the_same_is_one_line(project):
    for workers in ((), ("-n2",)):
        told = judge(project, 220, f"--qkv-compare={RECORD}", "--qkv-limit=23", *workers, status=4)
        assert "is not comparable with this run (other contexts)" in told
    claims = project / "claims.toml"
    text = claims.read_text()
    claims.write_text(text.replace("threshold = 0.6", "threshold = 0.7"))
    told = judge(project, 220, f"--qkv-compare={RECORD}", status=4)
    assert "claim values-tell-givers-apart has another bound (<= 0.6 there, <= 0.7 here)" in told
    judge(project, 220, f"--qkv-compare={RECORD}", "-n2", status=4)
    claims.write_text(text)
    told = judge(project, 200, f"--qkv-compare={RECORD}", "--qkv-update=all", status=4)
    assert "--qkv-update would replace" in told


def test_a_record_that_does_not_apply_is_said_last_and_can_be_required(project):
    there = project / "baselines" / "model-220+contexts.txt.json"
    none = judge(project, 220, "--qkv-require-baseline", status=1)
    assert none.splitlines()[-1].startswith("--qkv-require-baseline fails this run: no verdicts are on record")
    there.write_text((project / RECORD).read_text())
    try:
        yellow, red = "\x1b[33mThe gate ", "\x1b[31m--qkv-require-baseline fails this run: "
        for more, status, begins in ((), 0, yellow), (("--qkv-require-baseline",), 1, red):
            lines = judge(project, 220, "--color=yes", *more, status=status).splitlines()
            assert lines[-1].startswith(begins)
            assert sum("other weights, architecture or tokenizer" in line for line in lines) == 1
            assert "other weights, architecture or tokenizer" in lines[-1]
            assert "--qkv-compare=" in lines[-1]
        assert judge(project, 220, "--qkv-require-baseline", f"--qkv-compare={RECORD}")
    finally:
        there.unlink()
