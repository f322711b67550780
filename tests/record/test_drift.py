"""Activation drift: distances against the definition, what moved first, and files that are recorded and compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from qkvcheck.capture.activations import Activations
from qkvcheck.capture.hooks import capture
from qkvcheck.capture.loaded import load_activations
from qkvcheck.capture.submission import read_submission
from qkvcheck.cli import main
from qkvcheck.errors import CaptureError
from qkvcheck.groups import Stage
from qkvcheck.models.loading import load_model
from qkvcheck.record.drift import drifts, first_moved, provenance_lines, ulp_distances, verdict_line


def steps(one: float, other: float) -> int:
    """Count float32 numbers from one to another, one at a time."""
    count, at, end = 0, np.float32(one), np.float32(other)
    while at != end:
        at, count = np.nextafter(at, end, dtype=np.float32), count + 1
    return count


@pytest.mark.parametrize(
    ("one", "other"),
    [(1.0, 1.0), (1.0, 1.0 + 2**-22), (2.0, 2.0 - 2**-22), (-1e-44, 3e-44), (0.0, -0.0), (-1.5, -1.5 - 2**-20)],
)
def test_ulps_are_steps_between_neighbours(one, other):
    (found,) = ulp_distances(np.float32([one]), np.float32([other]))
    assert found == steps(one, other)
    assert found == ulp_distances(np.float32([other]), np.float32([one]))[0]


def test_ulps_of_what_is_not_finite():
    one = np.float32([np.nan, np.inf, np.inf, 1.0, -np.inf])
    other = np.float32([1.0, np.inf, -np.inf, np.nan, -np.inf])
    assert ulp_distances(one, other).tolist() == [np.inf, 0.0, np.inf, np.inf, 0.0]


@pytest.fixture(scope="module")
def whole(embedded, replication):
    return capture(embedded, replication, layers=range(12))


@pytest.mark.parametrize(("block", "part"), [("Q", 0), ("K", 1), ("V", 2)])
def test_first_that_moved_is_the_one_that_was_moved(whole, replication, block, part):
    """One weight of layer 3's projection: everything before it is the same to the last bit."""
    other = load_model("embedded")
    with torch.no_grad():
        other.model.transformer.h[3].attn.c_attn.weight[0, part * other.model.config.n_embd + 5] += 0.5
    found = drifts(whole, capture(other, replication, layers=range(12)))
    at = {(drift.layer, drift.block): drift for drift in found}
    assert all(drift.largest == drift.largest_ulps == 0 for drift in found if drift.layer < 3)
    assert {key for key in at if key[0] == 3 and at[key].largest > 0} == {(3, block)}
    assert all(drift.largest > 0 for drift in found if drift.layer > 3)
    assert verdict_line(found, tolerance=1e-4).startswith(f"DIFFERENT: first in {block} of layer 3,")


def test_another_layout_is_the_same_within_rounding(whole, embedded, replication):
    found = drifts(whole, capture(embedded, replication, layers=range(12), exact_layout=True))
    assert max(drift.median_ulps for drift in found) < 10
    assert verdict_line(found, tolerance=1e-4).startswith("The same within 0.0001")
    assert verdict_line(found, tolerance=0).startswith("DIFFERENT")
    assert verdict_line(drifts(whole, whole), tolerance=0) == "The same to the last bit."


def test_provenance_that_differs_is_told():
    one = {"fingerprint": "a" * 20, "target": " her", "versions": json.dumps({"torch": "2.4.0", "numpy": "2.0"})}
    other = {"fingerprint": "b" * 20, "target": " her", "versions": json.dumps({"torch": "2.13.0", "numpy": "2.0"})}
    told = provenance_lines(one, other)
    assert told == [
        "fingerprint: aaaaaaaaaaaa | bbbbbbbbbbbb - other weights: two models are compared, not two ways to run one",
        "torch: 2.4.0 | 2.13.0",
    ]
    assert provenance_lines(one, one) == []


def record(path, *more: str) -> int:
    return main(["record", "--model", "embedded", "--layers", "5,6", "--out", str(path), *more])


def test_recorded_files_are_compared(tmp_path, capsys, embedded, replication):
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    assert record(one) == record(other, "--exact-layout") == 0
    told = capsys.readouterr()
    assert "54 x 2 x 384 (context, layer, Q + K + V) of embedded, layers 5, 6 (zero-based)" in told.out
    kept = load_activations(one)
    np.testing.assert_array_equal(kept.values, capture(embedded, replication, layers=[5, 6]).values)
    assert kept.provenance["fingerprint"] == embedded.fingerprint
    assert json.loads(kept.provenance["texts"]) == [context.text for context in replication.contexts]
    assert read_submission(one).target.clusters is not None  # its sentences make clusters in referee mode
    assert main(["compare", str(one), str(one)]) == 0
    assert "The same to the last bit." in capsys.readouterr().out
    assert main(["compare", str(one), str(other)]) == 0
    assert "layout: shared prefixes | padded" in capsys.readouterr().out
    assert main(["compare", str(one), str(other), "--tolerance", "0", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["equal"] is False
    assert {(d["layer"], d["block"]) for d in document["differences"]} == {(n, b) for n in (5, 6) for b in "QKV"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.safetensors", "other.safetensors"]


@pytest.mark.needs_model
def test_a_recorded_file_is_replaced_only_with_force(tmp_path, capsys):
    path = tmp_path / "one.safetensors"
    path.write_text("mine")
    assert record(path) == 2
    assert "is there already; name another file, or replace it with --force" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert record(path, "--force") == 0
    load_activations(path)


@pytest.mark.needs_model
def test_mistakes_are_one_line(tmp_path, capsys):
    one, balanced, him = (tmp_path / f"{name}.safetensors" for name in ("one", "balanced", "him"))
    record(one)
    record(balanced, "--corpus", "balanced")
    sentences = tmp_path / "two.txt"
    sentences.write_text("They gave him a coat and told her\nWe saw him again and met her\n")
    record(him, "--corpus", str(sentences), "--target", " him")
    her = tmp_path / "her.safetensors"
    record(her, "--corpus", str(sentences), "--layers", "7")
    other = tmp_path / "eight.safetensors"
    record(other, "--corpus", str(sentences), "--layers", "8")
    capsys.readouterr()
    for arguments, message in (
        (["compare", str(one), str(balanced)], "hold other sentences"),
        (["compare", str(him), str(her)], "is of the target ' him'"),
        (["compare", str(her), str(other)], "there is no layer in both"),
        (["compare", str(one), str(one), "--model", "embedded"], "--model goes with one file"),
        (["compare", str(one), "--tolerance", "-1"], "--tolerance -1 makes no sense"),
        (["compare", str(tmp_path / "none.npz"), str(one)], "can't be read"),
        (["record", "--model", "embedded", "--out", str(tmp_path / "no" / "a.safetensors")], "can't be written"),
        (["record", "--model", "embedded", "--layers", "99", "--out", str(tmp_path / "a.safetensors")], "layer 99"),
    ):
        assert main(arguments) == 2
        told = capsys.readouterr().err.strip().splitlines()
        assert message in told[-1]
        assert all(not line.startswith("Traceback") for line in told)


@pytest.mark.needs_model
def test_layers_in_one_file_only_are_told(tmp_path, capsys):
    both, one = tmp_path / "both.safetensors", tmp_path / "one.safetensors"
    record(both)
    main(["record", "--model", "embedded", "--layers", "6", "--out", str(one)])
    capsys.readouterr()
    assert main(["compare", str(both), str(one)]) == 0
    assert "layers in one of them only: 5" in capsys.readouterr().out


def activations(values: np.ndarray, layers=(0, 1)) -> Activations:
    projections = {"Q": slice(0, 2), "K": slice(2, 4), "V": slice(4, 6)}
    return Activations(values, ("context", "layer", "width"), layers, projections)


def test_drift_is_what_its_definition_says(rng):
    one = rng.normal(size=(5, 2, 6))
    other = one.copy()
    other[3, 1, 2] += 0.5
    found = drifts(activations(one), activations(other))
    assert [(d.layer, d.block) for d in found] == [(layer, b) for layer in (0, 1) for b in "QKV"]
    moved = first_moved(found)
    assert (moved.layer, moved.block) == (1, "K")
    assert moved.largest == pytest.approx(0.5)
    x, y = one[:, 1, 2:4], other[:, 1, 2:4]
    assert moved.relative == pytest.approx(0.5 / np.sqrt((x**2).mean()))
    cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(x, y, strict=True)]
    assert moved.least_cosine == pytest.approx(min(cosines))
    assert first_moved(drifts(activations(one), activations(one))) is None
    broken = one.copy()
    broken[0, 0, 0] = np.nan
    assert first_moved(drifts(activations(one), activations(broken))).layer == 0
    with pytest.raises(CaptureError, match="no layer in both"):
        drifts(activations(one), activations(one, (7, 8)))


def test_blocks_of_unequal_widths_are_compared_each(rng):
    """Grouped queries: keys and values are narrower."""
    places = {"Q": slice(0, 12), "K": slice(12, 16), "V": slice(16, 20)}
    one = rng.normal(size=(5, 1, 20))
    other = one.copy()
    other[2, 0, 16] += 0.5  # the first number of V
    first, second = (Activations(x, ("context", "layer", "width"), (6,), places) for x in (one, other))
    found = {drift.block: drift.largest for drift in drifts(first, second)}
    assert found == {"Q": 0.0, "K": 0.0, "V": pytest.approx(0.5)}
    narrow = Activations(one[..., :18], first.axes, (6,), {"Q": slice(0, 12), "K": slice(12, 15), "V": slice(15, 18)})
    with pytest.raises(CaptureError, match=r"layer 6, K: shapes \(5, 4\) and \(5, 3\) differ"):
        drifts(first, narrow)


def test_files_of_two_stages_are_not_compared(tmp_path, capsys):
    parts = {"target": np.ones((5, 1, 9)), "layers": np.array([6]), "widths": np.array([3, 3, 3])}
    for name, stage in (("a", "attention"), ("b", "projection")):
        np.savez(tmp_path / f"{name}.npz", **parts, stage=np.array(stage))
    np.savez(tmp_path / "c.npz", **parts)
    paths = {name: str(tmp_path / f"{name}.npz") for name in "abc"}
    assert main(["compare", paths["b"], paths["c"]]) == 0
    capsys.readouterr()
    assert main(["compare", paths["a"], paths["c"]]) == 2
    told = capsys.readouterr().err
    assert "a.npz' holds stage attention and" in told
    assert "c.npz' stage projection (assumed: it does not say); compare files of one stage" in told


def test_a_file_of_the_attention_stage_is_compared_with_our_own_of_it(embedded, replication, tmp_path, capsys):
    """GPT-2 does nothing between the two, so that its numbers are the same; that it is asked for is what is seen."""
    captured = capture(embedded, replication, layers=[6], stage=Stage.ATTENTION)
    captured.save(tmp_path / "a.safetensors")
    assert read_submission(tmp_path / "a.safetensors").target.stage is Stage.ATTENTION
    assert main(["compare", str(tmp_path / "a.safetensors"), "--model", "embedded"]) == 0
    assert "The same" in capsys.readouterr().out
