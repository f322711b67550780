"""The fuzz suite's lanes: few inputs in every run, many with ``-m slow`` (tox run -e fuzz); and their count."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from .damage import COUNTS

FEW, MANY = 25, 1500
"""Inputs a test."""
PROPERTY = "fuzzed"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `examples` their number: few, or many in the slow lane."""
    if "examples" in metafunc.fixturenames:
        slow = "slow" in metafunc.config.getoption("markexpr")
        many = pytest.param(MANY, id="many", marks=pytest.mark.slow)
        metafunc.parametrize("examples", [many if slow else pytest.param(FEW, id="few")])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Send what a test counted with its report, so that it comes back from workers too."""
    COUNTS.clear()
    try:
        return (yield)
    finally:
        if COUNTS:
            item.user_properties.append((PROPERTY, json.dumps([[*key, count] for key, count in COUNTS.items()])))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how many inputs each reader had, and how they ended."""
    found: dict[str, Counter[str]] = {}
    reports = [report for of in terminalreporter.stats.values() for report in of if hasattr(report, "user_properties")]
    for report in reports:
        if getattr(report, "when", None) == "call":  # what was deselected is an item
            for reader, how, count in json.loads(dict(report.user_properties).get(PROPERTY, "[]")):
                found.setdefault(reader, Counter())[how] += count
    if not found:
        return
    terminalreporter.write_line(f"fuzz: {sum(sum(of.values()) for of in found.values())} inputs")
    for reader, ended in sorted(found.items()):
        told = ", ".join(f"{count} {how}" for how, count in sorted(ended.items()))
        terminalreporter.write_line(f"fuzz: {reader}: {sum(ended.values())} inputs, {told}")
