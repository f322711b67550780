"""Command line: the ``qkvcheck`` command. Exit status 0: done; 1: a finding; 2: wrong use; 130: stopped by Ctrl-C."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, TextIO

from qkvcheck.commands import bench, claims, compare, doctor, explain, fetch, init, plan, record, report, search, sweep
from qkvcheck.errors import QkvcheckError, visible
from qkvcheck.settings import load_extensions

COMMANDS = (init, doctor, fetch, plan, claims, explain, report, search, sweep, record, compare, bench)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows ASCII alone gets the rest in digits
    try:
        try:
            options = _parser().parse_args(arguments)
            load_extensions(getattr(options, "load", None) or ())
            with redirect_stdout(_Visible(sys.stdout)):
                return int(options.run(options))
        finally:
            sys.stdout.flush()  # here, where a reader that has gone is no fault
    except QkvcheckError as error:
        print(f"qkvcheck: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # such as `qkvcheck explain | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return 0
    except OSError as error:
        print(
            f"qkvcheck: {error.filename or 'a file'} can't be read or written ({error.strerror or error}).",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("qkvcheck: stopped.", file=sys.stderr)
        return 130


class _Visible:
    """Standard output on which control characters of names and texts are shown, and do nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(visible(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qkvcheck",
        description="Claims about a transformer's queries, keys and values. The experiments run under pytest; "
        "this command tells what they have to work with.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could stand next, as argcomplete has told it to
        _complete(parser)
    return parser


def _complete(parser: argparse.ArgumentParser) -> None:
    """Tell the shell and end the process, where argcomplete is installed; no command runs."""
    try:
        from argcomplete import autocomplete
    except ImportError:  # the shell was told so by the argcomplete of another environment
        return
    autocomplete(parser)


if __name__ == "__main__":
    sys.exit(main())
