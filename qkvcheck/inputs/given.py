"""Given: a file that somebody named: read as a whole, within bounds, as bytes, text or JSON, or refused in one line.

Nothing here blocks: a pipe or a device is refused before a byte is read of it.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

from qkvcheck.errors import QkvcheckError, shown
from qkvcheck.inputs.documents import each_once

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


@dataclass(frozen=True)
class Given:
    """A file that somebody named, and how to speak of it.

    Attributes
    ----------
    path : Path
        Where it is.
    what : str
        What it is to be, such as ``"corpus"``.
    error : type of QkvcheckError
        What is raised about it.
    remedy : str
        What to do, to end a message with.

    Examples
    --------
    >>> from qkvcheck.errors import ContextError
    >>> try:
    ...     Given(Path("nowhere.txt"), "corpus", ContextError, "check --qkv-corpus").read_text(limit=100)
    ... except ContextError as error:
    ...     print(error)
    corpus 'nowhere.txt' can't be read: it does not exist; check --qkv-corpus.
    """

    path: Path
    what: str
    error: type[QkvcheckError]
    remedy: str

    @property
    def name(self) -> str:
        """What it is and where, for messages."""
        return f"{self.what} {shown(str(self.path), most=200)}".strip()

    def refused(self, why: str, *, do: str | None = None) -> QkvcheckError:
        """Return the error that says what is wrong with it, and what to do."""
        return self.error(f"{self.name} {why}; {(self.remedy if do is None else do).rstrip('.')}.")

    @contextmanager
    def opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """Open it; gives the file and its size in bytes.

        Raises
        ------
        QkvcheckError
            If it is missing, can't be read, or is no regular file.
        """
        try:
            number = os.open(self.path, _FLAGS)
        except FileNotFoundError:
            raise self.refused("can't be read: it does not exist") from None
        except (OSError, ValueError) as error:
            raise self.refused(f"can't be read ({getattr(error, 'strerror', None) or error})") from None
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            os.close(number)
            kind = next((words for matches, words in _KINDS if matches(status.st_mode)), "is no file")
            raise self.refused(f"can't be read: it {kind}, and has to be a regular file")
        with os.fdopen(number, "rb") as file:
            try:
                yield file, status.st_size
            except OSError as error:
                raise self.refused(f"can't be read ({error.strerror or error})") from None

    def check(self) -> int:
        """Return its size in bytes; raises as `opened` does."""
        with self.opened() as (_, size):
            return size

    def read_bytes(self, *, limit: int) -> bytes:
        """Return its bytes.

        Parameters
        ----------
        limit : int
            How many there may be.
        """
        with self.opened() as (file, size):
            raw = file.read(limit + 1)
            if len(raw) > limit:
                raise self.refused(f"has {max(size, len(raw)):,} bytes; at most {limit:,} are read")
        return raw

    def read_text(self, *, limit: int) -> str:
        """Return its text, which has to be UTF-8; a byte order mark is left out, line ends are left alone."""
        return self.text_of(self.read_bytes(limit=limit))

    def text_of(self, raw: bytes) -> str:
        """Return bytes of the file as text."""
        for mark, encoding in _MARKS:
            if raw.startswith(mark):
                raise self.refused(f"is not UTF-8 but {encoding}", do="save the file as UTF-8 and run again")
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.refused(
                f"is not UTF-8 (byte {error.start})", do="save the file as UTF-8 and run again"
            ) from None

    def refuse_misspelt(self, names: Collection[str], known: Sequence[str], *, where: str = "") -> None:
        """Refuse a name that is nearly a known one: it would change nothing, and nobody would see it."""
        for name in names:
            near = get_close_matches(name.strip().lower(), known, n=1, cutoff=0.85) if name not in known else ()
            if near and near[0] not in names:
                place = f" in {where}" if where else ""
                raise self.refused(f"names {shown(name)}{place}; known are {', '.join(known)}", do=f"write {near[0]!r}")

    def read_json(self, *, limit: int) -> Any:
        """Return the JSON document that it holds; see `parsed`."""
        return self.parsed(self.read_text(limit=limit))

    def parsed(self, text: str, *, where: str = "") -> Any:
        """Return a JSON document of the file: no name twice in an object, no NaN, no half of a surrogate pair.

        Parameters
        ----------
        text : str
            The document.
        where : str
            Which part of the file it is, such as ``", line 3"``.
        """
        try:
            found = json.loads(text, object_pairs_hook=each_once, parse_constant=_no_constant)
            if _SURROGATE.search(text):
                json.dumps(found, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            why = "holds half of a surrogate pair (such as \\ud800), which is no character"
        except json.JSONDecodeError as error:
            why = f"is not JSON ({error.msg}: line {error.lineno}, column {error.colno})"
        except RecursionError:
            why = "is not usable JSON (nested too deep)"
        except ValueError as error:
            why = f"is not usable JSON ({error})"
        else:
            return found
        raise self.refused(f"{where} {why}".lstrip(), do="correct the file")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
