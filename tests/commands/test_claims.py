"""``qkvcheck claims``: which claims there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomllib

from qkvcheck.claims import CLAIM_KEYS, NEEDED
from qkvcheck.cli import main
from qkvcheck.commands import claims
from qkvcheck.groups import Capture
from qkvcheck.statistics import statistics_by_name
from tests.conftest import ROOT

pytestmark = pytest.mark.quick
OWN = """
schema = "qkvcheck/claims/1"

[[claim]]
id = "keys-alike"
statement = "keys are alike"
source = "a talk"
statistic = "row_mean"
direction = "above"
threshold = 0.123456
axis = "contexts"
groups = ["K", "Q"]
measures = ["cosine"]
primary = [["K", "cosine"]]
controls = ["untrained"]
"""


@pytest.fixture
def own(tmp_path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(OWN)
    return path


def test_every_claim_of_the_files_is_listed(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["claims"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    listed = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert listed == [
        claim["id"]
        for name in ("claims", "beyond")
        for claim in tomllib.loads((ROOT / f"experiments/{name}.toml").read_text("utf-8"))["claim"]
    ]


def test_one_claim_tells_where_it_comes_from(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["claims", "P5"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "measured: row_mean > 0.9" in text
    assert "decided by: Q pearson, K pearson" in text
    assert "whose: paper: the paper says it in these terms" in text
    assert "from: Section 3: points of the scatter plot" in text
    assert "held against: non-target, untrained, shuffled" in text
    assert "P3b" not in text.split()


def test_a_file_of_ones_own_and_json(capsys, own):
    assert main(["claims", "--claims", str(own)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "keys-alike keys are alike",
        "        row_mean > 0.1235; decided by K cosine",
    ]
    assert main(["claims", "keys-alike", "keys-alike", "--claims", str(own), "--json"]) == 0
    (claim,) = json.loads(capsys.readouterr().out)
    assert claim == {
        "id": "keys-alike", "statement": "keys are alike", "statistic": "row_mean", "direction": "above",
        "threshold": 0.123456, "decided_by": [["K", "cosine"]], "tag": None, "tag_reason": "", "label": "",
        "sources": ["a talk"], "controls": ["untrained"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["keys-alik"], "claim 'keys-alik' is not on file; there: keys-alike. Did you mean 'keys-alike'?"),
        (["--claims", "nowhere.toml"], "nowhere.toml"),
        ([], "there is no claims file here, nor in ./experiments; name one with --claims."),
    ],
)
def test_mistakes_are_one_line(arguments, told, own, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = ["--claims", str(own)] if arguments and "--claims" not in arguments else []
    assert main(["claims", *arguments, *given]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_statistics_can_be_read_before_anything_is_measured(capsys):
    assert main(["claims", "--statistics"]) == 0
    text = capsys.readouterr().out
    for name, statistic in statistics_by_name().items():
        assert f"{name}\n" in text
        assert statistic.reading.split()[0] in text
    assert main(["claims", "--statistics", "least_row_mean", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["measured_on"] == "contexts that qkvcheck draws, beside yours"
    assert one["says"] == "the least mean similarity of a fresh context to the corpus"
    assert main(["claims", "--statistics", "row_man"]) == 2
    assert "Did you mean 'row_mean'?" in capsys.readouterr().err


def test_keys_of_a_claim_are_listed_with_what_they_say(capsys):
    assert main(["claims", "--keys", "--json"]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert tuple(told) == CLAIM_KEYS
    assert all(one["says"].endswith(".") for one in told.values())
    assert {name for name, one in told.items() if one["needed"]} == {*NEEDED, "primary"}
    assert told["label"]["allowed"] == ["", "exploratory"]
    assert told["groups"]["allowed"] == ["Q", "K", "V", "QQ", "KK", "VV", "QK", "QV", "KV"]
    assert told["threshold"]["says"] == "The bound, fixed before anybody looks; None for an exact claim."
    assert main(["claims", "--keys", "axis"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "axis"
    assert main(["claims", "--keys", "axes"]) == 2
    assert "Did you mean 'axis'?" in capsys.readouterr().err


def test_every_capture_is_said_in_words():
    assert set(claims._ON) == {one.value for one in Capture}


def test_a_project_of_ones_own_has_its_claims_beside_it(own, capsys, monkeypatch):
    (own.parent / "claims.toml").write_text(own.read_text("utf-8"), encoding="utf-8")
    monkeypatch.chdir(own.parent)
    assert main(["claims"]) == 0
    assert capsys.readouterr().out.startswith("keys-alike keys are alike")
