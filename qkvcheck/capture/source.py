"""Source: where captures come from: a model that is run, or a file that another tool wrote."""

from __future__ import annotations

from typing import Protocol

from qkvcheck.capture.activations import Captured
from qkvcheck.errors import CaptureError, nearest
from qkvcheck.groups import Capture


class Source(Protocol):
    """Gives captures by their names; `Samples` runs a model for them, `FileSource` has read a file."""

    @property
    def name(self) -> str:
        """Where they come from, for messages."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Zero-based layers that are captured."""

    def captured(self, capture: Capture | str) -> Captured:
        """Return a capture; the same object each time.

        Raises
        ------
        NotCapturedError
            If the source can't give it; the message says why.
        """


def capture_named(name: Capture | str) -> Capture:
    """Return a capture by its name.

    Raises
    ------
    CaptureError
        If there is none of that name.

    Examples
    --------
    >>> capture_named("words")
    <Capture.WORDS: 'words'>
    """
    if name not in list(Capture):
        raise CaptureError(f"capture {name!r} is not known; allowed: {', '.join(Capture)}.{nearest(name, Capture)}")
    return Capture(name)
