"""``qkvcheck bench``: how many times faster than what people would use instead."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from qkvcheck.errors import SettingsError
from qkvcheck.files import check_output


def add(commands: Any) -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "bench",
        help="how many times faster the kernels and the capture are than what people would use instead",
        description="Time our kernels and our capture against their peers, both sides in turn in one run, and print "
        "how many times faster ours are. Absolute times are shown and never judged. A contest whose peer is not "
        "installed is left out, and the list says so. Exit status 1 with --check if a ratio fell below the factor "
        "times the one that is committed for this processor family; where none is, that is said and nothing fails.",
        epilog="example: qkvcheck bench --check --only histogram",
    )
    parser.add_argument("--check", action="store_true", help="fail where a committed ratio was lost")
    parser.add_argument("--only", metavar="TEXT", help="contests whose names hold this text")
    parser.add_argument("--rounds", type=int, default=7, help="at least 7 for --check; default: 7")
    parser.add_argument(
        "--factor", type=float, default=0.7, help="of a committed ratio that must be left; default: 0.7"
    )
    parser.add_argument("--ratios", metavar="FILE", help="committed ratios; default: those that come with qkvcheck")
    parser.add_argument(
        "--record", metavar="FILE", help="add what was measured to a file, as the record of this processor family"
    )
    parser.add_argument("--json", action="store_true", help="print the ratios as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from pathlib import Path

    from qkvcheck.commands.benchmark import contests, ratios
    from qkvcheck.commands.machine import machine

    least = contests.ROUNDS if options.check else 1
    if options.rounds < least:
        raise SettingsError(f"--rounds {options.rounds} is too few; at least {least} are needed here.")
    if not 0 < options.factor <= 1:
        raise SettingsError(f"--factor {options.factor:g} must be above 0 and at most 1.")
    check_output("--record", options.record, inputs=(options.ratios or "",))
    family = ratios.processor_family()
    records = ratios.read_records(Path(options.ratios) if options.ratios else ratios.committed_path())
    record = ratios.record_for(records, family)
    committed = {} if record is None else record.ratios
    found, left_out = [], []
    for contest in contests.chosen(options.only):
        lacking = contests.missing(contest)
        if lacking is not None:
            left_out.append(f"{contest.name} was not measured: {lacking} is not installed.")
            continue
        print(f"{contest.name} ...", file=sys.stderr, flush=True)
        found.append(contests.measure(contest, rounds=options.rounds))
    here = machine()
    if options.json:
        document = {**ratios.document_of(found, here, family=family), "not_measured": left_out}
        print(json.dumps(document, indent=1, sort_keys=True))
    else:
        lines = [", ".join([*here.values(), family]), *ratios.lines_of(found, committed, options.factor), *left_out]
        print("\n".join(lines))
    if options.record:
        ratios.write_record(Path(options.record), found, here, family=family)
        print(f"Ratios written to {options.record}", file=sys.stderr)
    if record is None:
        print(f"qkvcheck: {ratios.none_on_record(records, family)}", file=sys.stderr)
    if record is None or not options.check:
        return 0
    fallen = ratios.lost(found, committed, factor=options.factor)
    for entry in fallen:
        print(
            f"LOST: {entry.name} is {entry.ratio:.2f} times faster; committed is {entry.committed:.2f}, and "
            f"{options.factor:.0%} of it is {entry.least:.2f}.",
            file=sys.stderr,
        )
    if not any(ratio.name in committed for ratio in found):
        raise SettingsError("nothing that was measured has a committed ratio; widen --only or install qkvcheck[bench].")
    return int(bool(fallen))
