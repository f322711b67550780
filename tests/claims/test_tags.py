"""Tags: whose each claim is, as data, and what of it a verdict carries."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qkvcheck.claims import Tag, cells, judge_sample, load_claims, verdict_from_dict
from qkvcheck.claims.claims_file import ClaimsFile
from qkvcheck.errors import ClaimError
from qkvcheck.statistics import Sample
from tests.claims.test_claim import CLAIMS
from tests.conftest import ROOT

pytestmark = pytest.mark.quick
OURS = {
    "P1": "measurement", "P2": "measurement", "P3a": "reading", "P3b": "reading", "P3c": "reading", "P4": "reading",
    "P5": "paper", "P5+": "extension", "P6": "reading", "P6n": "extension", "P7": "reading", "P8": "reading",
    "P9": "extension",
}  # fmt: skip
CLAIM = """
[[claim]]
id = "alike"
statement = "the rows are alike"
statistic = "row_mean"
direction = "above"
threshold = 0.9
axis = "contexts"
groups = ["Q"]
primary = [["Q", "cosine"]]
"""


def loaded(folder: Path, text: str) -> ClaimsFile:
    path = folder / "claims.toml"
    path.write_text(f'schema = "qkvcheck/claims/1"\n{text}', encoding="utf-8")
    return load_claims(path)


def test_every_claim_of_ours_has_a_tag_and_says_why():
    file = load_claims(*CLAIMS)
    assert {name: str(claim.tag) for name, claim in file.claims.items() if name in OURS} == OURS
    assert [name for name, claim in file.claims.items() if claim.tag is None or not claim.tag_reason] == []


def test_the_frozen_file_is_tagged_from_outside():
    assert all(claim.tag is None for claim in load_claims(CLAIMS[0]).claims.values())
    assert "tag" not in CLAIMS[0].read_text("utf-8").replace("stage", "")


def test_a_claim_may_say_its_tag_itself(tmp_path):
    (claim,) = loaded(tmp_path, f'{CLAIM}tag = "reading"\ntag_reason = "ours"\n').claims.values()
    assert (claim.tag, claim.tag_reason) == (Tag.READING, "ours")
    assert [claim.tag for claim in loaded(tmp_path, CLAIM).claims.values()] == [None]
    text = f'{CLAIM}[[tagged]]\ntag = "paper"\nclaims = ["alike"]\n'
    assert [claim.tag for claim in loaded(tmp_path, text).claims.values()] == [Tag.PAPER]


TAGGED = '[[tagged]]\ntag = "paper"\nclaims = ["alike"]\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'{CLAIM}tag = "papers"\n', "claim 'alike': tag is 'papers'; it has to be one of paper, reading, extension,"),
        (f"{CLAIM}tag = 1\n", "tag is 1; it has to be one of paper"),
        (CLAIM + TAGGED.replace("alike", "alik"), "tagged: claim 'alik' is not on file. Did you mean 'alike'?"),
        (CLAIM + TAGGED.replace('"paper"', '"readin"'), "tagged: tag is 'readin'; it has to be one of paper, reading"),
        (CLAIM + TAGGED + TAGGED, "claim alike has the tag paper already; leave one of the two out."),
        (f'{CLAIM}tag = "reading"\n{TAGGED}', "claim alike has the tag reading already"),
        (f"{CLAIM}{TAGGED}whi = 1\n", "tagged: key 'whi' is not known. Did you mean 'why'?"),
        (f'{CLAIM}[[tagged]]\nclaims = ["alike"]\n', "tagged: tag is missing"),
    ],
)
def test_a_mistake_in_a_tag_is_one_line(tmp_path, text, told):
    with pytest.raises(ClaimError) as caught:
        loaded(tmp_path, text)
    message = str(caught.value)
    assert told in message
    assert "\n" not in message
    assert len(message) < 500


def test_a_verdict_carries_the_tag_through_a_file(tmp_path):
    (claim,) = loaded(tmp_path, f'{CLAIM}tag = "extension"\ntag_reason = "beyond it"\n').claims.values()
    x = np.random.default_rng(0).normal(size=(30, 6)) + 5
    (cell,) = cells(claim, layers=[6])
    verdict = judge_sample(claim, cell, Sample((x,), {"Q": slice(0, 6)}))
    assert (verdict.tag, verdict.tag_reason) == (Tag.EXTENSION, "beyond it")
    again = verdict_from_dict(json.loads(json.dumps(verdict.to_dict())))
    assert again == verdict
    assert again.tag is Tag.EXTENSION
    older = {name: value for name, value in verdict.to_dict().items() if name not in ("tag", "tag_reason", "lead")}
    assert verdict_from_dict(json.loads(json.dumps(older))) == replace(verdict, tag=None, tag_reason=None)


def test_the_docs_give_each_claim_the_tag_that_the_data_do():
    text = (ROOT / "docs" / "claims.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:P|B)\d+[a-z+]?) \| (paper|reading|extension|measurement) \|", text, flags=re.MULTILINE)
    assert dict(rows) == OURS
    for tag in Tag:
        assert f"`{tag}`" in text


def test_the_table_of_sentences_names_tests_that_there_are():
    text = (ROOT / "docs" / "claims.md").read_text("utf-8")
    rows = re.findall(r"^\|[^|]+\| (P\d[a-z+]?) \| `(test_\w+\.py)::(test_\w+)` \| (.+) \|$", text, flags=re.MULTILINE)
    assert [name for name, *_ in rows] == list(OURS)
    for name, file, test, fairness in rows:
        source = (ROOT / "experiments" / file).read_text("utf-8")
        assert f'@pytest.mark.claim(id="{name}")\ndef {test}(' in source
        assert re.match(r"fair|half|too mild|unfair|the fairest|harsher|not the paper's|one of several", fairness)
