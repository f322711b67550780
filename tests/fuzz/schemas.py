"""Documents made from our schemas: what a file may hold by its types, likely and unlikely values alike."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from hypothesis import strategies as st

from qkvcheck.claims.evidence import ContextMatrix, DimensionMatrix, Evidence, ProfilePoint, Scatter
from qkvcheck.claims.verdict import ControlResult, Verdict
from qkvcheck.groups import PAIR_GROUPS, PROJECTIONS
from qkvcheck.record.change import Change
from qkvcheck.record.run import Cited, ModelOrigin, RunCorpus, RunSettings, Seen
from qkvcheck.statistics.measurement import Distribution

from .damage import plain_data

WORDS = (
    "", "untrained", "different-words", "non-target", "stand-in", "also holds untrained", "exploratory", "row_mean",
    "variance", "offset_share", "made up", "<b>&\"'", "\u202e", "x" * 300, "a\nb", "\x1b[31m", "{one}", "$x^", "%s",
)  # fmt: skip
NUMBERS = (0, -0.0, 1, -1, 0.5, 1e-300, 1e300, -1e300, 1.7976931348623157e308, 54)


@cache
def texts() -> st.SearchStrategy[str]:
    return st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@cache
def numbers() -> st.SearchStrategy[float]:
    return st.sampled_from(NUMBERS) | st.floats(-1, 1) | st.floats(allow_nan=False, allow_infinity=False)


@cache
def plain_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of plain data of a type."""
    return _plain_of(kind, {})


def _plain_of(kind: Any, given: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Do the same; fields of a dataclass may be given."""
    if kind in _MADE:
        return _MADE[kind]()
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        parts = {one.name: given.get(one.name, ...) for one in fields(kind)}
        parts = {name: plain_of(hints[name]) if part is ... else part for name, part in parts.items()}
        needed = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING} | set(
            given
        )
        return st.fixed_dictionaries(
            {name: part for name, part in parts.items() if name in needed},
            optional={name: part for name, part in parts.items() if name not in needed},
        )
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([plain_of(one) for one in arguments])
    if kind is type(None):
        return st.none()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([str(one.value) for one in kind])
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(texts(), plain_of(arguments[1]), max_size=3)
    if origin is tuple and arguments[-1] is not ...:
        return st.tuples(*map(plain_of, arguments)).map(list)
    if origin is not None and issubclass(origin, Sequence):
        return st.lists(plain_of(arguments[0]), max_size=4)
    simple = {
        str: texts(), bool: st.booleans(), float: numbers(),
        int: st.integers(-1, 60) | st.integers(-(2**63), 2**63 - 1),
    }  # fmt: skip
    return simple[kind] if kind in simple else plain_data()


# What goes together, since files of which nothing does are refused at the edge and see nothing further ----------------


@st.composite
def _context_matrix(draw: st.DrawFn) -> dict[str, Any]:
    n = draw(st.integers(2, 5))
    size = n * (n - 1) // 2
    return {"n": n, "above": draw(st.lists(numbers(), min_size=size, max_size=size))}


@st.composite
def _dimension_matrix(draw: st.DrawFn) -> dict[str, Any]:
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    cells = draw(st.lists(numbers(), min_size=rows * columns, max_size=rows * columns))
    return {"rows": rows, "columns": columns, "cells": cells}


@st.composite
def _scatter(draw: st.DrawFn) -> dict[str, Any]:
    points = draw(st.lists(st.tuples(numbers(), numbers()), max_size=4))
    contexts = draw(st.lists(st.integers(0, 6), min_size=2, max_size=2))
    x, y = ([point[axis] for point in points] for axis in (0, 1))
    return {"contexts": contexts, "similarity": draw(numbers()), "x": x, "y": y}


@st.composite
def _point(draw: st.DrawFn) -> dict[str, Any]:
    hints = typing.get_type_hints(ProfilePoint)
    seeds = {name: draw(plain_of(hints[name])) for name in ("mean_square", "untrained", "untrained_mean_square")}
    found = {"layer": draw(st.integers(0, 12)), "n_distinct": draw(st.integers(0, 60)), **seeds}
    if draw(st.booleans()):
        return {**found, "estimate": None, "low": None, "high": None, "reason": draw(texts()) or "too few"}
    return {**found, **{name: draw(numbers()) for name in ("estimate", "low", "high")}}


def counts(bins: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 90) | st.just(2**62), min_size=bins, max_size=bins)


@st.composite
def evidence(draw: st.DrawFn) -> dict[str, Any]:
    """Draw evidence as the result file has it: the parts of the distribution beside the others."""
    hints = typing.get_type_hints(Evidence)
    bins = draw(st.sampled_from((1, 2, 5, 100)))
    found = {
        name: draw(plain_of(hint)) for name, hint in hints.items()
        if name not in ("distribution", "further", "histograms") and draw(st.booleans())
    }  # fmt: skip
    if draw(st.booleans()):
        found |= draw(plain_of(Distribution)) | {"histogram": draw(counts(bins))}
    if draw(st.booleans()):
        names = st.sampled_from(("untrained", "non-target", "different-words", "mine"))
        found["histograms"] = draw(st.dictionaries(names, counts(bins), max_size=3))
    if draw(st.booleans()):
        found["a note"] = draw(plain_data())
    return {name: value for name, value in found.items() if value is not None}


@cache
def _verdict() -> st.SearchStrategy[dict[str, Any]]:
    return _plain_of(
        Verdict,
        {
            "key": texts().filter(bool),
            "claim": st.sampled_from(("P3a", "P5", "B9")) | texts().filter(bool),
            "layer": st.integers(0, 12) | st.just(9999),
            "group": st.sampled_from((*PROJECTIONS, *PAIR_GROUPS)) | texts(),
            "measure": st.sampled_from(("cosine", "pearson")) | texts(),
            "controls": st.lists(plain_of(ControlResult), max_size=3),
            "qualifier": st.lists(texts(), max_size=2),
            "evidence": evidence(),
        },
    )


@st.composite
def verdict(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a verdict as the result file has it."""
    found = draw(_verdict())
    if found.get("direction") == "exact":
        found["threshold"] = None
    of_record = {"recorded": None, "change": None, "moved": None}
    if draw(st.booleans()):
        of_record = {"recorded": "REFUTED", "change": draw(texts()), "moved": draw(st.none() | plain_of(Change))}
    return {**found, **of_record}


@st.composite
def results(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a whole result file."""
    model = draw(plain_of(ModelOrigin))
    corpus = {**draw(plain_of(RunCorpus)), **draw(st.just({}) | plain_of(Seen))}
    corpus.pop("seen", None)
    found = draw(st.lists(verdict(), max_size=4))
    return {
        "schema": "qkvcheck/results/1",
        "model": {**model, "origin": draw(st.sampled_from(("model", "file")))},
        "corpus": corpus,
        "versions": draw(st.dictionaries(texts(), texts(), max_size=2)),
        "settings": draw(plain_of(RunSettings)),
        "citations": draw(st.lists(plain_of(Cited), max_size=2)),
        "verdicts": list({one["key"]: one for one in found}.values()),
    }


_MADE = {
    ContextMatrix: _context_matrix,
    DimensionMatrix: _dimension_matrix,
    Scatter: _scatter,
    ProfilePoint: _point,
    Evidence: evidence,
}
