"""Encoders: which tokenizer is taken, and that each form of one gives the same tokens."""

from __future__ import annotations

import json

import pytest

from qkvcheck.errors import ModelError
from qkvcheck.models.loading import embedded_directory
from qkvcheck.models.tokenizers import PretrainedEncoder, RecordedEncoder, load_encoder

SENTENCE = "He gave her a red coat."


def load(directory=None, *, named=None, gpt2=False):
    return load_encoder(directory, named=named, source="source", gpt2=gpt2, trust_remote_code=False)


@pytest.fixture
def as_vocabulary(tmp_path):
    """The embedded tokenizer as vocab.json and merges.txt, the form of GPT-2's first release."""
    model = json.loads((embedded_directory() / "tokenizer.json").read_text("utf-8"))["model"]
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in model["merges"]]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    return tmp_path


def test_models_own_tokenizer(embedded):
    encoder = load(embedded_directory())
    assert encoder.name == "source"
    assert encoder.encode(SENTENCE) == embedded.encoder.encode(SENTENCE)


def test_named_tokenizer_comes_first(embedded, as_vocabulary):
    encoder = load(embedded_directory(), named=str(as_vocabulary))
    assert encoder.name == str(as_vocabulary)
    assert encoder.encode(SENTENCE) == embedded.encoder.encode(SENTENCE)
    assert encoder.decode(encoder.encode(SENTENCE)) == SENTENCE


def test_gpt2_without_files_looks_at_the_environment_then_at_recorded_words(monkeypatch, as_vocabulary):
    monkeypatch.delenv("QKV_GPT2_TOKENIZER", raising=False)
    assert isinstance(load(gpt2=True), RecordedEncoder)
    monkeypatch.setenv("QKV_GPT2_TOKENIZER", str(as_vocabulary))
    encoder = load(gpt2=True)
    assert isinstance(encoder, PretrainedEncoder)
    assert encoder.name == str(as_vocabulary)
    assert load(embedded_directory()).name == "source"


def test_fingerprint_is_of_vocabulary_and_merges(as_vocabulary, embedded):
    path = as_vocabulary / "vocab.json"
    vocabulary = json.loads(path.read_text("utf-8"))
    before = load(named=str(as_vocabulary)).fingerprint()
    assert before == load(named=str(as_vocabulary)).fingerprint()
    her, him = vocabulary["Ġher"], vocabulary["Ġhim"]
    path.write_text(json.dumps({**vocabulary, "Ġher": him, "Ġhim": her}), encoding="utf-8")
    assert load(named=str(as_vocabulary)).fingerprint() != before
    assert RecordedEncoder().fingerprint() != embedded.encoder.fingerprint()


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_half_a_tokenizer_is_refused(as_vocabulary, missing):
    (as_vocabulary / missing).unlink()
    with pytest.raises(ModelError, match=f"holds no usable tokenizer; it needs .*no tokenizer.json and no {missing}"):
        load(named=str(as_vocabulary))


def test_damaged_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="/tokenizer.json' is not JSON") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_recorded_words_pad_as_the_paper_does():
    encoder = RecordedEncoder()
    padded = encoder.pad(["He gave her", SENTENCE])
    assert padded[0].tolist()[3:] == [50256] * (padded.shape[1] - 3)
    assert encoder.decode(encoder.encode(SENTENCE)) == SENTENCE
    assert encoder.decode([999]) == "<999>"
