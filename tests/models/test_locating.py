"""Locating: what ``auto`` chooses and why, and what was fetched or was not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qkvcheck.errors import ModelError
from qkvcheck.models import locating
from qkvcheck.models.gguf.converted import Converted
from qkvcheck.models.hub import Cached
from qkvcheck.models.loading import load_model
from qkvcheck.models.locating import embedded_directory
from qkvcheck.models.spec import ModelSpec


@pytest.fixture
def copy(tmp_path) -> Path:
    """A directory with a copy of the embedded model."""
    return Path(shutil.copytree(embedded_directory(), tmp_path / "model"))


def test_auto_falls_back_to_embedded(monkeypatch, embedded):
    monkeypatch.setattr(locating, "cached", lambda _repository, **_: Cached(None))
    chosen = load_model("auto")
    assert chosen.is_stand_in
    assert chosen.slug == "embedded"
    assert "GPT-2 small is not in the cache" in chosen.origin
    assert chosen.fingerprint == embedded.fingerprint


@pytest.mark.needs_model
def test_auto_takes_what_was_fetched(monkeypatch, copy):
    """After GPT-2 small and before the embedded model; the header says which and why."""
    monkeypatch.setattr(locating, "cached", lambda _repository, **_: Cached(None))
    monkeypatch.setattr(locating, "flaw_of_fetched", lambda model: None if model.name == "smollm2" else "?")
    monkeypatch.setattr(locating, "copy_of", lambda _sha256: Converted(copy, "Q4_1", False, None))
    assert locating.choose_automatically() == ("smollm2", "fetched; GPT-2 small is not in the cache")
    chosen = load_model("auto#untrained=3")
    assert str(chosen.spec) == "smollm2#untrained=3"
    assert chosen.slug == "smollm2-untrained-3"
    assert chosen.origin.startswith("fetched GGUF file SmolLM2-135M-Instruct.Q4_1.gguf, Q4_1, converted copy model in ")
    assert "; GPT-2 small is not in the cache" in chosen.origin
    assert load_model("smollm2").origin + "; GPT-2 small is not in the cache" == load_model("auto").origin
    monkeypatch.setattr(locating, "cached", lambda repository, **_: Cached(copy if repository == "gpt2" else None))
    assert locating.choose_automatically() == ("gpt2", "GPT-2 small, whole in the local cache")


@pytest.mark.parametrize(
    ("flaw", "told"),
    [
        ("is not fetched", "model 'smollm2' is not fetched; get it with: qkvcheck fetch smollm2"),
        ("is not whole in the cache", "model 'smollm2' is not whole in the cache; get it with: qkvcheck fetch smollm2"),
        ("needs gguf: pip install 'qkvcheck[gguf]'", "model 'smollm2' needs gguf: pip install 'qkvcheck[gguf]'."),
    ],
)
def test_what_was_not_fetched(monkeypatch, flaw, told):
    monkeypatch.setattr(locating, "cached", lambda _repository, **_: Cached(None))
    monkeypatch.setattr(locating, "flaw_of_fetched", lambda _: flaw)
    with pytest.raises(ModelError) as caught:
        load_model("smollm2#untrained=3")
    assert str(caught.value) == told
    reason = f"ships with qkvcheck, edition 2; GPT-2 small is not in the cache, smollm2 {flaw}"
    assert locating.choose_automatically() == ("embedded", reason)


@pytest.mark.needs_model
def test_auto_takes_a_cached_gpt2(monkeypatch, copy):
    monkeypatch.setattr(locating, "cached", lambda repository, **_: Cached(copy if repository == "gpt2" else None))
    chosen = load_model("auto")
    assert str(chosen.spec) == "gpt2"
    assert not chosen.is_stand_in


def test_stand_in_is_what_was_fetched_else_what_ships(monkeypatch):
    monkeypatch.setattr(locating, "flaw_of_fetched", lambda _model: "is not fetched")
    spec, directory, why = locating.locate(ModelSpec("stand-in"), True, None)
    assert (str(spec), directory) == ("embedded", embedded_directory())
    assert "smollm2 is not fetched" in why
    monkeypatch.setattr(locating, "flaw_of_fetched", lambda _model: None)
    monkeypatch.setattr(locating, "_packaged", lambda model, *_: (Path(model.name), "fetched"))
    assert locating.locate(ModelSpec("stand-in", 3), True, None) == (
        ModelSpec("smollm2", 3),
        Path("smollm2"),
        "fetched",
    )
