"""The command line: doctor, its exit status, and wrong use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.hub_stand_in import HubStandIn

pytestmark = pytest.mark.needs_time


def run(tmp_path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "QKV_"))}
    caches = {"HF_HOME": str(tmp_path / "hf"), "QKV_CACHE": str(tmp_path / "own")}
    settings = {**clean, **caches, "HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "qkvcheck.cli", *arguments],
        cwd=tmp_path, env={**settings, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def found_by(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}


def test_doctor_on_a_bare_machine(tmp_path):
    done = run(tmp_path, "doctor")
    assert done.returncode == 0, done.stderr
    found = found_by(done)
    assert found["embedded"] == "whole"
    assert found["gpt2"] == found["openai-community/gpt2"] == "not in the cache"
    reason = "GPT-2 small is not in the cache, smollm2 is not fetched"
    assert found["auto"] == f"chooses embedded (ships with qkvcheck, edition 2; {reason})"
    assert found["smollm2"] == "is not fetched"
    assert found["cache"] == f"{tmp_path}/hf/hub (not there yet)"
    assert found["devices"].startswith("cpu (")
    assert "does not answer (Conn" in found["hub"]
    assert {"torch", "transformers", "huggingface_hub", "numpy", "pytest"} <= set(found)


def asked(hub: HubStandIn) -> list[str]:
    """What was asked about models; huggingface_hub may ask for things of its own."""
    return [path for _, path in hub.requests if path.startswith("/api/models/")]


@pytest.mark.long
def test_doctor_asks_the_hub_once(tmp_path):
    with HubStandIn({"openai-community/gpt2": {"main": {"config.json": b"{}"}}}) as hub:
        assert found_by(run(tmp_path, "doctor", HF_ENDPOINT=hub.endpoint))["hub"] == f"{hub.endpoint} answers"
        assert len(asked(hub)) == 1
        offline = found_by(run(tmp_path, "doctor", HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="1"))
        assert offline["hub"].endswith("is not asked, for HF_HUB_OFFLINE is set")
        assert len(asked(hub)) == 1


def test_doctor_as_json(tmp_path):
    data = json.loads(run(tmp_path, "doctor", "--json", HF_HUB_OFFLINE="1").stdout)
    assert data["schema"] == "qkvcheck/doctor/1"
    assert all(check["healthy"] for check in data["checks"])


def test_what_is_broken_is_a_finding(tmp_path):
    snapshot = tmp_path / "hf" / "hub" / "models--gpt2" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors").write_bytes(b"\x10" + bytes(7) + b"half")
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    done = run(tmp_path, "doctor", HF_HUB_OFFLINE="1", QKV_GPT2_TOKENIZER=str(tmp_path / "none"))
    assert done.returncode == 1
    found = found_by(done)
    assert found["gpt2"].startswith("NOT WHOLE in the cache: model.safetensors is cut off")
    assert "gpt2 in the cache is not whole" in found["auto"]
    assert found["tokenizer"].startswith("NOT USABLE: tokenizer directory")


@pytest.mark.parametrize("arguments", [[], ["cure"], ["doctor", "--fast"]])
def test_wrong_use(tmp_path, arguments):
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert "usage: qkvcheck" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_shows_an_example(tmp_path):
    assert "example: qkvcheck doctor --json" in run(tmp_path, "doctor", "--help").stdout
