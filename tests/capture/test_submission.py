"""Referee mode: activations captured elsewhere, judged, explained and compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from qkvcheck import cli
from qkvcheck.capture.hooks import capture
from qkvcheck.capture.submission import read_submission
from qkvcheck.errors import CaptureError, NotCapturedError
from tests.plugin.conftest import WORKERS

pytestmark = pytest.mark.usefixtures("loaded")


@pytest.fixture(scope="module")
def ours(embedded, replication) -> dict[str, np.ndarray]:
    target, preceding = (
        capture(embedded, replication, layers=[5, 6], positions=p).values for p in ("target", "preceding")
    )
    texts = [context.text for context in replication.contexts]
    return {"target": target, "preceding": preceding, "texts": np.array(texts)}


def numbers(ours: dict[str, np.ndarray], **changes) -> dict[str, np.ndarray]:
    arrays = {**ours, "layers": np.array([5, 6]), "widths": np.array([128, 128, 128]), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


def test_both_formats_hold_the_same(ours, tmp_path):
    arrays = numbers(ours)
    np.savez(tmp_path / "a.npz", **arrays)
    texts = json.dumps(arrays.pop("texts").tolist())
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, tmp_path / "a.safetensors", {"texts": texts})
    for name in ("a.npz", "a.safetensors"):
        found = read_submission(tmp_path / name)
        np.testing.assert_array_equal(found.target.values, ours["target"])
        np.testing.assert_array_equal(found.preceding.at(6), ours["preceding"][:, 1])
        assert found.target.projections["K"] == slice(128, 256)
        assert (found.layers, len(found.texts)) == ((5, 6), 54)
        assert found.target.provenance["clusters"] == "first word"
        with pytest.raises(NotCapturedError, match=f"{name} holds the target's rows only, not other words"):
            found.captured("words")
        assert found.captured("target") is found.target
        with pytest.raises(CaptureError, match="none_such"):
            found.captured("none_such")


def test_our_own_file_is_read(embedded, replication, tmp_path):
    captured = capture(embedded, replication, layers=[6])
    captured.save(tmp_path / "own.safetensors")
    np.testing.assert_array_equal(read_submission(tmp_path / "own.safetensors").target.values, captured.values)
    capture(embedded, replication, layers=[6], positions="all").save(tmp_path / "all.safetensors")
    with pytest.raises(CaptureError, match="holds axes context, layer, token, width"):
        read_submission(tmp_path / "all.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": None}, "layers is missing"),
        ({"layers": np.array([5.0, 6.0])}, "layers is float64"),
        ({"layers": np.array([6, 6])}, "layers are .6, 6.; they are different"),
        ({"widths": np.array([128, 256])}, "three widths"),
        ({"widths": np.array([128, 128, 129])}, r"has to be \(contexts, 2, 385\)"),
        ({"target": None}, "target is missing"),
        ({"target": np.zeros((54, 2, 384), dtype=np.int64)}, "target is int64"),
        (
            {"preceding": np.zeros((3, 2, 384), dtype=np.float32)},
            "preceding has shape .3, 2, 384.; .* has to be .54, 2, 384.",
        ),
        ({"texts": np.array(["one", "two"])}, "has 2 texts for 54 contexts"),
    ],
)
def test_files_of_another_form(ours, tmp_path, changes, message):
    np.savez(tmp_path / "a.npz", **numbers(ours, **changes))
    with pytest.raises(CaptureError, match=message):
        read_submission(tmp_path / "a.npz")


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.npz").write_text("no zip")
    (tmp_path / "a.safetensors").write_text("nothing")
    np.savez(tmp_path / "p.npz", target=np.array([object()], dtype=object))  # needs pickle, which is refused
    for name in ("a.npz", "a.safetensors", "p.npz"):
        with pytest.raises(CaptureError, match="readable npz|safetensors file|Python objects under 'target', a pickle"):
            read_submission(tmp_path / name)
    with pytest.raises(CaptureError, match="can't be read"):
        read_submission(tmp_path / "nowhere.npz")


CLAIM = """
    import pytest

    @pytest.mark.claim(id="alike", layer=6, group="K", statistic="row_mean", measure="pearson", above=0.1)
    def test_alike(claim, activations):
        claim.check(activations)

    @pytest.mark.claim(id="words", layer=6, group="K", statistic="stability", above=0.1)
    def test_words(claim):
        claim.check()
"""


@WORKERS
def test_it_gets_the_verdict_of_our_own_capture(pytester, ours, workers):
    np.savez(pytester.path / "theirs.npz", **numbers(ours))
    pytester.makepyfile(CLAIM)
    pytester.runpytest("--qkv-model", "embedded", "--qkv-json", "own.json", "--qkv-untrained-seeds", "0", *workers)
    result = pytester.runpytest("--qkv-activations", "theirs.npz", "--qkv-json", "theirs.json", *workers)
    result.assert_outcomes(passed=1, skipped=1)
    own, theirs = (
        {v["key"]: v for v in json.loads((pytester.path / name).read_text())["verdicts"]}
        for name in ("own.json", "theirs.json")
    )
    assert theirs["words-L06-K"]["verdict"] == "NOT JUDGED"
    assert theirs["words-L06-K"]["reason"].endswith("not other words in the target's place")
    for name in ("verdict", "estimate", "low", "high", "n_distinct", "clusters"):
        assert theirs["alike-L06-K"][name] == own["alike-L06-K"][name]
    for verdict in (own["alike-L06-K"], theirs["alike-L06-K"]):  # no untrained network in either
        assert "no untrained network asked" in verdict["qualifier"]
    assert "holds the target's rows only, not untrained networks" in str(theirs["alike-L06-K"]["controls"])
    assert "activations captured elsewhere" in result.stdout.str()
    assert "stand-in" not in result.stdout.str()


@WORKERS
def test_broken_file_is_one_line(pytester, workers):
    pytester.makepyfile(CLAIM)
    result = pytester.runpytest("--qkv-activations", "nowhere.npz", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "activations 'nowhere.npz' can't be read" in result.stderr.str()
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_layer_that_is_not_in_the_file(pytester, ours):
    np.savez(
        pytester.path / "five.npz", **numbers(ours, target=ours["target"][:, :1], preceding=None, layers=np.array([5]))
    )
    pytester.makepyfile(CLAIM)
    result = pytester.runpytest("--qkv-activations", "five.npz")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "five.npz holds no layer 6 (zero-based), which an experiment names; it holds 5." in result.stderr.str()


def test_compare_command(ours, tmp_path, capsys):
    np.savez(tmp_path / "same.npz", **numbers(ours))
    moved = ours["target"].copy()
    moved[3, 1, 5] += 0.1
    np.savez(tmp_path / "moved.npz", **numbers(ours, target=moved))
    assert cli.main(["compare", str(tmp_path / "same.npz"), "--model", "embedded"]) == 0
    assert "The same to the last bit." in capsys.readouterr().out
    assert cli.main(["compare", str(tmp_path / "moved.npz"), "--model", "embedded"]) == 1
    assert "DIFFERENT: first in Q of layer 6" in capsys.readouterr().out
    assert cli.main(["compare", str(tmp_path / "moved.npz"), "--model", "embedded", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["equal"] is False
    assert cli.main(["compare", str(tmp_path / "same.npz"), "--model", "embedded", "--corpus", "balanced"]) == 2
    assert "other sentences than the corpus 'balanced'" in capsys.readouterr().err


def test_explain_command(pytester, capsys):
    pytester.makepyfile(CLAIM)
    pytester.runpytest("--qkv-model", "embedded", "--qkv-json", "r.json", "--qkv-untrained-seeds", "0")
    path = str(pytester.path / "r.json")
    capsys.readouterr()
    assert cli.main(["explain", "alike-L06-K", path]) == 0
    out = capsys.readouterr().out
    verdict = next(v for v in json.loads((pytester.path / "r.json").read_text())["verdicts"] if v["claim"] == "alike")
    shown = f"{verdict['estimate']:.4f} [{verdict['low']:.4f}, {verdict['high']:.4f}]"
    for part in (shown, "47 clusters by first token",
                 "control different-words", "What the controls say", "corpus       "):  # fmt: skip
        assert part in out
    assert cli.main(["explain", path]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[0] == "alike-L06-K"
    assert cli.main(["explain", "alike-L06-K", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["estimate"] == verdict["estimate"]
    assert cli.main(["explain", "alike-L06-Q", path]) == 2
    assert "holds no verdict 'alike-L06-Q' (it holds 2; near it: alike-L06-K" in capsys.readouterr().err
    for name, text, message in (
        ("a.json", "{", "not JSON"),
        ("b.json", "{}", "not of schema"),
        ("c.json", None, "can't be read"),
    ):
        if text is not None:
            (pytester.path / name).write_text(text)
        assert cli.main(["explain", "x", str(pytester.path / name)]) == 2
        assert message in capsys.readouterr().err
