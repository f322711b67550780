"""Benchmarks in this folder run when they are asked for: with ``--benchmark-only``, ``-m benchmark`` or by name."""

from __future__ import annotations

import pytest


def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
    """Leave benchmarks out of a plain run: they take minutes and judge nothing."""
    config = collector.config
    asked = config.getoption("benchmark_only", default=False) or "benchmark" in config.getoption("markexpr", default="")
    if asked or any("::" in argument for argument in config.args):
        return None
    return [] if any(mark.name == "benchmark" for mark in getattr(obj, "pytestmark", ())) else None
