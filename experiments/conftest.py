"""Benchmarks in this folder run when they are asked for: with ``--benchmark-only``, ``-m benchmark`` or by name."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave benchmarks out of a plain run: they take minutes and judge nothing."""
    asked = config.getoption("benchmark_only", default=False) or "benchmark" in config.getoption("markexpr", default="")
    if asked or any("::" in argument for argument in config.args):
        return
    left_out = [item for item in items if HERE in item.path.parents and item.get_closest_marker("benchmark")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
