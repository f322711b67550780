"""Where nothing can be written: what is only kept for speed decides nothing, and an output's failure loses no other."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from qkvcheck.plugin import run_files

pytestmark = pytest.mark.usefixtures("loaded")


@pytest.fixture
def trained(project):
    """A project whose one claim asks an untrained network."""
    return project, ("-k", "BOTH", "--qkv-json=r.json")


def estimate(project) -> float:
    return json.loads((project.path / "r.json").read_text())["verdicts"][0]["controls"][0]["estimate"]


@pytest.mark.parametrize("place", ["file for folder", "no permission", "file in the cache"])
def test_a_cache_that_cannot_be_written_decides_nothing(trained, monkeypatch, place):
    project, arguments = trained
    assert project.runpytest(*arguments, "-p", "no:cacheprovider").ret == 0
    expected = estimate(project)
    cache = project.path / ".pytest_cache"
    if place == "file for folder":
        cache.write_text("")
    elif place == "file in the cache":
        (cache / "d").mkdir(parents=True)
        (cache / "d" / "qkvcheck").write_text("")
    else:

        def refuse(*_, **__):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(pytest.Cache, "mkdir", refuse)
    result = project.runpytest(*arguments, "-Wignore::pytest.PytestCacheWarning")
    assert result.ret == 0, result.stdout.str()
    assert estimate(project) == expected


@pytest.mark.parametrize("text", ["{}", "[]", "3.5", "null", "", "{", '{"a": [1]}', "true", '"x"', "[[1, 2]]", "NaN"])
def test_a_damaged_cache_decides_nothing(trained, text):
    project, arguments = trained
    assert project.runpytest(*arguments).ret == 0
    expected = estimate(project)
    kept = list((project.path / ".pytest_cache" / "d" / "qkvcheck").glob("untrained-*.json"))
    assert kept
    for path in kept:
        path.write_text(text)
    result = project.runpytest(*arguments)
    assert result.ret == 0, result.stdout.str()
    assert estimate(project) == expected


def test_a_full_disk_while_a_number_is_kept_decides_nothing(trained, monkeypatch):
    from qkvcheck.claims import untrained

    project, arguments = trained

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(untrained, "write_document", full)
    assert project.runpytest(*arguments).ret == 0


@pytest.mark.parametrize("broken", ["write_results", "write_baseline", "_write_report"])
def test_one_output_that_fails_leaves_the_others(project, monkeypatch, broken):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "there")

    monkeypatch.setattr(run_files, broken, full)
    result = project.runpytest("-k", "LOW", "--qkv-json=r.json", "--qkv-report=r.html", "--qkv-update=all")
    written = {
        "write_results": Path(project.path, "r.json").exists(),
        "_write_report": Path(project.path, "r.html").exists(),
        "write_baseline": Path(project.path, "recorded", "embedded.json").exists(),
    }
    assert written == {name: name != broken for name in written}
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "NOT WRITTEN: [Errno 28] No space left on device: 'there'" in result.stdout.str()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--qkv-json=."], "--qkv-json '.' is a folder; name a file in it."),
        (["--qkv-report=."], "--qkv-report '.' is a folder; name a file in it."),
        (["--qkv-json=none/r.json"], "--qkv-json 'none/r.json' can't be written: there is no folder 'none'; make it."),
        (["--qkv-json=claims.toml"], "--qkv-json 'claims.toml' would replace a file that is read here"),
        (["--qkv-json=tox.ini"], "--qkv-json 'tox.ini' would replace a file that is read here"),
        (
            ["--qkv-report=mine.txt", "--qkv-corpus=mine.txt"],
            "--qkv-report 'mine.txt' would replace a file that is read",
        ),
        (["--qkv-json=link.txt", "--qkv-corpus=mine.txt"], "--qkv-json 'link.txt' would replace a file that is read"),
        (["--qkv-json=r.json", "--qkv-report=./r.json"], "is written and read by another option too"),
        (["--qkv-json=b.json", "--qkv-baseline=b.json"], "is written and read by another option too"),
        (["--qkv-update=all", "--qkv-baseline=."], "--qkv-baseline '.' is a folder"),
    ],
)
def test_outputs_are_checked_before_the_run(project, arguments, message):
    (project.path / "mine.txt").write_text("We saw her again\n")
    (project.path / "link.txt").symlink_to("mine.txt")
    (project.path / "b.json").write_text("{}")
    before = {path: path.read_bytes() for path in project.path.iterdir() if path.is_file()}
    result = project.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()
    assert {path: path.read_bytes() for path in before} == before


def test_a_test_file_is_never_replaced(project):
    name = next(path.name for path in project.path.glob("test_*.py"))
    result = project.runpytest(f"--qkv-json={name}")
    assert f"--qkv-json '{name}' would replace a file that is read here" in result.stderr.str()
