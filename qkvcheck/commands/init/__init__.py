"""``qkvcheck init``: write a small project that runs at once: claims, sentences, tests, configuration, CI."""

from __future__ import annotations

import argparse
import math
import os
import shlex
from pathlib import Path
from typing import Any

from qkvcheck.errors import SettingsError, shown
from qkvcheck.files import is_there
from qkvcheck.settings import OPTIONS

BOUND = 0.9
"""Of the first claim: the embedded model meets it (0.82), so that a first run passes."""


def add(commands: Any) -> None:
    """Add the command and its options."""
    init = commands.add_parser(
        "init",
        help="write a small project of your own: claims, sentences, tests, configuration, CI",
        description="Write a small project that runs at once: two claims to be replaced by yours, sentences, a test "
        "a claim, pytest.ini, a workflow for GitHub and a README. Nothing is overwritten: where one of these files is "
        "there already, nothing is written, and the exit status is 2.",
        epilog="example: qkvcheck init my-claims --model path/to/model",
    )
    init.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="where; default: the current folder")
    init.add_argument("--model", metavar="SPEC", default="embedded", help="as --qkv-model; default: embedded")
    init.add_argument(
        "--bound",
        metavar="NUMBER",
        default=f"{BOUND:g}",
        help=f"of the first claim, on a mean cosine: from -1 to 1; default: {BOUND:g}",
    )
    init.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from qkvcheck.commands.init.project import FILES, project_files, write_project

    folder = Path(options.folder)
    files = project_files(model=_model(options.model, folder), bound=_bound(options.bound))
    write_project(folder, files)
    wide = max(map(len, files))
    print(f"Wrote {len(files)} files into {str(folder)!r}:")
    for name in files:
        print(f"  {name:<{wide}}  {FILES[name]}")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    print(f"Next:\n  {enter}pytest\n  pytest --qkv-update=all    # put what was found on record")
    return 0


def _bound(text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if not -1 <= bound <= 1:  # not true of NaN
        raise SettingsError(f"--bound {shown(text)} is no number from -1 to 1, as a mean cosine is; check it.")
    return bound


def _model(text: str, folder: Path) -> str:
    """Return what the project's ini file says: a path counts from its folder there, and from the current one here."""
    option = next(option for option in OPTIONS if option.name == "model")
    spec = option.read("--model", text).strip()
    if not spec:
        raise SettingsError('--model names no model; give one, such as "embedded" or a directory.')
    path, sign, variant = spec.partition("#")
    place = Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises for a user that is not there)
    if not is_there(place) and (place.is_absolute() or path.startswith(("./", "../", "~"))):
        raise SettingsError(f"--model {shown(path)} does not exist; nothing was written. Name a model that is there.")
    if is_there(place) and not place.is_absolute():
        path = Path(os.path.relpath(path, folder)).as_posix()
    return f"{path}{sign}{variant}"
