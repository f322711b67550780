"""Baselines: what is written, what is compared, and what is never deleted; and the results document."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import replace

import pytest

from qkvcheck.claims.verdict import Decision, Verdict
from qkvcheck.errors import ClaimError
from qkvcheck.record.baseline import compare, difference, read_baseline, write_baseline
from qkvcheck.record.finding import Finding, finding_from_dict
from qkvcheck.record.results import results_document, write_results
from qkvcheck.record.run import Run
from tests import made_up
from tests.made_up import make_run

RUN = make_run(model={"fingerprint": "f1"}, corpus={"sha256": "c1"}, settings={"claims_sha256": "k"})


def make_verdict(key="A-L06-QQ", verdict="SUPPORTED", estimate=0.5, role="decides") -> Verdict:
    return made_up.make_verdict(key, verdict=verdict, estimate=estimate, role=role, low=None, high=None, level=None,
                                threshold=None, n_distinct=None)  # fmt: skip


def with_fingerprint(value: str) -> Run:
    return replace(RUN, origin=replace(RUN.origin, fingerprint=value))


def test_recorded_verdicts_come_back(tmp_path):
    path = tmp_path / "b" / "m.json"
    assert write_baseline(path, RUN, [make_verdict(), make_verdict("B-L06-QQ", "NOT JUDGED", None)], mode="all") == (
        f"1 verdict recorded in {path}"
    )
    baseline = read_baseline(path)
    assert {key: entry.to_dict() for key, entry in baseline.verdicts.items()} == {
        "A-L06-QQ": {
            "estimate": 0.5, "low": None, "high": None, "n": 54, "verdict": "SUPPORTED",
            "statistic": "variance", "bound": "exact",
        }
    }  # fmt: skip
    assert difference(baseline, RUN) is None
    assert difference(baseline, with_fingerprint("f2")) == "other weights, architecture or tokenizer"
    half = replace(RUN, settings=replace(RUN.settings, dtype="bfloat16"), corpus=replace(RUN.corpus, sha256="other"))
    assert difference(baseline, half) == "other contexts, other dtype (float32 on record, bfloat16 now)"
    assert path.read_text().endswith("}\n")
    assert [p.name for p in path.parent.iterdir()] == ["m.json"]


def test_comparison(tmp_path):
    path = tmp_path / "m.json"
    write_baseline(path, RUN, [make_verdict(), make_verdict("B-L06-QQ", "REFUTED", 0.1)], mode="all")
    baseline = read_baseline(path)
    same = compare(baseline, make_verdict())
    assert (same.recorded, same.change, same.moved.change) == ("SUPPORTED", None, 0.0)
    flipped = compare(baseline, make_verdict("B-L06-QQ", "SUPPORTED", 0.6))
    assert flipped.change == "on record as REFUTED (0.1000), now SUPPORTED (0.6000)"
    assert compare(baseline, make_verdict(verdict="REFUTED", estimate=0.2)).change is not None
    assert compare(baseline, make_verdict("C-L06-QQ")).recorded is None
    assert compare(None, make_verdict()).recorded is None


def test_a_claim_with_another_bound_or_statistic_is_a_change(tmp_path):
    """Even where the verdict is the same; of an older record, which says neither, nothing is known."""
    path = tmp_path / "m.json"
    held = made_up.make_verdict("A-L06-QQ", threshold=0.4, claims_sha256="a" * 64)
    write_baseline(path, RUN, [held], mode="all")
    baseline = read_baseline(path)
    assert compare(baseline, held).change is None
    bound = compare(baseline, replace(held, threshold=0.4 + 1e-9))
    assert bound.change == "the claim has another bound (> 0.4 there, > 0.400000001 here)"
    assert bound.moved.change == 0
    flipped = compare(baseline, replace(held, threshold=0.6, verdict=Decision.REFUTED))
    assert flipped.change == (
        "the claim has another bound (> 0.4 there, > 0.6 here); on record as SUPPORTED (0.5000), now REFUTED (0.5000)"
    )
    other = compare(baseline, replace(held, statistic="mean_square"))
    assert other.change == "the claim has another statistic (variance there, mean_square here)"
    assert other.moved is None  # two numbers of two kinds have no difference
    moved = replace(held, estimate=0.6, plug_in=0.6)
    assert compare(baseline, moved).change.startswith(
        "same weights, contexts and libraries: our own code or this machine"
    )
    edited = compare(baseline, replace(moved, claims_sha256="b" * 64))
    assert edited.change.startswith("same weights, same contexts: the claims file is another one than when this was ")
    then = {"versions": {"torch": "1"}}
    both = compare(replace(baseline, **then), replace(moved, claims_sha256="b" * 64), versions={"torch": "2"})
    assert "than when this was recorded, and the libraries moved (torch 1 -> 2); 0.5" in both.change
    old = replace(baseline.verdicts["A-L06-QQ"], bound=None, statistic=None)
    assert compare(replace(baseline, verdicts={"A-L06-QQ": old}), replace(held, threshold=0.3)).change is None


def test_update_never_deletes(tmp_path):
    path = tmp_path / "m.json"
    write_baseline(path, RUN, [make_verdict(), make_verdict("B-L06-QQ", "REFUTED", 0.1)], mode="all")
    changed = make_verdict("B-L06-QQ", "SUPPORTED", 0.9)
    added = make_verdict("C-L06-QQ")
    assert write_baseline(path, RUN, [changed, added], mode="new").startswith("1 verdict ")
    assert read_baseline(path).verdicts["B-L06-QQ"].verdict == "REFUTED"
    assert write_baseline(path, RUN, [changed], mode="all").startswith("1 verdict ")
    assert {key: e.verdict for key, e in read_baseline(path).verdicts.items()} == {
        "A-L06-QQ": "SUPPORTED", "B-L06-QQ": "SUPPORTED", "C-L06-QQ": "SUPPORTED",
    }  # fmt: skip


def test_another_model_is_not_mixed_in(tmp_path):
    path = tmp_path / "m.json"
    write_baseline(path, RUN, [make_verdict()], mode="all")
    with pytest.raises(ClaimError, match="recorded with other weights, architecture or tokenizer"):
        write_baseline(path, with_fingerprint("f2"), [make_verdict("B-L06-QQ")], mode="new")
    told = write_baseline(path, with_fingerprint("f2"), [make_verdict("B-L06-QQ")], mode="all")
    assert told.endswith("m.json; the 1 recorded there with other weights, architecture or tokenizer are replaced")
    assert list(read_baseline(path).verdicts) == ["B-L06-QQ"]


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("{}", "is not of schema")])
def test_file_that_is_none(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ClaimError, match=message):
        read_baseline(tmp_path / "m.json")
    with pytest.raises(ClaimError, match=r"can't be read .*--qkv-update=all"):
        read_baseline(tmp_path / "none.json")


def test_results_document(tmp_path):
    findings = [Finding(make_verdict("B-L06-QQ"), "SUPPORTED"), Finding(make_verdict("A-L06-QQ"))]
    write_results(tmp_path / "r.json", RUN, findings)
    data = json.loads((tmp_path / "r.json").read_text())
    assert data == json.loads(json.dumps(results_document(RUN, findings)))
    assert data["schema"] == "qkvcheck/results/1"
    assert [v["key"] for v in data["verdicts"]] == ["A-L06-QQ", "B-L06-QQ"]
    wanted = {
        "claim", "statement", "layer", "group", "measure", "axis", "statistic", "estimate", "plug_in", "low", "high",
        "level", "threshold", "direction", "n", "n_distinct", "verdict", "offset_share", "controls", "qualifier",
        "reason", "evidence",
    }  # fmt: skip
    assert wanted <= set(data["verdicts"][0])
    assert data["verdicts"][0]["low"] is None


def test_finding_through_json():
    finding = Finding(make_verdict(), "REFUTED", "changed")
    assert finding_from_dict(json.loads(json.dumps(finding.to_dict()))) == finding


def git(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments], cwd=folder, env={**os.environ, **who},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def conflict(tmp_path):
    """A record that two branches changed in the same line."""
    path = tmp_path / "b.json"
    git(tmp_path, "init")
    for branch, estimate in (("main", 0.5), ("theirs", 0.6), ("main", 0.7)):
        git(tmp_path, "checkout", "-B" if branch == "theirs" else "-q", branch)
        write_baseline(
            path, RUN, [make_verdict(estimate=estimate), make_verdict("B-L06-QQ", "REFUTED", 0.1)], mode="all"
        )
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-m", f"{estimate}")
    assert "CONFLICT" in git(tmp_path, "merge", "theirs").stdout
    return path


def test_a_merge_conflict_is_told_and_both_ways_out_work(conflict):
    with pytest.raises(ClaimError) as caught:
        read_baseline(conflict)
    line = str(caught.value)
    assert "holds a merge conflict in line 7; take one side with git checkout --ours -- " in line
    assert line.endswith(", or restore it, or record it with --qkv-update=all.")
    side = line.partition("with git ")[2].partition(", or ")[0]
    with pytest.raises(ClaimError, match="merge conflict"):
        write_baseline(conflict, RUN, [make_verdict()], mode="new")
    damaged = conflict.read_bytes()

    done = git(conflict.parent, *shlex.split(side))  # the first way
    assert done.returncode == 0, done.stderr
    assert read_baseline(conflict).verdicts["A-L06-QQ"].estimate == 0.7

    conflict.write_bytes(damaged)  # the second
    told = write_baseline(conflict, RUN, [make_verdict(estimate=0.7)], mode="all")
    assert told == f"1 verdict recorded in {conflict}; what was there could not be read, and is replaced"
    assert set(read_baseline(conflict).verdicts) == {"A-L06-QQ"}


@pytest.mark.parametrize("content", ["{", "[]", "3.5", "", '{"schema": "qkvcheck/baseline/2"}', "\0", "null"])
def test_a_record_that_cannot_be_read_is_no_dead_end(tmp_path, content):
    path = tmp_path / "b.json"
    path.write_text(content)
    with pytest.raises(ClaimError, match="; restore it, or record it with --qkv-update=all") as caught:
        read_baseline(path)
    assert "b.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ClaimError):
        write_baseline(path, RUN, [make_verdict()], mode="new")
    assert "could not be read, and is replaced" in write_baseline(path, RUN, [make_verdict()], mode="all")
    assert list(read_baseline(path).verdicts) == ["A-L06-QQ"]


def test_what_is_no_file_is_not_replaced(tmp_path):
    (tmp_path / "b.json").mkdir()
    with pytest.raises(ClaimError, match="is a folder, not a file"):
        write_baseline(tmp_path / "b.json", RUN, [make_verdict()], mode="all")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data["verdicts"]["A-L06-QQ"].update(verdict="MAYBE"), "verdicts['A-L06-QQ'].verdict is 'MAYBE'"),
        (lambda data: data["verdicts"]["A-L06-QQ"].update(estimate="six"), "estimate is 'six'; it has to be a number"),
        (lambda data: data["verdicts"]["A-L06-QQ"].update(replicates=[1, None]), "replicates[1] is None; it has to be"),
        (lambda data: data["verdicts"].update(B=[]), "verdicts.B is []; it has to be an object"),
        (lambda data: data.pop("conditions"), "conditions is missing"),
        (
            lambda data: data.update(noise={"statistics": {"a": "x"}, "variations": {}, "machine": {}}),
            "statistics.a is 'x'",
        ),
        (
            lambda data: data.update(noise={"statistics": {"a": -1}, "variations": {}, "machine": {}}),
            "has to be from 0",
        ),
    ],
)
def test_a_mistake_in_a_record_is_named(tmp_path, damage, message):
    path = tmp_path / "b.json"
    write_baseline(path, RUN, [make_verdict()], mode="all")
    data = json.loads(path.read_text())
    damage(data)
    path.write_text(json.dumps(data))
    with pytest.raises(ClaimError) as caught:
        read_baseline(path)
    assert message in str(caught.value)


def test_added_fields_are_accepted_and_absurd_numbers_compared(tmp_path):
    path = tmp_path / "b.json"
    write_baseline(path, RUN, [make_verdict()], mode="all")
    data = json.loads(path.read_text())
    data["later"] = data["verdicts"]["A-L06-QQ"]["later"] = data["conditions"]["later"] = [1]
    data["verdicts"]["A-L06-QQ"]["estimate"] = -1.7e308
    path.write_text(json.dumps(data))
    found = compare(read_baseline(path), make_verdict(estimate=1.7e308))
    assert json.dumps(found.to_dict(), allow_nan=False)
    assert found.moved.beyond
