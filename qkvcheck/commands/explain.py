"""``qkvcheck explain``: the whole story of one verdict."""

from __future__ import annotations

import argparse
import json
from difflib import get_close_matches
from typing import Any

from qkvcheck.commands.options import add_load
from qkvcheck.errors import ClaimError
from qkvcheck.files import is_there


def add(commands: Any) -> None:
    """Add the command and its options."""
    explain = commands.add_parser(
        "explain",
        help="the whole story of one verdict, from a result file",
        description="Tell everything that is known of one verdict: claim, estimate, interval, controls and what they "
        "say, evidence. The result file is what pytest wrote with --qkv-json. Without a key the verdicts are listed.",
        epilog="example: qkvcheck explain P3a-L06-QQ results.json",
    )
    explain.add_argument("key", nargs="?", help="such as P3a-L06-QQ")
    explain.add_argument("results", help="what --qkv-json wrote")
    explain.add_argument("--json", action="store_true", help="print the verdict as JSON")
    add_load(explain)
    explain.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from qkvcheck.record import label, read_results
    from qkvcheck.report import explain_lines

    if options.key is None and not is_there(options.results):
        raise ClaimError(
            f"there is no result file {options.results!r}; give one, after the key of a verdict, as in "
            "qkvcheck explain P3a-L06-QQ results.json."
        )
    run, findings = read_results(options.results)
    by_key = {finding.verdict.key: finding for finding in findings}
    if options.key is None:
        for key, finding in by_key.items():
            print(f"{key:<26} {label(finding)}")
        return 0
    if options.key not in by_key:
        near = get_close_matches(options.key, by_key, n=3, cutoff=0.3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise ClaimError(f"{options.results!r} holds no verdict {options.key!r} (it holds {len(by_key)}{hint}).")
    finding = by_key[options.key]
    if options.json:
        print(json.dumps(finding.to_dict(), indent=1, sort_keys=True))
    else:
        print("\n".join(explain_lines(finding, run)))
    return 0
