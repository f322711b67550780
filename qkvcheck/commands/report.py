"""``qkvcheck report``: an HTML page from result files, without the model."""

from __future__ import annotations

import argparse
from typing import Any

from qkvcheck.commands.options import add_load
from qkvcheck.errors import SettingsError
from qkvcheck.files import check_output


def add(commands: Any) -> None:
    """Add the command and its options."""
    report = commands.add_parser(
        "report",
        help="an HTML page from result files, without the model",
        description="Write one self-contained HTML file from what pytest wrote with --qkv-json: findings in words, all "
        "verdicts, the evidence in pictures. Several result files give a page that compares the models.",
        epilog="example: qkvcheck report results.json --out report.html; "
        "qkvcheck report gpt2.json gpt2-xl.json --out models.html",
    )
    report.add_argument("results", nargs="+", help="what --qkv-json wrote")
    report.add_argument("--out", metavar="FILE", default="report.html", help="default: report.html")
    report.add_argument(
        "--short",
        action="store_true",
        help="the short version of a single result: verdicts as a picture with its table, histograms, what was run",
    )
    report.add_argument("--figures", metavar="FOLDER", help="also write each figure of a single result as SVG, there")
    add_load(report)
    report.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    from pathlib import Path

    from qkvcheck.record import load_results
    from qkvcheck.report import write_page

    check_output("--out", options.out, inputs=options.results)
    if options.figures and len(options.results) > 1:
        raise SettingsError("--figures goes with one result file; several have no figures of their own.")
    if options.short and len(options.results) > 1:
        raise SettingsError("--short goes with one result file; a page that compares several has no short version.")
    results = [load_results(path) for path in options.results]
    write_page(options.out, results, short=options.short)
    print(f"{options.out}: {Path(options.out).stat().st_size / 1e6:.1f} MB")
    if options.figures:
        from qkvcheck.report import figures_of, standalone

        folder = Path(options.figures)
        folder.mkdir(parents=True, exist_ok=True)
        for figure in figures_of(results[0].run, results[0].findings):
            (folder / f"{figure.name}.svg").write_text(standalone(figure.svg), encoding="utf-8")
        print(f"{options.figures}: {len(list(folder.glob('*.svg')))} figures")
    return 0
