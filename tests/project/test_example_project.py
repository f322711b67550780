"""The example of another project: its commands, run against the wheel with no source of qkvcheck in reach."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from qkvcheck import cli
from qkvcheck.claims import load_claims
from qkvcheck.commands.init.project import FILES
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "own-model"
Run = Callable[..., subprocess.CompletedProcess]


def copy_example(to: Path) -> Path:
    """Copy the example as somebody else would have it: without what its commands make."""
    return shutil.copytree(EXAMPLE, to, ignore=shutil.ignore_patterns("model", "baselines", ".*", "__pycache__"))


def clean_environment(**changes: str) -> dict[str, str]:
    """Return the environment without what would steer pytest, Python or qkvcheck from here."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON", "QKV_", "COV_"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **changes}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_example(tmp_path_factory.mktemp("elsewhere") / "own-model")


@pytest.fixture(scope="module")
def run(project, installed) -> Run:
    def run(*arguments: str, status: int = 0) -> str:
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=project, env=clean_environment(PYTHONPATH=str(installed)), capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran.stdout

    return run


def silence_attention(weights: Path) -> None:
    """Alter a saved model so that little of its context reaches a token."""
    tensors = load_file(weights)
    (name,) = (name for name in tensors if name.endswith("h.0.attn.c_proj.weight"))
    save_file({**tensors, name: 0.2 * tensors[name]}, weights, metadata={"format": "pt"})


@pytest.mark.long
def test_it_passes_records_passes_again_and_fails_once_its_model_is_altered(run, project, installed):
    where = run("-c", "import qkvcheck; print(qkvcheck.__file__)")
    assert where.strip() == str(installed / "qkvcheck" / "__init__.py")
    run("make_model.py")
    first = " ".join(run("-m", "pytest", "--qkv-update=all").split())
    assert "2 claims: 2 supported, 0 refuted; 1 of the supported also in an untrained network" in first
    assert "2 verdicts recorded in " in first
    again = run("-m", "pytest")
    assert "2 claims: 2 supported" in again
    assert "The gate is off" not in again
    silence_attention(project / "model" / "model.safetensors")
    altered = run("-m", "pytest", status=1)
    assert "FAILED test_claims.py::test_values_tell_givers_apart" in altered
    assert re.search(r"verdict +refuted\n", altered)
    assert re.search(r"model\+contexts.txt.json .*other weights, architecture or tokenizer", " ".join(altered.split()))


@pytest.mark.long
def test_what_init_writes_runs_at_once_and_is_recorded(tmp_path, installed):
    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=tmp_path, env=clean_environment(PYTHONPATH=str(installed)), capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    run("qkvcheck.cli", "init")
    first = run("pytest", "--qkv-update=all")
    assert "2 claims: 2 supported on the stand-in, 0 refuted" in first
    assert "2 verdicts recorded in " in first
    assert "The gate is off" not in run("pytest")


def test_shared_files_are_what_init_writes(tmp_path):
    assert cli.main(["init", str(tmp_path), "--model", "model", "--bound", "0.6"]) == 0
    own = {"README.md", "make_model.py", ".gitignore"}
    for name in FILES.keys() - own:
        assert (EXAMPLE / name).read_text("utf-8") == (tmp_path / name).read_text("utf-8"), name
    made = ("model", "baselines", ".pytest_cache", "__pycache__")
    there = {path.relative_to(EXAMPLE) for path in EXAMPLE.rglob("*") if path.is_file()}
    assert {path.as_posix() for path in there if path.parts[0] not in made} == FILES.keys() | own


def test_readme_names_every_file_and_shows_what_is_there():
    text = (EXAMPLE / "README.md").read_text("utf-8")
    assert [name for name in (*FILES, "make_model.py") if f"`{name}`" not in text and name != "README.md"] == []
    claims = load_claims(EXAMPLE / "claims.toml").claims
    assert len(claims) == 2
    for claim in claims.values():
        assert re.search(rf"^{claim.id} +V+ .* supported", text, re.MULTILINE)
    contexts = (EXAMPLE / "contexts.txt").read_text("utf-8").splitlines()
    assert len({line.split(" her ")[0] for line in contexts}) == len(contexts) == 24


@pytest.mark.slow
def test_readme_commands_in_a_new_environment(distributions, tmp_path):
    """The commands word for word, in an environment that holds the wheel and what it asks for, and nothing else."""
    (wheel,) = distributions.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    binaries = tmp_path / "venv" / "bin"
    install = [binaries / "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True)
    project = copy_example(tmp_path / "own-model")
    blocks = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text("utf-8"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    environment = clean_environment(PATH=f"{binaries}{os.pathsep}{os.environ['PATH']}")
    found = [
        subprocess.run([shutil.which(name, path=environment["PATH"]), *rest], cwd=project, env=environment).returncode
        for name, *rest in map(shlex.split, commands)
    ]
    assert list(zip(commands, found, strict=True)) == [
        ("python make_model.py", 0), ("pytest", 0), ("pytest --qkv-update=all", 0), ("pytest", 0),
        ("python make_model.py --steps 0", 0), ("pytest", 1),
        ("pytest --qkv-baseline=baselines/model+contexts.txt.json", 4),
    ]  # fmt: skip
