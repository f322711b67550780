"""Loaded: heads and stage after a trip through a file, and what a file may say of them."""

from __future__ import annotations

import json

import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from qkvcheck.capture.loaded import load_activations
from qkvcheck.errors import CaptureError
from qkvcheck.groups import Stage
from tests.capture.test_activations import made


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
