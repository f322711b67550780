"""Activations: cut to a head, in memory and after a trip through a file; what a file may say of heads and stage."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from qkvcheck.capture.activations import Activations, heads_in, load_activations, sample_of
from qkvcheck.errors import CaptureError, NotCapturedError
from qkvcheck.groups import Stage

PLACES = {"Q": slice(0, 12), "K": slice(12, 16), "V": slice(16, 20)}
HEADS = {"Q": 6, "K": 2, "V": 2}


def made(**fields) -> Activations:
    """Twelve queries in six heads of two, four keys and four values in two heads of two; columns tell their number."""
    rng = np.random.default_rng(0)
    values = (np.arange(20) + 100 * np.arange(24)[:, None, None] + 0 * rng.normal(size=(24, 2, 20))).astype(np.float32)
    known = {"heads": HEADS, **fields}
    return Activations(values, ("context", "layer", "width"), (5, 6), PLACES, **known)


@pytest.mark.parametrize("head", range(6))
def test_a_head_is_its_queries_and_the_keys_and_values_that_it_reads(head):
    sample = sample_of(made(), layer=6, head=head)
    shared = head // 3
    columns = [2 * head, 2 * head + 1, 12 + 2 * shared, 13 + 2 * shared, 16 + 2 * shared, 17 + 2 * shared]
    assert sample.arrays[0][0].tolist() == columns
    assert {name: sample.part(name)[0][0].tolist() for name in "QKV"} == {
        "Q": columns[:2], "K": columns[2:4], "V": columns[4:]
    }  # fmt: skip


def test_the_same_head_gives_the_same_sample():
    captured = made()
    assert sample_of(captured, layer=6, head=1) is sample_of(captured, layer=6, head=1)
    assert sample_of(captured, layer=6, head=1) is not sample_of(captured, layer=6)
    assert sample_of(captured, layer=6).arrays[0].shape == (24, 20)


def test_words_are_cut_too_and_so_is_each_of_several_captures():
    grid = replace(made(), values=np.zeros((24, 2, 3, 20), np.float32), axes=("context", "layer", "word", "width"))
    assert sample_of(grid, layer=5, head=5).arrays[0].shape == (24, 3, 6)
    both = (made(), made(clusters=("a",) * 24))
    assert heads_in(both) == HEADS
    assert [array.shape for array in sample_of(both, layer=5, head=5).arrays] == [(24, 6), (24, 6)]


def test_a_head_that_is_not_there_is_told():
    with pytest.raises(CaptureError, match=r"no head 6 \(zero-based\); a layer has 6, 0 to 5"):
        sample_of(made(), layer=6, head=6)
    with pytest.raises(NotCapturedError, match="how many heads Q, K and V have is not told"):
        sample_of(made(heads={}), layer=6, head=0)
    with pytest.raises(CaptureError, match="can't be cut into heads: 5 heads do not divide the width 12 of Q"):
        sample_of(made(heads={"Q": 5, "K": 1, "V": 1}), layer=6, head=0)


def test_heads_and_stage_are_kept_in_the_file(tmp_path):
    for number, captured in enumerate((made(stage=Stage.ATTENTION), made(heads={}))):
        captured.save(tmp_path / f"{number}.safetensors")
        back = load_activations(tmp_path / f"{number}.safetensors")
        assert (dict(back.heads), back.stage) == (dict(captured.heads), captured.stage)
    with safe_open(tmp_path / "1.safetensors", framework="numpy") as file:
        assert "heads" not in json.loads(file.metadata()["layout"])  # as files were before


@pytest.mark.parametrize(
    ("heads", "said"),
    [
        ({"Q": 5, "K": 1, "V": 1}, "5 heads do not divide the width 12 of Q"),
        ({"Q": 6}, "heads are those of Q, and projections Q, K, V"),
        ({"Q": 6, "K": 4, "V": 4}, "4 heads of K do not divide the 6 heads of the queries"),
        ({"Q": "six", "K": 2, "V": 2}, "layout.heads.Q is 'six'"),
        (6, "layout.heads is 6"),
    ],
)
def test_heads_that_no_file_can_have(heads, said, tmp_path):
    captured = made()
    captured.save(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        about = dict(file.metadata())
    about["layout"] = json.dumps({**json.loads(about["layout"]), "heads": heads})
    save_file({"values": captured.values}, tmp_path / "a.safetensors", metadata=about)
    with pytest.raises(CaptureError, match=said):
        load_activations(tmp_path / "a.safetensors")
