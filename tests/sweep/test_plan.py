"""The plan: how many groups fit into the memory, and sizes as people write them."""

from __future__ import annotations

import io

import pytest

from qkvcheck.errors import SettingsError
from qkvcheck.sweep.plan import LEAST_GROUPS, memory_of, parse_size
from qkvcheck.sweep.progress import Progress


def memory(most, **how):
    usual = {"places": 2, "width": 2304, "targets": 1, "untrained": 1, "weights": 500_000_000}
    return memory_of(**{**usual, **how}, most=most)


def test_groups_fit_and_are_at_most_200():
    assert memory(10**12).groups == 200
    found = memory(8 * 10**9)
    assert LEAST_GROUPS <= found.groups < 200
    assert found.whole <= 8 * 10**9 < found.whole + found.one
    assert memory(8 * 10**9, untrained=0).groups > found.groups


def test_too_little_memory_says_how_much_is_needed():
    with pytest.raises(SettingsError) as caught:
        memory(2 * 10**9)
    text = str(caught.value)
    assert "at least 20" in text
    needed = float(text.split("which take ")[1].split(" GB")[0])
    assert memory(int((needed + 0.1) * 10**9)).groups >= LEAST_GROUPS
    with pytest.raises(SettingsError):
        memory(int((needed - 0.3) * 10**9))


@pytest.mark.parametrize(
    ("text", "expected"), [("4GB", 4e9), ("500 mb", 5e8), ("1GiB", 2**30), ("123", 123), ("1.5k", 1500)]
)
def test_sizes(text, expected):
    assert parse_size(text, flag="--max-memory") == expected


@pytest.mark.parametrize("text", ["", "GB", "four", "4XB", "-1GB", "nan", "1e99GB", "inf"])
def test_what_is_no_size(text):
    with pytest.raises(SettingsError, match="--max-memory .* is no size"):
        parse_size(text, flag="--max-memory")


def test_progress_in_a_pipe_is_a_line_a_minute(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("qkvcheck.sweep.progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin("capturing", 1000, unit="records")
    for _ in range(100):
        clock[0] += 1.3
        progress.step(5, note="7 contexts")
    progress.clear()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == "capturing: 235 of 1,000 records, 3.8 a second, 3 min left, 7 contexts"


def test_progress_on_a_terminal_is_one_line(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("qkvcheck.sweep.progress.time.monotonic", lambda: clock[0])

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    progress = Progress(stream)
    progress.begin("capturing", 10, unit="records")
    for _ in range(3):
        clock[0] += 1
        progress.step()
    progress.say("a line")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("\ra line\n")
