"""The fuzz suite's lanes: few inputs in every run, many with ``-m slow`` (tox run -e fuzz); and their count."""

from __future__ import annotations

from collections import Counter

import pytest

from .damage import COUNTS

FEW, MANY = 25, 1500
"""Inputs a test."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `examples` their number: few, or many in the slow lane."""
    if "examples" in metafunc.fixturenames:
        slow = "slow" in metafunc.config.getoption("markexpr")
        many = pytest.param(MANY, id="many", marks=pytest.mark.slow)
        metafunc.parametrize("examples", [many if slow else pytest.param(FEW, id="few")])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many inputs each reader had, and how they ended."""
    if not COUNTS:
        return
    readers = sorted({reader for reader, _ in COUNTS})
    terminalreporter.write_line(f"fuzz: {sum(COUNTS.values())} inputs")
    for reader in readers:
        ended: Counter[str] = Counter({how: count for (name, how), count in COUNTS.items() if name == reader})
        told = ", ".join(f"{count} {how}" for how, count in sorted(ended.items()))
        terminalreporter.write_line(f"fuzz: {reader}: {sum(ended.values())} inputs, {told}")
