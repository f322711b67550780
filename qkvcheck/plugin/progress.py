"""Progress: what shows that a download or long work goes on, through pytest's capture, and what it will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from qkvcheck.errors import visible

if TYPE_CHECKING:
    import pytest

    from qkvcheck.capture import AskedFor
    from qkvcheck.claims import Claim
    from qkvcheck.plugin.session import Session
    from qkvcheck.statistics import Work

ANNOUNCE_SECONDS = 10.0
LINE_SECONDS = 60.0
"""Between lines of long work, where they don't stand in one place."""
REWRITE_SECONDS = 0.25
TOLD_FROM = 30.0
"""Seconds of work from which on it is said before it begins what it will take."""
WORTH_A_LOOK = 2_000
"""With fewer forwards of a context nothing is timed beforehand."""
QUIET_SECONDS = 3.0
"""Work that is over by then shows nothing."""


@contextmanager
def announcing(config: Any) -> Iterator[Callable[[str], None]]:
    """Give what shows a download's progress: in place on a terminal, else a line every ten seconds."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    said: list[float] = []

    def announce(text: str) -> None:
        now, text = time.monotonic(), visible(text)
        if reporter is None or config.get_verbosity() < -1:
            return
        if reporter.isatty:
            reporter.rewrite(f"qkvcheck: {text}", erase=True)
            said.append(now)
        elif not said or now - said[-1] >= ANNOUNCE_SECONDS:
            reporter.write_line(f"qkvcheck: {text}")
            said.append(now)

    with _uncaptured(config):
        try:
            yield announce
        finally:
            if said and reporter.isatty:
                reporter.write_line("")


def _uncaptured(config: Any) -> AbstractContextManager[None]:
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    return nullcontext() if capture is None else capture.global_and_fixture_disabled()


class WorkLine:
    """Shows long work: in place on a terminal, else a line once a minute; each with phases, rate and time left.

    Parameters
    ----------
    config : pytest.Config
        Of a pytest that shows something.
    clock : callable
        Returns seconds, as `time.monotonic` does.
    """

    def __init__(self, config: Any, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._said = clock()
        self._standing = False

    def __call__(self, every: Sequence[Work]) -> None:
        """Show what goes on, if it is time to; take the line away where nothing does."""
        if not every:
            self.clear()
            return
        now, tty = self._clock(), self._reporter.isatty
        if now - self._said < (REWRITE_SECONDS if tty else LINE_SECONDS):
            return
        shown = [one for one in every if one.total > 1]
        if not shown or now - shown[0].begun < QUIET_SECONDS:
            return
        from qkvcheck.statistics import progress_text

        self._said = now
        text = f"qkvcheck: {visible(progress_text(shown, now=now))}"
        with _uncaptured(self._config):
            if not self._standing:
                _end_line(self._reporter)
            if not tty:
                self._reporter.write_line(text)
                return
            self._reporter.rewrite(text[: self._reporter._tw.fullwidth - 1], erase=True)
        self._standing = True

    def clear(self) -> None:
        """Take the line from the terminal, so that what pytest writes next stands where nothing is."""
        if self._standing:
            with _uncaptured(self._config):
                self._reporter.rewrite("", erase=True)
                self._reporter.rewrite("")
            self._standing = False


def show_work(config: pytest.Config) -> WorkLine | None:
    """Begin to show long work until pytest ends; None where there is nobody to see it.

    Workers of xdist have no terminal, and their controller does no work.
    """
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or config.get_verbosity() < -1 or hasattr(config, "workerinput"):
        return None
    from qkvcheck.statistics import listening

    stack, line = ExitStack(), WorkLine(config)
    stack.enter_context(listening(line))
    config.add_cleanup(stack.close)
    return line


def told_before(session: Session, claims: Iterable[Claim], *, layers: Iterable[int]) -> str | None:
    """Return what judging claims will take, in one line; None where that is half a minute or less.

    Some of the contexts are captured to see how fast that is.

    Parameters
    ----------
    session : Session
        The run's.
    claims : iterable of Claim
        Those that are judged.
    layers : iterable of int
        Zero-based layers that experiments name besides the session's own.
    """
    if session.file is not None:
        return None
    from qkvcheck.capture import forecast
    from qkvcheck.statistics import duration_text

    asked = _asked_for(session, list(claims))
    every, plan = session.every_contexts(session.hooked), session.plan(layers)
    if sum(map(len, every)) * asked.runs < WORTH_A_LOOK:
        return None
    found = [forecast(session.hooked, contexts, asked, plan=plan) for contexts in every]
    seconds = sum(one.seconds for one in found)
    if seconds <= TOLD_FROM:
        return None
    count, forwards = sum(one.contexts for one in found), sum(one.forwards for one in found)
    memory = max(one.memory for one in found) / 1e9
    through = f" through this model and {asked.networks} untrained networks" if asked.networks else ""
    return (
        f"{count:,} contexts, {forwards:,} forwards of one{through}: some {memory:.1f} GB "
        f"and {duration_text(seconds)}, less where numbers are kept from before"
    )


def _asked_for(session: Session, claims: Sequence[Claim]) -> AskedFor:
    """Return what claims ask of the model and of untrained networks, as if nothing were kept."""
    from qkvcheck.capture import AskedFor
    from qkvcheck.claims import ControlKind, Kind, captured_for, control_named, default_seeds, seed_controls
    from qkvcheck.groups import Capture

    judged = [claim for claim in claims if claim.kind not in (Kind.EXACT, Kind.SEARCH)]
    names = {name for claim in judged for name in session.controls_of_claim(claim)}
    variants = [name for name in names if control_named(name).kind == ControlKind.PAIRED]
    captures = {captured_for(claim) for claim in judged}
    held = {captured_for(claim) for claim in judged if {*seed_controls()} & {*session.controls_of_claim(claim)}}
    words = {Capture.WORDS, Capture.WORDS_AND_WEIGHTS, Capture.GENERIC_REMOVED}
    listed = sum(map(len, session.plan().words.values()))
    seeds = session.settings.untrained_seeds
    networks = (default_seeds(session.hooked.parameters) if seeds is None else seeds) if held else 0
    return AskedFor(
        captures=len(captures - words) + (len(variants) if captures - words else 0),
        words=listed * (1 + bool(variants)) if captures & words else 0,
        networks=networks,
        network_captures=len(held - words),
        network_words=listed if held & words else 0,
        measured=len(judged) * (1 + len(variants) + networks),
    )


def tell(config: pytest.Config, text: str) -> None:
    """Write one line of ours."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and config.get_verbosity() >= -1:
        with _uncaptured(config):
            _end_line(reporter)
            reporter.write_line(f"qkvcheck: {visible(text)}")


def _end_line(reporter: Any) -> None:
    """End the line that pytest is writing, if it has begun one."""
    reporter.ensure_newline()
    if reporter._tw.width_of_current_line:
        reporter.write_line("")
