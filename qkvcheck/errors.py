"""The exceptions that qkvcheck raises for a user's mistake or an unusable input.

::

    QkvcheckError
    ├── SettingsError      an option, ini value or environment variable makes no sense
    ├── ContextError       a corpus or a context can't be used
    ├── ModelError         a model or tokenizer can't be had, or is not what it should be
    ├── CaptureError       nothing, or the wrong thing, would be captured
    │   └── NotCapturedError   a measurement that makes no sense here, or that a file does not hold
    └── ClaimError         a claims file, a claim's coordinates or a recorded verdict is wrong

Each message is one line: what was given, what is allowed, what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

LONGEST = 500
"""Characters of a message; what is given may be a file's whole content."""
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class QkvcheckError(Exception):
    """Root of all errors that a user can cause and correct; its message is one line of at most `LONGEST` characters.

    Examples
    --------
    >>> from qkvcheck import load_model
    >>> try:
    ...     load_model("gpt2#trained")
    ... except QkvcheckError as error:
    ...     print(error)
    model 'gpt2#trained' has an unknown variant '#trained'; allowed is #untrained or #untrained=SEED.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shortened(visible(message).replace("\n", " ")))


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


def visible(text: str) -> str:
    r"""Return a text with control characters as they are written in Python: a terminal would obey them.

    Examples
    --------
    >>> print(visible("red: \x1b[31m"))
    red: \x1b[31m
    """
    return _UNSEEN.sub(lambda found: ascii(found[0])[1:-1], text)


def shortened(text: str, *, longest: int = LONGEST) -> str:
    """Return a text without its middle where it is too long: at its end stands what to do.

    Examples
    --------
    >>> shortened("a" * 30 + "; give another one.", longest=40)
    'aaaaaaaaaaaaaaaaa ... ; give another one.'
    """
    if len(text) <= longest:
        return text
    end = min(longest // 2, 200)
    return f"{text[: longest - end - 5]} ... {text[-end:]}"


def slug(text: str) -> str:
    """Return a text as a part of a file's or an element's name: letters, digits, dots and hyphens of ASCII.

    Examples
    --------
    >>> slug('matrix-"><script>'), slug("../a b")
    ('matrix---script-', '..-a-b')
    """
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)


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
