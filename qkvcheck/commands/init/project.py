"""A small project to start from: which files it has, and how they are written, all of them or none."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import resources
from pathlib import Path

from qkvcheck.errors import SettingsError

FILES = {
    "claims.toml": "two claims, to be replaced by yours",
    "contexts.txt": "24 sentences with the target token",
    "test_claims.py": "one test a claim",
    "pytest.ini": "model, sentences, target, and where verdicts are recorded",
    "README.md": "what is what, and how to go on",
    ".github/workflows/qkvcheck.yml": "the same in CI",
}
"""Path of each file in the project, and what it is."""


def project_files(*, model: str, bound: float) -> dict[str, str]:
    """Return the text of each file of the project.

    Parameters
    ----------
    model : str
        What ``qkv_model`` says.
    bound : float
        Of the first claim, on a mean cosine.

    Examples
    --------
    >>> files = project_files(model="embedded", bound=0.9)
    >>> [line for line in files["claims.toml"].splitlines() if line.startswith("threshold")]
    ['threshold = 0.9', 'threshold = 0.1']
    """
    folder = resources.files("qkvcheck") / "data" / "project"
    texts = {name: (folder / f"{Path(name).name}.template").read_text("utf-8") for name in FILES}
    return {name: text.replace("@MODEL@", model).replace("@BOUND@", f"{bound:g}") for name, text in texts.items()}


def write_project(folder: Path, files: dict[str, str]) -> None:
    """Write files into a folder, which is made if it is not there; where one of them is there already, write nothing.

    Parameters
    ----------
    folder : Path
        The project's folder.
    files : dict of str to str
        Text by path in the folder.

    Raises
    ------
    SettingsError
        If one of the files is there, or the folder is none.
    OSError
        If one can't be written; those written before it are gone again, and so are folders that were made for them.
    """
    taken = [name for name in files if os.path.lexists(folder / name)]
    if taken:
        more = f" (and {len(taken) - 1} more that init writes)" if len(taken) > 1 else ""
        raise SettingsError(
            f"{str(folder / taken[0])!r} is there already{more}; nothing was written. Name another folder."
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise SettingsError(f"{str(folder)!r} is no folder; nothing was written. Name another one.")
    written: list[Path] = []
    made: list[Path] = []
    try:
        for name, text in files.items():
            path = folder / name
            made += [one for one in (path.parent, *path.parent.parents) if not os.path.lexists(one)]
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:  # never one that came in between
                written.append(path)
                file.write(text)
    except BaseException:
        for path in reversed(written):
            path.unlink(missing_ok=True)
        for path in sorted(made, key=lambda one: len(one.parts), reverse=True):
            with suppress(OSError):  # somebody else has put something there
                path.rmdir()
        raise
