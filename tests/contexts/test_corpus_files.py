"""Corpus files: each kind is read as what it is, or refused in one line; nothing is dropped or joined in silence."""

from __future__ import annotations

import json
import os

import pytest

from qkvcheck.contexts.corpora import read_corpus
from qkvcheck.errors import ContextError


@pytest.fixture
def write(tmp_path):
    def put(name: str, content: str | bytes):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return put


def lines_of(path) -> list[tuple]:
    return [(line.text, line.number, line.occurrence, line.cluster) for line in read_corpus(path).lines]


OBJECTS = '{"text": "They gave her back her book", "occurrence": 2, "cluster": "giving"}\n\n{"text": "We saw her"}\n'
TABLE = 'text,cluster,occurrence,page\n"They gave her, back, her book",giving,2,7\nWe saw her,,,\n'


@pytest.mark.parametrize("suffix", [".jsonl", ".JSONL", ".JsonL", ".ndjson", ".NDJSON"])
def test_json_lines_by_any_spelling_of_the_suffix(write, suffix):
    found = lines_of(write(f"mine{suffix}", OBJECTS))
    assert found == [("They gave her back her book", 1, 2, "giving"), ("We saw her", 3, None, None)]


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".CSV", ","), (".tsv", "\t"), (".TSV", "\t")])
def test_tables(write, suffix, separator):
    table = (
        TABLE
        if separator == ","
        else TABLE.replace(",", "\t").replace('"They gave her\t back\t', '"They gave her\t back\t')
    )
    (first, *rest), second = lines_of(write(f"mine{suffix}", table.replace("\n", "\r\n")))
    assert first == f"They gave her{separator} back{separator} her book"
    assert (rest, second) == ([2, 2, "giving"], ("We saw her", 3, None, None))


def test_a_cell_may_hold_a_line_end_and_lines_are_still_counted(write):
    assert lines_of(write("a.csv", 'text\n"We saw\nher"\n\nThey met her\n')) == [
        ("We saw\nher", 2, None, None),
        ("They met her", 5, None, None),
    ]


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_lines_end_at_a_newline_alone(write, inside):
    """`str.splitlines` would cut at each of these."""
    text = f"We{inside}saw her"
    raw = json.dumps({"text": text}, ensure_ascii=False)
    assert lines_of(write("a.jsonl", json.dumps({"text": text}) + "\r\n" + OBJECTS))[0] == (text, 1, None, None)
    if ord(inside) > 0x1F:  # JSON itself has those escaped
        assert lines_of(write("b.jsonl", f"{raw}\r\n{raw}")) == [(text, 1, None, None), (text, 2, None, None)]
    assert lines_of(write("a.txt", f"{text}\r\n{text}{inside}\n")) == [
        (text, 1, None, None),
        (text + inside, 2, None, None),
    ]


def notebook(*sources: str) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": source} for source in sources]})


SENTENCES = "x = ['We saw her', 'I met her']"


def test_a_notebook_by_any_spelling_and_with_magic(write):
    magic = "%%bash\nls 'a b'", "%matplotlib inline\n!ls\ny = %timeit x\nprint?\n" + SENTENCES
    assert [line[0] for line in lines_of(write("a.IPYNB", notebook(*magic)))] == ["We saw her", "I met her"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "sentence;cluster\na;b\n", "has no column 'text' .its first line has .'sentence;cluster'"),
        ("a.csv", "Text\nWe saw her\n", "names 'Text' in its first line; .*write 'text'"),
        ("a.csv", "text,text\na,b\n", "has 2 columns 'text'"),
        ("a.csv", "text,cluster\nWe saw her\n", "has 1 cells in line 2 and 2 columns"),
        ("a.csv", "text,occurrence\nWe saw her,two\n", "must be a whole number from 1"),
        ("a.csv", 'text\n"We saw her\n', "is no table in line"),
        ("a.csv", "text\n", "holds no sentence"),
        ("a.tsv", "text,cluster\na,b\n", "has no column 'text'"),
        ("a.txt", "# mine\nWe saw her\n", "begins with '#' in line 1: a text file has no comments"),
        ("a.txt", OBJECTS, "holds JSON in line 1.*name the file .jsonl"),
        ("a", "We saw her\rThey met her\n", "carriage return inside line 1"),
        ("a.txt", b"We saw her\n\x00\n", "NUL byte .byte 11."),
        ("a.txt", "x" * 100_001, "has 100,001 characters in line 1"),
        ("a.txt", "a\n" * 100_001, "has more than 100,000 sentences"),
        ("a.txt", "Gặp her".encode("utf-16"), "is not UTF-8 but UTF-16"),
        ("a.txt", b"We saw her\xff", "is not UTF-8 .byte 10."),
        ("a.txt", "<!DOCTYPE html><p>her", "is a page of HTML or XML"),
        ("a.txt", b"PK\x03\x04...", "zip archive"),
        ("a.jsonl", b"\x1f\x8b...", "compressed .gzip."),
        ("a", b"%PDF-1.7", "PDF"),
        ("a", b"PAR1", "Parquet"),
        ("a.jsonl", '{"text": "x", "clusters": "y"}', "names 'clusters' in line 1; .*write 'cluster'"),
        ("a.jsonl", '{"text": "x", "text": "y"}', "'text' stands twice in one object"),
        ("a.jsonl", '{"text": "x", "occurrence": 0}', "must be a whole number from 1"),
        ("a.jsonl", '{"text": "x", "occurrence": true}', "must be a whole number from 1"),
        ("a.jsonl", '{"text": "x", "n": NaN}', "NaN is no number of JSON"),
        ("a.jsonl", '{"text": "\\ud800"}', "half of a surrogate pair"),
        ("a.jsonl", '{"text": "  "}', "has no text in line 1"),
        ("a.jsonl", "[" * 100_000, "nested too deep"),
        ("a.ipynb", "[" * 100_000, "nested too deep"),
        ("a.ipynb", notebook(SENTENCES, "for x"), "not Python in its code cell 2"),
        ("a.ipynb", notebook(SENTENCES, "(" * 100_000), "not Python in its code cell 2"),
        ("a.ipynb", notebook(SENTENCES, "-" * 100_000 + "1"), "not Python in its code cell 2"),
        ("a.ipynb", notebook(SENTENCES, f"%matplotlib\n{SENTENCES}"), "holds 2 lists"),
        ("a.ipynb", '{"cells": [{"cell_type": "code", "source": 3}]}', "is not a notebook"),
        *[(f"a{suffix}", "We saw her", "of a kind that is not read") for suffix in (
            ".json", ".parquet", ".gz", ".xlsx", ".docx", ".pdf", ".html", ".md", ".rtf", ".npz", ".safetensors",
            ".jsonl.gz", ".csvx", ".Json",
        )],
    ],
)  # fmt: skip
def test_what_is_something_else_is_refused_in_one_line(write, name, content, message):
    with pytest.raises(ContextError, match=message) as caught:
        read_corpus(write(name, content))
    text = str(caught.value)
    assert name in text
    assert "\n" not in text
    assert len(text) <= 500


def test_half_a_surrogate_pair_is_no_whole_one(write):
    assert lines_of(write("a.jsonl", '{"text": "\\ud83d\\ude00 her"}'))[0][0] == "\U0001f600 her"


def test_nothing_blocks(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "device.txt").symlink_to("/dev/zero")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    for name, message in (("pipe", "it is a pipe"), ("device", "a device"), ("folder", "a folder"), ("loop", "levels")):
        with pytest.raises(ContextError, match=message):
            read_corpus(tmp_path / f"{name}.txt")
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(ContextError, match="can't be read") as caught:
            read_corpus(name)
        assert len(str(caught.value)) <= 500
