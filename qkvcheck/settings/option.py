"""Option: one setting with its three names, its help, and how its text is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qkvcheck.files import is_there
from qkvcheck.settings.values import (
    check_text,
    each_target,
    parse_controls,
    parse_heads,
    parse_layers_of,
    parse_names,
    parse_target,
)

PathKind = Literal["never", "always", "if there", "each file"]


@dataclass(frozen=True)
class Option:
    """One setting: ``--qkv-NAME`` on the command line, ``QKV_NAME`` in the environment, ``qkv_name`` as ini value.

    Parameters
    ----------
    name : str
        As on the command line, without ``--qkv-``.
    default : str or None
        Taken where nobody says anything; None where that means something of its own.
    about : str
        What the option says.
    without : str or None
        What holds where it is not given and there is no default.
    parse : callable
        Takes the flag, for messages, and a text; returns the value or raises `SettingsError`.
    path : str
        Whether the value is a path: never, always, if one is there, or each of its names that ends in ``.py``.
    switch : bool
        Whether it stands without a value on the command line.
    several : str
        What several values do, for an option that pytest takes more than once; empty for any other.
    """

    name: str
    default: str | None
    about: str
    without: str | None
    parse: Callable[[str, str], Any]
    path: PathKind
    switch: bool
    several: str = ""

    @property
    def flag(self) -> str:
        """Its command-line form."""
        return f"--qkv-{self.name}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"QKV_{self.attribute.upper()}"

    @property
    def ini(self) -> str:
        """Its ini name."""
        return f"qkv_{self.attribute}"

    @property
    def attribute(self) -> str:
        """Its name in `Settings`."""
        return self.name.replace("-", "_")

    @property
    def help(self) -> str:
        """What it says, with what holds without it."""
        parts = [self.about, self.several, f"without it {self.without}" if self.without else ""]
        return f"{'; '.join(filter(None, parts))}."

    @property
    def argparse_help(self) -> str:
        """The same for argparse, to which a percent sign is the start of a name."""
        return self.help.replace("%", "%%")

    @property
    def usual(self) -> Any:
        """Its value where nobody says anything."""
        return (False if self.switch else None) if self.default is None else self.parse(self.flag, self.default)

    def read(self, flag: str, text: str) -> Any:
        """Return the value that a text says.

        Raises
        ------
        SettingsError
            If it makes no sense, or holds what no value holds; `flag` is for the message.
        """
        several = self.parse in (parse_layers_of, parse_heads, parse_controls, parse_names)
        check_text(flag, text, allowed="\t\r\n" if several else "", control=self.parse is parse_target)
        return self.parse(flag, text)

    def read_each(self, flag: str, given: str | Sequence[str]) -> tuple[Any, ...]:
        """Return the values that were given, each once; one text may hold several (`each_target`).

        Raises
        ------
        SettingsError
            As `read`.
        """
        texts = [given] if isinstance(given, str) else given
        return tuple(dict.fromkeys(self.read(flag, one) for text in texts for one in each_target(text)))


def from_root(option: Option, text: str, *, root: Path) -> str:
    """Return an ini value as it has to be read from the current folder: a path there counts from the root directory.

    Parameters
    ----------
    option : Option
        What the value is for.
    text : str
        The value as given.
    root : Path
        pytest's root directory.
    """
    if root == Path.cwd() or option.path == "never":
        return text
    if option.path == "each file":
        parts = parse_names("", text)
        return " ".join(f'"{_relative(part, root)}"' if part.endswith(".py") else part for part in parts)
    there = is_there(root / text.partition("#")[0])  # such as model#untrained
    return _relative(text, root) if there or option.path == "always" else text


def _relative(text: str, root: Path) -> str:
    if Path(text).is_absolute():
        return text
    try:
        return os.path.relpath(root / text)
    except ValueError:  # another drive on Windows
        return str(root / text)
