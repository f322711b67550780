"""The frame itself: every way in which a reader can escape is seen, and none of them harms the tests."""

from __future__ import annotations

import os
import time

import pytest

from qkvcheck.errors import QkvcheckError
from tests.fuzz.damage import Escape, check_message, reads_or_refuses


def refuse(message):
    def read(path):
        raise QkvcheckError(message.format(path=path))

    return read


def held(read, path, **how):
    return reads_or_refuses(read, path, name="frame", seconds=0.2, memory=1 << 28, **how)


@pytest.mark.parametrize("isolated", [False, True])
def test_a_value_and_one_line_are_told_apart(tmp_path, isolated):
    assert held(lambda path: path, tmp_path / "a", isolated=isolated) is True
    assert held(refuse("'{path}' is empty; write it."), tmp_path / "a", isolated=isolated) is False


@pytest.mark.parametrize(
    ("message", "how"),
    [
        ("", "is empty"),
        ("a.json: two\nlines", "control character"),
        ("a.json: \x1b[31mred", "control character"),
        ("a.json: \ud800", "control character"),
        ("a.json" + "x" * 600, "characters"),
        ("something is wrong", "does not name 'a.json'"),
    ],
)
def test_a_message_that_is_not_one_line_escapes(message, how):
    with pytest.raises(Escape, match=how):
        check_message(message, "a.json")


@pytest.mark.parametrize("isolated", [False, True])
def test_a_message_that_does_not_name_the_file_escapes(tmp_path, isolated):
    with pytest.raises(Escape, match="does not name 'a.json'"):
        held(refuse("something is wrong"), tmp_path / "a.json", isolated=isolated)


def test_other_errors_escape(tmp_path):
    with pytest.raises(ZeroDivisionError):
        held(lambda _: 1 / 0, tmp_path)
    with pytest.raises(Escape, match="ZeroDivisionError: division by zero"):
        held(lambda _: 1 / 0, tmp_path, isolated=True)


@pytest.mark.parametrize("isolated", [False, True])
def test_what_takes_too_long_escapes(tmp_path, isolated):
    with pytest.raises(Escape, match="longer than"):
        held(lambda _: time.sleep(5), tmp_path, isolated=isolated)


def test_what_takes_too_much_memory_escapes(tmp_path):
    with pytest.raises(MemoryError):
        held(lambda _: bytearray(1 << 29), tmp_path)
    with pytest.raises(Escape, match="MemoryError"):
        held(lambda _: bytearray(1 << 29), tmp_path, isolated=True)
    assert len(bytearray(1 << 29)) == 1 << 29  # the limit is lifted


def test_a_process_that_dies_escapes(tmp_path):
    with pytest.raises(Escape, match="the process died"):
        held(lambda _: os.abort(), tmp_path, isolated=True)
