"""Files: JSON that reviews well: sorted keys, a newline at the end, written as a whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qkvcheck.errors import SettingsError, first_line

NEVER_REPLACED = (".py", ".toml", ".ini", ".cfg", ".ipynb")
"""Kinds of files that a run reads and never writes."""
LOCK_SECONDS = 60.0
"""How long a process waits for another one that changes the same file; a change takes far less than a second."""


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


def file_part(text: str) -> str:
    """Return a text as a part of a file's name: letters and digits of any script, dots and hyphens.

    Examples
    --------
    >>> file_part("org/name#untrained=3")
    'org-name-untrained-3'
    """
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in text)


@contextmanager
def locked(path: Path, *, seconds: float = LOCK_SECONDS, waits: Callable[[], object] | None = None) -> Iterator[None]:
    """Keep other processes of this machine and user from changing a file between reading and writing it.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    seconds : float
        How long to wait for another process.
    waits : callable, optional
        Called once if another process holds it, before the wait.

    Raises
    ------
    OSError
        If another process holds the file that long.
    """
    from filelock import FileLock, Timeout

    # Not beside the file: there it would be committed with it.
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    own = Path(tempfile.gettempdir()) / f"qkvcheck-{getattr(os, 'getuid', int)()}-{name}.lock"
    lock = FileLock(own)
    try:
        try:
            lock.acquire(timeout=0 if waits is not None else seconds)
        except Timeout:
            if waits is None:
                raise
            waits()
            lock.acquire(timeout=seconds)
    except Timeout:
        raise OSError(f"another process has been writing {str(path)!r} for {seconds:g} seconds; try again") from None
    try:
        yield
    finally:
        lock.release()


def check_output(flag: str, path: str | Path | None, *, inputs: Iterable[str | Path] = ()) -> None:
    """Find a file that can't be written, or would replace what is read, before long work and not after it.

    Parameters
    ----------
    flag : str
        The option that names it, for the message.
    path : str, Path or None
        The file; None or an empty text is no file.
    inputs : iterable of str or Path
        Files that are read, or hold tests; they may be missing.

    Raises
    ------
    SettingsError
        If it can't be written, is a folder, or is one of the inputs, a program or a configuration.
    """
    if not path:
        return
    given, path = str(path), Path(path)
    try:
        if path.is_dir():
            raise SettingsError(f"{flag} {given!r} is a folder; name a file in it.")
        if not path.parent.is_dir():
            raise SettingsError(f"{flag} {given!r} can't be written: there is no folder {str(path.parent)!r}; make it.")
        taken = path.exists()
        if taken and (path.suffix.lower() in NEVER_REPLACED or any(_same(path, one) for one in inputs)):
            raise SettingsError(f"{flag} {given!r} would replace a file that is read here; name another one.")
        with tempfile.TemporaryFile(dir=path.parent):  # as it will be written, beside the old one
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else first_line(error)
        raise SettingsError(f"{flag} {given!r} can't be written ({why}); name another file.") from None


def _same(path: Path, other: str | Path) -> bool:
    """Tell whether two names are of one file, or the second is of a folder that the first lies in, as a model is."""
    try:
        return path.samefile(other) or (Path(other).is_dir() and Path(other).resolve() in path.resolve().parents)
    except (OSError, ValueError):
        return False
