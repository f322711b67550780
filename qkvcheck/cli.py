"""Command line: the ``qkvcheck`` command. Exit status 0: done; 1: a finding; 2: wrong use."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from qkvcheck.errors import QkvcheckError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
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
    doctor = commands.add_parser(
        "doctor",
        help="versions, devices, cache, what auto chooses, whether the hub answers",
        description="Look at this machine: versions, devices, the local model cache, what --qkv-model auto would "
        "choose and why, and whether the Hugging Face hub answers (asked once, for two seconds; not with "
        "HF_HUB_OFFLINE=1). Exit status 1 if something here is broken.",
        epilog="example: qkvcheck doctor --json > machine.json",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(run=_doctor)
    return parser


def _doctor(options: argparse.Namespace) -> int:
    from qkvcheck.doctor import as_document, examine

    checks = examine()
    if options.json:
        print(json.dumps(as_document(checks), indent=1))
    else:
        wide = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.name:<{wide}}  {check.found}")
    return 0 if all(check.healthy for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
