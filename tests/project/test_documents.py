"""README and docs: their commands and snippets run, or it is said why not; their links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from qkvcheck import cli
from qkvcheck.record.results import write_results
from qkvcheck.settings import OPTIONS
from tests.conftest import ROOT
from tests.made_up import synthetic
from tests.project.documents import NOT_RUN, PAGES, RUN, TUTORIAL, Block, blocks, words_of
from tests.project.test_example_project import clean_environment
from tests.project.test_workflow import tox_environments

LINES = [(block.page.name, line) for block in blocks("sh") if block.page != TUTORIAL for line in block.lines]
PYTHON = [block for block in blocks("python") if block.page != TUTORIAL]
TESTS = [block for block in PYTHON if re.search(r"^def test_", block.text, re.MULTILINE)]
FIXTURES = [block for block in PYTHON if "def qkv_model" in block.text]
SCRIPTS = [block for block in PYTHON if block not in [*TESTS, *FIXTURES]]
FEW = (
    "--qkv-model=embedded",
    "--qkv-layers=6",
    "--qkv-untrained-seeds=1",
    "--qkv-controls=claim",
    "-p",
    "no:cacheprovider",
)


# Commands -----------------------------------------------------------------------------------------


def test_every_command_is_run_or_has_a_reason():
    assert len(LINES) > 20
    unknown = [at for at in LINES if at[1] not in RUN and not any(re.search(rule, at[1]) for rule in NOT_RUN)]
    assert unknown == [], "name it in RUN or NOT_RUN of tests/project/documents.py"


def test_what_is_said_of_commands_is_said_of_some():
    lines = [line for _, line in LINES]
    assert [command for command in RUN if command not in lines] == []
    left = [line for line in lines if line not in RUN]
    assert [rule for rule in NOT_RUN if not any(re.search(rule, line) for line in left)] == []


def fault_of(line: str) -> str | None:
    """Return what of a command is not known here: an option, its value, an environment of tox."""
    for command in line.split(" && "):
        program, *words = words_of(command)
        if program == "qkvcheck" and words[1:2] != ["..."]:
            try:
                cli._parser().parse_args(words)
            except SystemExit:
                return command
        if Path(program).name == "tox" and words[2] not in tox_environments():
            return command
        known = {option.flag: option for option in OPTIONS}
        for place, word in enumerate(words if program == "pytest" else []):
            flag, sign, value = word.partition("=")
            if flag.startswith("--qkv-"):
                if flag not in known:
                    return command
                if not known[flag].switch:
                    known[flag].read(flag, value if sign else words[place + 1])
    return None


@pytest.mark.parametrize("line", sorted({line for _, line in LINES}))
def test_commands_are_understood(line):
    assert fault_of(line) is None


@pytest.mark.parametrize("line", ["pytest --qkv-modell=a", "qkvcheck plan --modell gpt2", "tox run -e none"])
def test_what_is_not_understood_is_found(line):
    assert fault_of(line) is not None


def with_marks(line: str) -> object:
    """Return a command, marked where it takes many seconds."""
    takes_long = "results.json" in line or "sweep" in line
    return pytest.param(line, marks=pytest.mark.long if takes_long else pytest.mark.needs_time)


@pytest.mark.parametrize("line", [with_marks(line) for line in RUN if line.startswith("qkvcheck")])
def test_commands_run(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    made = synthetic(contexts=6)
    for name in ("results", "gpt2", "gpt2-xl"):
        write_results(tmp_path / f"{name}.json", made.run, made.findings)
    for name in ("qkvcheck", "experiments"):
        (tmp_path / name).symlink_to(ROOT / name)
    assert cli.main(words_of(line)[1:]) == 0


# Snippets -----------------------------------------------------------------------------------------


def test_every_snippet_is_of_a_kind():
    assert len(TESTS) >= 5
    assert len(FIXTURES) == 1
    assert len(SCRIPTS) >= 5


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=clean_environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.needs_time
def test_snippets_that_are_tests_pass_or_tell_a_verdict(tmp_path):
    """In one project, with the claims that they name on file; the model in memory is the embedded one."""
    for name in ("claims.toml", "beyond.toml"):
        shutil.copy(ROOT / "experiments" / name, tmp_path)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nqkv_claims = claims.toml beyond.toml\nqkv_baselines = baselines\n", "utf-8"
    )
    for number, block in enumerate(TESTS):
        (tmp_path / f"test_{number}.py").write_text("import pytest\n\n\n" + block.text, "utf-8")
    own = tmp_path / "own"
    own.mkdir()
    given = (
        "import transformers\n\nfrom qkvcheck.models import embedded_directory\n\n\n"
        "@pytest.fixture(scope='session')\ndef my_model():\n"
        "    return transformers.AutoModelForCausalLM.from_pretrained(embedded_directory())\n\n\n"
        "@pytest.fixture(scope='session')\ndef my_tokenizer():\n"
        "    return transformers.AutoTokenizer.from_pretrained(embedded_directory())\n"
    )
    (own / "conftest.py").write_text(f"{FIXTURES[0].text}\n\n{given}", "utf-8")
    claimed = next(block for block in TESTS if "keys-stable" in block.text)
    (own / "test_own.py").write_text(claimed.text.replace("keys-stable", "keys-of-mine"), "utf-8")
    run(tmp_path, "-m", "pytest", *FEW, "--qkv-json=r.json", "--qkv-update=all")
    found = list(tmp_path.glob("r*.json"))
    judged = {one["claim"] for path in found for one in json.loads(path.read_text("utf-8"))["verdicts"]}
    assert {"keys-stable", "keys-of-head-3", "P5", "keys-of-each-head", "keys-of-mine"} <= judged


def missing(block: Block) -> list[str]:
    """Return what a snippet imports and is not installed; nothing may be missing in `tox run -e recipes`."""
    names = re.findall(r"^(?:from|import) (\w+)", block.text, re.MULTILINE)
    lacking = [name for name in names if find_spec(name) is None]
    assert not (lacking and os.environ.get("QKV_RECIPES") == "all"), f"{block.page.name} needs {lacking}"
    return lacking


@pytest.mark.long
@pytest.mark.parametrize("page", sorted({block.page for block in SCRIPTS}), ids=lambda page: page.name)
def test_snippets_that_are_scripts_run(page, tmp_path):
    """Those of a page one after the other; what a page takes as given is given."""
    rows = np.random.default_rng(0).normal(size=(54, 64)) + 5
    np.save(tmp_path / "keys.npy", rows)
    given = (
        "import numpy as np\nrows = np.random.default_rng(0).normal(size=(54, 2304))\nsentences = ['he saw her'] * 54\n"
    )
    texts = [block.text for block in SCRIPTS if block.page == page and not missing(block)]
    (tmp_path / "script.py").write_text((given if page.name == "referee.md" else "") + "\n".join(texts), "utf-8")
    run(tmp_path, "script.py")


# The tutorial -------------------------------------------------------------------------------------


def follow(folder: Path, environment: dict[str, str]) -> str:
    """Do what the tutorial says, but for the installation; return what was printed."""
    said = ""
    for block in blocks("sh", "toml", "python", pages=[TUTORIAL]):
        if block.kind != "sh":
            name = "claims.toml" if block.kind == "toml" else "test_claims.py"
            with (folder / name).open("a", encoding="utf-8") as file:
                file.write(block.text)
            continue
        for line in block.text.splitlines():
            if line.startswith("pip install"):
                continue
            if line.startswith("cd "):
                folder /= shlex.split(line)[1]
                continue
            ran = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True)
            expected = int((re.search(r"# exit status (\d)", line) or "00")[1])
            assert ran.returncode == expected, f"{line}\n{ran.stdout}{ran.stderr}"
            said += ran.stdout
    return said


@pytest.mark.long
def test_the_tutorial_can_be_followed(tmp_path):
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, module in {"python": "", "pytest": "-m pytest", "qkvcheck": "-m qkvcheck.cli"}.items():
        (binaries / name).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n', "utf-8")
        (binaries / name).chmod(0o755)
    project = tmp_path / "work"
    project.mkdir()
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    said = follow(project, clean_environment(PATH=path, PYTHONPATH=str(ROOT)))
    shown = [block.text for block in blocks("text", pages=[TUTORIAL])]
    lines = [line.split("...")[0].rstrip(" ,") for text in shown for line in text.splitlines()]
    assert len(lines) >= 10
    assert [line for line in lines if line not in said] == []


@pytest.mark.long
def test_the_command_per_head_runs(tmp_path):
    (block,) = (block for block in TESTS if block.page.name == "heads.md")
    (tmp_path / "test_heads.py").write_text(block.text, "utf-8")
    (command,) = (line for line in RUN if line.startswith("pytest"))
    assert "4 supported" in run(tmp_path, "-m", *words_of(command), "--qkv-untrained-seeds=1")


# Links --------------------------------------------------------------------------------------------

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*/*.md")]


def headings(text: str) -> set[str]:
    """Return the anchors of a page, as GitHub and the site make them."""
    lines = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).lower() for line in lines]
    return {re.sub(r"[^\w\- ]", "", line).strip().replace(" ", "-") for line in plain}


def broken_links(document: Path) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading of it."""
    broken = []
    for target, anchor in re.findall(r"\]\(((?!\w+:)[^)#\s]*)(?:#([^)\s]*))?\)", document.read_text("utf-8")):
        file = (document.parent / target) if target else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in headings(file.read_text("utf-8"))):
            broken.append(f"{target}#{anchor}")
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(document):
    assert broken_links(document) == []


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.md").write_text("# One, two\n[a](b.md) [b](a.md#one-two) [c](#one) [d](https://x.org/#y)\n", "utf-8")
    assert broken_links(tmp_path / "a.md") == ["b.md#", "#one"]


def test_every_page_is_in_the_sites_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    docs = ROOT / "docs"
    pages = [page.relative_to(docs).as_posix() for page in PAGES if docs in page.parents]
    assert [page for page in pages if f"{page}\n" not in text] == []
