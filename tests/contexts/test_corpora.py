"""Corpora: the two that ship, and files of users."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest

from qkvcheck.contexts import corpora
from qkvcheck.contexts.context import audit
from qkvcheck.contexts.corpora import encode_corpus, hash_lines, read_corpus
from qkvcheck.errors import ContextError
from qkvcheck.models.tokenizers import PretrainedEncoder, RecordedEncoder

POSITIONS = {
    "replication": {2: 37, 3: 15, 4: 1, 6: 1},
    "balanced": {2: 11, 3: 11, 4: 11, 5: 11, 6: 10},
    "grammatical": {2: 11, 3: 20, 4: 11, 5: 10, 6: 2},
}
PARTS = ("object", "indirect object", "possessive", "preposition", "conjunction", "adverb")
HER = 607  # " her" in GPT-2's vocabulary


@pytest.mark.parametrize("name", POSITIONS)
def test_corpus_in_gpt2_tokens(name, corpus_records):
    """54 sentences, " her" once, at most 8 tokens, the longest exactly 8; ids as recorded."""
    records = corpus_records[name]
    contexts = encode_corpus(read_corpus(name), RecordedEncoder(), target=" her")
    assert [list(c.token_ids) for c in contexts.contexts] == [r["gpt2"] for r in records]
    assert [r["gpt2"].count(HER) for r in records] == [1] * 54
    assert [r["gpt2"].index(HER) for r in records] == contexts.target_indices == [r["target_index"] for r in records]
    seen = audit(contexts)
    assert seen.padded_shape == (54, 8)
    assert seen.distinct_prefixes == seen.distinct_sentences == 54
    assert seen.positions == POSITIONS[name]
    assert seen.first_words >= 18


@pytest.mark.parametrize("name", POSITIONS)
def test_corpus_in_the_embedded_models_tokens(name, corpus_records, embedded):
    contexts = encode_corpus(read_corpus(name), embedded.encoder, target=" her")
    assert contexts.target_indices == [r["target_index"] for r in corpus_records[name]]
    assert [len(c.token_ids) for c in contexts.contexts] == [len(r["gpt2"]) for r in corpus_records[name]]
    assert audit(contexts).padded_shape == (54, 8)
    assert audit(contexts).distinct_prefixes == 54


def test_the_grammatical_corpus_varies_what_stands_before_the_target(corpus_records, embedded):
    """Nine sentences a part, every preceding token another one, in the embedded model's tokens as in GPT-2's."""
    records = corpus_records["grammatical"]
    before = [record["gpt2"][record["target_index"] - 1] for record in records]
    assert len(records) == 9 * len(PARTS)
    assert len(set(before)) == 54
    assert len({record["gpt2"][0] for record in records}) == 54
    others = [tuple(r["gpt2"]) for name in ("replication", "balanced") for r in corpus_records[name]]
    assert not {tuple(record["gpt2"]) for record in records} & set(others)
    contexts = encode_corpus(read_corpus("grammatical"), embedded.encoder, target=" her")
    assert len({context.token_ids[context.target_index - 1] for context in contexts.contexts}) == 54


@pytest.mark.skipif("QKV_GPT2_TOKENIZER" not in os.environ, reason="QKV_GPT2_TOKENIZER names no GPT-2 tokenizer")
def test_recorded_ids_are_the_real_tokenizers(corpus_records):
    from transformers import GPT2TokenizerFast

    real = PretrainedEncoder(GPT2TokenizerFast.from_pretrained(os.environ["QKV_GPT2_TOKENIZER"]), name="gpt2")
    for record in [record for records in corpus_records.values() for record in records]:
        assert real.encode(record["text"]) == record["gpt2"]


def test_text_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\ufeffWe saw her today\n\n  They told her yesterday  \n", encoding="utf-8")
    corpus = read_corpus(path)
    assert [(line.text, line.number) for line in corpus.lines] == [
        ("We saw her today", 1),
        ("They told her yesterday", 3),
    ]
    assert corpus.sha256 == hash_lines(["We saw her today", "They told her yesterday"])


def test_jsonl_file_chooses_an_occurrence(tmp_path, embedded):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"text": "They gave her back her book", "occurrence": 2}) + "\n", encoding="utf-8")
    contexts = encode_corpus(read_corpus(path), embedded.encoder, target=" her")
    assert contexts.target_indices == [4]


def notebook(*sources: str) -> str:
    cells = [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]
    return json.dumps({"cells": cells, "nbformat": 4})


def test_notebook_gives_its_one_list_of_sentences(tmp_path):
    path = tmp_path / "lecture.ipynb"
    path.write_text(
        notebook("%matplotlib inline\nlabels = ['a', 'c d']", "x = ['We saw her', 'I met her']\ny = ['Q', 'K']")
    )
    assert [line.text for line in read_corpus(path).lines] == ["We saw her", "I met her"]
    path.write_text(notebook("x = ['We saw her', 'I met her']", "y = ['Tom saw', 'They met her']"))
    with pytest.raises(ContextError, match="holds 2 lists of sentences"):
        read_corpus(path)


def test_lecture_is_recognised_by_its_hash(tmp_path, monkeypatch):
    lines = ["We saw her", "I met her"]
    path = tmp_path / "lecture.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert not corpora.is_lecture(read_corpus(path).sha256)
    monkeypatch.setattr(corpora, "LECTURE_SHA256", hash_lines(lines))
    assert corpora.is_lecture(read_corpus(path).sha256)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "holds no sentence"),
        ("a.txt", b"\n \n", "holds no sentence"),
        ("a.txt", "Gặp her".encode("utf-16"), "is not UTF-8"),
        ("a.jsonl", b"{", "line 1 is not JSON"),
        ("a.jsonl", b"[1]", "has no text in line 1"),
        ("a.jsonl", b'{"text": "x", "occurrence": "2"}', "must be a whole number"),
        ("a.ipynb", b"{}", "is not a notebook"),
    ],
)
def test_bad_file_is_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ContextError, match=message) as caught:
        read_corpus(path)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ContextError, match="does not exist; allowed are replication, balanced"):
        read_corpus(tmp_path / "none.txt")
    with pytest.raises(ContextError, match="can't be read"):
        read_corpus(tmp_path)


def test_words_without_recorded_ids_need_a_tokenizer():
    from qkvcheck.errors import ModelError

    with pytest.raises(ModelError, match=r"xylophones.*needs a tokenizer.*QKV_GPT2_TOKENIZER"):
        RecordedEncoder().encode("We saw xylophones")


def test_positions_of_the_two_corpora_are_what_the_docs_say(corpus_records):
    for name, records in corpus_records.items():
        assert Counter(r["target_index"] for r in records) == POSITIONS[name]


def test_the_first_contexts_are_a_corpus_of_their_own():
    whole = read_corpus("replication")
    some = whole.first(20)
    assert some.lines == whole.lines[:20]
    assert some.name == whole.name
    assert some.sha256 == hash_lines([line.text for line in whole.lines[:20]]) != whole.sha256
    assert whole.first(None) is whole.first(54) is whole.first(1000) is whole


def test_of_a_corpus_the_sentences_that_hold_the_target(tmp_path):
    path = tmp_path / "mine.jsonl"
    lines = [
        {"text": "She gave her book", "cluster": "a"}, {"text": "She gave him her book"}, {"text": "She gave him up"},
        {"text": "She gave her her book"}, {"text": "She gave her her book", "occurrence": 2},
        {"text": "She gave her book", "occurrence": 2},
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    corpus, encoder = read_corpus(path), RecordedEncoder()
    held = encode_corpus(corpus, encoder, target=" her", holding=True)
    assert [(one.text, one.target_index, one.cluster) for one in held.contexts] == [
        ("She gave her book", 2, "a"), ("She gave him her book", 3, None), ("She gave her her book", 3, None),
    ]  # fmt: skip
    assert (held.sentences, held.subset([0]).sentences) == (6, 6)
    assert held.sha256 == hash_lines([lines[number]["text"] for number in (0, 1, 4)]) != corpus.sha256
    with pytest.raises(ContextError, match="line 3: target ' her' .* does not occur"):
        encode_corpus(corpus, encoder, target=" her")
    whole = encode_corpus(corpus.first(1), encoder, target=" her")
    assert (whole.sentences, whole.sha256) == (None, corpus.first(1).sha256)


def test_a_target_that_too_few_sentences_hold(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("She gave him her book\nShe gave her book\n")
    with pytest.raises(ContextError, match=r"' him': 1 of the 2 sentences of .*mine.txt hold it .*add sentences that"):
        encode_corpus(read_corpus(path), RecordedEncoder(), target=" him", holding=True)
    with pytest.raises(ContextError, match="0 of the 54 sentences of balanced hold it .* are made for ' her': name a"):
        encode_corpus(read_corpus("balanced").first(54), RecordedEncoder(), target=" him", holding=True)
    with pytest.raises(ContextError, match="sentences of balanced are made for the target ' her' and don't all hold"):
        encode_corpus(read_corpus("balanced"), RecordedEncoder(), target=" him")
