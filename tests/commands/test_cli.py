"""The command's edges: a reader that goes, a terminal that knows ASCII alone, a user who stops it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qkvcheck import cli
from qkvcheck.commands import explain
from qkvcheck.record.results import write_results
from tests.conftest import ROOT
from tests.made_up import synthetic


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("results") / "r.json"
    made = synthetic(contexts=6)
    write_results(path, made.run, made.findings)
    return path


def command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "qkvcheck.cli", *arguments],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.needs_time
def test_a_reader_that_goes_is_no_fault(results):
    running = command("explain", "no-such-key", str(results))
    assert "no-such-key" in running.communicate()[1]
    read, write = os.pipe()
    os.close(read)  # nobody reads
    done = subprocess.run(
        [sys.executable, "-m", "qkvcheck.cli", "doctor", "--help"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert done.stderr == ""


def test_a_reader_that_goes_while_a_command_prints(monkeypatch, capfd):
    def run(_):
        raise BrokenPipeError

    monkeypatch.setattr(explain, "run", run)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert cli.main(["explain", "key", "r.json"]) == 0
    assert capfd.readouterr().err == ""


def test_ctrl_c_is_told_in_a_word(monkeypatch, capsys):
    def run(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "run", run)
    assert cli.main(["explain", "key", "r.json"]) == 130
    assert capsys.readouterr().err == "qkvcheck: stopped.\n"


def test_a_file_that_fails_is_told_in_a_line(monkeypatch, capsys):
    def run(_):
        raise OSError(28, "No space left on device", "r.json")

    monkeypatch.setattr(explain, "run", run)
    assert cli.main(["explain", "key", "r.json"]) == 2
    assert capsys.readouterr().err == "qkvcheck: r.json can't be read or written (No space left on device).\n"


def test_an_error_without_a_file_keeps_its_words(monkeypatch, capsys):
    """As a record's lock says it, which another process holds."""

    def run(_):
        raise OSError("another process has been writing 'b.json' for 60 seconds; try again")

    monkeypatch.setattr(explain, "run", run)
    assert cli.main(["explain", "key", "r.json"]) == 2
    assert "another process has been writing 'b.json'" in capsys.readouterr().err


def written(source: str) -> list[str]:
    """Return the options that code writes into what it was given."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))
    return [n.attr for n in nodes if isinstance(n.ctx, ast.Store) and ast.unparse(n.value) == "options"]


@pytest.mark.parametrize("path", sorted((ROOT / "qkvcheck" / "commands").rglob("*.py")), ids=lambda path: path.stem)
def test_options_are_read_and_what_is_made_of_them_is_passed_on(path):
    assert written(path.read_text("utf-8")) == []


def test_the_check_above_can_fail():
    assert written("options.file, options.other = options.files") == ["file", "other"]
