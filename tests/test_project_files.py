"""What keeps the project in order: pre-commit, dependabot, release, coverage, and the page on its architecture."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT

TOX = (ROOT / "tox.ini").read_text("utf-8")
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / ".github/workflows").glob("*.yml")}
RELEASE = WORKFLOWS["release.yml"]["jobs"]
PRE_COMMIT = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
REPOS = {Path(repo["repo"]).name: repo for repo in PRE_COMMIT["repos"]}
ARCHITECTURE = runpy.run_path(str(ROOT / "docs" / "architecture.py"))


def tracked() -> list[Path]:
    """Return the files of the project; what is not a checkout has nothing to look at."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_pre_commit_asks_for_what_ci_asks():
    assert REPOS["ruff-pre-commit"]["rev"] == "v" + re.search(r"ruff==(\S+)", TOX)[1]
    assert [hook["id"] for hook in REPOS["ruff-pre-commit"]["hooks"]] == ["ruff-check", "ruff-format"]
    (mypy,) = REPOS["local"]["hooks"]
    assert mypy["entry"] == "tox run -e types"
    assert "[testenv:types]" in TOX
    hooks = {hook["id"] for hook in REPOS["pre-commit-hooks"]["hooks"]}
    assert hooks == {"end-of-file-fixer", "trailing-whitespace", "check-toml", "check-yaml"}


def tidied(content: bytes) -> bytes:
    """Return a text as the hooks leave it: no space at a line's end, one newline at the file's."""
    lines = b"\n".join(line.rstrip() for line in content.split(b"\n")).rstrip(b"\n")
    return lines + b"\n" if lines else content


def test_files_end_as_pre_commit_wants_them():
    assert tidied(b"a \nb\n\n") == tidied(b"a\nb") == b"a\nb\n"
    excluded = re.compile(PRE_COMMIT["exclude"])
    looked_at = [
        path for path in tracked() if path.is_file() and not excluded.search(path.relative_to(ROOT).as_posix())
    ]
    contents = {path: content for path in looked_at if b"\0" not in (content := path.read_bytes())}
    assert len(contents) > 100
    assert [str(path) for path, content in contents.items() if content != tidied(content)] == []


def test_dependabot_looks_after_libraries_and_actions():
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text("utf-8"))["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"pip", "github-actions"}


def test_an_action_has_one_version():
    used: dict[str, set[str]] = {}
    written = ROOT / "qkvcheck/data/project/qkvcheck.yml.template"  # by qkvcheck init
    for path in [*(ROOT / ".github/workflows").glob("*.yml"), ROOT / "action.yml", written]:
        for action, version in re.findall(r"uses: ([\w./-]+)@(\S+)", path.read_text("utf-8")):
            used.setdefault(action, set()).add(version)
    assert {"actions/checkout", "actions/setup-python", "pypa/gh-action-pypi-publish"} <= set(used)
    assert {action: versions for action, versions in used.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_workflows_use_no_secret_and_run_no_expression(name):
    assert "secrets." not in (ROOT / ".github/workflows" / name).read_text("utf-8")
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for job in WORKFLOWS[name]["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 60
        assert not any("${{" in step.get("run", "") for step in job["steps"])


def test_what_is_released_was_built_once_and_tested():
    assert (RELEASE["publish"]["needs"], RELEASE["installed"]["needs"]) == ("installed", "build")
    uploaded = [step for step in RELEASE["build"]["steps"] if "upload-artifact" in step.get("uses", "")]
    taken = [
        step
        for job in ("installed", "publish")
        for step in RELEASE[job]["steps"]
        if "download-artifact" in step.get("uses", "")
    ]
    assert {step["with"]["name"] for step in [*uploaded, *taken]} == {"distributions"}
    assert (len(uploaded), len(taken)) == (1, 2)
    assert "--installpkg dist/*.whl" in RELEASE["installed"]["steps"][-1]["run"]


def test_only_the_job_that_publishes_may_say_who_it_is_and_runs_nothing():
    assert {name: job["permissions"] for name, job in RELEASE.items() if "permissions" in job} == {
        "publish": {"id-token": "write"}
    }
    assert not any("run" in step for step in RELEASE["publish"]["steps"])
    assert WORKFLOWS["release.yml"][True] == {"push": {"tags": ["v[0-9]*"]}}  # YAML reads `on` as a truth value


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the job has Python 3.13, with tomllib")
@pytest.mark.parametrize(("tag", "released"), [("v{}", True), ("v{}.1", False), ("{}", False)])
def test_a_tag_that_is_not_the_version_releases_nothing(tag, released):
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)[1]
    (script,) = (step["run"] for step in RELEASE["build"]["steps"] if "GITHUB_REF_NAME" in step.get("run", ""))
    environment = {
        **os.environ,
        "GITHUB_REF_NAME": tag.format(version),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    ran = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (ran.returncode == 0) is released


def test_coverage_has_a_floor_and_a_job():
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    assert re.search(r"^\[tool\.coverage\.report\]\n(?:.+\n)*fail_under = \d+", settings, re.MULTILINE)
    assert "coverage report" in TOX.partition("[testenv:coverage]")[2].partition("[testenv:")[0]
    assert any(
        "tox run -e coverage" in step.get("run", "") for step in WORKFLOWS["ci.yml"]["jobs"]["coverage"]["steps"]
    )


def test_security_names_options_that_exist():
    from qkvcheck.plugin.hooks import TRUST
    from qkvcheck.settings import OPTIONS

    text = (ROOT / "SECURITY.md").read_text("utf-8")
    assert set(re.findall(r"--qkv-[a-z-]+", text)) <= {TRUST, *(option.flag for option in OPTIONS)}
    assert set(re.findall(r"QKV_[A-Z_]+", text)) <= {option.variable for option in OPTIONS}
    assert TRUST in text


def test_the_page_on_the_architecture_is_what_its_script_makes():
    text = ARCHITECTURE["PAGE"].read_text("utf-8")
    assert text == ARCHITECTURE["page"](text), "run python docs/architecture.py"
    assert ARCHITECTURE["page"](text.replace("claims", "klaims")) != text.replace("claims", "klaims")


def test_rooms_that_take_from_each_other_share_a_floor():
    arrows = {"top": ["a"], "a": ["b"], "b": ["a", "ground"], "ground": []}
    assert ARCHITECTURE["_floors"](arrows) == [["ground"], ["a", "b"], ["top"]]


def test_the_site_is_built_strictly_and_only_the_job_that_publishes_it_may():
    jobs = WORKFLOWS["docs.yml"]["jobs"]
    assert [step["run"] for step in jobs["site"]["steps"] if "run" in step] == [
        "python -m pip install tox && tox run -e docs"
    ]
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert not any("run" in step for step in jobs["publish"]["steps"])
    (section,) = re.findall(r"\[testenv:docs\]\n(.*?)\n\n", TOX, re.DOTALL)
    assert "jupyter execute docs/notebook.ipynb" in section
    assert "mkdocs build --strict" in section
    wanted = re.findall(r"^    ([\w-]+)==", section, re.MULTILINE)
    assert {"mkdocs", "mkdocs-material", "mkdocstrings-python", "nbclient"} <= set(wanted)
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    assert site["theme"]["font"] is False  # no outside host is asked
    assert set(site["validation"]["links"].values()) == {"warn"}
