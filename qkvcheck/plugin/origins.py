"""Origins: whose configuration a run takes, and who may let code of a model run.

pytest looks for its ini file beside what it takes for test paths, before it knows our options: of ``--qkv-model DIR``
it takes DIR for one, and with it DIR's own ini file. What comes with a model or data must not configure a run.
"""

from __future__ import annotations

import inspect
import os
import shlex
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from qkvcheck.files import is_there
from qkvcheck.plugin.stash import SESSION_KEY

TRUST = "--qkv-trust-remote-code"
FOLDERS_KEY: pytest.StashKey[list[Path]] = pytest.StashKey()
"""On the config: the folders of model and tokenizer."""


@pytest.hookimpl(tryfirst=True)  # before any conftest of another folder is imported
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Stop where pytest took the value of one of our options for a test path, and configuration from there."""
    found = early_config.rootpath, early_config.inipath
    expected = _setup(early_config)
    if found != expected:
        word = _separate_word(early_config)
        option, value = word or ("an option", "PATH")
        raise pytest.UsageError(
            f"pytest took {value!r} for a test path and its configuration from {_place(*found)}, not from "
            f"{_place(*expected)}; write {option}={value} with an equals sign."
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect nothing in a model's own folder: its conftest.py and tests are no part of the project."""
    if SESSION_KEY not in config.stash:
        return None
    if FOLDERS_KEY not in config.stash:  # once, and not for every path that is collected
        config.stash[FOLDERS_KEY] = _model_folders(config)
    return True if collection_path in config.stash[FOLDERS_KEY] else None


def _model_folders(config: pytest.Config) -> list[Path]:
    """Return the folders of model and tokenizer, unless the run was started inside of them."""
    session = config.stash[SESSION_KEY]
    start = config.invocation_params.dir.resolve()
    named = (session.settings.model.partition("#")[0], session.settings.tokenizer)
    folders = [(start / name).resolve() for name in named if name and is_there(start / name)]
    return [folder for folder in folders if folder not in (start, *start.parents)]


def check_trust(config: pytest.Config) -> bool:
    """Tell whether code that comes with a model may run: only the command line itself may say so.

    Raises
    ------
    SettingsError
        If an ini file or PYTEST_ADDOPTS says it.
    """
    asked = bool(config.getoption(TRUST))
    # A worker of pytest-xdist has its options from the controller, which has looked.
    if asked and not hasattr(config, "workerinput") and TRUST not in config.invocation_params.args:
        from qkvcheck.errors import SettingsError

        raise SettingsError(
            f"{TRUST} is not on the command line itself (an ini file or PYTEST_ADDOPTS says it); it lets a model's own "
            "code run, so write it there."
        )
    return asked


def _words(config: pytest.Config) -> list[str]:
    """Return what the user said: the command line, and PYTEST_ADDOPTS before it; no ini file's addopts."""
    try:
        more = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    except ValueError:  # pytest has refused it
        more = []
    return [*more, *map(str, config.invocation_params.args)]


def _setup(config: pytest.Config) -> tuple[Path, Path | None]:
    """Return root directory and ini file as pytest finds them from real test paths."""
    from _pytest.config.findpaths import determine_setup

    parser = getattr(config, "_parser")  # noqa: B009
    known = parser.parse_known_args(_words(config), namespace=copy(config.option))
    every: dict[str, Any] = {
        "inifile": known.inifilename,
        "override_ini": getattr(known, "override_ini", None),
        "args": known.file_or_dir,
        "rootdir_cmd_arg": known.rootdir or None,
        "invocation_dir": config.invocation_params.dir,
    }
    taken = inspect.signature(determine_setup).parameters  # 8.3 knows no override_ini
    root, ini, *_ = determine_setup(**{name: value for name, value in every.items() if name in taken})
    return root, ini


def _place(root: Path, ini: Path | None) -> str:
    return repr(os.fspath(ini if ini is not None else root))


def _separate_word(config: pytest.Config) -> tuple[str, str] | None:
    """Return the option and the value that pytest took for a path, to name them."""
    words = _words(config)
    for option, value in pairwise(words):
        if option.startswith("--qkv-") and "=" not in option and _exists(config, value):
            return option, value
    return None


def _exists(config: pytest.Config, value: str) -> bool:
    return is_there(config.invocation_params.dir / value.partition("#")[0])
