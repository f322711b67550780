"""Claims files: read or refused; of what is read the names are known or refused, and the rest can be judged."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from qkvcheck.claims.claim import BOUNDS, DECLARED_KINDS, Kind, cells
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.claims.judging import check_known, judge_sample
from qkvcheck.errors import QkvcheckError
from qkvcheck.groups import Capture
from qkvcheck.statistics import Sample
from tests.fuzz.damage import ODD, damaged, fuzz, reads_or_refuses
from tests.fuzz.schemas import numbers, texts

CLAIMS = """schema = "qkvcheck/claims/1"
target = " her"
layer = 6
layer_beside = 5
minimum_distinct_contexts = 20
own_keys = ["ours"]

[words]
pronouns = [" her", " him"]
others = [" people", " water"]

[fresh]
count = 59
seed = 0

[[citation]]
claims = ["P5"]
text = "a paper"

[[claim]]
id = "P5"
statement = "rows are alike"
source = "page 3"
statistic = "row_mean"
direction = "above"
threshold = 0.9
axis = "contexts"
groups = ["Q", "K"]
measures = ["cosine", "pearson"]
primary = [["Q", "cosine"]]
controls = ["untrained", "shuffled"]
margin = 0.05
not_independent_of = ["P1"]
kind = "interval"
capture = "target"
ours = 3

[[claim]]
id = "P1"
statement = "shapes are right"
statistic = "shapes"
direction = "exact"
groups = ["QKV"]
measures = ["exact"]
primary = [["QKV", "exact"]]
anything = [1, 2]
"""
ROWS = np.random.default_rng(0).normal(size=(12, 4)) + 1
SAMPLE = Sample((np.hstack([ROWS, ROWS, ROWS]),), {"Q": slice(0, 4), "K": slice(4, 8), "V": slice(8, 12)})


def judged(path) -> None:
    file = load_claims(path)
    assert len(file.layers) <= 2
    for claim in file.claims.values():
        found = cells(claim, layers=file.layers, deciding=file.layer)
        assert len({cell.key for cell in found}) == len(found)
        try:
            check_known(claim)
            if claim.kind == Kind.INTERVAL and claim.capture in (None, Capture.TARGET):
                judge_sample(claim, found[0], SAMPLE)
        except QkvcheckError:
            continue  # an error of that claim, in one line


def toml(value: Any) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{toml(str(key))} = {toml(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, str):
        escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
        return f'"{escaped}"'
    return repr(value)


def values() -> st.SearchStrategy[Any]:
    odd = [value for value in ODD if value is not None and not (isinstance(value, str) and not value.isascii())]
    plain = texts() | numbers() | st.integers() | st.booleans() | st.dates() | st.sampled_from(odd)
    known = st.sampled_from(("Q", "QK", "cosine", "untrained", "every_layer", "exact", "search", "at_most", "P5"))
    return plain | known | st.lists(plain | known, max_size=3) | st.dictionaries(texts(), plain, max_size=2)


@st.composite
def edited(draw: st.DrawFn) -> str:
    """Draw the file with one to three of its lines said otherwise, lost, doubled or added."""
    lines = CLAIMS.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        key = lines[place].partition(" = ")[0] if " = " in lines[place] else draw(st.sampled_from(("rate", "budget")))
        how = draw(st.sampled_from(("other", "other", "other", "lose", "double", "add")))
        if how == "other" and " = " in lines[place]:
            lines[place] = f"{key} = {toml(draw(values()))}"
        elif how == "lose":
            lines.pop(place)
        elif how == "double":
            lines.insert(place, lines[place])
        else:
            new = st.sampled_from(
                ("rate", "budget", "seed", "tolerance", "pole_share", "corpus", "label", "kind", "own")
            )
            lines.insert(place, f"{draw(new)} = {toml(draw(values()))}")
    return "\n".join(lines)


@st.composite
def drawn(draw: st.DrawFn) -> str:
    """Draw a claims file whose every value is of the right sort."""
    entries = ['schema = "qkvcheck/claims/1"']
    shares = st.just(0.05) | st.just(0.05) | numbers()
    groups, measures = (
        st.sampled_from(("Q", "K", "QQ", "QK", "KV", "QKV", "X", "")),
        st.sampled_from(("cosine", "pearson")),
    )
    for number in range(draw(st.integers(1, 3))):
        several = draw(st.lists(groups, min_size=1, max_size=2)), draw(st.lists(measures, min_size=1, max_size=2))
        said = {
            "id": draw(st.just(f"C{number}") | st.just(f"C{number}") | texts()),
            "statement": draw(st.just("rows are alike") | texts()),
            "statistic": draw(st.sampled_from(("row_mean", "variance", "row_cosine", "offset_share")) | texts()),
            "direction": draw(st.sampled_from([str(one) for one in BOUNDS])),
            "threshold": draw(numbers()),
            "groups": several[0],
            "measures": several[1],
            "primary": [[several[0][0], several[1][0]]],
            "axis": draw(st.sampled_from(("contexts", "dimensions"))),
            "kind": draw(st.sampled_from([str(one) for one in DECLARED_KINDS])),
            "controls": draw(st.lists(st.sampled_from(("untrained", "shuffled", "within-column")), max_size=2)),
            "margin": draw(shares),
            "rate": draw(shares),
            "pole_share": draw(shares),
        }  # fmt: skip
        lost = draw(st.sampled_from((*said, *(["none"] * len(said)))))
        entries += ["[[claim]]", *(f"{name} = {toml(value)}" for name, value in said.items() if name != lost)]
    return "\n".join(entries)


def test_the_whole_file_is_read(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text(CLAIMS)
    judged(path)
    assert list(load_claims(path).claims) == ["P5", "P1"]


@pytest.mark.filterwarnings("ignore")  # numpy's words on absurd numbers
@pytest.mark.parametrize("inputs", [damaged(CLAIMS.encode()), edited(), drawn()], ids=["bytes", "edited", "drawn"])
def test_claims_files(inputs, examples, tmp_path):
    path = tmp_path / "claims.toml"

    def check(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        reads_or_refuses(judged, path, name="claims files")

    fuzz(inputs, check, examples=examples)
