"""Claims about heads in pytest: a case a head, all heads in one case, recorded, gated, chosen, and from a file."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture
from qkvcheck.models.loading import untrained_twin
from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")

EXPERIMENT = """
    import pytest

    @pytest.mark.claim(id="keys", layer=6, head=3, group="K", statistic="row_mean", above=0.2)
    def test_keys_of_head_3(claim):
        claim.check()

    @pytest.mark.claim(id="every", layer=6, heads="all", group="K", statistic="row_mean", above=0.2)
    def test_keys_of_every_head(claim):
        claim.check()

    @pytest.mark.claim(id="whole", layer=6, group="K", statistic="row_mean", above=0.2)
    def test_keys(claim):
        claim.check()
"""
EVERY = [f"every-L06.H{head:02d}-K" for head in range(4)]


@pytest.fixture
def project(pytester):
    pytester.makeini(
        "[pytest]\nqkv_model = embedded\nqkv_baselines = recorded\nqkv_untrained_seeds = 0\nqkv_controls = claim"
    )
    pytester.makepyfile(EXPERIMENT)
    return pytester


def verdicts(path) -> dict[str, dict]:
    return {one["key"]: one for one in json.loads(path.read_text())["verdicts"]}


@WORKERS
def test_head_3_is_recorded_and_gated(project, workers):
    recorded = project.path / "recorded" / "embedded.json"
    first = project.runpytest("--qkv-update=all", "--qkv-json=r.json", *workers)
    assert first.ret == 0
    data = json.loads(recorded.read_text())
    assert list(data["verdicts"]) == [*EVERY, "keys-L06.H03-K", "whole-L06-K"]
    found = verdicts(project.path / "r.json")
    # Two tests, one measurement; the interval of all four heads is the wider one.
    assert found["keys-L06.H03-K"]["estimate"] == found["every-L06.H03-K"]["estimate"]
    assert found["keys-L06.H03-K"]["low"] > found["every-L06.H03-K"]["low"]
    assert found["every-L06.H03-K"]["evidence"]["heads"] == {
        "over": 4, "interval": "simultaneous over 4 heads", "reads": {"Q": 3, "K": 3, "V": 3}
    }  # fmt: skip
    assert (found["keys-L06.H03-K"]["head"], found["whole-L06-K"]["head"]) == (3, None)

    assert project.runpytest(*workers).ret == 0

    data["verdicts"]["keys-L06.H03-K"]["estimate"] += 0.1
    data["verdicts"]["every-L06.H01-K"]["estimate"] -= 0.1
    recorded.write_text(json.dumps(data))
    moved = project.runpytest(*workers)
    assert moved.ret == 1
    assert moved.parseoutcomes()["failed"] == 2
    text = moved.stdout.str()
    assert "same weights, contexts and libraries" in text
    assert "every-L06.H01-K\n" in text
    assert "every-L06.H02-K\n" not in text  # the tables of heads that stand as they did are not printed
    assert "3 (zero-based); interval of this head alone" in text


def test_the_numbers_are_those_of_the_columns_of_the_head(project, embedded, replication):
    """Against the captured keys themselves, cut here by hand: head 3 of four heads of 32."""
    project.runpytest("--qkv-json=r.json")
    rows = capture(embedded, replication, layers=[6]).projection(6, "K").astype(np.float64)
    assert rows.shape[1] == 128
    for head, key in [*enumerate(EVERY), (3, "keys-L06.H03-K")]:
        own = rows[:, 32 * head : 32 * head + 32]
        unit = own / np.linalg.norm(own, axis=1, keepdims=True)
        expected = (unit @ unit.T)[np.triu_indices(54, k=1)].mean()
        assert verdicts(project.path / "r.json")[key]["plug_in"] == pytest.approx(expected, abs=1e-6)


def test_all_heads_are_one_line_and_each_has_its_own_when_asked(project):
    plain = project.runpytest()
    (row,) = [line for line in plain.outlines if line.startswith("every ")]
    assert re.search(r" H0\d K\+3 ", row)
    text = project.runpytest("-v").stdout.str()
    assert "L06 4 heads K cosine" in text
    assert "A line of several heads has the least estimate with its head" in text
    assert "L06.H02 K" not in text
    assert "test_keys_of_every_head[every-L06.Hall-K]" in project.runpytest("--collect-only", "-q").stdout.str()
    verbose = project.runpytest("-vv").stdout.str()
    assert all(f"L06.H{head:02d} K cosine" in verbose for head in range(4))


def test_a_run_chooses_heads(project):
    result = project.runpytest("--collect-only", "-q", "--qkv-heads", "1-2")
    result.stdout.fnmatch_lines([f"*[[]{name}-L06.H{head:02d}-K]" for name in ("every", "whole") for head in (1, 2)])
    assert "keys-L06.H03-K" in result.stdout.str()  # its marker names its head, as it may name its layer
    result = project.runpytest("--qkv-heads", "1-2", "--qkv-json=r.json")
    assert "layers as tests name them, else 6, heads 1-2 (zero-based)" in result.stdout.str()
    found = verdicts(project.path / "r.json")
    chosen = {f"{name}-L06.H0{head}-K" for name in ("every", "whole") for head in (1, 2)}
    assert set(found) == chosen | {"keys-L06.H03-K"}
    assert found["every-L06.H01-K"]["evidence"]["heads"]["over"] == 4  # the claim speaks of four, whoever is looked at
    assert found["whole-L06.H01-K"]["evidence"]["heads"]["over"] == 2
    assert json.loads((project.path / "r.json").read_text())["settings"]["heads"] == "1-2"
    result = project.runpytest("-m", "claim(head=2)", "--qkv-heads", "1-2")
    assert result.parseoutcomes()["deselected"] >= 3


def test_a_head_that_a_marker_names_and_no_layer_has(project):
    project.makepyfile(EXPERIMENT.replace("head=3", "head=4"))
    result = project.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "head 4 does not exist in embedded; allowed are 0 to 3 (heads count from 0)" in result.stderr.str()


def test_one_head_that_fails_fails_the_claim(project):
    project.makepyfile(EXPERIMENT.replace("above=0.2", "above=0.955"))
    result = project.runpytest("--qkv-json=r.json", "-k", "every")
    own = {key: one["verdict"] for key, one in verdicts(project.path / "r.json").items()}
    assert len(set(own.values())) > 1  # the threshold was put between the heads
    assert "supported" not in result.stdout.str().splitlines()[-2]
    assert ("REFUTED" in own.values()) == (result.ret == 1)


def test_a_file_with_heads_and_one_without(project, embedded, replication):
    target = capture(embedded, replication, layers=[6]).values
    parts = {"target": target, "layers": np.array([6]), "widths": np.array([128, 128, 128])}
    np.savez(project.path / "told.npz", **parts, heads=np.array([4, 4, 4]), stage=np.array("projection"))
    np.savez(project.path / "untold.npz", **parts)
    told = project.runpytest("--qkv-activations=told.npz", "--qkv-json=told.json")
    told.assert_outcomes(passed=3)
    assert "as the projections put them out (stage projection)" in told.stdout.str()
    assert json.loads((project.path / "told.json").read_text())["model"]["stage"] == "projection"
    untold = project.runpytest("--qkv-activations=untold.npz", "--qkv-json=untold.json")
    untold.assert_outcomes(passed=1, skipped=2)
    said = " ".join(untold.stdout.str().split())
    assert "taken as the projections put them out: the file does not say its stage" in said
    found = verdicts(project.path / "untold.json")
    for key in ("keys-L06.H03-K", "every-L06.Hall-K"):
        assert (found[key]["verdict"], found[key]["head"]) == ("NOT JUDGED", None if "Hall" in key else 3)
        assert "how many heads Q, K and V have is not told" in found[key]["reason"]
    asked = project.runpytest("--qkv-activations=untold.npz", "--qkv-heads=0")
    assert asked.ret == pytest.ExitCode.USAGE_ERROR
    assert "how many heads Q, K and V of untold.npz have is not known" in asked.stderr.str()
    beyond = project.runpytest("--qkv-activations=told.npz", "--qkv-heads=5")
    assert "head 5 does not exist in told.npz; allowed are 0 to 3" in beyond.stderr.str()


def row_mean(rows: np.ndarray) -> float:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return float((unit @ unit.T)[np.triu_indices(len(rows), k=1)].mean())


def test_controls_are_measured_in_the_same_head(project, embedded, replication):
    """The token before the target, and untrained networks: queries cut by hand to the columns of head 3."""
    project.makepyfile(
        EXPERIMENT.replace('group="K", statistic', 'group="Q", controls=["non-target", "untrained"], statistic')
    )
    project.runpytest("--qkv-json=r.json", "--qkv-untrained-seeds=2", "-k", "H03")
    controls = {one["name"]: one for one in verdicts(project.path / "r.json")["keys-L06.H03-Q"]["controls"]}
    before = capture(embedded, replication, layers=[6], positions="preceding").projection(6, "Q").astype(np.float64)
    # Of the control the bias is taken off, which is far less than what lies between the head and all of the width.
    assert controls["non-target"]["estimate"] == pytest.approx(row_mean(before[:, 96:]), abs=0.01)
    assert abs(row_mean(before) - row_mean(before[:, 96:])) > 0.03
    twins = [
        capture(untrained_twin(embedded, seed=seed), replication, layers=[6]).projection(6, "Q") for seed in (0, 1)
    ]
    expected = np.mean([row_mean(rows.astype(np.float64)[:, 96:]) for rows in twins])
    assert controls["untrained"]["estimate"] == pytest.approx(expected, abs=1e-6)
