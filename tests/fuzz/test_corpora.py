"""Fuzz: corpora of every kind, whole, altered and damaged: a value or one line, and nothing lost in silence."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from hypothesis import strategies as st

from qkvcheck.contexts.corpora import BUILT_IN, read_corpus
from qkvcheck.contexts.corpus_files import _READERS

from .damage import ODD, altered, damaged, fuzz, plain_data, reads_or_refuses

SUFFIXES = (*_READERS, ".JSONL", ".Csv", ".json", ".gz", ".parquet", ".md")
TEXTS = st.text(max_size=30) | st.sampled_from(
    ("We saw her", "They gave her back her book", "# her", '{"a": 1}', "a\rb")
)
LINES = st.fixed_dictionaries(
    {"text": TEXTS}, optional={"occurrence": st.integers(0, 3), "cluster": st.text(max_size=5), "more": plain_data()}
)


def check(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    return reads_or_refuses(read_corpus, path, name="corpora", seconds=10)


@st.composite
def tables(draw: st.DrawFn) -> str:
    """Draw CSV or TSV as a tool would write it, with a column too many or too few now and then."""
    columns = draw(st.permutations(("text", "occurrence", "cluster", "page")))[: draw(st.integers(1, 4))]
    out = io.StringIO(newline="")
    writer = csv.writer(
        out, delimiter=draw(st.sampled_from(",\t;")), lineterminator=draw(st.sampled_from(("\n", "\r\n", "\r")))
    )
    writer.writerow(columns)
    for _ in range(draw(st.integers(0, 4))):
        writer.writerow(
            [
                draw(TEXTS | st.sampled_from(("", "1", "x")))
                for _ in range(len(columns) + draw(st.sampled_from((0, 0, 0, 1, -1))))
            ]
        )
    return out.getvalue()


def test_written_corpora(tmp_path, examples):
    """Each line that a writer puts down comes back, or the file is refused."""

    def write(lines) -> None:
        wanted = [line for line in lines if line["text"].strip() and line.get("occurrence") != 0]
        raw = "\n".join(json.dumps(line, ensure_ascii=False, allow_nan=True) for line in lines).encode(
            "utf-8", "surrogatepass"
        )
        if check(tmp_path / "a.jsonl", raw):
            assert [line.text for line in read_corpus(tmp_path / "a.jsonl").lines] == [line["text"] for line in wanted]
            assert len(wanted) == len(lines)

    fuzz(st.lists(LINES, max_size=4), write, examples=examples)


def test_plain_text(tmp_path, examples):
    def write(lines) -> None:
        path = tmp_path / "a.txt"
        if check(path, "\n".join(lines).encode("utf-8", "surrogatepass")):
            kept = [part.removesuffix("\r").strip(" \t") for line in lines for part in line.split("\n")]
            assert [line.text for line in read_corpus(path).lines] == [line for line in kept if line]

    fuzz(st.lists(TEXTS, max_size=4), write, examples=examples)


def test_tables(tmp_path, examples):
    fuzz(tables(), lambda text: check(tmp_path / "a.csv", text.encode("utf-8", "surrogatepass")), examples=examples)


def test_altered_documents(tmp_path, examples):
    """Notebooks and lines of JSON with a value, a name, a place altered."""
    cells = [
        {"cell_type": "code", "source": ["x = ['We saw her',\n", " 'I met her']"]},
        {"cell_type": "markdown", "source": "x"},
    ]
    line = {"text": "They gave her back her book", "occurrence": 2, "cluster": "giving"}
    documents = st.tuples(st.just("a.ipynb"), altered({"cells": cells, "nbformat": 4})) | st.tuples(
        st.just("a.jsonl"), altered(line) | st.sampled_from(ODD)
    )

    def write(named) -> None:
        name, document = named
        check(tmp_path / name, json.dumps(document).encode())

    fuzz(documents, write, examples=examples)


def test_damaged_files(tmp_path, examples):
    """Every kind of file with bytes damaged, under every suffix."""
    wholes = {
        "jsonl": json.dumps({"text": "We saw her", "cluster": "a"}) + "\r\n" + json.dumps({"text": "They met her"}),
        "csv": 'text,cluster\n"We saw, her",a\nThey met her,b\n',
        "ipynb": json.dumps({"cells": [{"cell_type": "code", "source": "x = ['We saw her', 'I met her']"}]}),
        "txt": "We saw her\nThey met her\r\n",
    }
    files = st.sampled_from(sorted(wholes)).flatmap(lambda kind: damaged(wholes[kind].encode()))

    def write(named) -> None:
        suffix, content = named
        check(tmp_path / f"a{suffix}", content)

    fuzz(st.tuples(st.sampled_from(SUFFIXES), files), write, examples=examples)


def test_built_in_corpora_are_never_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in BUILT_IN:
        Path(name).write_text("something else")
        assert len(read_corpus(name).lines) == 54
