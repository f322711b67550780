"""Documents: files of plain data, each read through one declared schema: a value, or one line that tells what is wrong.

A schema is the dataclass that a reader makes. msgspec holds a document against its annotations; what a dataclass asks
beyond them stands in its ``__post_init__``, whose ValueError says the rule. Names that a schema does not have are left
out, so that fields may be added to our files.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import stat
import sys
import types
import typing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from qkvcheck.errors import (
    ClaimError,
    DocumentError,
    MergeConflictError,
    QkvcheckError,
    UnreadableError,
    first_line,
    nearest,
    shown,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Made = TypeVar("Made")

LARGEST = 256 * 2**20
"""Bytes of a document."""
LARGEST_TOML, LONGEST_LINE = 2**20, 10_000
"""Bytes of a TOML file and characters of its lines: a parser in Python takes its time, and more on long dotted keys."""
DEEPEST = 32
"""Levels of lists and objects within each other."""


@contextmanager
def reading(what: str, path: str | Path, *, advice: str, error: type[QkvcheckError] = ClaimError) -> Iterator[None]:
    """Give a mistake in a document the name of its file, and what to do.

    Parameters
    ----------
    what : str
        What sort of file it is, such as ``"baseline"``.
    path : str or Path
        The file.
    advice : str
        What to do, to end the message with.
    error : type
        What is raised.
    """
    try:
        yield
    except DocumentError as wrong:
        if isinstance(wrong, MergeConflictError):
            advice = f"take one side with git checkout --ours -- {shlex.quote(str(path))}, or {advice}"
        told = f" {wrong}" if isinstance(wrong, UnreadableError) else f": {wrong}"
        told = f"{what} {shown(str(path), most=160)}{told}"
        raise error(
            f"{told} {advice[0].upper()}{advice[1:]}." if told.endswith("?") else f"{told}; {advice}."
        ) from None


# Files ----------------------------------------------------------------------------------------------


def read_bytes(path: str | Path, *, largest: int = LARGEST) -> bytes:
    """Return what a file holds; a folder, a pipe or a device is refused and never waited for.

    Raises
    ------
    DocumentError
        If it can't be read, or is larger than `largest`.
    """
    try:
        _check_regular(Path(path).stat().st_mode)
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(number, "rb") as file:
            _check_regular(os.fstat(number).st_mode)
            content = file.read(largest + 1)
    except OSError as error:
        raise UnreadableError(f"can't be read ({error.strerror or first_line(error)})") from None
    except ValueError:  # a NUL, or half of a character
        raise UnreadableError("can't be read (no file can have that name)") from None
    if len(content) > largest:
        raise UnreadableError(f"is larger than {largest:,} bytes")
    return content


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
        raise UnreadableError(f"is {kind}, not a file")


def _text_of(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")  # editors on Windows begin with a mark
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 (byte {error.start} is 0x{content[error.start]:02x})") from None
    if not text.strip():
        raise UnreadableError("is empty")
    return text


def read_json(path: str | Path, *, schemas: Sequence[str] = (), largest: int = LARGEST) -> dict[str, Any]:
    """Return the object that a JSON file holds, of finite numbers, whole texts and names that stand once.

    Parameters
    ----------
    path : str or Path
        The file.
    schemas : sequence of str
        What its ``schema`` may be; nothing is asked if there are none.
    largest : int
        Bytes.

    Raises
    ------
    DocumentError
        If it can't be read, or is no such file.
    """
    text = _text_of(read_bytes(path, largest=largest))
    try:
        data = json.loads(text, object_pairs_hook=each_once)
    except RecursionError:
        raise UnreadableError(f"is nested deeper than {DEEPEST} levels") from None
    except ValueError as error:
        _refuse_conflict(text)
        raise UnreadableError(f"is not JSON ({first_line(error)})") from None
    if not isinstance(data, dict):
        raise UnreadableError(f"is not a JSON object but {shown(data)}")
    _check_plain(data)
    if schemas and data.get("schema") not in schemas:
        raise UnreadableError(f"is not of schema {schemas[-1]!r} but of {shown(data.get('schema'))}")
    return data


def read_toml(path: str | Path) -> tuple[dict[str, Any], bytes]:
    """Return what a TOML file says, and its bytes.

    Raises
    ------
    DocumentError
        If it can't be read, or is no TOML.
    """
    content = read_bytes(path, largest=LARGEST_TOML)
    text = _text_of(content)
    long = next((number for number, line in enumerate(text.split("\n"), start=1) if len(line) > LONGEST_LINE), None)
    if long is not None:
        raise UnreadableError(f"has more than {LONGEST_LINE:,} characters in line {long}")
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise UnreadableError(f"is nested deeper than {DEEPEST} levels") from None
    except ValueError as error:
        _refuse_conflict(text)
        raise UnreadableError(f"is not TOML ({first_line(error)})") from None
    _check_plain(data)
    return data, content


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of a JSON document; raises ValueError where a name stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {shown(name)} stands twice in one object")
    return found


def _refuse_conflict(text: str) -> None:
    """Tell of a merge conflict where that is why a file can't be parsed."""
    lines = text.split("\n")
    marks = [next((n for n, line in enumerate(lines, start=1) if line.startswith(mark * 7)), 0) for mark in "<=>"]
    if 0 < marks[0] < marks[1] < marks[2]:
        raise MergeConflictError(f"holds a merge conflict in line {marks[0]}")


def _check_plain(data: Any) -> None:
    """Raise `DocumentError` unless numbers are finite and of 64 bits, and texts can be written again."""
    waiting: list[tuple[Any, str, int]] = [(data, "", 1)]
    while waiting:
        holder, place, depth = waiting.pop()
        if depth > DEEPEST:
            raise UnreadableError(f"is nested deeper than {DEEPEST} levels at {place.removeprefix('.')[:80]}")
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if isinstance(key, str) and (rule := _broken_rule(key)):
                raise DocumentError(f"{place.removeprefix('.') or 'the top'} has the name {shown(key)}; it {rule}")
            if isinstance(value, (dict, list)):
                waiting.append((value, place + _step(key), depth + 1))
            elif rule := _broken_rule(value):
                raise DocumentError(f"{_joined(place, key)} is {shown(value)}; it {rule}")


def _broken_rule(value: Any) -> str | None:
    """Return what a plain value has to be and is not."""
    if isinstance(value, float):
        return None if math.isfinite(value) else "has to be a finite number"
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else "has to fit into 64 bits"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return "holds half of a character (a lone surrogate)"
    return None


def _step(key: object) -> str:
    """Return a name or number as it goes into a place."""
    if isinstance(key, int):
        return f"[{key}]"
    text = str(key)
    return f".{text}" if text.isidentifier() and len(text) <= 40 else f"[{shown(text, most=60)}]"


def _joined(place: str, key: object) -> str:
    return (place + _step(key)).removeprefix(".")


# Schemas --------------------------------------------------------------------------------------------


def from_document(made: type[Made], data: Any, *, at: str = "") -> Made:
    """Return a dataclass from parsed plain data; what the data does not name keeps its default.

    Parameters
    ----------
    made : type
        A dataclass, or whatever type msgspec knows.
    data : plain data
        Other names in it are left out.
    at : str
        Where in its document it stands, for messages.

    Raises
    ------
    DocumentError
        If it is not what the type says: place, value, rule.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> from_document(Point, {"x": 1.0, "z": 2.0})
    Point(x=1.0, y=0.0)
    >>> from_document(Point, {"x": "one"}, at="points[3]")
    Traceback (most recent call last):
    ...
    qkvcheck.errors.DocumentError: points[3].x is 'one'; it has to be a number
    """
    import msgspec

    try:
        return msgspec.convert(data, made)
    except msgspec.ValidationError as error:
        raise DocumentError(_told(str(error), made, data, at)) from None


def part_of(data: Mapping[str, Any], name: str, *, at: str = "") -> dict[str, Any]:
    """Return an object within a document, as a copy.

    Raises
    ------
    DocumentError
        If it is missing, or no object.
    """
    place = _joined(at, name)
    if name not in data:
        raise DocumentError(f"{place} is missing")
    if not isinstance(data[name], Mapping):
        raise DocumentError(f"{place} is {shown(data[name])}; it has to be an object")
    return dict(data[name])


_SUFFIX = re.compile(r" - at `(?:key` in `)?\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")
_KINDS: Mapping[Any, tuple[str, str]] = {
    str: ("a text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "truth values"),
}


def _told(message: str, made: Any, data: Any, at: str) -> str:
    """Return msgspec's message in our words: place, value, rule."""
    found = _SUFFIX.search(message)
    said, path = (message[: found.start()], found["path"]) if found else (message, "")
    kind, value, place = made, data, at
    steps: list[Any] = []
    for match in _STEP.finditer(path):
        name, number = match[1], match[2]
        key: Any = name or (int(number) if number else _wrong_name(made, data, steps, value, message))
        kind = _inner(kind, name)
        value, place = value[key], place + _step(key)
        steps.append(key)
    place = place.removeprefix(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", said)
    if missing:
        return f"{_joined(place, missing[1])} is missing"
    if said.startswith(("Expected `", "Invalid ", "Number out of range", "Integer value out of range")):
        text = shown(value)
        return f"{place or 'it'} is {text}; it has to be {_words(kind)}{_near(kind, value)}"
    return f"{place}: {said}" if place else said


def _wrong_name(made: Any, data: Any, steps: list[Any], held: Mapping[str, Any], message: str) -> str:
    """Return the name in a mapping under which something is wrong; msgspec tells no names of those."""
    import msgspec

    names = list(held)
    while len(names) > 1:
        half = names[: len(names) // 2]
        try:
            msgspec.convert(_with(data, steps, {name: held[name] for name in half}), made)
            fails = False
        except msgspec.ValidationError as error:
            fails = str(error) == message
        names = half if fails else names[len(half) :]
    return names[0]


def _with(data: Any, steps: Sequence[Any], new: Any) -> Any:
    """Return plain data with another value in one place."""
    if not steps:
        return new
    copy = data.copy()
    copy[steps[0]] = _with(data[steps[0]], steps[1:], new)
    return copy


def _alternatives(kind: Any) -> list[Any]:
    """Return the types that an annotation allows, without None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [one for one in typing.get_args(kind) if one is not type(None)]
    return [kind]


def _inner(kind: Any, name: str | None) -> Any:
    """Return the type of a field, or of what a list or mapping holds."""
    for one in _alternatives(kind):
        if name and isinstance(one, type) and hasattr(one, "__annotations__"):
            return typing.get_type_hints(one).get(name, Any)
        arguments = [argument for argument in typing.get_args(one) if argument is not ...]
        if not name and arguments:
            return arguments[-1]
    return Any


def _words(kind: Any) -> str:
    """Return in words what a value of a type is; that some may be null is not said."""
    return " or ".join(_word(one) for one in _alternatives(kind))


def _word(kind: Any) -> str:
    if kind in _KINDS:
        return _KINDS[kind][0]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(one.value) for one in kind)}"
    if origin is not None and issubclass(origin, Mapping):
        return "an object of names and values"
    if origin is not None and issubclass(origin, Sequence):
        return f"a list of {_KINDS.get(arguments[0], ('', 'objects'))[1]}"
    if isinstance(kind, type) and issubclass(kind, tuple):
        return f"a list of {len(typing.get_type_hints(kind))}"
    return "an object" if is_dataclass(kind) else "something else"


def _near(kind: Any, value: Any) -> str:
    """Return a hint at the member of an enumeration that is nearest."""
    members = [str(one.value) for k in _alternatives(kind) if isinstance(k, type) and issubclass(k, Enum) for one in k]
    hint = nearest(value, members) if isinstance(value, str) and len(value) < 80 else ""
    return hint and f".{hint}"
