"""Files: JSON that reviews well: sorted keys, a newline at the end, written as a whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

Made = TypeVar("Made")


def from_document(made: type[Made], data: Any, **given: object) -> Made:
    """Return a dataclass from a parsed document; what the document does not name keeps its default.

    Parameters
    ----------
    made : type
        A dataclass.
    data : mapping of str to plain data
        The document; other names in it are left out.
    **given : object
        Fields that are read otherwise.

    Raises
    ------
    TypeError
        If a field without a default is missing.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> from_document(Point, {"x": 1.0, "z": 2.0})
    Point(x=1.0, y=0.0)
    """
    names = [one.name for one in fields(made)]  # type: ignore[arg-type] # a dataclass, as said
    return made(**{name: data[name] for name in names if name in data} | given)


def write_document(path: Path, data: Any) -> None:
    """Write plain data as JSON; a reader sees the old file or the new one, never a part.

    Raises
    ------
    OSError
        If the file can't be written.
    ValueError
        If the data holds NaN or infinite numbers.
    """
    replace_text(path, json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file as a whole: a reader, or a later run after a crash, finds the old one or the new one.

    Raises
    ------
    OSError
        If the file can't be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # else a crash could leave the new name with an empty file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
