"""Corpus files: text, JSON lines, CSV, TSV or a notebook, by the file's suffix; any other kind is refused.

Each reader ends in lines or a `ContextError`; none drops, joins or cuts a line in silence.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkvcheck.errors import ContextError, shown
from qkvcheck.inputs import Given

BYTES = 64_000_000
SENTENCES = 100_000
CHARACTERS = 100_000
"""What a corpus may have at most: bytes, sentences, and characters of one sentence."""
LECTURE_SHA256 = "8fb93effd98a5e14313597fb1248e0a0b67d453cee1093633822265bb90c1c69"
"""Hash of the lecture's own 54 sentences, which qkvcheck does not ship but recognises."""

TEXT, OCCURRENCE, CLUSTER = "text", "occurrence", "cluster"
KEYS = (TEXT, OCCURRENCE, CLUSTER)
"""Keys of a line of JSON, and columns of a table."""
_BLANK = " \t"
_STARTS = (
    (b"PK\x03\x04", "a zip archive (such as .xlsx, .docx or .npz)"),
    (b"\x1f\x8b", "compressed (gzip)"),
    (b"BZh", "compressed (bzip2)"),
    (b"\xfd7zXZ", "compressed (xz)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstandard)"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"{\\rtf", "an RTF document"),
)
_MARKUP = re.compile(r"\s*<(?:!doctype|html|\?xml|head|body)\b", re.IGNORECASE)
_MAGIC = re.compile(r"\s*(?:[%!?]|\w+\s*=\s*[%!]|[\w.]+\?{1,2}\s*$)")
SAVE_AS_TEXT = "save the sentences as text (.txt), one a line"


@dataclass(frozen=True)
class Line:
    """One sentence of a corpus, before it is tokenised.

    Attributes
    ----------
    text : str
        The sentence.
    number : int
        Its line in the file, from 1.
    occurrence : int or None
        Which occurrence of the target counts, from 1.
    cluster : str or None
        A label: sentences that share it may depend on each other.
    """

    text: str
    number: int
    occurrence: int | None = None
    cluster: str | None = None


def hash_lines(texts: Sequence[str]) -> str:
    """Return the sha256 of the texts joined by newlines with one at the end."""
    return hashlib.sha256(("\n".join(texts) + "\n").encode("utf-8")).hexdigest()


def read_lines(path: Path, *, built_in: Collection[str]) -> list[Line]:
    """Read the sentences of a file, by its suffix; capital letters in that make no difference.

    Raises
    ------
    ContextError
        If the file can't be read, is of another kind, is malformed, or holds no sentence or too many.
    """
    given = Given(
        path,
        "corpus",
        ContextError,
        f"allowed are {', '.join(built_in)}, or a file of sentences ({', '.join(filter(None, _READERS))}). Check "
        "--qkv-corpus",
    )
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        given.check()
        raise given.refused(f"is of a kind that is not read ({shown(path.suffix)})")
    raw = given.read_bytes(limit=BYTES)
    kind = next((words for start, words in _STARTS if raw.startswith(start)), None)
    if kind is not None:
        raise given.refused(f"is {kind}, not a file of sentences", do=SAVE_AS_TEXT)
    text = given.text_of(raw)
    if "\0" in text:
        raise given.refused(f"is no text: it holds a NUL byte (byte {raw.index(0)})", do=SAVE_AS_TEXT)
    return checked_lines(reader(text, given), given)


def checked_lines(lines: Iterator[Line], given: Given) -> list[Line]:
    """Return the lines of a file, none of them blank or too long, and not too many."""
    found: list[Line] = []
    for line in lines:
        where = f"line {line.number}"
        if not line.text.strip():
            raise given.refused(f"has no text in {where}", do="write a sentence there, or remove the line")
        if len(line.text) > CHARACTERS:
            raise given.refused(
                f"has {len(line.text):,} characters in {where}; a sentence has at most {CHARACTERS:,}",
                do="write one sentence a line",
            )
        if len(found) == SENTENCES:
            raise given.refused(f"has more than {SENTENCES:,} sentences", do="take a part of them")
        found.append(line)
    if not found:
        raise given.refused("holds no sentence; it needs at least one", do="write one sentence a line")
    return found


# Text -----------------------------------------------------------------------------------------------


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank; a line ends at a newline (with a carriage return or not), nowhere else."""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.removesuffix("\r")
        if line.strip(_BLANK):
            yield number, line


def _plain(text: str, given: Given) -> Iterator[Line]:
    if _MARKUP.match(text):
        raise given.refused("is a page of HTML or XML, not a file of sentences", do=SAVE_AS_TEXT)
    for number, raw in _numbered(text):
        line = raw.strip(_BLANK)
        if line.startswith("#"):
            raise given.refused(
                f"begins with '#' in line {number}: a text file has no comments, each line is a sentence",
                do="remove the line; a sentence that begins so can stand in a .jsonl file",
            )
        if line.startswith('{"') and line.endswith("}"):
            raise given.refused(f"holds JSON in line {number}, not a sentence", do="name the file .jsonl")
        if "\r" in line:
            raise given.refused(
                f"holds a carriage return inside line {number}", do="end lines with a newline and run again"
            )
        yield Line(line, number)


# JSON lines -----------------------------------------------------------------------------------------


def json_lines(text: str, given: Given) -> Iterator[Line]:
    """Yield the sentences of JSON lines: one object a line, with a text."""
    for number, raw in _numbered(text):
        where = f"line {number}"
        record: Any = given.parsed(raw, where=where)
        if not isinstance(record, dict) or not isinstance(record.get(TEXT), str):
            raise given.refused(
                f"has no text in {where} ({shown(record)})", do='each line is an object such as {"text": "..."}'
            )
        given.refuse_misspelt(record, KEYS, where=where)
        occurrence, cluster = record.get(OCCURRENCE), record.get(CLUSTER)
        whole = isinstance(occurrence, int) and not isinstance(occurrence, bool) and occurrence >= 1
        if occurrence is not None and not whole:
            raise _bad_occurrence(given, where, occurrence)
        if cluster is not None and not isinstance(cluster, str):
            raise given.refused(f'has "cluster": {shown(cluster)} in {where}; it must be a text', do="correct the line")
        yield Line(record[TEXT], number, occurrence, cluster)


def _bad_occurrence(given: Given, where: str, value: object) -> Exception:
    return given.refused(
        f'has "occurrence": {shown(value)} in {where}; it must be a whole number from 1', do="correct the line"
    )


# Tables ---------------------------------------------------------------------------------------------


def _table(delimiter: str) -> Callable[[str, Given], Iterator[Line]]:
    def read(text: str, given: Given) -> Iterator[Line]:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        begins = 1
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                raise given.refused(f"is no table in line {rows.line_num} ({error})", do="correct the line") from None
            if row is None:
                return
            if any(cell.strip() for cell in row):
                if header is None:
                    header = _header(row, given, delimiter)
                else:
                    yield _row(dict(_paired(header, row, given, begins)), begins, given)
            begins = rows.line_num + 1

    return read


def _header(row: list[str], given: Given, delimiter: str) -> list[str]:
    if TEXT not in row:
        given.refuse_misspelt(row, KEYS, where="its first line")
        raise given.refused(
            f"has no column {TEXT!r} (its first line has {shown(row)}, columns separated by {delimiter!r})",
            do=f"name the column of the sentences {TEXT!r} in the first line; {OCCURRENCE!r} and {CLUSTER!r} may stand "
            "beside it",
        )
    given.refuse_misspelt(row, KEYS, where="its first line")
    twice = next((name for name in KEYS if row.count(name) > 1), None)
    if twice is not None:
        raise given.refused(f"has {row.count(twice)} columns {twice!r}", do="keep one of them")
    return row


def _paired(header: list[str], row: list[str], given: Given, number: int) -> Iterator[tuple[str, str]]:
    if len(row) != len(header):
        raise given.refused(
            f"has {len(row)} cells in line {number} and {len(header)} columns",
            do="correct the line; a sentence with a separator in it stands in double quotes",
        )
    return zip(header, row, strict=True)


def _row(cells: Mapping[str, str], number: int, given: Given) -> Line:
    told = cells.get(OCCURRENCE, "").strip()
    if told and not (told.isascii() and told.isdigit() and len(told) < 10 and int(told) >= 1):
        raise _bad_occurrence(given, f"line {number}", told)
    return Line(cells[TEXT], number, int(told) if told else None, cells.get(CLUSTER) or None)


# Notebooks ------------------------------------------------------------------------------------------


def _notebook(text: str, given: Given) -> Iterator[Line]:
    """Yield the one list of sentences that stands in a notebook's code cells; the lecture's own wins."""
    document = given.parsed(text)
    try:
        cells = [cell["source"] for cell in document["cells"] if cell["cell_type"] == "code"]
        sources = [cell if isinstance(cell, str) else "".join(cell) for cell in cells]
    except (KeyError, TypeError):
        raise given.refused("is not a notebook of format 4", do=SAVE_AS_TEXT) from None
    found: list[list[str]] = []
    unread: list[int] = []
    for number, source in enumerate(sources, start=1):
        lists = _string_lists(source)
        unread += [number] if lists is None else []
        found += lists or []
    known = [sentences for sentences in found if hash_lines(sentences) == LECTURE_SHA256]
    if not known and unread:
        raise given.refused(
            f"has code that is not Python in its code cell {unread[0]}, where sentences might stand", do=SAVE_AS_TEXT
        )
    if not known and len(found) != 1:
        raise given.refused(
            f"holds {len(found)} lists of sentences in its code; exactly one is allowed", do=SAVE_AS_TEXT
        )
    for number, sentence in enumerate((known or found)[0], start=1):
        yield Line(sentence, number)


def _string_lists(source: str) -> list[list[str]] | None:
    """Return the lists of at least two sentences in a cell, or None if it is no Python; magic is left out."""
    if source.lstrip().startswith("%%"):
        return []
    plain = "\n".join(line for line in source.split("\n") if not _MAGIC.match(line))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in a user's strings
            tree = ast.parse(plain)
            nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    lists = []
    for node in nodes:
        if isinstance(node, (ast.List, ast.Tuple)) and len(node.elts) > 1:
            values = [e.value for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
            # A sentence has a space inside; lists of labels or colours have none.
            if len(values) == len(node.elts) and all(" " in value.strip() for value in values):
                lists.append(values)
    return lists


_READERS: Mapping[str, Callable[[str, Given], Iterator[Line]]] = {
    "": _plain,
    ".txt": _plain,
    ".text": _plain,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".ipynb": _notebook,
}
"""What reads a file, by its suffix in small letters."""
