"""Claims: sentences about a model that can be wrong, the numbers that decide them, and where they are measured."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qkvcheck.errors import ClaimError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = "qkvcheck/claims/1"
DIRECTIONS = ("above", "at_least", "at_most", "exact")
MARGIN = 0.05
BOUNDS = ("above", "at_least", "at_most")
BESIDE_ANY = ("different-words", "untrained", "within-column")
MINIMUM_DISTINCT = 20
DECIDES, BESIDE, FAMILY = "decides", "beside", "family"
DEFAULT_LAYER = 6
MARKER_KEYWORDS = (
    "id", "layer", "group", "measure", "statistic", "above", "at_least", "at_most", "margin",
    "controls", "statement",
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """One sentence that can be wrong, with the number that decides it.

    Attributes
    ----------
    id : str
        Such as ``"P3a"``.
    statement, source : str
        The claim in words, and where the paper says so.
    statistic : str
        A name in `STATISTICS`, or of an exact check.
    direction : {"above", "at_least", "at_most", "exact"}
        How the estimate has to stand to `threshold`.
    threshold : float or None
        None for an exact claim.
    axis : {"dimensions", "contexts"}
        What is compared.
    groups, measures : tuple of str
        Its cells are all combinations.
    primary : tuple of (group, measure)
        The cells that decide; the others are shown.
    controls : tuple of str
        What is measured beside it.
    margin : float
        How far a control has to stay away for the claim to be specific against it, in units of the statistic.
    label : str
        ``"exploratory"`` for a claim that was made or edited after numbers had been seen.
    file_sha256 : str or None
        Hash of the claims file.
    settings : mapping
        Whatever else the claims file says of it.
    """

    id: str
    statement: str
    statistic: str
    direction: str
    threshold: float | None
    source: str = ""
    axis: str = "dimensions"
    groups: tuple[str, ...] = ()
    measures: tuple[str, ...] = ("cosine",)
    primary: tuple[tuple[str, str], ...] = ()
    controls: tuple[str, ...] = ()
    margin: float = MARGIN
    label: str = ""
    file_sha256: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One place where a claim is measured.

    Attributes
    ----------
    claim : str
        The claim's id.
    layer : int
        Zero-based.
    group, measure : str
        A pair group or block, and what is compared in it.
    role : {"decides", "beside", "family"}
        A primary cell at the claim's layer decides; the same cell at another layer stands beside it; the
        others are a family that is shown and can't flip the claim.
    key : str
        Such as ``P3a-L06-QQ``.
    """

    claim: str
    layer: int
    group: str
    measure: str
    role: str
    key: str


@dataclass(frozen=True)
class ClaimsFile:
    """A claims file: the claims by id, what they share, and the hash of the file."""

    claims: Mapping[str, Claim]
    settings: Mapping[str, Any]
    sha256: str

    @property
    def layer(self) -> int:
        """The layer that decides (zero-based)."""
        return int(self.settings.get("layer", DEFAULT_LAYER))

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers measured unless a run asks for others: the one that decides, and the one beside it."""
        return tuple(sorted({self.layer, int(self.settings.get("layer_beside", self.layer))}))

    @property
    def minimum_distinct(self) -> int:
        """With fewer distinct contexts a claim is not judged."""
        return int(self.settings.get("minimum_distinct_contexts", MINIMUM_DISTINCT))


def load_claims(path: str | Path, *more: str | Path) -> ClaimsFile:
    """Read a claims file, and further ones that add claims to it.

    Raises
    ------
    ClaimError
        If a file is missing or malformed, or a claim stands in two of them.
    """
    claims, settings, sha256 = _read(path)
    for other in more:
        for identity, claim in _read(other)[0].items():
            if identity in claims:
                raise ClaimError(f"claims file {str(other)!r}: claim {identity} is on file already; rename it.")
            claims[identity] = claim
    return ClaimsFile(claims, settings, sha256)


def _read(path: str | Path) -> tuple[dict[str, Claim], dict[str, Any], str]:
    try:
        raw = Path(path).read_bytes()
        data = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise ClaimError(f"claims file {str(path)!r} can't be read ({error.strerror}); check qkv_claims.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClaimError(f"claims file {str(path)!r} is not TOML ({error}); mend it.") from None
    if data.get("schema") != SCHEMA:
        raise ClaimError(f"claims file {str(path)!r} has schema {data.get('schema')!r}; needed is {SCHEMA!r}.")
    sha256 = hashlib.sha256(raw).hexdigest()
    claims = [_claim({**entry, "file_sha256": sha256}, path) for entry in data.pop("claim", [])]
    return {claim.id: claim for claim in claims}, data, sha256


def _claim(entry: dict[str, Any], path: str | Path) -> Claim:
    known = {name for name in Claim.__dataclass_fields__ if name != "settings"}
    fields = {name: value for name, value in entry.items() if name in known}
    try:
        for name in ("groups", "measures", "controls"):
            fields[name] = tuple(fields.get(name, Claim.__dataclass_fields__[name].default))
        fields["primary"] = tuple((group, measure) for group, measure in fields.get("primary", ()))
        fields.setdefault("threshold", None)
        rest = {name: value for name, value in entry.items() if name not in known}
        claim = Claim(**fields, settings=rest)
    except (TypeError, ValueError) as error:
        raise ClaimError(f"claims file {str(path)!r}, claim {entry.get('id')!r} is malformed ({error}).") from None
    if claim.direction not in DIRECTIONS:
        raise ClaimError(f"claim {claim.id}: direction {claim.direction!r} is not one of {', '.join(DIRECTIONS)}.")
    if (claim.threshold is None) != (claim.direction == "exact"):
        raise ClaimError(f"claim {claim.id}: a threshold goes with every direction but 'exact'.")
    return claim


def cell_key(claim: Claim, *, layer: int, group: str, measure: str) -> str:
    """Return a cell's name, such as ``P3a-L06-QQ``; the claim's first measure is not spelled out."""
    suffix = "" if measure == claim.measures[0] else f"-{measure}"
    return f"{claim.id}-L{layer:02d}-{group}{suffix}"


def cells(claim: Claim, *, layers: Sequence[int], deciding: int | None = None) -> list[Cell]:
    """Return every cell of a claim, in the order layers, measures, groups.

    Parameters
    ----------
    claim : Claim
        What is claimed.
    layers : sequence of int
        Zero-based layers to measure.
    deciding : int, optional
        The layer that decides; if it is not among `layers`, each of them does.
    """
    found = []
    for layer in layers:
        at_deciding_layer = deciding not in layers or layer == deciding
        for measure in claim.measures:
            for group in claim.groups:
                primary = DECIDES if at_deciding_layer else BESIDE
                role = primary if (group, measure) in claim.primary else FAMILY
                key = cell_key(claim, layer=layer, group=group, measure=measure)
                found.append(Cell(claim.id, layer, group, measure, role, key))
    return found


def claim_of_marker(keywords: Mapping[str, Any], file: ClaimsFile | None) -> Claim:
    """Return the claim that a marker names, or the one that it makes itself.

    Parameters
    ----------
    keywords : mapping
        Of ``@pytest.mark.claim``: `MARKER_KEYWORDS`.
    file : ClaimsFile or None
        Where a marker without a statistic finds its claim.

    Raises
    ------
    ClaimError
        If a keyword is unknown or missing, or the claim is not on file.
    """
    unknown = sorted(set(keywords) - set(MARKER_KEYWORDS))
    if unknown:
        raise ClaimError(f"the claim marker can't have {unknown[0]!r}; allowed: {', '.join(MARKER_KEYWORDS)}.")
    identity = keywords.get("id")
    if not isinstance(identity, str) or not identity:
        raise ClaimError(f'the claim marker has id {identity!r}; it must be a text such as id="P3a".')
    layer = keywords.get("layer")
    if layer is not None and (not isinstance(layer, int) or isinstance(layer, bool) or layer < 0):
        raise ClaimError(f"claim {identity}: layer {layer!r} must be a whole number from 0 (zero-based).")
    if "statistic" in keywords:
        return _claim_made_here(identity, keywords)
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
    return claim


def _claim_made_here(identity: str, keywords: Mapping[str, Any]) -> Claim:
    bounds = [name for name in BOUNDS if name in keywords]
    if len(bounds) != 1 or "group" not in keywords:
        raise ClaimError(
            f"claim {identity}: a marker with a statistic needs a group and one of above=, at_least= and at_most=; "
            f"given: {', '.join(sorted(keywords))}."
        )
    group, measure = keywords["group"], keywords.get("measure", "cosine")
    threshold = float(keywords[bounds[0]])
    sign = {"above": ">", "at_least": ">=", "at_most": "<="}[bounds[0]]
    return Claim(
        id=identity,
        statement=keywords.get("statement", f"{keywords['statistic']} of {group} ({measure}) {sign} {threshold:g}"),
        statistic=keywords["statistic"],
        direction=bounds[0],
        threshold=threshold,
        axis="dimensions" if len(group) == 2 else "contexts",
        groups=(group,),
        measures=(measure,),
        primary=((group, measure),),
        controls=tuple(keywords.get("controls", BESIDE_ANY)),
        margin=float(keywords.get("margin", MARGIN)),
    )


def cells_of_marker(
    claim: Claim, keywords: Mapping[str, Any], *, layers: Sequence[int], deciding: int | None
) -> list[Cell]:
    """Return the cells of a claim that a marker's coordinates leave."""
    asked = (keywords["layer"],) if "layer" in keywords else tuple(layers)
    return [
        cell
        for cell in cells(claim, layers=asked, deciding=deciding)
        if keywords.get("group", cell.group) == cell.group and keywords.get("measure", cell.measure) == cell.measure
    ]


def meets(claim: Claim, estimate: float) -> bool:
    """Tell whether a number clears the claim's threshold."""
    if claim.threshold is None:
        raise ClaimError(f"claim {claim.id} is exact: it has conditions, not a threshold.")
    if claim.direction == "at_most":
        return estimate <= claim.threshold
    return estimate > claim.threshold if claim.direction == "above" else estimate >= claim.threshold


def stands(claim: Claim, low: float, high: float) -> bool | None:
    """Tell whether a whole interval clears the claim's threshold (true), misses it (false), or neither (None)."""
    ends = {meets(claim, low), meets(claim, high)}
    return ends.pop() if len(ends) == 1 else None
