"""Stash: under which keys the plugin keeps things on pytest's own objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qkvcheck.plugin.session import Session
    from qkvcheck.report import Line

SESSION_KEY: pytest.StashKey[Session] = pytest.StashKey()
"""On the config: the settings of the run, and what was loaded for them."""
RUN_KEY: pytest.StashKey[str] = pytest.StashKey()
"""On a test: the run's description as JSON."""
NOTES_KEY: pytest.StashKey[list[Line]] = pytest.StashKey()
"""On the config: lines that follow the claims table."""
PART_KEY: pytest.StashKey[bool] = pytest.StashKey()
"""On the config: whether claims were left out of the run."""
LACKING_KEY: pytest.StashKey[str] = pytest.StashKey()
"""On a test: why one of its fixtures can't be had here."""
