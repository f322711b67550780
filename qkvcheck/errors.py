"""The exceptions that qkvcheck raises for a user's mistake or an unusable input.

::

    QkvcheckError
    ├── SettingsError      an option, ini value or environment variable makes no sense
    ├── ContextError       a corpus or a context can't be used
    ├── ModelError         a model or tokenizer can't be had, or is not what it should be
    ├── CaptureError       nothing, or the wrong thing, would be captured
    │   └── NotCapturedError   a measurement that makes no sense here, or that a file does not hold
    ├── ClaimError         a claims file, a claim's coordinates or a recorded verdict is wrong
    └── DocumentError      a document is not what its schema says; its reader adds which file and what to do
        └── UnreadableError        a file can't be read at all
            └── MergeConflictError     since a merge left both sides in it

Each message is one printable line of at most 500 characters: what was given, what is allowed, what to do.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import Enum
from typing import Any
from unicodedata import category

LONGEST = 500
"""Characters of a message; of a longer one the middle is left out."""


class QkvcheckError(Exception):
    """Root of all errors that a user can cause and correct.

    Whatever text it is given, its message is one printable line, and not long.

    Examples
    --------
    >>> from qkvcheck import load_model
    >>> try:
    ...     load_model("gpt2#trained")
    ... except QkvcheckError as error:
    ...     print(error)
    model 'gpt2#trained' has an unknown variant '#trained'; allowed are #untrained and #tiny, with =SEED or not.
    """

    def __init__(self, *given: object) -> None:
        super().__init__(*(one_line(part) if isinstance(part, str) else part for part in given))


class SettingsError(QkvcheckError):
    """An option, ini value or environment variable makes no sense."""


class ContextError(QkvcheckError):
    """A corpus or a context can't be used."""


class ModelError(QkvcheckError):
    """A model or tokenizer can't be had, or is not what it should be."""


class CaptureError(QkvcheckError):
    """Nothing, or the wrong thing, would be captured."""


class NotCapturedError(CaptureError):
    """A measurement that makes no sense here, or that a file of activations does not hold; a claim is not judged."""


class ClaimError(QkvcheckError):
    """A claims file, a claim's coordinates or a recorded verdict is wrong."""


class DocumentError(QkvcheckError):
    """A document is not what its schema says; its reader adds which file and what to do."""


class UnreadableError(DocumentError):
    """A file can't be read at all."""


class MergeConflictError(UnreadableError):
    """A file can't be read, since a merge left both sides in it."""


_BREAKS = ("Cc", "Cs", "Zl", "Zp")
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows."""


def printable(text: str) -> str:
    r"""Return a text with control characters as a Python string has them, so that a terminal takes none for an order.

    Examples
    --------
    >>> print(printable("red: \x1b[31m, one\ttwo"))
    red: \x1b[31m, one\ttwo
    """
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode("ascii") if category(letter) in _BREAKS or letter in _TURNS else letter
        for letter in text
    )


def one_line(text: str, *, most: int = LONGEST) -> str:
    r"""Return a text as one printable line; of a long one the middle is left out.

    Examples
    --------
    >>> one_line("two\nlines"), one_line("0123456789" * 9, most=20)
    ('two lines', '0123456789 ... 56789')
    """
    if len(text) > 2 * most:
        text = f"{text[:most]}{text[-most:]}"  # what is left out needs no care
    line = printable(" ".join(text.splitlines()))
    end = (most - 5) // 3
    return line if len(line) <= most else f"{line[: most - 5 - end]} ... {line[-end:]}"


def visible(text: str) -> str:
    r"""Return a text of several lines with control characters as a Python string has them; see `printable`.

    Examples
    --------
    >>> print(visible("red: \x1b[31m"))
    red: \x1b[31m
    """
    return re.sub(r"[^\n\t]+", lambda part: printable(part[0]), text)


def slug(text: str) -> str:
    """Return a text as a part of a file's or an element's name: letters, digits, dots and hyphens of ASCII.

    Examples
    --------
    >>> slug('matrix-"><script>'), slug("../a b")
    ('matrix----script-', '..-a-b')
    """
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)


class _Short(reprlib.Repr):
    """Representations that are short and can't fail, whatever was given."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.maxstring = self.maxother = most
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict, self.maxlong = 3, 4, 4, 3, 40

    def repr_int(self, value: int, level: int) -> str:
        """Return a whole number; Python itself refuses to write very large ones."""
        return super().repr_int(value, level) if value.bit_length() < 1000 else "a number of hundreds of digits"


def shown(value: Any, *, most: int = 80) -> str:
    """Return what was given as a message shows it: cut if it is long, whatever it is.

    Examples
    --------
    >>> shown("six"), shown([1, 2, 3, 4, 5]), shown(10**2000)
    ("'six'", '[1, 2, 3, 4, ...]', 'a number of hundreds of digits')
    """
    return one_line(_Short(most).repr(value.value if isinstance(value, Enum) else value), most=2 * most)


def first_line(error: BaseException) -> str:
    """Return the first line of an error of another library, or its name if it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


def some_of(names: Sequence[str], *, shown: int = 5) -> str:
    """Return the first few names, and how many more there are.

    Examples
    --------
    >>> some_of(["a", "b", "c"], shown=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return f"{', '.join(names[:shown])}{more}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name, to end a message with; empty where none is near.

    Examples
    --------
    >>> nearest("primay", ["primary", "groups"])
    " Did you mean 'primary'?"
    """
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {str(near[0])!r}?" if near else ""  # a member of an enumeration has a longer repr
