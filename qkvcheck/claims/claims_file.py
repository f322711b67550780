"""Claims file: claims as TOML; an unknown key is refused, for a misspelt one would disarm the gate in silence."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qkvcheck.claims.claim import (
    DECLARED_KINDS,
    DEFAULT_LAYER,
    EXPLORATORY,
    MIN_DISTINCT,
    Claim,
    Direction,
    Kind,
    check_decided,
)
from qkvcheck.errors import ClaimError, nearest
from qkvcheck.groups import Capture, Comparison, StrEnum

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = "qkvcheck/claims/1"
TOP_KEYS = (
    "schema", "target", "layer", "layer_beside", "minimum_distinct_contexts", "words", "fresh", "citation", "own_keys",
    "claim",
)  # fmt: skip
AXES = ("dimensions", "contexts")


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
    min_distinct : int
        With fewer distinct contexts a claim is not judged.
    words : Words
        Word lists.
    fresh : Fresh
        Contexts that nobody picked.
    citations : tuple of Citation
        Where claims come from.
    """

    claims: Mapping[str, Claim]
    sha256: str
    layer: int = DEFAULT_LAYER
    layer_beside: int | None = None
    min_distinct: int = MIN_DISTINCT
    words: Words = field(default_factory=Words)
    fresh: Fresh = field(default_factory=Fresh)
    citations: tuple[Citation, ...] = ()

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers measured unless a run asks for others."""
        return tuple(sorted({self.layer, self.layer if self.layer_beside is None else self.layer_beside}))


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
    files = [_read(given) for given in (path, *more)]
    own_keys = {key for data, _ in files for key in data.get("own_keys", ())}
    claims: dict[str, Claim] = {}
    citations: list[Citation] = []
    for given, (data, sha256) in zip((path, *more), files, strict=True):
        where = f"claims file {str(given)!r}"
        _refuse_unknown(data, TOP_KEYS, where)
        for entry in data.get("claim", ()):
            claim = replace(_claim(entry, where, own_keys), order=len(claims), file_sha256=sha256)
            if claim.id in claims:
                raise ClaimError(f"{where}: claim {claim.id} is on file already; rename it.")
            claims[claim.id] = claim
        citations += [_table(Citation, entry, f"{where}, citation") for entry in data.get("citation", ())]
    for claim in claims.values():
        _refuse_unmet(claim.not_independent_of, claims, f"claim {claim.id}, not_independent_of")
    for citation in citations:
        _refuse_unmet(citation.claims, claims, "citation")
    first, where = files[0][0], f"claims file {str(path)!r}"
    return ClaimsFile(
        claims,
        files[0][1],
        layer=_whole(first.get("layer", DEFAULT_LAYER), f"{where}, layer"),
        layer_beside=None if "layer_beside" not in first else _whole(first["layer_beside"], f"{where}, layer_beside"),
        min_distinct=_whole(
            first.get("minimum_distinct_contexts", MIN_DISTINCT), f"{where}, minimum_distinct_contexts"
        ),
        words=_table(Words, first.get("words", {}), f"{where}, words"),
        fresh=_table(Fresh, first.get("fresh", {}), f"{where}, fresh"),
        citations=tuple(citations),
    )


def _read(path: str | Path) -> tuple[dict[str, Any], str]:
    try:
        raw = Path(path).read_bytes()
        data = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise ClaimError(f"claims file {str(path)!r} can't be read ({error.strerror}); check qkv_claims.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ClaimError(f"claims file {str(path)!r} is not TOML ({error}); correct it.") from None
    if data.get("schema") != SCHEMA:
        raise ClaimError(f"claims file {str(path)!r} has schema {data.get('schema')!r}; needed is {SCHEMA!r}.")
    return data, hashlib.sha256(raw).hexdigest()


def _refuse_unknown(given: Collection[str], known: Collection[str], where: str) -> None:
    unknown = next((key for key in given if key not in known), None)
    if unknown is not None:
        raise ClaimError(
            f"{where}: key {unknown!r} is not known.{nearest(unknown, known) or f' Allowed: {_listed(known)}.'}"
        )


def _refuse_unmet(named: Collection[str], claims: Mapping[str, Claim], where: str) -> None:
    unknown = next((name for name in named if name not in claims), None)
    if unknown is not None:
        raise ClaimError(f"{where}: claim {unknown!r} is not on file.{nearest(unknown, claims)}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)


# What a key's value has to be -----------------------------------------------------------------------


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise ClaimError(f"{where} is {value!r}; it has to be a text.")
    return value


def _whole(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ClaimError(f"{where} is {value!r}; it has to be a whole number from 0.")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise ClaimError(f"{where} is {value!r}; it has to be a number.")
    return float(value)


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(text, str) for text in value):
        raise ClaimError(f"{where} is {value!r}; it has to be a list of texts.")
    return tuple(value)


def _comparisons(value: object, where: str) -> tuple[Comparison, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in value):
        raise ClaimError(f'{where} is {value!r}; it has to be a list of pairs such as [["Q", "cosine"]].')
    return tuple(Comparison(*_texts(pair, where)) for pair in value)


def _of(names: type[StrEnum], allowed: Collection[StrEnum] | None = None) -> Callable[[object, str], StrEnum]:
    def member(value: object, where: str) -> StrEnum:
        among = list(names) if allowed is None else list(allowed)
        if value not in [str(name) for name in among]:
            text = str(value)
            raise ClaimError(f"{where} is {text!r}; it has to be one of {_listed(among)}.{nearest(text, among)}")
        return names(value)

    return member


def _one_of(*allowed: str) -> Callable[[object, str], str]:
    def one(value: object, where: str) -> str:
        if value not in allowed:
            raise ClaimError(f"{where} is {value!r}; it has to be one of {_listed(allowed)}.")
        return str(value)

    return one


CLAIM_KEYS: Mapping[str, Callable[[object, str], object]] = {
    "id": _text,
    "statement": _text,
    "source": _text,
    "statistic": _text,
    "direction": _of(Direction),
    "threshold": _number,
    "kind": _of(Kind, DECLARED_KINDS),
    "capture": _of(Capture),
    "axis": _one_of(*AXES),
    "groups": _texts,
    "measures": _texts,
    "primary": _comparisons,
    "controls": _texts,
    "margin": _number,
    "label": _one_of("", EXPLORATORY),
    "not_independent_of": _texts,
    "pole_share": _number,
    "equally_common_below": _number,
    "rate": _number,
    "budget": _whole,
    "seed": _whole,
    "corpus": _text,
    "tolerance": _number,
}
"""Each key of a claim, and what its value has to be."""
NEEDED = ("id", "statement", "statistic", "direction", "groups")


def _claim(entry: Mapping[str, Any], where: str, own_keys: Collection[str]) -> Claim:
    where = f"{where}, claim {entry.get('id')!r}"
    known = (*CLAIM_KEYS, *own_keys)
    if entry.get("direction") == Direction.EXACT:  # its test may have numbers of its own, but no misspelt ones
        known += tuple(key for key in entry if not nearest(key, CLAIM_KEYS))
    _refuse_unknown(entry, known, where)
    missing = next((name for name in NEEDED if name not in entry), None)
    if missing is not None:
        raise ClaimError(f"{where}: {missing} is missing; a claim needs {_listed(NEEDED)}.")
    fields: dict[str, Any] = {"threshold": None}
    fields |= {name: read(entry[name], f"{where}: {name}") for name, read in CLAIM_KEYS.items() if name in entry}
    own = {name: value for name, value in entry.items() if name not in CLAIM_KEYS}
    if (fields["threshold"] is None) != (fields["direction"] == Direction.EXACT):
        raise ClaimError(f"{where}: a threshold goes with every direction but 'exact'.")
    if fields["direction"] == Direction.EXACT:
        if "kind" in fields:
            raise ClaimError(f"{where}: an exact claim has no kind of its own; leave it out.")
        fields["kind"] = Kind.EXACT
    claim = Claim(**fields, own=own)
    check_decided(claim, where=where.partition(", claim")[0])
    return claim


def _table(made: type[Any], entry: object, where: str) -> Any:
    """Read a table of the file into a dataclass of texts' lists, texts and whole numbers."""
    if not isinstance(entry, Mapping):
        raise ClaimError(f"{where} is {entry!r}; it has to be a table.")
    readers = {"tuple[str, ...]": _texts, "str": _text, "int": _whole}
    types = {name: str(one.type) for name, one in made.__dataclass_fields__.items()}
    _refuse_unknown(entry, types, where)
    try:
        return made(**{name: readers[types[name]](value, f"{where}: {name}") for name, value in entry.items()})
    except TypeError:
        raise ClaimError(f"{where}: {_listed(types)} are needed.") from None
