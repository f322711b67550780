"""Killed while writing: a file is the old one or the new one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

KILLED = """
import os, sys
from pathlib import Path
from qkvcheck import files

point, path = sys.argv[1], Path(sys.argv[2])
plain_replace, plain_sync = Path.replace, os.fsync

def die(*_):
    os._exit(9)

if point == "half written":
    # What a file takes before it is flushed is cut in two, and the process dies.
    text = "N" * 100_000
    class Half(str):
        pass
    open_ = Path.open
    def opened(self, *given, **named):
        file = open_(self, *given, **named)
        write = file.write
        def half(text):
            write(text[: len(text) // 2]); file.flush(); die()
        file.write = half
        return file
    Path.open = opened
elif point == "before the replace":
    Path.replace = die
elif point == "after the replace":
    def replaced(self, other):
        plain_replace(self, other); die()
    Path.replace = replaced
if len(sys.argv) > 3:
    def plain(path, text):
        with path.open("w") as file:
            file.write(text)
    files.replace_text = plain
files.write_document(path, {"new": list(range(5000))})
"""


def write_and_die(point: str, path, *plain: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point, str(path), *plain],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    return done.returncode


@pytest.mark.parametrize("point", ["half written", "before the replace", "after the replace"])
def test_killed_while_writing_leaves_the_old_file_or_the_new(tmp_path, point):
    path = tmp_path / "b.json"
    path.write_text('{"old": 1}')
    assert write_and_die(point, path) == 9
    found = json.loads(path.read_text())
    assert ("new" in found) == (point == "after the replace")
    assert write_and_die("never", path) == 0  # what the dead one left is in nobody's way
    assert "new" in json.loads(path.read_text())


def test_the_check_above_fails_against_a_plain_write(tmp_path):
    path = tmp_path / "b.json"
    path.write_text('{"old": 1}')
    assert write_and_die("half written", path, "plain") == 9
    with pytest.raises(json.JSONDecodeError):
        json.loads(path.read_text())
