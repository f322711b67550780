"""``qkvcheck doctor``: look at this machine."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add(commands: Any) -> None:
    """Add the command and its options."""
    doctor = commands.add_parser(
        "doctor",
        help="versions, devices, cache, what auto chooses, whether the hub answers",
        description="Look at this machine: versions, devices, the local model cache, what --qkv-model auto would "
        "choose and why, and whether the Hugging Face hub answers (asked once, for two seconds; not with "
        "HF_HUB_OFFLINE=1). Exit status 1 if something here is broken.",
        epilog="example: qkvcheck doctor --json > machine.json",
    )
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from qkvcheck.doctor import as_document, examine

    checks = examine()
    if options.json:
        print(json.dumps(as_document(checks), indent=1))
    else:
        wide = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.name:<{wide}}  {check.found}")
    return 0 if all(check.healthy for check in checks) else 1
