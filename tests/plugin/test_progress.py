"""Progress: long work on a terminal, in a file or a pipe, and what is said before it begins."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from qkvcheck.plugin.progress import LINE_SECONDS, WorkLine
from qkvcheck.statistics import Work

pytestmark = pytest.mark.quick


class Writer:
    def __init__(self):
        self.fullwidth, self.width_of_current_line = 60, 0


class Reporter:
    """Keeps what it is to write."""

    def __init__(self, *, isatty):
        self.isatty, self._tw, self.written = isatty, Writer(), []

    def ensure_newline(self):
        pass

    def write_line(self, text):
        self.written.append(text)
        self._tw.width_of_current_line = 0

    def rewrite(self, text, **_how):
        self.written.append(("in place", text))


class Config:
    def __init__(self, reporter):
        self.reporter, self.pluginmanager, self.uncaptured = reporter, self, 0

    def getplugin(self, name):
        return self.reporter if name == "terminalreporter" else self

    @contextmanager
    def global_and_fixture_disabled(self):
        self.uncaptured += 1
        yield


def shown(*, isatty, at, work=None):
    reporter = Reporter(isatty=isatty)
    now = [0.0]
    line = WorkLine(Config(reporter), clock=lambda: now[0])
    own = work or Work("contexts", 2000, begun=0.0)
    for second in at:
        now[0], own.done = second, int(10 * second)
        line([own])
    return reporter, line


def test_a_file_gets_a_line_a_minute():
    reporter, _ = shown(isatty=False, at=[1.0, 5.0, LINE_SECONDS + 0.5, LINE_SECONDS + 20.0, 2 * LINE_SECONDS + 1.0])
    assert reporter.written == [
        "qkvcheck: contexts 605 of 2,000, 10/s, 2 min left",
        "qkvcheck: contexts 1,210 of 2,000, 10/s, 79 s left",
    ]


def test_a_terminal_has_one_line_in_place_no_wider_than_itself():
    reporter, line = shown(
        isatty=True, at=[4.0, 4.1, 4.5], work=Work("untrained networks of a long name", 900, begun=0.0)
    )
    assert [how for how, _ in reporter.written] == ["in place", "in place"]  # not at 4.1
    assert all(len(text) < reporter._tw.fullwidth for _, text in reporter.written)
    line([])
    assert reporter.written[-2:] == [("in place", ""), ("in place", "")]
    line([])
    assert len(reporter.written) == 4


def test_short_work_shows_nothing():
    reporter, line = shown(isatty=True, at=[0.5, 1.0, 2.5])
    line([])
    assert reporter.written == []


def test_a_single_thing_is_no_work_to_tell_of():
    reporter, _ = shown(isatty=True, at=[5.0], work=Work("contexts", 1, begun=0.0))
    assert reporter.written == []


def test_what_pytest_is_writing_is_ended_first():
    reporter = Reporter(isatty=False)
    reporter._tw.width_of_current_line = 7
    now = [0.0]
    line = WorkLine(Config(reporter), clock=lambda: now[0])
    now[0] = 100.0
    line([Work("contexts", 10, begun=0.0, done=5)])
    assert reporter.written[0] == ""
    assert len(reporter.written) == 2
