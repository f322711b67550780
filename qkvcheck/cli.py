"""Command line: the ``qkvcheck`` command. Exit status 0: done; 1: a finding; 2: wrong use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from qkvcheck.commands import bench, compare, doctor, explain, record, report, search
from qkvcheck.errors import QkvcheckError
from qkvcheck.settings import load_extensions

COMMANDS = (doctor, explain, report, search, record, compare, bench)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    try:
        options = _parser().parse_args(arguments)
        load_extensions(getattr(options, "load", None) or ())
        return int(options.run(options))
    except QkvcheckError as error:
        print(f"qkvcheck: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qkvcheck",
        description="Claims about a transformer's queries, keys and values. The experiments run under pytest; "
        "this command tells what they have to work with.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
