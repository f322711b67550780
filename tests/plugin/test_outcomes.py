"""Outcomes of a project's claims, and what the terminal shows of them."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")


@WORKERS
def test_outcomes_without_a_record(project, workers):
    result = project.runpytest(*workers)
    assert result.ret == 1
    counts = result.parseoutcomes()
    # LOW: 4 cells; BOTH: 2; HIGH: 1 decides and fails, 3 stand beside it; NONE: 2.
    assert (counts["passed"], counts["failed"], counts["skipped"]) == (4, 1, 2)
    out = result.stdout.str()
    assert "3 refuted beside the claim" in out
    assert "2 supported (untrained networks too)" in out
    assert "The gate is off: no verdicts are on record for embedded." in out
    result.stdout.fnmatch_lines(["*FAILED *test_high?HIGH-L06-Q?*"])
    assert "Traceback" not in out


def test_a_project_runs_from_its_folders_too(project, monkeypatch):
    with (project.path / "tox.ini").open("a") as ini:
        ini.write("\nqkv_corpus = mine.txt\nqkv_json = out.json\n")
    names = ("She", "He", "Anna", "John", "They", "We", "You", "I", "Peter", "The king")
    sentences = [f"{name} {verb} her" for name in names for verb in ("gave", "told", "saw")]
    (project.path / "mine.txt").write_text("\n".join(sentences))
    monkeypatch.chdir(project.mkdir("folder"))
    result = project.runpytest("..", "-k", "low")
    assert "contexts  30 (30 distinct) of ../mine.txt" in result.stdout.str()
    assert (project.path / "out.json").is_file()


def test_failure_is_a_table(project):
    result = project.runpytest()
    result.stdout.fnmatch_lines(
        ["HIGH-L06-Q", "*claim *HIGH: rows are the same", "*threshold *> 0.9990", "*what to do *"]
    )


def test_quiet_leaves_one_line(project):
    result = project.runpytest("-q")
    lines = [line for line in result.outlines if "claims:" in line or line.startswith("qkvcheck")]
    assert lines == [
        "qkvcheck: embedded: 4 claims: 2 supported on the stand-in, 1 refuted on the stand-in, 1 not judged; "
        "1 of the supported also in an untrained network; the gate is off (no verdicts are on record for embedded)"
    ]
    assert "threshold " not in "\n".join(line for line in result.outlines if line.startswith("claim "))


def test_verbose_lists_every_cell(project):
    assert "L06 K cosine" not in project.runpytest("-k", "LOW").stdout.str()
    assert "L06 K cosine" in project.runpytest("-k", "LOW", "-v").stdout.str()


@pytest.mark.parametrize(("colour", "coloured"), [("yes", True), ("no", False)])
def test_colours_follow_pytest(project, colour, coloured):
    assert ("\x1b[33m" in project.runpytest(f"--color={colour}").stdout.str()) is coloured


def test_header_line(project):
    project.runpytest().stdout.fnmatch_lines(
        ["qkvcheck: model embedded, corpus replication, target ' her', layers 5, 6 (zero-based)"]
    )


def test_broken_apparatus_is_an_error(project):
    project.makepyfile(
        """
        import numpy as np, pytest
        from dataclasses import replace

        @pytest.mark.claim(id="HIGH", layer=6, group="Q")
        def test_nan(claim, activations):
            claim.check(replace(activations, values=np.full_like(activations.values, np.nan)))
        """
    )
    result = project.runpytest()
    assert result.ret == 1
    assert result.parseoutcomes() == {"errors": 1}
    assert "NaN or infinite values; nothing can be said" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_larger_model_is_told_by_its_parameters(project):
    result = project.runpytest("-rs", "-k", "NONE")
    result.stdout.fnmatch_lines(["*SKIPPED*NOT JUDGED: no reason"])


REQUIRED = "--qkv-require-baseline fails this run: "
WITHOUT_CLAIMS = "def test_other():\n    pass\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("test_other.py",),
        ("-k", "none_of_them"),
        ("test_other.py", "-k", "none_of_them"),
        (
            "-k",
            "other",
        ),
    ],
)
@WORKERS
def test_a_gate_that_judged_nothing_is_not_green(project, arguments, workers):
    """Tests without a claim, or none at all: one line, last, and exit status 1; without the gate all is as ever."""
    (project.path / "test_other.py").write_text(WITHOUT_CLAIMS)
    plain = project.runpytest(*arguments, *workers)
    assert plain.ret in (0, 5)
    assert "fails this run" not in plain.stdout.str()
    result = project.runpytest("--qkv-require-baseline", *arguments, *workers)
    assert result.ret == 1
    assert result.outlines[-1].startswith(f"{REQUIRED}no test with a claim was run; choose tests with claims")
    assert result.stdout.str().count("fails this run") == 1


def test_a_record_named_on_the_command_line_is_a_gate_too(project, monkeypatch):
    """Where an ini file or a variable names it, other tests of the project are run as ever."""
    (project.path / "test_other.py").write_text(WITHOUT_CLAIMS)
    for run, status in ((("--qkv-baseline=r.json",), 1), (("--qkv-baseline=r.json", "--qkv-update=all"), 0), ((), 0)):
        result = project.runpytest("test_other.py", *run)
        assert result.ret == status
        told = result.outlines[-1].startswith("--qkv-baseline fails this run: no test with a claim was run; ")
        assert told is (status == 1)
    monkeypatch.setenv("QKV_BASELINE", "r.json")
    assert project.runpytest("test_other.py").ret == 0


@pytest.mark.parametrize("arguments", [("--collect-only",), ("--setup-plan", "test_other.py"), ("--fixtures",)])
def test_a_run_that_only_lists_is_no_gate(project, arguments):
    (project.path / "test_other.py").write_text(WITHOUT_CLAIMS)
    result = project.runpytest("--qkv-require-baseline", *arguments)
    assert result.ret == 0
    assert "fails this run" not in result.stdout.str()


def test_a_gate_that_the_ini_file_asks_for_can_be_left_out(project, monkeypatch):
    (project.path / "test_other.py").write_text(WITHOUT_CLAIMS)
    with (project.path / "tox.ini").open("a") as ini:
        ini.write("\nqkv_require_baseline = yes\n")
    result = project.runpytest("test_other.py")
    assert result.ret == 1
    assert "QKV_REQUIRE_BASELINE=no where the ini file asks for it" in result.outlines[-1]
    monkeypatch.setenv("QKV_REQUIRE_BASELINE", "no")
    assert project.runpytest("test_other.py").ret == 0


def test_a_gate_all_of_whose_claims_are_not_judged_is_not_green(project):
    result = project.runpytest("--qkv-require-baseline", "-k", "NONE")
    assert result.ret == 1
    assert f"{REQUIRED}all that was found is NOT JUDGED (2); " in result.outlines[-1]


def test_a_comparison_that_compared_nothing_is_not_green(project):
    assert project.runpytest("--qkv-json=r.json", "-k", "LOW-L06-Q").ret == 0
    (project.path / "test_other.py").write_text(WITHOUT_CLAIMS)
    result = project.runpytest("--qkv-compare=r.json", "test_other.py")
    assert result.ret == 1
    assert result.outlines[-1].startswith("--qkv-compare fails this run: no test with a claim was run; ")
    assert project.runpytest("--qkv-compare=r.json", "-k", "LOW-L06-Q").ret == 0


def test_a_test_that_fails_says_enough(project):
    (project.path / "test_other.py").write_text("def test_other():\n    assert False\n")
    result = project.runpytest("--qkv-require-baseline", "test_other.py")
    assert result.ret == 1
    assert "fails this run" not in result.stdout.str()
