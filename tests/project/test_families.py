"""All claims on a random model of each of eleven families: no error, and a reason where nothing is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FAMILIES = ("bert", "bloom", "falcon", "gemma3_text", "gpt_neox", "llama", "modernbert", "opt", "phi3", "qwen3", "t5")
"""Grouped and interleaved, rotary, learned and biased positions, norms, windows, and models that look both ways."""


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_every_claim_is_judged_or_says_why_not(family, tmp_path):
    results = tmp_path / "results.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "experiments", "-q", "--color=no", "-p", "no:cacheprovider"),
            *("--qkv-model", f"{family}#tiny", "--qkv-layers", "6", "--qkv-untrained-seeds", "1"),
            *("--qkv-json", str(results)),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode in (0, 1), told[-2000:]
    assert " error" not in told.splitlines()[-1], told[-2000:]
    assert "Traceback" not in told
    held = json.loads(results.read_text())
    assert held["model"]["family"] == family
    assert held["model"]["layers"] == 8
    assert {one["layer"] for one in held["verdicts"] if one["layer"] is not None} >= {6}
    assert len(held["verdicts"]) > 50
    unjudged = [one for one in held["verdicts"] if one["verdict"] == "NOT JUDGED"]
    assert all(one["reason"] for one in unjudged)
    assert len(unjudged) < len(held["verdicts"]) / 2
