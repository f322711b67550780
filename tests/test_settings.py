"""Settings: precedence, layers, and what makes no sense."""

from __future__ import annotations

import os

import pytest

from qkvcheck.errors import SettingsError
from qkvcheck.settings import OPTIONS, from_root, parse_layers, resolve_settings


def resolve(command_line=None, environment=None, ini=None):
    command_line, ini = command_line or {}, ini or {}
    return resolve_settings(
        command_line=lambda option: command_line.get(option.name),
        environment=environment or {},
        ini=lambda option: ini.get(option.name),
    )


def test_defaults():
    settings = resolve()
    assert (settings.model, settings.corpus, settings.target, settings.layers) == ("auto", "replication", " her", None)
    assert (settings.device, settings.dtype, settings.seed, settings.explicit) == ("cpu", "float32", 0, frozenset())


def test_command_line_beats_environment_beats_ini():
    everywhere = {"command_line": {"model": "a"}, "environment": {"QKV_MODEL": "b"}, "ini": {"model": "c"}}
    assert resolve(**everywhere).model == "a"
    del everywhere["command_line"]
    assert resolve(**everywhere).model == "b"
    del everywhere["environment"]
    assert resolve(**everywhere).model == "c"
    assert resolve(**everywhere).explicit == {"model"}


def test_names_of_an_option():
    option = next(option for option in OPTIONS if option.name == "batch-size")
    assert (option.flag, option.variable, option.ini) == ("--qkv-batch-size", "QKV_BATCH_SIZE", "qkv_batch_size")


@pytest.mark.parametrize(
    ("text", "layers"), [("6", (6,)), ("5,6", (5, 6)), ("6, 5,5", (5, 6)), ("0-3", (0, 1, 2, 3)), ("1,3-4", (1, 3, 4))]
)
def test_layers(text, layers):
    assert parse_layers(text) == layers


@pytest.mark.parametrize("text", ["", "six", "3-1", "1;2", "-1", "1.5", "6,"])
def test_layers_that_make_no_sense(text):
    with pytest.raises(SettingsError, match="give zero-based numbers such as 6, 5,6 or 0-11. Check --qkv-layers"):
        parse_layers(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": "x"}, "--qkv-seed 'x' is not a whole number from 0"),
        ({"seed": "-1"}, "--qkv-seed '-1'"),
        ({"batch-size": "0"}, "--qkv-batch-size '0' is not a whole number from 1"),
        ({"update": "some"}, "--qkv-update 'some' is not known; allowed: new or all"),
    ],
)
def test_values_that_make_no_sense(given, message):
    with pytest.raises(SettingsError, match=message):
        resolve(command_line=given)


def test_target_by_number_or_text():
    assert resolve(command_line={"target": "607"}).target == 607
    assert resolve(command_line={"target": " him"}).target == " him"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("json", "out.json", "../out.json"),
        ("baseline", "sub/b.json", "b.json"),
        ("corpus", "mine.txt", "../mine.txt"),
        ("corpus", "replication", "replication"),
        ("model", "kept#untrained=3", "../kept#untrained=3"),
        ("model", "gpt2", "gpt2"),
        ("target", "mine.txt", "mine.txt"),
        ("json", "/out.json", "/out.json"),
    ],
)
def test_paths_of_the_ini_file_count_from_the_root(name, text, expected, tmp_path, monkeypatch):
    for folder in ("sub", "kept"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mine.txt").touch()
    option = next(option for option in OPTIONS if option.name == name)
    monkeypatch.chdir(tmp_path)
    assert from_root(option, text, root=tmp_path) == text
    monkeypatch.chdir(tmp_path / "sub")
    assert from_root(option, text, root=tmp_path) == expected.replace("/", os.sep)
