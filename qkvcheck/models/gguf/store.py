"""Store: qkvcheck's own cache: what is in it under its name is whole; what is being made has another name."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from qkvcheck.errors import ModelError, first_line, shown
from qkvcheck.files import locked

CACHE_VARIABLE = "QKV_CACHE"
WAIT_SECONDS = 3600.0
"""How long to wait for another process that makes the same thing."""
STALE_SECONDS = 86_400.0
"""After so long without a change, what another machine has left in a shared folder is taken for left over."""
_PART = ".part-"


def cache_folder() -> Path:
    """Return qkvcheck's folder for what it fetches and converts; it need not be there.

    It is what ``QKV_CACHE`` names, else ``qkvcheck`` in ``XDG_CACHE_HOME``, else ``~/.cache/qkvcheck``.

    Raises
    ------
    ModelError
        If there is no home folder to put it in.
    """
    own, shared = os.environ.get(CACHE_VARIABLE), os.environ.get("XDG_CACHE_HOME")
    try:
        if own:
            return Path(own).expanduser().absolute()
        if shared and Path(shared).is_absolute():  # the specification leaves out any other
            return Path(shared) / "qkvcheck"
        return Path.home() / ".cache" / "qkvcheck"
    except RuntimeError as error:
        raise ModelError(
            f"there is no place for a cache ({first_line(error)}); name a folder with QKV_CACHE."
        ) from None


@contextmanager
def making(place: Path, *, waits: Callable[[], object]) -> Iterator[Path]:
    """Give a temporary folder beside a place in the cache, alone; it is gone afterwards, whatever happens.

    What is made in it gets its name by `move`. What earlier processes have left there is removed first.

    Parameters
    ----------
    place : Path
        What is to be made.
    waits : callable
        Called if another process is making the same thing, before waiting for it.

    Raises
    ------
    ModelError
        If the cache can't be written.
    """
    with _telling(place), locked(place, seconds=WAIT_SECONDS, waits=waits):
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        temporary = place.with_name(f"{place.name}{_PART}{_host()}-{os.getpid()}")
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def move(made: Path, place: Path) -> None:
    """Give what was made its name, as a whole; what has the name already, and is not whole, goes."""
    for path in sorted(made.iterdir()) if made.is_dir() else [made]:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # else a crash could leave the name with empty files
    if place.is_dir():
        old = place.with_name(f"{place.name}{_PART}{_host()}-{os.getpid()}-old")
        place.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    made.replace(place)


@contextmanager
def _telling(place: Path) -> Iterator[None]:
    """Turn what the system says of the cache into one line."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        where = str(place.parent) if named.startswith(str(place.parent)) else named or str(place.parent)
        raise ModelError(
            f"{shown(where, most=160)} can't be written ({error.strerror or first_line(error)}): free some space "
            f"there, or name another folder for qkvcheck's cache with {CACHE_VARIABLE}."
        ) from None


def _sweep(place: Path) -> None:
    """Remove what processes that were ended have left of a place; whoever makes it now holds its lock."""
    for path in place.parent.glob(f"{_escaped(place.name)}{_PART}*"):
        ours = path.name.removeprefix(f"{place.name}{_PART}").startswith(f"{_host()}-")
        try:
            if ours or time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path)
        except OSError:  # a process that outlived its parent still writes there; the next run removes it
            continue


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())[:40]


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)
