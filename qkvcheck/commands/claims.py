"""``qkvcheck claims``: what claims there are, whose they are, and where they come from."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from qkvcheck.commands.options import add_claims, claim_of, claims_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qkvcheck.claims import Claim, ClaimsFile


def add(commands: Any) -> None:
    """Add the command and its options."""
    claims = commands.add_parser(
        "claims",
        help="list claims: what each says, its bound, whose it is and where it comes from",
        description="List the claims of claims files: what each says, the statistic and the bound, the cells that "
        "decide it, whose it is, and where it comes from. Reads no model.",
        epilog="example: qkvcheck claims; qkvcheck claims P5 B9; qkvcheck claims --claims mine.toml --json",
    )
    claims.add_argument("id", nargs="*", help="show these alone, with their sources; default: all, a line or two each")
    add_claims(claims)
    claims.add_argument("--json", action="store_true", help="print the claims as JSON")
    claims.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    file = claims_of(options.claims)
    chosen = [claim_of(file, name) for name in dict.fromkeys(options.id or file.claims)]
    if options.json:
        print(json.dumps([_document(file, claim) for claim in chosen], indent=1, ensure_ascii=False))
        return 0
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    for claim in chosen:
        for line in _lines(file, claim, whole=bool(options.id)):
            indent = line[: len(line) - len(line.lstrip())]
            print("\n".join(textwrap.wrap(line, width, subsequent_indent=indent or " " * 8) or [""]))
    return 0


def _whose(claim: Claim) -> str:
    from qkvcheck.claims import EXPLORATORY
    from qkvcheck.report import TAG_WORDS

    if claim.label == EXPLORATORY:
        return "exploratory: made or edited after numbers had been seen"
    return "" if claim.tag is None else f"{claim.tag}: {TAG_WORDS[claim.tag]}"


def _bound(claim: Claim) -> str:
    from qkvcheck.claims import threshold_text

    if claim.threshold is None:
        return f"{claim.statistic}, every condition exactly"
    return f"{claim.statistic} {threshold_text(claim, digits='.4g')}"


def _cells(claim: Claim) -> str:
    """Return the cells that decide a claim."""
    return ", ".join(f"{one.group} {one.measure}" for one in claim.primary) or "none: shown alone"


def _sources(file: ClaimsFile, claim: Claim) -> list[str]:
    cited = [one.text for one in file.citations if claim.id in one.claims]
    return list(dict.fromkeys(text for text in (claim.source, *cited) if text))


def _lines(file: ClaimsFile, claim: Claim, *, whole: bool) -> Iterator[str]:
    """Yield what is said of a claim; `whole` tells where it comes from too."""
    yield f"{claim.id:<7} {claim.statement}"
    whose = _whose(claim)
    if not whole:
        tag = whose.partition(":")[0]
        yield f"        {_bound(claim)}; decided by {_cells(claim)}{f'; {tag}' if tag else ''}"
        return
    yield f"        measured: {_bound(claim)}"
    yield f"        decided by: {_cells(claim)}"
    if whose:
        yield f"        whose: {whose}{f'. {claim.tag_reason}' if claim.tag_reason else ''}"
    for source in _sources(file, claim):
        yield f"        from: {source}"
    if claim.controls:
        yield f"        held against: {', '.join(claim.controls)}"
    if claim.not_independent_of:
        yield f"        measures nearly what these do: {', '.join(claim.not_independent_of)}"


def _document(file: ClaimsFile, claim: Claim) -> dict[str, Any]:
    return {
        "id": claim.id,
        "statement": claim.statement,
        "statistic": claim.statistic,
        "direction": str(claim.direction),
        "threshold": claim.threshold,
        "decided_by": [[one.group, one.measure] for one in claim.primary],
        "tag": None if claim.tag is None else str(claim.tag),
        "tag_reason": claim.tag_reason,
        "label": claim.label,
        "sources": _sources(file, claim),
        "controls": list(claim.controls),
    }
