"""What a record is of: the tokens that were measured, and whatever else selects what is captured."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from qkvcheck.capture.samples import Plan
from qkvcheck.contexts.context import Context, ContextSet
from qkvcheck.errors import ClaimError
from qkvcheck.record import baseline
from qkvcheck.record.baseline import compare, conditions_of, difference, read_baseline, write_baseline
from tests.conftest import ROOT
from tests.made_up import make_run, make_verdict

TOKENS, PLAN = "t" * 64, "p" * 64


def run(**corpus):
    return make_run(corpus={"tokens_sha256": TOKENS, **corpus}, settings={"plan_sha256": PLAN})


CONTEXTS = ContextSet(
    (Context("I saw her", (1, 2, 3), 2), Context("We met her", (4, 5, 3), 2)), " her", 3, "c", "0" * 64
)


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTEXTS, target_id=4),
        replace(CONTEXTS, contexts=CONTEXTS.contexts[::-1]),
        replace(CONTEXTS, contexts=(replace(CONTEXTS.contexts[0], target_index=1), CONTEXTS.contexts[1])),
        replace(CONTEXTS, contexts=(replace(CONTEXTS.contexts[0], token_ids=(1, 9, 3)), CONTEXTS.contexts[1])),
        replace(CONTEXTS, contexts=(replace(CONTEXTS.contexts[0], token_ids=(1, 2, 3, 4)), CONTEXTS.contexts[1])),
        replace(CONTEXTS, contexts=(Context("x", (12, 3), 1), CONTEXTS.contexts[1])),
    ],
    ids=["target", "order", "place", "token", "tail", "cut otherwise"],
)
def test_tokens_are_known_by_their_hash(other):
    assert other.tokens_sha256 != CONTEXTS.tokens_sha256
    assert replace(CONTEXTS, name="other").tokens_sha256 == CONTEXTS.tokens_sha256


def test_the_plan_is_known_by_its_hash():
    plan = Plan(layers=(6,), words={"pronouns": [" her", " him"], "others": [" Tom"]})
    others = [
        replace(plan, words={"pronouns": [" her"], "others": [" Tom"]}),
        replace(plan, words={"pronouns": [" her"], "others": [" him", " Tom"]}),
        replace(plan, fresh_count=60),
        replace(plan, fresh_seed=1),
        replace(plan, clusters="prefix"),
    ]
    assert len({plan.sha256, *(one.sha256 for one in others)}) == 6
    assert replace(plan, layers=(5,), batch_size=7, exact_layout=True).sha256 == plan.sha256  # noise, or in the key


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (
            run(tokens_sha256="u" * 64),
            "other tokens of the same contexts (another target, another place of it, or a beginning token)",
        ),
        (run(sha256="d" * 64, tokens_sha256="u" * 64), "other contexts"),
        (
            make_run(corpus={"tokens_sha256": TOKENS}, settings={"plan_sha256": "q" * 64}),
            "other word lists, fresh contexts or clusters",
        ),
        (run(), None),
    ],
)
def test_what_differs_is_named(tmp_path, now, said):
    path = tmp_path / "b.json"
    write_baseline(path, run(), [make_verdict()], mode="all")
    assert difference(read_baseline(path), now) == said


def test_another_target_does_not_take_the_place_of_a_record_in_silence(tmp_path):
    path = tmp_path / "b.json"
    write_baseline(path, run(), [make_verdict()], mode="all")
    other = run(tokens_sha256="u" * 64)
    with pytest.raises(ClaimError, match="was recorded with other tokens"):
        write_baseline(path, other, [make_verdict()], mode="new")
    assert "the 1 recorded there with other tokens" in write_baseline(path, other, [make_verdict()], mode="all")


def test_what_is_replaced_is_said(tmp_path):
    path = tmp_path / "b.json"
    first = [make_verdict("A-L06-QQ"), make_verdict("B-L06-QQ")]
    assert write_baseline(path, run(), first, mode="all") == f"2 verdicts recorded in {path}"
    turned = [make_verdict("A-L06-QQ", verdict="REFUTED"), make_verdict("B-L06-QQ"), make_verdict("C-L06-QQ")]
    said = write_baseline(path, run(), turned, mode="all")
    assert said == (
        f"3 verdicts recorded in {path}; 2 there before are replaced, 1 of them by another verdict: "
        "A-L06-QQ was SUPPORTED"
    )


def test_a_record_without_tokens_applies_and_is_not_said_to_know_them(tmp_path):
    """As an earlier version wrote it; what stays of it when others are added was recorded without tokens too."""
    path = tmp_path / "b.json"
    write_baseline(path, run(), [make_verdict("A-L06-QQ")], mode="all")
    old = json.loads(path.read_text())
    old["schema"] = "qkvcheck/baseline/2"
    del old["conditions"]["tokens_sha256"], old["conditions"]["plan_sha256"]
    path.write_text(json.dumps(old))
    assert difference(read_baseline(path), run(tokens_sha256="u" * 64)) is None
    write_baseline(path, run(), [make_verdict("B-L06-QQ")], mode="new")
    assert not read_baseline(path).conditions.whole
    write_baseline(path, run(), [make_verdict("A-L06-QQ"), make_verdict("B-L06-QQ")], mode="all")
    assert read_baseline(path).conditions == conditions_of(run())
    assert compare(read_baseline(path), make_verdict("A-L06-QQ")).change is None


def test_a_record_is_changed_under_its_lock(tmp_path, monkeypatch):
    path, seen = tmp_path / "b.json", []
    plain = baseline._write

    @contextmanager
    def lock(of):
        seen.append(of)
        yield
        seen.append("free")

    monkeypatch.setattr(baseline, "locked", lock)
    monkeypatch.setattr(baseline, "_write", lambda *given: (seen.append("written"), plain(*given)))
    write_baseline(path, run(), [make_verdict()], mode="all")
    assert seen == [path, "written", "free"]


WRITER = """
import sys
from qkvcheck.record.baseline import write_baseline
from tests.record.test_conditions import run
from tests.made_up import make_verdict

sys.stdin.readline()  # both have begun by now
for number in range(20):
    write_baseline(sys.argv[1], run(), [make_verdict(f"{sys.argv[2]}{number}-L06-QQ")], mode="new")
"""


@pytest.mark.needs_time
def test_two_processes_lose_no_verdict(tmp_path):
    path = tmp_path / "b.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdin=subprocess.PIPE, text=True, cwd=ROOT)
        for name in "AB"
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.close()
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert len(read_baseline(path).verdicts) == 40
