"""``qkvcheck init``: what it writes is read by pytest, nothing is overwritten, and mistakes are one line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import iniconfig
import pytest
import yaml

from qkvcheck import cli
from qkvcheck.claims import load_claims
from qkvcheck.commands.init import project
from qkvcheck.commands.init.project import FILES, project_files, write_project
from tests.conftest import ROOT


def init(*arguments: str | Path) -> int:
    return cli.main(["init", *map(str, arguments)])


def written(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


def ini(folder: Path, name: str) -> str:
    return iniconfig.IniConfig(folder / "pytest.ini")["pytest"][name]


def test_all_files_are_written_and_told_with_the_two_next_commands(tmp_path, capsys):
    assert init(tmp_path / "my claims") == 0
    assert written(tmp_path / "my claims") == project_files(model="embedded", bound=0.9)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"Wrote {len(FILES)} files into '{tmp_path}/my claims':"
    assert [line.split()[0] for line in said[1:-3]] == list(FILES)
    assert said[-3:-1] == ["Next:", f"  cd '{tmp_path}/my claims' && pytest"]
    assert said[-1].split("#")[0].strip() == "pytest --qkv-update=all"


def test_the_current_folder_is_the_usual_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert init() == 0
    assert set(written(tmp_path)) == set(FILES)
    assert capsys.readouterr().out.splitlines()[-2] == "  pytest"


def test_what_it_writes_makes_sense(tmp_path):
    init(tmp_path, "--bound", "0.6")
    file = load_claims(tmp_path / "claims.toml")
    assert [(claim.id, claim.threshold) for claim in file.claims.values()] == [
        ("values-tell-givers-apart", 0.6), ("values-move-together", 0.1),
    ]  # fmt: skip
    assert [claim.statement.split()[-1] for claim in file.claims.values()] == ["0.6", "0.1"]
    assert [file.at_depth(depth).layer for depth in (2, 12, 30)] == [1, 6, 15]
    sentences = (tmp_path / "contexts.txt").read_text("utf-8").splitlines()
    assert len({line.split(" her ")[0] for line in sentences}) == len(sentences) >= 20
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert [name for name in FILES if f"`{name}`" not in readme and name != "README.md"] == []


@pytest.mark.parametrize(
    "spec", ["embedded", "gpt2#untrained", "org/name@main", "a folder", "llama#tiny=3", "C;D", "x#y;z"]
)
def test_the_model_arrives_in_the_ini_file(spec, tmp_path):
    init(tmp_path, "--model", spec)
    assert ini(tmp_path, "qkv_model") == spec


def test_a_path_counts_from_where_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    init("deep/er", "--model", "model#untrained=3")
    assert ini(tmp_path / "deep/er", "qkv_model") == "../../model#untrained=3"
    init("beside", "--model", tmp_path / "model")
    assert ini(tmp_path / "beside", "qkv_model") == str(tmp_path / "model")


def test_a_path_from_home_is_looked_for_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert init(tmp_path / "a", "--model=~/model") == 0
    assert ini(tmp_path / "a", "qkv_model") == "~/model"
    assert init(tmp_path / "b", "--model=~/modle") == 2
    assert init(tmp_path / "b", "--model=~nobodyhere/model") == 2
    assert capsys.readouterr().err.count("does not exist; nothing was written") == 2
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere"])
def test_nothing_is_overwritten(name, kind, tmp_path, capsys):
    there = tmp_path / name
    there.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        there.write_text("mine", "utf-8")
    elif kind == "folder":
        there.mkdir()
    else:
        there.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    assert init(tmp_path) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert kind != "file" or there.read_text("utf-8") == "mine"
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"qkvcheck: {str(there)!r} is there already; nothing was written. Name another folder."


def test_several_that_are_there_are_counted(tmp_path, capsys):
    init(tmp_path)
    assert init(tmp_path) == 2
    assert f"(and {len(FILES) - 1} more that init writes)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--bound", "1.5"], "--bound '1.5' is no number from -1 to 1"),
        (["--bound", "nan"], "--bound 'nan' is no number"),
        (["--bound", "six"], "--bound 'six' is no number"),
        (["--model", " "], "--model names no model"),
        (["--model", "./modle"], "--model './modle' does not exist; nothing was written"),
        (["--model", "../modle#untrained"], "--model '../modle' does not exist"),
        (["--model", "a\nb"], r"holds the control character '\n'"),
    ],
)
def test_mistakes_are_one_line(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert init("new", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "file").write_text("mine", "utf-8")
    assert init(tmp_path / "file") == 2
    assert "is no folder" in capsys.readouterr().err
    assert init(tmp_path / "file" / "below") == 2
    assert written(tmp_path) == {"file": "mine"}


def test_a_half_written_project_is_taken_back(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()

    def full(self, *arguments, **keywords):
        if self.name == "qkvcheck.yml":
            raise OSError(28, "No space left on device", str(self))
        return io_open(self, *arguments, **keywords)

    io_open = Path.open
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space"):
        write_project(tmp_path / "there" / "new" / "deep", project_files(model="embedded", bound=0.9))
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_file_that_comes_in_between_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(project.os.path, "lexists", lambda path: os.access(path, os.F_OK) and Path(path).is_dir())
    (tmp_path / "pytest.ini").write_text("mine", "utf-8")
    with pytest.raises(FileExistsError):
        write_project(tmp_path, project_files(model="embedded", bound=0.9))
    assert written(tmp_path) == {"pytest.ini": "mine"}


def test_the_workflow_asks_for_nothing_and_records_nothing():
    files = project_files(model="embedded", bound=0.9)
    workflow = yaml.safe_load(files[".github/workflows/qkvcheck.yml"])
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert 0 < job["timeout-minutes"] <= 60
    assert not any("${{" in step.get("run", "") for step in job["steps"])
    arguments = next(step["run"] for step in job["steps"] if "pytest" in step.get("run", ""))
    assert "--qkv-update" not in arguments


def test_every_template_is_used():
    there = {path.name for path in (ROOT / "qkvcheck/data/project").iterdir()}
    assert there == {f"{Path(name).name}.template" for name in FILES}
    whole = "".join(project_files(model="m", bound=0.5).values())
    assert re.findall(r"@[A-Z]+@", whole) == []
