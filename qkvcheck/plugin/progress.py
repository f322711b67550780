"""Progress: what shows that a download or the untrained twins go on, through pytest's capture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from qkvcheck.errors import visible

ANNOUNCE_SECONDS = 10.0


@contextmanager
def announcing(config: Any) -> Iterator[Callable[[str], None]]:
    """Give what shows a download's progress: in place on a terminal, else a line every ten seconds."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    capture: Any = config.pluginmanager.getplugin("capturemanager")
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

    with nullcontext() if capture is None else capture.global_and_fixture_disabled():
        try:
            yield announce
        finally:
            if said and reporter.isatty:
                reporter.write_line("")
