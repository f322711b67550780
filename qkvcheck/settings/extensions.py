"""Extensions: a project's own files and modules, imported so that what they register is there."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from qkvcheck.errors import SettingsError, first_line, shown
from qkvcheck.files import is_there


def load_extensions(names: Sequence[str]) -> None:
    """Import a project's own files and modules, each once, so that what they register is there.

    Parameters
    ----------
    names : sequence of str
        Paths that end in ``.py``, from the current folder, and dotted names of modules.

    Raises
    ------
    SettingsError
        If one is not there, or breaks while it is imported.
    """
    for name in names:
        if name.endswith(".py") and not (is_there(name) and Path(name).is_file()):
            raise SettingsError(f"can't load {shown(name)}: there is no such file; name Python files or modules.")
        try:
            if name.endswith(".py"):
                _load_file(Path(name).resolve())
            else:
                importlib.import_module(name)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = "" if last.filename.startswith("<") else f" ({last.filename}, line {last.lineno})"
            raise SettingsError(
                f"can't load {name!r}: {type(error).__name__}: {first_line(error)}{where}; correct it, or leave it out."
            ) from error


def _load_file(path: Path) -> None:
    # The name is of the whole path, so that two files called the same are two modules.
    name = f"qkvcheck_loaded_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it can't be read as Python")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
