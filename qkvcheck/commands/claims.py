"""``qkvcheck claims``: what claims there are, whose they are, and where they come from."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from qkvcheck.commands.options import add_claims, claim_of, claims_of
from qkvcheck.groups import GROUPS_OF

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qkvcheck.claims import Claim, ClaimsFile


_ON = {
    "target": "the target in your contexts",
    "words": "your contexts, each continued with every word of a list",
    "words_and_weights": "the same, and what the weights put out alone",
    "generic_removed": "the target, less the mean of all other words in the same contexts",
    "fresh": "contexts that qkvcheck draws, beside yours",
    "matched": "the target and the token before it, at the same positions",
    "every_layer": "the target at every layer",
}
"""What each capture is, for a reader."""


def add(commands: Any) -> None:
    """Add the command and its options."""
    claims = commands.add_parser(
        "claims",
        help="list claims: what each says, its bound, whose it is and where it comes from",
        description="List the claims of claims files: what each says, the statistic and the bound, the cells that "
        "decide it, whose it is, and where it comes from. Reads no model.",
        epilog="example: qkvcheck claims; qkvcheck claims P5 B9; qkvcheck claims --json --claims mine.toml; "
        "qkvcheck claims --statistics; qkvcheck claims --keys",
    )
    claims.add_argument("id", nargs="*", help="show these alone, with their sources; default: all, a line or two each")
    add_claims(claims)
    instead = claims.add_mutually_exclusive_group()
    instead.add_argument(
        "--statistics", action="store_true", help="list what a claim can measure instead, and how to read each number"
    )
    instead.add_argument(
        "--keys", action="store_true", help="list the keys of a claim in a claims file instead, and what each says"
    )
    claims.add_argument("--json", action="store_true", help="print them as JSON")
    claims.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    if options.statistics:
        return _list_statistics(options.id, as_json=options.json)
    if options.keys:
        return _list_keys(options.id, as_json=options.json)
    file = claims_of(options.claims)
    chosen = [claim_of(file, name) for name in dict.fromkeys(options.id or file.claims)]
    if options.json:
        print(json.dumps([_document(file, claim) for claim in chosen], indent=1, ensure_ascii=False))
        return 0
    for claim in chosen:
        _print_wrapped(_lines(file, claim, whole=bool(options.id)))
    return 0


def _print_wrapped(lines: Iterable[str]) -> None:
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        print("\n".join(textwrap.wrap(line, width, subsequent_indent=indent or " " * 8) or [""]))


def _list_statistics(names: Sequence[str], *, as_json: bool) -> int:
    from qkvcheck.statistics import statistic_named, statistics_by_name

    listed = [statistic_named(name) for name in names or statistics_by_name()]
    told = [
        {
            "name": one.name,
            "says": one.words.format(one="similarity", many="similarities"),
            "reading": one.reading,
            "measured_on": _ON[one.captured_on.value],
            "compares": one.axis,
            "groups": None if one.axis is None else list(GROUPS_OF[one.axis]),
            "measures": None if one.measures is None else list(one.measures),
            "least": one.possible[0] if math.isfinite(one.possible[0]) else None,
            "greatest": one.possible[1] if math.isfinite(one.possible[1]) else None,
        }
        for one in listed
    ]
    if as_json:
        print(json.dumps(told, indent=1, ensure_ascii=False))
        return 0
    for one in told:
        beneath = (str(one["says"]).rstrip(","), one["reading"], f"of {one['measured_on']}", _takes(one))
        _print_wrapped([str(one["name"]), *(f"        {text}" for text in beneath)])
    return 0


def _list_keys(names: Sequence[str], *, as_json: bool) -> int:
    from qkvcheck.errors import SettingsError, nearest

    known = _keys()
    odd = next((name for name in names if name not in known), None)
    if odd is not None:
        raise SettingsError(f"{odd!r} is no key of a claim; allowed: {', '.join(known)}.{nearest(odd, known)}")
    listed = [known[name] for name in dict.fromkeys(names or known)]
    if as_json:
        print(json.dumps(listed, indent=1, ensure_ascii=False))
        return 0
    for key in listed:
        needed = " (needed)" if key["needed"] else ""
        listed_values = ", ".join(one or "''" for one in key["allowed"])
        allowed = f" One of {listed_values}." if listed_values else ""
        _print_wrapped([f"{key['name']}{needed}", f"        {key['says']}{allowed}"])
    return 0


def _keys() -> dict[str, dict[str, Any]]:
    """Return every key of a claim in a claims file, as `Claim` describes its attributes."""
    from qkvcheck.claims import AXES, CLAIM_KEYS, DECLARED_KINDS, EXPLORATORY, NEEDED, Claim, Direction, Tag
    from qkvcheck.groups import PAIR_GROUPS, PROJECTIONS, Capture

    allowed: dict[str, Sequence[str]] = {
        "direction": list(Direction),
        "axis": AXES,
        "groups": (*PROJECTIONS, *PAIR_GROUPS),
        "kind": DECLARED_KINDS,
        "capture": list(Capture),
        "label": ("", EXPLORATORY),
        "tag": list(Tag),
    }
    said: dict[str, str] = {}
    for name, text in re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", inspect.getdoc(Claim) or "", re.MULTILINE):
        said[name] = " ".join(text.split()).replace("`", "")
    return {
        name: {
            "name": name,
            "says": said.get(name, ""),
            "needed": name in (*NEEDED, "primary"),
            "allowed": list(map(str, allowed.get(name, ()))),
        }
        for name in CLAIM_KEYS
    }


def _takes(told: Mapping[str, Any]) -> str:
    """Return of which groups and measures a statistic is."""
    groups = (
        "any group" if told["groups"] is None else f"compares {told['compares']}: groups {', '.join(told['groups'])}"
    )
    return f"{groups}; measures {', '.join(told['measures'] or ['as it takes them'])}"


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
