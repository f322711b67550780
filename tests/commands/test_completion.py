"""Completion: what a shell is told that asks by argcomplete's protocol, and that nobody else pays for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs_time


def told(tmp_path, line: str) -> list[str]:
    """Return what could stand at the end of a line, as a shell asks for it."""
    pytest.importorskip("argcomplete")
    out = tmp_path / "told"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    environment = {**os.environ, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(out)}
    ran = subprocess.run([sys.executable, "-m", "qkvcheck.cli"], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    return out.read_text().split()


def test_commands_options_and_values(tmp_path):
    assert told(tmp_path, "qkvcheck co") == ["compare"]
    assert {"doctor", "init", "sweep"} <= set(told(tmp_path, "qkvcheck "))
    assert told(tmp_path, "qkvcheck compare a.json b.json --pic") == ["--picture"]
    assert told(tmp_path, "qkvcheck doctor --pic") == []


def test_nobody_else_pays_for_it():
    """Neither help nor a wrong use imports it; where it is not installed, a shell that asks is told nothing."""
    code = (
        "import sys; from qkvcheck import cli\ntry: cli.main({arguments})\nfinally: print('argcomplete' in sys.modules)"
    )
    for arguments in (["--help"], ["compare", "--help"], []):
        ran = subprocess.run(
            [sys.executable, "-c", code.format(arguments=arguments)], capture_output=True, text=True, check=False
        )
        assert ran.stdout.splitlines()[-1] == "False"
    without = "import sys; sys.modules['argcomplete'] = None; from qkvcheck.cli import main; main([])"
    environment = {**os.environ, "_ARGCOMPLETE": "1", "COMP_LINE": "qkvcheck co", "COMP_POINT": "11"}
    ran = subprocess.run([sys.executable, "-c", without], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Traceback" not in ran.stderr
