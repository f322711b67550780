"""Files: JSON that reviews well: sorted keys, a newline at the end, written as a whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def is_there(path: str | Path) -> bool:
    """Tell whether there is a file or folder; what no file can be called is not there."""
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises where a name is too long for the system)


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
