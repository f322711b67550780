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

from collections.abc import Iterable
from difflib import get_close_matches


class QkvcheckError(Exception):
    """Root of all errors that a user can cause and correct.

    Examples
    --------
    >>> from qkvcheck import load_model
    >>> try:
    ...     load_model("gpt2#trained")
    ... except QkvcheckError as error:
    ...     print(error)
    model 'gpt2#trained' has an unknown variant '#trained'; allowed is #untrained or #untrained=SEED.
    """


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


def first_line(error: BaseException) -> str:
    """Return the first line of an error of another library, or its name if it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name, to end a message with; empty where none is near.

    Examples
    --------
    >>> nearest("primay", ["primary", "groups"])
    " Did you mean 'primary'?"
    """
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {str(near[0])!r}?" if near else ""  # a member of an enumeration has a longer repr
