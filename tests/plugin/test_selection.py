"""What is run of a project's claims: -k, -m, layers, -x and --lf."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("loaded")


@pytest.mark.parametrize(
    ("selection", "count"),
    [
        (["-m", "claim(layer=6)"], 6),
        (["-m", "claim(id='LOW', group='K')"], 2),
        (["-k", "L05"], 6),
        (["-k", "LOW-L06"], 2),
    ],
)
def test_selection(project, selection, count):
    result = project.runpytest("--collect-only", "-q", *selection)
    assert len([line for line in result.outlines if "::" in line]) == count


def test_layers_option_moves_every_claim(project):
    result = project.runpytest("--collect-only", "-q", "--qkv-layers", "2-4")
    assert [f"L{layer:02d}" in result.stdout.str() for layer in range(1, 6)] == [False, True, True, True, False]


def test_first_failure_ends_the_run_and_the_table_shows_what_was_judged(project):
    """-x: HIGH's deciding cell is the first that fails; NONE, after it, is not run, and no cell is called stale."""
    project.runpytest("--qkv-update=all")
    (project.path / "recorded" / "embedded.json").rename(project.path / "elsewhere.json")
    result = project.runpytest("-x")
    assert result.ret == 1
    counts = result.parseoutcomes()
    assert (counts["failed"], counts["passed"]) == (1, 4)
    assert "skipped" not in counts
    out = result.stdout.str()
    assert any(line.startswith("HIGH ") and line.endswith("refuted") for line in result.outlines)
    assert "no longer run" not in out


def test_last_failed_runs_what_was_refuted_alone(project):
    assert project.runpytest().parseoutcomes()["failed"] == 1
    result = project.runpytest("--lf", "-v")
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["*test_high?HIGH-L06-Q? FAILED*"])
    assert result.stdout.str().count("1 claim: 0 supported on the stand-in, 1 refuted on the stand-in") == 1
