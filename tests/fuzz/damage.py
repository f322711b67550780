"""The frame of the fuzz suite: damage done to files and documents, and a reader held to a value or one line.

A test asks for the fixture `examples` (few in every run; many with ``-m slow``) and calls `fuzz`. Readers in Python
run in this process under a clock and a limit of memory; what hands a file over to compiled code runs in a child
(``isolated=True``), so that an abort or a hang is seen and not suffered.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import category

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from qkvcheck.errors import QkvcheckError

SECONDS = 10.0
"""Longest that one file may take; the machine may be busy."""
MEMORY = 1 << 30
"""Most that one file may take, in bytes of address space beyond what the process has."""
LONGEST = 500
"""Characters of a message."""
COUNTS: Counter[tuple[str, str]] = Counter()
"""How many inputs ended how, by reader."""


class Escape(AssertionError):  # noqa: N818 (it is what a reader does)
    """A reader that ended in neither a value nor one line."""


# Damage --------------------------------------------------------------------------------------------


NASTY = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xed\xa0\x80", b"\r", b"\x1b[31m", b"[" * 100_000,
    b"{\"a\":" * 5_000, b"9" * 5_000, b"-1", b"1e999", b"NaN", b"Infinity", b"null", b"true", b"{}", b"[]", b"\"\"",
    b"\"\\ud800\"", b"\"\\u0000\"", b"1.5", b"99999999999999999999", b"<<<<<<< HEAD\n", b"'''", b"#", b"=", b",", b"\n",
)  # fmt: skip
"""What breaks readers that expect something else there."""


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a file with one to four places of it damaged: bytes flipped, cut, doubled, moved, or nasty ones put in."""
    found = content
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 4)))):
        start = draw(st.integers(0, len(found)))
        length = draw(st.sampled_from((1, 1, 2, 4, 16, 256, 4096)))
        how = draw(st.sampled_from(("flip", "drop", "cut", "double", "nasty", "noise", "move")))
        span = found[start : start + length]
        if how == "flip":
            mask = 1 << draw(st.integers(0, 7))
            found = found[:start] + bytes(byte ^ mask for byte in span[:1]) + found[start + 1 :]
        elif how == "drop":
            found = found[:start] + found[start + length :]
        elif how == "cut":
            found = found[:start]
        elif how == "double":
            found = found[:start] + span + found[start:]
        elif how == "nasty":
            over = draw(st.sampled_from((0, length)))
            found = found[:start] + draw(st.sampled_from(NASTY)) + found[start + over :]
        elif how == "noise":
            noise = draw(st.binary(min_size=1, max_size=8))
            found = found[:start] + noise + found[start + len(noise) :]
        else:
            to = draw(st.integers(0, len(found)))
            rest = found[:start] + found[start + length :]
            found = rest[:to] + span + rest[to:]
    return found


ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.5, 1e308, -1e308, 5e-324, "", " ",
    "six", "1", "\x00", "\x1b[2J", "\n", "\u202e", "\ud800", "../../x", "<b>&", "x" * 100_000, [], {}, [[]], [None],
    [0], ["a"], {"a": 1}, [1e308, 1e308], [0] * 3, "１２", "NaN",
)  # fmt: skip
"""Values that are hardly ever meant."""


@st.composite
def altered(draw: st.DrawFn, document: Any) -> Any:
    """Draw a document of plain data with one to three places of it altered: other values, names lost, added, moved."""
    found = json.loads(json.dumps(document))
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        places = _holders(found)
        if not places:
            break
        holder = draw(st.sampled_from(places))
        keys = sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = draw(st.sampled_from(keys))
        how = draw(st.sampled_from(("other", "other", "other", "lose", "double", "rename", "swap")))
        if how == "other":
            holder[key] = deepcopy(draw(st.sampled_from(ODD) | plain_data()))  # else the next would alter ODD
        elif how == "lose":
            del holder[key]
        elif how == "double" and isinstance(holder, list):
            holder.insert(key, holder[key])
        elif how == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from(("", "a later field", "\ud800", "schema")) | st.text(max_size=5))] = holder.pop(
                key
            )
        else:
            other = draw(st.sampled_from(places))
            holder[key] = json.loads(json.dumps(other))
    return found


@cache
def plain_data() -> st.SearchStrategy[Any]:
    """Return a strategy of small plain data, of whatever kind."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def _holders(document: Any) -> list[Any]:
    """Return every list and mapping in a document that holds something; of long lists the ends."""
    found, waiting = [], [document]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (dict, list)) and one:
            found.append(one)
            inner = list(one.values()) if isinstance(one, dict) else [*one[:2], *one[2:][-1:]]
            waiting += [part for part in inner if isinstance(part, (dict, list))]
    return found


# What a reader has to do with it -------------------------------------------------------------------


def fuzz(inputs: st.SearchStrategy[Any], check: Callable[[Any], object], *, examples: int) -> None:
    """Check so many inputs; hypothesis shrinks one that fails."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),  # to explain a failure it would trace each line
    )
    @given(inputs)
    def run(one: Any) -> None:
        check(one)

    run()


def reads_or_refuses(
    read: Callable[[Path], object],
    path: Path,
    *,
    name: str,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    isolated: bool = False,
    named: str | None = None,
) -> bool:
    """Read a file under a clock and a limit of memory; tell whether it was read (true) or refused (false).

    Parameters
    ----------
    read : callable
        Takes the path.
    path : Path
        The file.
    name : str
        The reader's, for the count.
    seconds, memory : float, int
        The limits.
    isolated : bool
        Whether it runs in a child process, for what may abort or hang in compiled code.
    named : str, optional
        What a refusal has to name; if nothing is said the file's name. An empty text asks for nothing.

    Raises
    ------
    Escape
        If the reader ends in neither a value nor a `QkvcheckError` of one line that names the file.
    """
    message = (_in_a_child if isolated else _here)(read, path, seconds, memory)
    COUNTS[name, "read" if message is None else "refused"] += 1
    if message is not None:
        check_message(message, path.name if named is None else named)
    return message is None


def check_message(message: str, named: str) -> None:
    """Raise `Escape` unless a message is one printable line, not too long, that names what it is about."""
    wrong = [
        (not message.strip(), "is empty"),
        (len(message) > LONGEST, f"has {len(message)} characters"),
        (any(category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in message), "holds a control character"),
        (named not in message, f"does not name {named!r}"),
    ]
    for is_wrong, how in wrong:
        if is_wrong:
            raise Escape(f"the message {how}: {message[:1000]!r}")


def _here(read: Callable[[Path], object], path: Path, seconds: float, memory: int) -> str | None:
    """Return None if a file is read, and the message if it is refused; whatever else the reader raises goes on."""
    with _clock(seconds), _memory(memory):
        try:
            read(path)
        except QkvcheckError as error:
            return str(error)
    return None


@contextmanager
def _clock(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Escape(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _memory(most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    except OSError:  # not Linux: no limit
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (used + most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _in_a_child(read: Callable[[Path], object], path: Path, seconds: float, memory: int) -> str | None:
    """Do what `_here` does in a child process; it ends in `Escape` if the child dies or has to be ended."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        answer = ["escape", "the child could not tell"]
        try:
            faulthandler.disable()  # what it would tell of an abort is told as an escape
            os.close(source)
            message = _here(read, path, seconds, memory)
            answer = ["read", ""] if message is None else ["refused", message]
        except BaseException as error:  # told to the parent, which raises
            answer = ["escape", f"{type(error).__name__}: {error}"]
        finally:
            os.write(sink, json.dumps([text[:20_000] for text in answer]).encode())  # within a pipe's room
            os._exit(0)
    os.close(sink)
    told = _all_of(source, child, seconds + 5)
    _, status = os.waitpid(child, 0)
    if not told:
        raise Escape(f"the process died (wait status {status})")
    how, text = json.loads(told)
    if how == "escape":
        raise Escape(text[:2000])
    return text if how == "refused" else None


def _all_of(source: int, child: int, seconds: float) -> bytes:
    """Return what a child writes until it ends; one that takes too long is ended."""
    found, end = b"", time.monotonic() + seconds
    with os.fdopen(source, "rb", buffering=0) as file:
        while True:
            if not select.select([file], [], [], max(0.0, end - time.monotonic()))[0]:
                os.kill(child, signal.SIGKILL)
                return b""
            part = file.read(65_536)
            if not part:
                return found
            found += part
