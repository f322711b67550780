"""A page from results in which every text is hostile: its elements, attributes and file names are our own."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from enum import Enum
from typing import Any

import pytest

from qkvcheck.cli import main
from qkvcheck.errors import QkvcheckError
from qkvcheck.record.results import Results, load_results, results_document
from qkvcheck.report.figures.drawing import panels, short, svg_of
from qkvcheck.report.figures.picture import Figure
from qkvcheck.report.page import page
from tests.made_up import synthetic
from tests.report.test_page import Reader

pytestmark = pytest.mark.needs_time
POISON = (
    "\x1b]0;x\x07\"'><script>alert(1)</script></style></title></svg><img src=x onerror=alert(2)>"
    "${7*7}{{7*7}}\u202e../../x"
)
STRUCTURE = {"group", "measure", "axis", "statistic", "key"}
"""Texts by which a verdict finds its pictures; poisoned one by one."""


def poisoned(value: Any, names: set[str] | None, *, name: str = "", poison: str = POISON) -> Any:
    """Return a dataclass with every text of the fields named, all but the structure's if None, made hostile."""
    chosen = name in names if names is not None else name not in STRUCTURE
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return f"{value}{poison}" if chosen else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: poisoned(getattr(value, field.name), names, name=field.name, poison=poison)
            for field in dataclasses.fields(value)
            if field.init
        }
        return dataclasses.replace(value, **changed)
    if isinstance(value, dict):
        return {key: poisoned(one, names, name=name, poison=poison) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(poisoned(one, names, name=name, poison=poison) for one in value)
    return value


def hostile(text: str) -> list[str]:
    """Return what no page of ours has."""
    reader = Reader(text)
    count = Counter(reader.tags)
    found = [tag for tag in ("script", "img", "iframe", "object") if count[tag]]
    found += [key for key, _ in reader.attributes if key.startswith("on")]
    found += [tag for tag in ("style", "title") if count[tag] > 1 and not reader.text]
    found += [f"{ord(character):x}" for character in text if character in "\x1b\x07\u202e\x00"]
    addresses = [value or "" for key, value in reader.attributes if key in ("href", "src", "xlink:href")]
    return found + [address for address in addresses if not address.startswith(("#", "data:"))]


@pytest.fixture(scope="module")
def clean() -> Results:
    return synthetic(contexts=6)


@pytest.mark.parametrize("names", [None, *({name} for name in sorted(STRUCTURE))], ids=["texts", *sorted(STRUCTURE)])
def test_every_text_of_the_results_is_text(clean, names):
    results = poisoned(clean, names)
    assert results != clean
    text = page([results])
    assert hostile(text) == []
    assert hostile(page([results, clean])) == []
    assert names is not None or "alert(1)" in text


@pytest.mark.parametrize("field", ["layer", "order", "n", "estimate"])
def test_a_text_where_a_number_belongs_is_refused_or_harmless(clean, field, tmp_path):
    document = results_document(clean.run, clean.findings)
    for verdict in document["verdicts"]:
        verdict[field] = POISON
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    try:
        results = load_results(path)
    except QkvcheckError as error:
        refusal = str(error)
    else:
        assert hostile(page([results])) == []
        refusal = ""
    assert "\x1b" not in refusal


def test_a_hostile_name_names_nothing():
    """The name of a figure goes into its elements, its file and its links; it holds a layer of the results."""
    with panels(1, width=2, height=2) as (canvas, axes):
        axes[0].plot([0, 1], label=short(POISON))
        axes[0].legend()
        svg = svg_of(canvas, name=f"matrix-{POISON}", alt=POISON)
    figure = Figure(f"matrix-{POISON}", "title", "caption", "alt", svg, (), ())
    assert re.fullmatch(r"[A-Za-z0-9.-]+", figure.name)
    names = re.findall(r'\bid="([^"]*)"', svg)
    assert names
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)
    assert hostile(svg) == []


def test_no_control_character_reaches_a_terminal(clean, tmp_path, capsys):
    results = poisoned(clean, None)
    document = results_document(results.run, results.findings)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    key = results.findings[0].verdict.key
    assert main(["explain", key, str(path)]) == 0
    out = capsys.readouterr().out
    assert r"\x1b]0;x\x07" in out
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", out)
    assert main(["explain", f"none{POISON}", str(path)]) == 2
    error = capsys.readouterr().err
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", error)
    assert len(error) <= 520
    assert error.count("\n") == 1
