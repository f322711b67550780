"""Root conftest: pytester for the tests, and the plugin where the package is not installed."""

from __future__ import annotations

import os
from importlib.metadata import entry_points

from qkvcheck.strategies import register_profile

pytest_plugins = ["pytester"]
if "qkvcheck" not in entry_points(group="pytest11").names or os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
    pytest_plugins.append("qkvcheck.plugin")
register_profile()
