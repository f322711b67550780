"""Claims: the frozen file, its cells, and claims that markers make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.claims.claim import Claim, Direction, Role, cells, check_decided
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.errors import ClaimError
from qkvcheck.groups import Comparison
from qkvcheck.plugin.markers import cells_of_marker, claim_of_marker
from qkvcheck.statistics.registry import statistics_by_name
from tests.conftest import ROOT

CLAIMS = [ROOT / "experiments" / name for name in ("claims.toml", "beyond.toml")]
"""The frozen file, and the one that declares this project's own keys."""
FROZEN = "c3e0be7d813ea0daf5e3f7e1ebd65421ff8097757d39452daa33f8e3d1008961"
CELLS = {
    "P1": 1, "P2": 6, "P3a": 12, "P3b": 6, "P3c": 6, "P4": 12, "P5": 6, "P5+": 6, "P6": 12, "P6n": 12, "P7": 6,
    "P8": 6, "P9": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def file():
    return load_claims(*CLAIMS)


@pytest.fixture(scope="module")
def frozen(file):
    """The claims of the frozen file."""
    return [claim for claim in file.claims.values() if claim.file_sha256 == FROZEN]


def test_claims_file_is_the_one_that_was_frozen(file):
    """The pre-registration: an edit must change this hash in the open, and label what it changes."""
    assert file.sha256 == FROZEN


def test_every_claim_has_its_cells(file, frozen):
    assert {claim.id: len(cells(claim, layers=[6])) for claim in frozen} == CELLS
    assert (file.layer, file.layers, file.min_distinct) == (6, (5, 6), 20)


def test_thresholds_are_those_of_the_paper(frozen):
    found = {claim.id: (claim.direction, claim.threshold) for claim in frozen}
    assert found == {
        "P1": ("exact", None), "P2": ("exact", None), "P9": ("exact", None),
        "P3a": ("above", 4 / 9), "P3b": ("above", 0.0), "P3c": ("above", 4 / 9), "P4": ("above", 0.6),
        "P5": ("above", 0.9), "P5+": ("above", 0.9), "P6": ("above", 0.0), "P6n": ("at_least", 0.05),
        "P7": ("at_least", 0.5), "P8": ("above", 4 / 9),
    }  # fmt: skip


def test_every_statistic_exists(file):
    for claim in file.claims.values():
        assert claim.direction == "exact" or claim.statistic in statistics_by_name()
        assert set(claim.primary) <= set(claim.comparisons)


def test_keys_are_unique_and_roles_as_defined(file, frozen):
    every = [cell for claim in frozen for cell in cells(claim, layers=[5, 6], deciding=6)]
    keys = [cell.key for cell in every]
    assert len(set(keys)) == len(keys) == 2 * sum(CELLS.values())
    role = {cell.key: cell.role for cell in every}
    assert role["P3a-L06-QQ"] == Role.DECIDES
    assert role["P3a-L05-QQ"] == Role.OTHER_LAYER
    assert role["P3a-L06-QQ-pearson"] == role["P3a-L05-KV"] == Role.FAMILY
    assert role["P5-L06-Q"] == role["P5-L06-K"] == Role.DECIDES
    assert role["P5-L06-Q-cosine"] == Role.FAMILY
    assert {c.role for c in cells(file.claims["P8"], layers=[3], deciding=6) if c.group == "QQ"} == {Role.DECIDES}


def test_bounds(file):
    assert not file.claims["P5"].meets(0.9)
    assert file.claims["P5"].meets(0.9001)
    assert file.claims["P7"].meets(0.5)
    with pytest.raises(ClaimError, match="P1 is exact"):
        file.claims["P1"].meets(1.0)


@pytest.mark.parametrize(
    ("direction", "below", "at", "above"),
    [("above", False, False, True), ("at_least", False, True, True), ("at_most", True, True, False)],
)
def test_each_direction_at_its_threshold(direction, below, at, above):
    """On the threshold itself, and one step of float64 beside it."""
    claim = Claim("mine", "m", "row_mean", Direction(direction), 0.3)
    values = [np.nextafter(0.3, -1), 0.3, np.nextafter(0.3, 1)]
    assert [claim.meets(value) for value in values] == [below, at, above]
    assert [claim.criterion.meets(value) for value in values] == [below, at, above]
    # An interval that ends on the threshold is on the side of the threshold itself.
    assert claim.side(0.3, 0.3) is at
    assert claim.side(0.1, 0.3) is (below if below is at else None)
    assert claim.side(0.3, 0.5) is (above if above is at else None)
    assert (claim.side(0.1, 0.2), claim.side(0.4, 0.5), claim.side(0.2, 0.4)) == (below, above, None)


def test_a_claim_that_no_cell_decides_is_told():
    claim = Claim("mine", "m", "row_mean", Direction.ABOVE, 0.3, groups=("Q", "K"), measures=("cosine", "pearson"))
    with pytest.raises(ClaimError) as caught:
        check_decided(claim, where="file.toml")
    assert str(caught.value) == (
        "file.toml: no cell decides claim mine; name one or more as primary, of: Q cosine, K cosine, Q pearson, "
        "K pearson."
    )
    with pytest.raises(ClaimError) as caught:
        check_decided(replace(claim, primary=(Comparison("Q", "cosin"),)), where="file.toml")
    assert str(caught.value) == (
        "file.toml: claim mine names 'Q cosin' as primary, which is none of its cells (Q cosine, K cosine, Q pearson, "
        "K pearson). Did you mean 'Q cosine'?"
    )
    with pytest.raises(ClaimError) as caught:
        check_decided(replace(claim, primary=(Comparison("V", "cosine"),)), where="file.toml")
    assert str(caught.value).endswith("K pearson). Name one of these, or add 'V' to groups.")
    with pytest.raises(ClaimError, match="as primary, of: none"):
        check_decided(replace(claim, groups=()), where="file.toml")
    check_decided(replace(claim, primary=(Comparison("K", "pearson"),)), where="file.toml")


def test_marker_makes_a_claim():
    keywords = {"id": "keys-stable", "layer": 6, "group": "K", "statistic": "row_cosine", "above": 0.9}
    claim = claim_of_marker(keywords, None)
    (cell,) = cells_of_marker(claim, keywords, layers=(5,), deciding=None)
    assert (cell.key, cell.role) == ("keys-stable-L06-K", Role.DECIDES)
    assert (claim.direction, claim.threshold, claim.axis) == ("above", 0.9, "contexts")


def test_marker_narrows_a_claim_on_file(file):
    keywords = {"id": "P3a", "layer": 4, "group": "QQ", "measure": "pearson"}
    (cell,) = cells_of_marker(claim_of_marker(keywords, file), keywords, layers=file.layers, deciding=6)
    assert cell.key == "P3a-L04-QQ-pearson"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"id": "P3a", "row": 1}, "can't have 'row'; allowed: id, layer"),
        ({"id": "P3a", "head": "last"}, "head 'last' must be a whole number from 0 to 1023, a list"),
        ({"id": "P3a", "head": 1, "heads": "all"}, "has head= and heads=; give one"),
        ({"id": "P1", "head": 1}, "claim P1 is exact: it has no heads"),
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
        (
            "schema = 'qkvcheck/claims/1'\n[[claim]]\nid = 'A'",
            "claim 'A': statement is missing; a claim needs id, statement",
        ),
        (
            "schema = 'qkvcheck/claims/1'\n[[claim]]\nstatement = 'A'",
            "claim number 1, without an id: id is missing",
        ),
        (
            "schema = 'qkvcheck/claims/1'\n[[claim]]\nid='A'\nstatement='s'\nstatistic='variance'\ngroups=['QQ']\n"
            "direction='up'",
            "direction is 'up'; it has to be one of above",
        ),
        (
            "schema = 'qkvcheck/claims/1'\n[[claim]]\nid='A'\nstatement='s'\nstatistic='variance'\ngroups=['QQ']\n"
            "direction='above'",
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
