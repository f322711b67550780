"""Documents: what is no document at all, what a schema refuses, and that the line says where."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from qkvcheck.errors import LONGEST, ClaimError, DocumentError, QkvcheckError, one_line, shown
from qkvcheck.groups import Capture
from qkvcheck.inputs.documents import LARGEST_TOML, from_document, read_json, read_toml, reading

CONFLICT = '{\n"a": 1,\n<<<<<<< HEAD\n"b": 1\n=======\n"b": 2\n>>>>>>> other\n}\n'
NO_JSON = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "not-utf8": (b'{"a": "\xff"}', "is not UTF-8 (byte 7 is 0xff)"),
    "utf16": ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
    "not-json": (b"{", "is not JSON (Expecting property name"),
    "deep": (b"[" * 100_000, "is nested deeper than 32 levels"),
    "deep-and-whole": (b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", "is nested deeper than 32 levels at"),
    "digits": (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON (Exceeds the limit"),
    "twice": (b'{"a": {"b": 1, "c": 2, "b": 3}}', "is not JSON (the name 'b' stands twice in one object)"),
    "list": (b"[1]", "is not a JSON object but [1]"),
    "number": (b"3.5", "is not a JSON object but 3.5"),
    "conflict": (CONFLICT.encode(), "holds a merge conflict in line 3; take one side with git checkout --ours -- "),
    "nan": (b'{"a": {"b": [0, NaN]}}', ": a.b[1] is nan; it has to be a finite number"),
    "infinity": (b'{"a b": 1e999}', ": ['a b'] is inf; it has to be a finite number"),
    "large": (b'{"a": 99999999999999999999}', ": a is 99999999999999999999; it has to fit into 64 bits"),
    "surrogate": (b'{"a": "\\ud800"}', r": a is '\ud800'; it holds half of a character"),
    "surrogate-in-a-name": (b'{"a": {"\\ud800": 1}}', r": a has the name '\ud800'; it holds half of a character"),
    "schema": (b'{"schema": "mine/2"}', "is not of schema 'ours/1' but of 'mine/2'"),
}


def told(path, **how) -> str:
    with pytest.raises(ClaimError) as caught, reading("file", path, advice="write it anew"):
        read_json(path, schemas=("ours/1",), **how)
    return str(caught.value)


@pytest.mark.parametrize("wrong", NO_JSON)
def test_what_is_no_document_is_refused_in_one_line(tmp_path, wrong):
    path = tmp_path / "a.json"
    content, message = NO_JSON[wrong]
    path.write_bytes(content)
    line = told(path)
    assert line.startswith(f"file '{path}'{message if message[0] == ':' else f' {message}'}")
    assert line.endswith("write it anew.")
    assert len(line) <= LONGEST
    assert line.isprintable()


def test_a_mark_at_the_beginning_and_added_names_are_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"schema": "ours/1", "later": [1, null]}')
    assert read_json(path, schemas=("ours/1",)) == {"schema": "ours/1", "later": [1, None]}


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "pipe", "device", "loop", "large", "name", "long", "below-a-file"]
)
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, kind):
    path = tmp_path / "a.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "large":
        path.write_bytes(b" " * 100)
    elif kind == "name":
        path = tmp_path / "a\0.json"
    elif kind == "long":
        path = tmp_path / ("a" * 5000)
    elif kind == "below-a-file":
        path.write_text("{}")
        path = path / "b.json"
    messages = {
        "folder": "is a folder, not a file", "pipe": "is a pipe, not a file", "device": "is a device or socket",
        "large": "is larger than 50 bytes", "name": "no file can have that name",
    }  # fmt: skip
    start = time.monotonic()
    assert messages.get(kind, "can't be read (") in told(path, largest=50)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = ", "is not TOML ("),
        (b"a = inf", "a is inf; it has to be a finite number"),
        (b"a = 99999999999999999999999", "it has to fit into 64 bits"),
        (b"a = " + b"[" * 5000, "has more than|is nested deeper than|is not TOML"),
        (b"a = [\n" + b"[\n" * 100_000, "is nested deeper than 32 levels"),
        (b"a" + b".a" * 200_000 + b" = 1", "has more than 10,000 characters in line 1"),
        (("a." * 4_000 + "b = 1\n").encode(), "is nested deeper than 32 levels"),
        (b"#" * (LARGEST_TOML + 1), "is larger than 1,048,576 bytes"),
        (b"<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> b\n", "holds a merge conflict in line 1"),
    ],
    ids=range(9),
)
def test_toml_is_refused_in_bounded_time(tmp_path, content, message):
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    start = time.monotonic()
    with pytest.raises(DocumentError) as caught:
        read_toml(path)
    assert any(part in str(caught.value) for part in message.split("|"))
    assert time.monotonic() - start < 10


@dataclass(frozen=True)
class Inner:
    number: float
    capture: Capture | None = None

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("number has to be from 0")


@dataclass(frozen=True)
class Outer:
    inner: Mapping[str, Inner]
    texts: Sequence[str] = ()
    pair: tuple[str, int] = ("a", 1)
    flag: bool = False
    either: str | Sequence[int] = "a"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "inner is missing"),
        ([], "it is []; it has to be an object"),
        ({"inner": 3}, "inner is 3; it has to be an object of names and values"),
        (
            {"inner": {"a": {"number": 1}, "b c": {"number": "six"}}},
            "inner['b c'].number is 'six'; it has to be a number",
        ),
        ({"inner": {"a": {"number": True}}}, "inner.a.number is True; it has to be a number"),
        ({"inner": {"a": {}}}, "inner.a.number is missing"),
        ({"inner": {"a": {"number": -1}}}, "inner.a: number has to be from 0"),
        (
            {"inner": {"a": {"number": 1, "capture": "taget"}}},
            "inner.a.capture is 'taget'; it has to be one of target, words, words_and_weights, generic_removed, fresh, "
            "matched, every_layer. Did you mean 'target'?",
        ),
        ({"inner": {}, "texts": ["a", 1]}, "texts[1] is 1; it has to be a text"),
        ({"inner": {}, "texts": "a"}, "texts is 'a'; it has to be a list of texts"),
        ({"inner": {}, "flag": 1}, "flag is 1; it has to be true or false"),
        ({"inner": {}, "pair": ["a"]}, "pair is ['a']; it has to be a list of "),
        ({"inner": {}, "either": 3}, "either is 3; it has to be a text or a list of whole numbers"),
        ({"inner": {}, "either": ["x"]}, "either[0] is 'x'; it has to be a whole number"),
    ],
)
def test_a_mistake_has_place_value_and_rule(data, message):
    with pytest.raises(DocumentError) as caught:
        from_document(Outer, data)
    assert str(caught.value).startswith(message)


def test_the_right_name_of_many_is_told_in_time():
    held = {f"n{number}": {"number": number} for number in range(20_000)}
    held["n17171"] = {"number": "six"}
    start = time.monotonic()
    with pytest.raises(DocumentError, match="^inner.n17171.number is 'six'"):
        from_document(Outer, {"inner": held})
    assert time.monotonic() - start < 5


def test_whatever_an_error_is_told_it_is_one_printable_line():
    line = str(QkvcheckError("a\x1b[31m\nb\u202e " + "x" * 5000 + " \ud800 do this."))
    assert line.startswith(r"a\x1b[31m b\u202e x")
    assert line.endswith(r" \ud800 do this.")
    assert len(line) == LONGEST
    assert line.isprintable()
    assert one_line("ü é ’ 東京") == "ü é ’ 東京"


VALUES = ["x" * 10**6, [[[[[1]]]]] * 9, {"a": {1: "b"}}, 10**6000, -(10**6000), float("nan"), Capture.WORDS]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_what_was_given_is_shown_shortly(value):
    assert 0 < len(shown(value)) <= 160


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no limit of digits")
def test_shown_can_take_what_python_refuses_to_write():
    with pytest.raises(ValueError, match="limit"):
        str(10**6000)
    assert shown([10**6000]) == "[a number of hundreds of digits]"
