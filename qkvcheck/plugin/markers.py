"""Markers: what ``@pytest.mark.claim`` says: a claim of the claims file and its coordinates, or a claim of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qkvcheck.claims import BOUNDS, MARGIN, Cell, Claim, ClaimsFile, Direction, Kind, cells
from qkvcheck.errors import ClaimError, nearest
from qkvcheck.groups import HEADS_FORM, Capture, Comparison, Heads, axis_of, heads_of

KEYWORDS = (
    "id", "layer", "group", "measure", "statistic", "above", "at_least", "at_most", "margin", "capture", "controls",
    "statement", "head", "heads",
)  # fmt: skip
USUAL_CONTROLS = ("different-words", "untrained", "within-column")
"""Controls of a claim that its marker makes, unless it names others."""
Keywords = Mapping[str, Any]
"""What a marker was given; checked here before anything is taken from it."""
SIGNS = {Direction.ABOVE: ">", Direction.AT_LEAST: ">=", Direction.AT_MOST: "<="}


def claim_of_marker(keywords: Keywords, file: ClaimsFile | None) -> Claim:
    """Return the claim that a marker names, or the one that it makes itself.

    Parameters
    ----------
    keywords : mapping
        Of ``@pytest.mark.claim``: `KEYWORDS`.
    file : ClaimsFile or None
        Where a marker without a statistic finds its claim.

    Raises
    ------
    ClaimError
        If a keyword is unknown or missing, or the claim is not on file.
    """
    unknown = next((name for name in sorted(keywords) if name not in KEYWORDS), None)
    if unknown is not None:
        hint = nearest(unknown, KEYWORDS)
        raise ClaimError(f"the claim marker can't have {unknown!r}; allowed: {', '.join(KEYWORDS)}.{hint}")
    identity = keywords.get("id")
    if not isinstance(identity, str) or not identity:
        raise ClaimError(f'the claim marker has id {identity!r}; it must be a text such as id="P3a".')
    layer = keywords.get("layer")
    if layer is not None and (not isinstance(layer, int) or isinstance(layer, bool) or layer < 0):
        raise ClaimError(f"claim {identity}: layer {layer!r} must be a whole number from 0 (zero-based).")
    heads = heads_of_marker(identity, keywords)
    if "statistic" in keywords:
        return _claim_made_here(identity, keywords, heads)
    if file is None or identity not in file.claims:
        known = ", ".join(file.claims) if file else "none, for no claims file is set with qkv_claims"
        raise ClaimError(
            f"claim {identity!r} is not on file (there: {known}); add it there, or give the marker a statistic, a "
            "group and above= or at_least=."
        )
    claim = file.claims[identity]
    for name, allowed in (("group", claim.groups), ("measure", claim.measures)):
        if name in keywords and keywords[name] not in allowed:
            raise ClaimError(f"claim {identity}: {name} {keywords[name]!r} is not one of {', '.join(allowed)}.")
    if heads is not None and claim.kind == Kind.EXACT:
        raise ClaimError(f"claim {identity} is exact: it has no heads; leave them out of its marker.")
    return claim


def heads_of_marker(identity: object, keywords: Keywords) -> Heads | None:
    """Return the heads that a marker names, as head= or heads=; None if it names none.

    Raises
    ------
    ClaimError
        If they can't be read, or both are given.
    """
    given = [name for name in ("head", "heads") if keywords.get(name) is not None]
    if len(given) > 1:
        raise ClaimError(f"claim {identity}: the marker has head= and heads=; give one of them.")
    if not given:
        return None
    heads = heads_of(keywords[given[0]])
    if heads is None:
        raise ClaimError(f"claim {identity}: {given[0]} {keywords[given[0]]!r} must be {HEADS_FORM}.")
    return heads


def _claim_made_here(identity: str, keywords: Keywords, heads: Heads | None) -> Claim:
    bounds = [direction for direction in BOUNDS if direction in keywords]
    if len(bounds) != 1 or "group" not in keywords:
        raise ClaimError(
            f"claim {identity}: a marker with a statistic needs a group and one of above=, at_least= and at_most=; "
            f"given: {', '.join(sorted(keywords))}."
        )
    group, measure = keywords["group"], keywords.get("measure", "cosine")
    threshold, statistic = float(keywords[bounds[0]]), keywords["statistic"]
    capture = keywords.get("capture")
    if capture is not None and capture not in list(Capture):
        hint = nearest(str(capture), Capture)
        raise ClaimError(f"claim {identity}: capture {capture!r} is not one of {', '.join(Capture)}.{hint}")
    return Claim(
        id=identity,
        statement=keywords.get("statement", f"{statistic} of {group} ({measure}) {SIGNS[bounds[0]]} {threshold:g}"),
        statistic=statistic,
        direction=bounds[0],
        threshold=threshold,
        capture=None if capture is None else Capture(capture),
        axis=axis_of([group]),
        groups=(group,),
        measures=(measure,),
        primary=(Comparison(group, measure),),
        heads=heads,
        controls=tuple(keywords.get("controls", USUAL_CONTROLS)),
        margin=float(keywords.get("margin", MARGIN)),
    )


def cells_of_marker(
    claim: Claim, keywords: Keywords, *, layers: Sequence[int], deciding: int | None, heads: Heads | None = None
) -> list[Cell]:
    """Return the cells of a claim that a marker's coordinates leave, at the heads that it or else a run asks for."""
    own = "statistic" in keywords and "heads" in keywords  # of a claim that is made here: a run may choose of them
    named = None if own else heads_of_marker(claim.id, keywords)
    asked = (keywords["layer"],) if "layer" in keywords else tuple(layers)
    return [
        cell
        for cell in cells(claim, layers=asked, deciding=deciding, heads=heads if named is None else named)
        if keywords.get("group", cell.group) == cell.group and keywords.get("measure", cell.measure) == cell.measure
    ]
