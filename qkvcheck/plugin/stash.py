"""Stash: under which keys the plugin keeps things on pytest's own objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qkvcheck.plugin.session import Session
    from qkvcheck.report import Line

SESSION_KEY: pytest.StashKey[Session] = pytest.StashKey()
"""On the config: the settings of the run, and what was loaded for them."""
RUN_KEY: pytest.StashKey[str] = pytest.StashKey()
"""On a test: the run's description as JSON."""
NOTES_KEY: pytest.StashKey[Sequence[Line]] = pytest.StashKey()
"""On the config: lines that follow the claims table."""
LAST_KEY: pytest.StashKey[Sequence[Line]] = pytest.StashKey()
"""On the config: lines that follow even pytest's own last one."""
PART_KEY: pytest.StashKey[bool] = pytest.StashKey()
"""On the config: whether claims were left out of the run."""
TWICE_KEY: pytest.StashKey[dict[str, str]] = pytest.StashKey()
"""On the config: what is wrong with tests that judge what another test judges, by their ids."""
RAN_KEY: pytest.StashKey[bool] = pytest.StashKey()
"""On the config: whether every test that was chosen has run, as none does where tests are only listed."""
LACKING_KEY: pytest.StashKey[str] = pytest.StashKey()
"""On a test: why one of its fixtures can't be had here."""
