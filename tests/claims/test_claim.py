"""Claims: the frozen file, its cells, and claims that markers make."""

from __future__ import annotations

import pytest

from qkvcheck.claims.claim import BESIDE, DECIDES, FAMILY, cells, cells_of_marker, claim_of_marker, load_claims, meets
from qkvcheck.errors import ClaimError
from qkvcheck.statistics.sample import STATISTICS
from tests.conftest import ROOT

CLAIMS = ROOT / "experiments" / "claims.toml"
FROZEN = "c3e0be7d813ea0daf5e3f7e1ebd65421ff8097757d39452daa33f8e3d1008961"
CELLS = {
    "P1": 1, "P2": 6, "P3a": 12, "P3b": 6, "P3c": 6, "P4": 12, "P5": 6, "P5+": 6, "P6": 12, "P6n": 12, "P7": 6,
    "P8": 6, "P9": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def file():
    return load_claims(CLAIMS)


def test_claims_file_is_the_one_that_was_frozen(file):
    """The pre-registration: an edit must change this hash in the open, and label what it changes."""
    assert file.sha256 == FROZEN


def test_every_claim_has_its_cells(file):
    assert {claim.id: len(cells(claim, layers=[6])) for claim in file.claims.values()} == CELLS
    assert (file.layer, file.layers, file.minimum_distinct) == (6, (5, 6), 20)


def test_thresholds_are_those_of_the_paper(file):
    found = {claim.id: (claim.direction, claim.threshold) for claim in file.claims.values()}
    assert found == {
        "P1": ("exact", None), "P2": ("exact", None), "P9": ("exact", None),
        "P3a": ("above", 4 / 9), "P3b": ("above", 0.0), "P3c": ("above", 4 / 9), "P4": ("above", 0.6),
        "P5": ("above", 0.9), "P5+": ("above", 0.9), "P6": ("above", 0.0), "P6n": ("at_least", 0.05),
        "P7": ("at_least", 0.5), "P8": ("above", 4 / 9),
    }  # fmt: skip


def test_every_statistic_exists(file):
    for claim in file.claims.values():
        assert claim.direction == "exact" or claim.statistic in STATISTICS
        assert set(claim.primary) <= {(g, m) for g in claim.groups for m in claim.measures}


def test_keys_are_unique_and_roles_as_defined(file):
    every = [cell for claim in file.claims.values() for cell in cells(claim, layers=[5, 6], deciding=6)]
    keys = [cell.key for cell in every]
    assert len(set(keys)) == len(keys) == 2 * sum(CELLS.values())
    role = {cell.key: cell.role for cell in every}
    assert role["P3a-L06-QQ"] == DECIDES
    assert role["P3a-L05-QQ"] == BESIDE
    assert role["P3a-L06-QQ-pearson"] == role["P3a-L05-KV"] == FAMILY
    assert role["P5-L06-Q"] == role["P5-L06-K"] == DECIDES
    assert role["P5-L06-Q-cosine"] == FAMILY
    assert {c.role for c in cells(file.claims["P8"], layers=[3], deciding=6) if c.group == "QQ"} == {DECIDES}


def test_bounds(file):
    assert not meets(file.claims["P5"], 0.9)
    assert meets(file.claims["P5"], 0.9001)
    assert meets(file.claims["P7"], 0.5)
    with pytest.raises(ClaimError, match="P1 is exact"):
        meets(file.claims["P1"], 1.0)


def test_marker_makes_a_claim():
    keywords = {"id": "keys-stable", "layer": 6, "group": "K", "statistic": "row_cosine", "above": 0.9}
    claim = claim_of_marker(keywords, None)
    (cell,) = cells_of_marker(claim, keywords, layers=(5,), deciding=None)
    assert (cell.key, cell.role) == ("keys-stable-L06-K", DECIDES)
    assert (claim.direction, claim.threshold, claim.axis) == ("above", 0.9, "contexts")


def test_marker_narrows_a_claim_on_file(file):
    keywords = {"id": "P3a", "layer": 4, "group": "QQ", "measure": "pearson"}
    (cell,) = cells_of_marker(claim_of_marker(keywords, file), keywords, layers=file.layers, deciding=6)
    assert cell.key == "P3a-L04-QQ-pearson"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"id": "P3a", "head": 1}, "can't have 'head'; allowed: id, layer"),
        ({}, "has id None"),
        ({"id": "P3z"}, r"'P3z' is not on file \(there: P1, P2"),
        ({"id": "P3a", "group": "Q"}, "group 'Q' is not one of QQ, KK"),
        ({"id": "P3a", "measure": "dot"}, "measure 'dot' is not one of"),
        ({"id": "P3a", "layer": "6"}, "layer '6' must be a whole number"),
        ({"id": "x", "statistic": "variance", "group": "QQ"}, "one of above=, at_least= and at_most="),
        ({"id": "x", "statistic": "variance", "above": 1}, "needs a group"),
    ],
)
def test_marker_that_makes_no_sense(file, keywords, message):
    with pytest.raises(ClaimError, match=message):
        claim_of_marker(keywords, file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "is not TOML"),
        ("schema = 'other'", "has schema 'other'; needed is"),
        ("schema = 'qkvcheck/claims/1'\n[[claim]]\nid = 'A'", "claim 'A' is malformed"),
        (
            "schema = 'qkvcheck/claims/1'\n[[claim]]\nid='A'\nstatement='s'\nstatistic='variance'\ndirection='up'",
            "direction 'up' is not one of above",
        ),
        (
            "schema = 'qkvcheck/claims/1'\n[[claim]]\nid='A'\nstatement='s'\nstatistic='variance'\ndirection='above'",
            "a threshold goes with",
        ),
    ],
)
def test_claims_file_that_makes_no_sense(tmp_path, text, message):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    with pytest.raises(ClaimError, match=message):
        load_claims(path)


def test_claims_file_that_is_not_there(tmp_path):
    with pytest.raises(ClaimError, match="can't be read"):
        load_claims(tmp_path / "none.toml")
