"""Progress: what long work tells of itself, to whoever listens; where nobody does it costs next to nothing.

Work is nested: captures within untrained networks. Whoever listens gets all of it at once, the outermost first, and
nothing once all of it is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(eq=False)
class Work:
    """Work that goes on.

    Attributes
    ----------
    phase : str
        What is done, in words that go before "3 of 19".
    total : int
        Of how many things.
    begun : float
        When, as `time.monotonic` tells it.
    done : int
        Things done by now.
    """

    phase: str
    total: int
    begun: float = field(default_factory=time.monotonic)
    done: int = 0

    def advance(self, count: int = 1) -> None:
        """Tell that so many more things are done."""
        self.at(self.done + count)

    def at(self, done: int) -> None:
        """Tell that so many things are done by now."""
        self.done = done
        if _LISTENERS:
            _LISTENERS[-1](_GOING_ON)


Listener = Callable[[Sequence[Work]], object]
_LISTENERS: list[Listener] = []
_GOING_ON: list[Work] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let somebody listen; the last one who began is told."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


@contextmanager
def work(phase: str, total: int) -> Iterator[Work]:
    """Tell of work that goes on until the block ends.

    Examples
    --------
    >>> def show(every):
    ...     print(progress_text(every, now=every[0].begun + 10.0) if every else "over")
    >>> with listening(show):
    ...     with work("networks", 4) as outer, work("contexts", 10) as inner:
    ...         outer.at(1)
    ...         inner.advance(5)
    networks 1 of 4: contexts 0 of 10, 30 s left
    networks 1 of 4: contexts 5 of 10, 0.5/s, 17 s left
    over
    """
    own = Work(phase, total)
    _GOING_ON.append(own)
    try:
        yield own
    finally:
        _GOING_ON.remove(own)
        if _LISTENERS and not _GOING_ON:
            _LISTENERS[-1](())


def each(phase: str, items: Iterable[Item]) -> Iterator[Item]:
    """Yield items, and tell of each that is done."""
    listed = list(items)
    with work(phase, len(listed)) as own:
        for item in listed:
            yield item
            own.advance()


def progress_text(every: Sequence[Work], *, now: float) -> str:
    """Return in one line what goes on: phases, the rate of the innermost, and the time left of the outermost.

    Parameters
    ----------
    every : sequence of Work
        The outermost first.
    now : float
        As `time.monotonic` tells it.
    """
    text = ": ".join(f"{one.phase} {one.done:,} of {one.total:,}" for one in every)
    inner, outer = every[-1], every[0]
    spent = now - inner.begun
    if inner.done and spent > 0:
        rate = inner.done / spent
        text += f", {rate:,.0f}/s" if rate >= 10 else f", {rate:.1f}/s" if rate >= 0.1 else f", {60 * rate:.1f}/min"
    share = share_done(every)
    if share > 0:
        text += f", {duration_text((now - outer.begun) * (1 - share) / share)} left"
    return text


def share_done(every: Sequence[Work]) -> float:
    """Return what share of the outermost work is done, the part within its current thing counted."""
    share = 0.0
    for one in reversed(every):
        share = min(1.0, (one.done + min(share, 1.0)) / max(one.total, 1))
    return share


def duration_text(seconds: float) -> str:
    """Return a time in words.

    Examples
    --------
    >>> duration_text(42.4), duration_text(170.0), duration_text(9000.0)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
