"""The wheel, and the commands that README, CI and tox give."""

from __future__ import annotations

import zipfile

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(distributions) -> zipfile.ZipFile:
    (path,) = distributions.glob("*.whl")
    assert list(distributions.glob("*.tar.gz"))
    return zipfile.ZipFile(path)


def test_wheel_carries_data_and_plugin(wheel):
    names = set(wheel.namelist())
    data = {f"qkvcheck/data/{path.relative_to(ROOT / 'qkvcheck' / 'data').as_posix()}"
            for path in (ROOT / "qkvcheck" / "data").rglob("*") if path.is_file()}  # fmt: skip
    assert data <= names
    assert {"qkvcheck/plugin/hooks.py", "qkvcheck/py.typed", "qkvcheck/data/embedded/model.safetensors"} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"qkvcheck"}
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    assert "[pytest11]\nqkvcheck = qkvcheck.plugin" in wheel.read(entry_points).decode()


def test_readme_gives_the_commands_that_ci_runs():
    readme, ci = ((ROOT / name).read_text("utf-8") for name in ("README.md", ".ci/run"))
    vietnamese = (ROOT / "README.vi.md").read_text("utf-8")
    setup = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox run -e "
    for environment in ("experiments", "tests"):
        for text in (readme, ci, vietnamese):
            assert f"\n{setup}{environment}\n" in text


def test_readme_tells_every_option():
    from qkvcheck.plugin.hooks import TRUST
    from qkvcheck.settings import OPTIONS

    table = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for option in OPTIONS:
        assert f"`{option.flag}`" in table
        assert f"`{option.variable}`" in table
        assert f"`{option.ini}`" in table
    assert f"`{TRUST}`" in table
