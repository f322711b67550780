"""Progress: what goes on, how fast, and how long it will take: one line on a terminal, one a minute in a pipe."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from qkvcheck.statistics import duration_text

A_MINUTE = 60.0


class Progress:
    """The progress line of a long run.

    Parameters
    ----------
    stream : TextIO, optional
        Where it goes; standard error without it.
    every : float
        Seconds between two lines where the stream is no terminal; on one it is drawn again twice a second.
    """

    def __init__(self, stream: TextIO | None = None, *, every: float = A_MINUTE) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._every = 0.5 if self._live else every
        self._phase, self._unit = "", ""
        self._done = self._whole = 0.0
        self._begun = self._last = time.monotonic()
        self._shown = 0

    def begin(self, phase: str, whole: float, *, unit: str) -> None:
        """Begin a phase of so much work."""
        self.clear()
        self._phase, self._whole, self._unit, self._done = phase, whole, unit, 0.0
        self._begun = self._last = time.monotonic()

    def step(self, amount: float = 1.0, *, note: str = "") -> None:
        """Add what was done; show the line where it is time to."""
        self._done += amount
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._show(self.text(now, note=note))

    def text(self, now: float, *, note: str = "") -> str:
        """Return the line."""
        spent = max(now - self._begun, 1e-9)
        rate = self._done / spent
        left = f", {duration_text((self._whole - self._done) / rate)} left" if rate > 0 else ""
        of = f" of {self._whole:,.0f}" if self._whole else ""
        beside = f", {note}" if note else ""
        return f"{self._phase}: {self._done:,.0f}{of} {self._unit}, {rate:,.1f} a second{left}{beside}"

    def _show(self, text: str) -> None:
        if self._live:
            self._stream.write(f"\r{text.ljust(self._shown)}")
            self._shown = len(text)
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line off a terminal."""
        if self._live and self._shown:
            self._stream.write(f"\r{' ' * self._shown}\r")
            self._stream.flush()
        self._shown = 0

    def say(self, text: str) -> None:
        """Say a line of its own."""
        self.clear()
        self._stream.write(f"{text}\n")
        self._stream.flush()
