"""Records of large files: every form gives the same texts, and what can't be used is told, never dropped in silence."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tracemalloc

import pytest

from qkvcheck.errors import ContextError
from qkvcheck.sweep.corpus.sources import Fault, Reader, Record, bounded_lines, files_of, form_of

TEXTS = ["I saw her.", "We met her, and left.", "Không ai gọi her.", 'He said "her name".']


def rows(texts):
    return [{"id": str(number), "text": text} for number, text in enumerate(texts)]


def as_table(texts, delimiter):
    told = io.StringIO()
    writer = csv.DictWriter(told, ["id", "text"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows(texts))
    return told.getvalue()


def written(folder, name, texts):
    path = folder / name
    bare = name.removesuffix(".gz").removesuffix(".zst")
    if bare.endswith(".parquet"):
        pyarrow = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(
            pyarrow.Table.from_pylist(rows(texts)), path, row_group_size=2
        )
        return path
    if bare.endswith("sv"):
        data = as_table(texts, "\t" if bare.endswith(".tsv") else ",")
    elif bare.endswith("l"):
        data = "".join(json.dumps(row) + "\n" for row in rows(texts))
    else:
        data = "\n".join(texts) + "\n"
    raw = data.encode()
    if name.endswith(".gz"):
        raw = gzip.compress(raw)
    if name.endswith(".zst"):
        raw = pytest.importorskip("zstandard").compress(raw)
    path.write_bytes(raw)
    return path


NAMES = ("a.txt", "a", "a.jsonl", "a.csv", "a.tsv", "a.txt.gz", "a.jsonl.gz", "a.csv.zst", "a.txt.zst", "a.parquet")


@pytest.mark.parametrize("name", NAMES)
def test_every_form_gives_the_same_texts(name, tmp_path):
    path = written(tmp_path, name, TEXTS)
    found = list(Reader(path).between(0, 99))
    assert found == [Record(number, text) for number, text in enumerate(TEXTS)]
    reader = Reader(path)
    pieces = [*reader.between(0, 1), *reader.between(2, 4)]  # going forward, past one
    assert [record.number for record in pieces] == [0, 2, 3]
    assert [record.number for record in reader.between(0, 2)] == [0, 1]  # and back


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_seekable_piece_begins_at_its_byte(name, tmp_path):
    path = written(tmp_path, name, TEXTS)
    offset = len(path.read_bytes().split(b"\n")[0]) + 1
    assert [record.text for record in Reader(path).between(1, 3, offset=offset)] == TEXTS[1:3]


def test_blank_lines_are_no_records_and_keep_their_numbers(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\n\n  \ntwo\n", encoding="utf-8")
    assert list(Reader(path).between(0, 9)) == [Record(0, "one"), Record(3, "two")]


def told(path, **how):
    found = list(Reader(path, **how).between(0, 99))
    return [one for one in found if isinstance(one, Fault)], [one.text for one in found if isinstance(one, Record)]


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [
        ("a.jsonl", b'{"text": "I saw her."}\n{"text": \n{"text": "She."}\n', "is no JSON"),
        ("a.jsonl", b'{"text": "I saw her."}\n[1]\n{"text": "She."}\n', "no JSON object"),
        ("a.jsonl", b'{"text": "I saw her."}\n{"txt": "x"}\n{"text": "She."}\n', "has no 'text'; it has txt"),
        ("a.jsonl", b'{"text": "I saw her."}\n{"text": 3}\n{"text": "She."}\n', "that is no text (3)"),
        ("a.jsonl", b'{"text": "I saw her."}\n' + b"[" * 100_000 + b'\n{"text": "She."}\n', "is no JSON"),
        ("a.txt", b"I saw her.\n\xff\xfe\nShe.\n", "is not UTF-8"),
        ("a.csv", b"id,text\n1,I saw her.\n2\n3,She.\n", "has 1 values for 2 columns"),
        ("a.csv", b"text\nI saw her.\n\xff\nShe.\n", "is not UTF-8"),
        ("a.txt", b"I saw her.\n" + b"x" * 5000 + b"\nShe.\n", "is 5,001 bytes long; taken are at most 200"),
        ("a.csv", b"text\nI saw her.\n" + b"x" * 5000 + b"\nShe.\n", "bytes long; taken are at most 200"),
    ],
)
def test_a_bad_record_is_told_and_the_rest_is_taken(name, raw, why, tmp_path):
    path = tmp_path / name
    path.write_bytes(raw)
    faults, texts = told(path, most=200 if "200" in why else 10**6)
    assert texts == ["I saw her.", "She."]
    (fault,) = faults
    assert why in str(fault)
    assert "record 2" in str(fault)
    assert not fault.ends


def test_what_is_cut_short_says_so_behind_what_can_be_read(tmp_path):
    lines = [f"{number} saw her {number * 7919 % 1000}" for number in range(5000)]
    path = written(tmp_path, "a.txt.gz", lines)
    path.write_bytes(path.read_bytes()[:-2000])
    found = list(Reader(path).between(0, 9999))
    assert isinstance(found[-1], Fault)
    assert found[-1].ends
    assert "is cut short" in found[-1].why
    assert [record.text for record in found[:-1]] == lines[: len(found) - 1]
    assert len(found) > 1000


@pytest.mark.parametrize("name", ["a.txt.gz", "a.txt.zst", "a.parquet"])
def test_garbage_is_one_fault(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"no such thing at all, whatever its name says" * 50)
    if name != "a.txt.gz":
        pytest.importorskip("pyarrow" if "parquet" in name else "zstandard")
    (fault,) = Reader(path).between(0, 9)
    assert fault.ends


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_unknown_column_names_those_that_are_there(name, tmp_path):
    path = written(tmp_path, name, TEXTS)
    with pytest.raises(ContextError, match=r"no column 'txt'; it has id, text.*Did you mean 'text'"):
        list(Reader(path, column="txt").between(0, 9))


def test_a_line_without_end_is_never_held(tmp_path):
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.write(b"I saw her.\n")
        for _ in range(60):
            file.write(b"x" * 1_000_000)
        file.write(b"\nShe.\n")
    tracemalloc.start()
    faults, texts = told(path, most=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts == ["I saw her.", "She."]
    assert "60,000,001 bytes" in faults[0].why
    assert peak < 3_000_000


def test_bounds_are_of_the_line_alone():
    lines = [line for line, _ in bounded_lines(io.BufferedReader(io.BytesIO(b"1234\n12345\n123456\n1234")), most=5)]
    assert lines == [b"1234\n", b"12345\n", None, b"1234"]


def test_a_quoted_value_may_hold_newlines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text\n"I saw\nher."\nShe.\n', encoding="utf-8")
    assert [record.text for record in Reader(path).between(0, 9)] == ["I saw\nher.", "She."]


def test_labels_are_read_where_they_are_asked_for(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "I saw her.", "cluster": 3}\n', encoding="utf-8")
    assert next(Reader(path, labelled=True).between(0, 1)).label == "3"
    assert next(Reader(path).between(0, 1)).label is None


def test_patterns_name_files_once_and_in_order(tmp_path):
    for name in ("b.txt", "a.txt", "c.jsonl"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    found = files_of([str(tmp_path / "*.txt"), str(tmp_path / "a.txt")])
    assert [path.name for path in found] == ["a.txt", "b.txt"]
    with pytest.raises(ContextError, match="names no file"):
        files_of([str(tmp_path / "*.csv")])
    with pytest.raises(ContextError, match=r"of a kind that is not read \('.docx'\)"):
        form_of("a.docx")
