"""Commands: one module a subcommand of ``qkvcheck``; heavy imports wait until a command runs."""

from __future__ import annotations

from pathlib import Path

from qkvcheck.errors import SettingsError


def check_writable(flag: str, path: str | None) -> None:
    """Find a file that can't be written before long work, not after it."""
    if path and (not Path(path).parent.is_dir() or Path(path).is_dir()):
        raise SettingsError(f"{flag} {path!r} can't be written; name a file in a folder that exists.")
