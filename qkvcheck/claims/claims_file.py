"""Claims file: claims as TOML; an unknown key is refused, for a misspelt one would disarm the gate in silence."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from qkvcheck.claims.claim import (
    DECLARED_KINDS,
    DEFAULT_LAYER,
    EXPLORATORY,
    LAYERS,
    MIN_DISTINCT,
    Claim,
    Direction,
    Kind,
    Tag,
    check_decided,
)
from qkvcheck.errors import ClaimError, DocumentError, UnreadableError, nearest, shown
from qkvcheck.files import is_there
from qkvcheck.groups import HEADS_FORM, PAIR_GROUPS, PROJECTIONS, axis_of, heads_of, layer_at
from qkvcheck.inputs import from_document, read_toml, reading

Made = TypeVar("Made")
SCHEMA = "qkvcheck/claims/1"
AXES = ("dimensions", "contexts")
LONGEST_ID = 80
"""Characters of a claim's id: it stands in the names of tests, cells and links."""
MOST = 1_000_000
"""Most that counts may be: of contexts, and of examples of a search."""


@dataclass(frozen=True)
class Words:
    """Word lists of a claims file: what each context is continued with."""

    pronouns: tuple[str, ...] = (" her", " him", " me", " you", " us", " them", " it")
    others: tuple[str, ...] = (" people", " water")

    def lists(self) -> dict[str, tuple[str, ...]]:
        """Return the lists by name."""
        return {"pronouns": self.pronouns, "others": self.others}


@dataclass(frozen=True)
class Fresh:
    """How many contexts are drawn that nobody picked, and from which seed."""

    count: int = 59
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST or self.seed < 0:
            raise ValueError(f"count has to be from 1 to {MOST}, and seed from 0")


@dataclass(frozen=True)
class Citation:
    """Where some claims come from, for the report.

    Attributes
    ----------
    claims : tuple of str
        Their ids.
    text : str
        In words.
    """

    claims: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Tagged:
    """Whose some claims are.

    Attributes
    ----------
    tag : Tag
        Of all of them.
    claims : tuple of str
        Their ids.
    why : str
        In words.
    """

    tag: Tag
    claims: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True)
class Compared:
    """How checkpoints are compared: by statistic, how far an estimate may move."""

    margins: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = next((name for name, margin in self.margins.items() if not margin >= 0), None)
        if wrong is not None:
            raise ValueError(f"margins.{wrong} is {self.margins[wrong]}; it has to be a number from 0")


@dataclass(frozen=True)
class ClaimsFile:
    """One or more claims files: the claims by id, what they share, and the hash of the first file.

    Attributes
    ----------
    claims : mapping of str to Claim
        In the order of the files.
    sha256 : str
        Of the first file.
    layer : int
        The layer that decides (zero-based).
    layer_beside : int or None
        Another that is measured with it.
    of_layers : int or None
        Of how many layers the model is that these two are named for: in a model of another depth the layer at the same
        share of the depth decides. None where they are taken as they are.
    min_distinct : int
        With fewer distinct contexts a claim is not judged.
    words : Words
        Word lists.
    fresh : Fresh
        Contexts that nobody picked.
    citations : tuple of Citation
        Where claims come from.
    margins : mapping of str to float
        By statistic: how far an estimate may stand from that of another checkpoint (``--qkv-compare``).
    """

    claims: Mapping[str, Claim]
    sha256: str
    layer: int = DEFAULT_LAYER
    layer_beside: int | None = None
    of_layers: int | None = None
    min_distinct: int = MIN_DISTINCT
    words: Words = field(default_factory=Words)
    fresh: Fresh = field(default_factory=Fresh)
    citations: tuple[Citation, ...] = ()
    margins: Mapping[str, float] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers measured unless a run asks for others."""
        return tuple(sorted({self.layer, self.layer if self.layer_beside is None else self.layer_beside}))

    def at_depth(self, depth: int | None) -> ClaimsFile:
        """Return the same for a model of so many layers; where that is not known, as it stands.

        In a model of another depth than `of_layers` the layer at the same share of it decides, and the one that is
        named on file is measured too, if there is one.

        Examples
        --------
        >>> file = ClaimsFile({}, "", layer=6, layer_beside=5, of_layers=12)
        >>> file.at_depth(12).layers, file.at_depth(30).layers, file.at_depth(30).layer
        ((5, 6), (6, 15), 15)
        """
        if depth is None or self.of_layers in (None, depth):
            return self
        deciding = layer_at(self.layer / (self.of_layers or 1), depth)
        return replace(self, layer=deciding, layer_beside=self.layer if self.layer < depth else None, of_layers=depth)


def load_claims(path: str | Path, *more: str | Path) -> ClaimsFile:
    """Read a claims file, and further ones that add claims and citations to it.

    Raises
    ------
    ClaimError
        If a file is missing or malformed, holds an unknown key or a claim that no cell decides, or a claim stands
        twice.

    Examples
    --------
    >>> import tempfile
    >>> text = '''schema = "qkvcheck/claims/1"
    ... [[claim]]
    ... id = "alike"
    ... statement = "the rows are alike"
    ... statistic = "row_mean"
    ... direction = "above"
    ... threshold = 0.9
    ... axis = "contexts"
    ... groups = ["Q"]
    ... primary = [["Q", "cosine"]]
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "claims.toml"
    ...     _ = path.write_text(text, encoding="utf-8")
    ...     load_claims(path).claims["alike"].threshold
    0.9
    """
    files = [(_where(given), *_read(given)) for given in (path, *more)]
    tops = [_top(data, where) for where, data, _ in files]
    own_keys = {key for top in tops for key in top.own_keys}
    claims: dict[str, Claim] = {}
    citations: list[Citation] = []
    for (where, _, sha256), top in zip(files, tops, strict=True):
        for number, entry in enumerate(top.claim, start=1):
            claim = replace(_claim(entry, where, own_keys, number=number), order=len(claims), file_sha256=sha256)
            if claim.id in claims:
                raise ClaimError(f"{where}: claim {claim.id} is on file already; rename it.")
            claims[claim.id] = claim
        citations += [_table(Citation, entry, f"{where}, citation") for entry in top.citation]
    for claim in claims.values():
        _refuse_unmet(claim.not_independent_of, claims, f"{_where(path)}, claim {claim.id}, not_independent_of")
    for citation in citations:
        _refuse_unmet(citation.claims, claims, f"{_where(path)}, citation")
    for (where, _, _), top in zip(files, tops, strict=True):
        for entry in top.tagged:
            _tag(claims, _table(Tagged, entry, f"{where}, tagged"), f"{where}, tagged")
    where, first = files[0][0], tops[0]
    return ClaimsFile(
        claims,
        files[0][2],
        layer=first.layer,
        layer_beside=first.layer_beside,
        of_layers=next((top.of_layers for top in tops if top.of_layers is not None), None),
        min_distinct=first.minimum_distinct_contexts,
        words=_table(Words, first.words, f"{where}, words"),
        fresh=_table(Fresh, first.fresh, f"{where}, fresh"),
        citations=tuple(citations),
        margins=_margins({where: top.compare for (where, _, _), top in zip(files, tops, strict=True)}),
    )


@dataclass(frozen=True)
class _Top:
    """What a claims file says at its top; its tables are read one by one."""

    schema: str
    target: str | int = ""
    layer: int = DEFAULT_LAYER
    layer_beside: int | None = None
    of_layers: int | None = None
    minimum_distinct_contexts: int = MIN_DISTINCT
    words: Mapping[str, Any] = field(default_factory=dict)
    fresh: Mapping[str, Any] = field(default_factory=dict)
    compare: Mapping[str, Any] = field(default_factory=dict)
    citation: Sequence[Mapping[str, Any]] = ()
    tagged: Sequence[Mapping[str, Any]] = ()
    own_keys: Sequence[str] = ()
    claim: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        for name, value in (("layer", self.layer), ("layer_beside", self.layer_beside or 0)):
            if not 0 <= value < LAYERS:
                raise ValueError(f"{name} is {value}; it has to be a whole number from 0 to {LAYERS - 1}")
        if self.of_layers is not None and not self.layer < self.of_layers <= LAYERS:
            raise ValueError(f"of_layers is {self.of_layers}; it has to be above layer, and at most {LAYERS}")
        if not 0 <= self.minimum_distinct_contexts <= MOST:
            raise ValueError(f"minimum_distinct_contexts has to be a whole number from 0 to {MOST}")


def _tag(claims: dict[str, Claim], tagged: Tagged, where: str) -> None:
    """Give claims their tag; one that has a tag already keeps it, and another is refused.

    A frozen file stays as it is, so that a tag can stand in another file than its claim.
    """
    _refuse_unmet(tagged.claims, claims, where)
    for name in tagged.claims:
        before = claims[name].tag
        if before is not None:
            raise ClaimError(f"{where}: claim {name} has the tag {before} already; leave one of the two out.")
        claims[name] = replace(claims[name], tag=tagged.tag, tag_reason=tagged.why)


def _margins(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the margins of all files; a frozen file stays as it is, so that they can stand in another."""
    found: dict[str, float] = {}
    for where, entry in tables.items():
        for name, margin in _table(Compared, entry, f"{where}, compare").margins.items():
            if name in found:
                raise ClaimError(f"{where}, compare.margins: {name} has a margin already; leave one of the two out.")
            found[name] = float(margin)
    return found


def _top(data: Mapping[str, Any], where: str) -> _Top:
    _refuse_unknown(data, [one.name for one in fields(_Top)], where)
    try:
        return from_document(_Top, data)
    except DocumentError as error:
        raise ClaimError(_sentence(f"{where}: {error}")) from None


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _where(path: str | Path) -> str:
    return f"claims file {shown(str(path), most=160)}"


def _read(path: str | Path) -> tuple[dict[str, Any], str]:
    advice = "correct it" if is_there(path) else "check qkv_claims"
    with reading("claims file", path, advice=advice):
        data, raw = read_toml(path)
        if data.get("schema") != SCHEMA:
            raise UnreadableError(f"has schema {shown(data.get('schema'))}; needed is {SCHEMA!r}")
    return data, hashlib.sha256(raw).hexdigest()


_ELSEWHERE = dict.fromkeys(
    ("layer", "layers"),
    " A claim's layer is named by its test, @pytest.mark.claim(id=..., layer=3), else by layer above all claims, or by "
    "--qkv-layers.",
)
"""Where something belongs that is looked for among a claim's keys."""


def _refuse_unknown(given: Collection[str], known: Collection[str], where: str) -> None:
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        hint = _ELSEWHERE.get(unknown) or nearest(unknown, known) or f" Allowed: {_listed(known)}."
        raise ClaimError(f"{where}: key {unknown!r} is not known.{hint}")


def _refuse_unmet(named: Collection[str], claims: Mapping[str, Claim], where: str) -> None:
    unknown = next((name for name in named if name not in claims), None)
    if unknown is not None:
        raise ClaimError(f"{where}: claim {unknown!r} is not on file.{nearest(unknown, claims)}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)


# What keys may say -----------------------------------------------------------------------------------


CLAIM_KEYS = tuple(one.name for one in fields(Claim) if one.name not in ("order", "file_sha256", "own"))
"""Each key of a claim; what its value has to be says `Claim`."""
NEEDED = ("id", "statement", "statistic", "direction", "groups")


def _claim(entry: Mapping[str, Any], where: str, own_keys: Collection[str], *, number: int) -> Claim:
    where = (
        f"{where}, claim {shown(entry['id'])}" if "id" in entry else f"{where}, claim number {number}, without an id"
    )
    known = (*CLAIM_KEYS, *own_keys)
    if entry.get("direction") == Direction.EXACT:  # its test may have numbers of its own, but no misspelt ones
        known += tuple(key for key in entry if not nearest(key, CLAIM_KEYS))
    _refuse_unknown(entry, known, where)
    missing = next((name for name in NEEDED if name not in entry), None)
    if missing is not None:
        raise ClaimError(f"{where}: {missing} is missing; a claim needs {_listed(NEEDED)}.")
    exact = entry["direction"] == Direction.EXACT
    if exact and "kind" in entry:
        raise ClaimError(f"{where}: an exact claim has no kind of its own; leave it out.")
    given: dict[str, Any] = {"threshold": None, **({"kind": Kind.EXACT} if exact else {})}
    given |= {name: entry[name] for name in CLAIM_KEYS if name in entry}
    if "heads" in entry:
        if exact:
            raise ClaimError(f"{where}: an exact claim has no heads; leave them out.")
        given["heads"] = heads_of(entry["heads"])
        if given["heads"] is None:
            raise ClaimError(f"{where}: heads is {shown(entry['heads'])}; it has to be {HEADS_FORM}.")
    try:
        claim = from_document(Claim, given)
        claim = claim if "axis" in entry else replace(claim, axis=axis_of(claim.groups))
        _check_values(claim, entry)
    except DocumentError as error:
        raise ClaimError(_sentence(f"{where}: {error}")) from None
    claim = replace(claim, own={name: value for name, value in entry.items() if name not in CLAIM_KEYS})
    if (claim.threshold is None) != exact:
        raise ClaimError(f"{where}: a threshold goes with every direction but 'exact'.")
    check_decided(claim, where=where.partition(", claim")[0])
    return claim


def _check_values(claim: Claim, given: Collection[str]) -> None:
    """Raise `DocumentError` where a value of the right type makes no sense."""
    rules = [
        ("id", 0 < len(claim.id.strip()) <= LONGEST_ID and claim.id.isprintable(), f"a text of up to {LONGEST_ID} "
         "printable characters"),
        ("statement", bool(claim.statement.strip()), "a sentence"),
        ("kind", "kind" not in given or claim.kind in DECLARED_KINDS, f"one of {_listed(DECLARED_KINDS)}"),
        ("axis", claim.axis in AXES, f"one of {_listed(AXES)}"),
        ("groups", claim.kind == Kind.EXACT or set(claim.groups) <= {*PROJECTIONS, *PAIR_GROUPS},
         f"of {_listed((*PROJECTIONS, *PAIR_GROUPS))}"),
        ("label", claim.label in ("", EXPLORATORY), f"one of '', {EXPLORATORY}"),
        ("margin", claim.margin >= 0, "a number from 0"),
        ("pole_share", claim.pole_share is None or 0 <= claim.pole_share <= 1, "a share from 0 to 1"),
        ("rate", 0 < claim.rate < 1, "a share between 0 and 1"),
        ("budget", 1 <= claim.budget <= MOST, f"a whole number from 1 to {MOST}"),
        ("seed", claim.seed >= 0, "a whole number from 0"),
        ("tolerance", claim.tolerance is None or claim.tolerance >= 0, "a number from 0"),
        *((name, _each_once(getattr(claim, name)), "a list of printable texts, each once, none of them empty")
          for name in ("groups", "measures", "controls")),
    ]  # fmt: skip
    for name, holds, rule in rules:
        if not holds:
            raise DocumentError(f"{name} is {shown(getattr(claim, name))}; it has to be {rule}")


def _each_once(names: Collection[str]) -> bool:
    return len(set(names)) == len(names) and all(name and name.isprintable() for name in names)


def _table(made: type[Made], entry: object, where: str) -> Made:
    """Read a table of the file into a dataclass; it may have no other keys."""
    if not isinstance(entry, Mapping):
        raise ClaimError(f"{where} is {shown(entry)}; it has to be a table.")
    names = [one.name for one in fields(made)]  # type: ignore[arg-type] # a dataclass
    _refuse_unknown(entry, names, where)
    try:
        return from_document(made, entry)
    except DocumentError as error:
        raise ClaimError(f"{where}: {error}; it takes {_listed(names)}.") from None
