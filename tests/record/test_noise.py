"""The noise floor: measured, and written beside the record of the same model only."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.claim import Claim, Direction
from qkvcheck.cli import main
from qkvcheck.groups import Comparison
from qkvcheck.record.baseline import read_baseline
from qkvcheck.record.noise import measure_noise
from tests.record.conftest import edit

pytestmark = pytest.mark.usefixtures("loaded")


def test_noise_is_measured_and_written_beside_the_record(project, recorded, capsys):
    arguments = ["doctor", "--noise", "--model", "embedded", "--claims", str(project.path / "claims.toml")]
    before = read_baseline(recorded)
    assert main([*arguments, "--json", "--baseline", str(recorded)]) == 0
    told = json.loads(capsys.readouterr().out)
    after = read_baseline(recorded)
    assert after.verdicts == before.verdicts
    assert asdict(after.noise) == told
    assert set(told["variations"]) == {
        "batch of 64", "batch of 4096", "padded layout", "one thread", "eager attention", "float64", "bfloat16",
    }  # fmt: skip
    floor = told["statistics"]["row_mean"]
    assert 0 < floor < 1e-6 < told["variations"]["bfloat16"]
    assert floor == max(value for name, value in told["variations"].items() if name != "bfloat16")
    assert project.runpytest().ret == 0
    assert main([*arguments]) == 0
    assert "row_mean" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: data["conditions"].update(fingerprint="x"),
            "was recorded with other weights, architecture or tokenizer",
        ),
        (lambda data: data.update(schema="other"), "is not of schema"),
    ],
)
def test_noise_of_another_model_is_not_written(project, recorded, capsys, change, message):
    edit(recorded, change)
    text = recorded.read_text()
    claims = str(project.path / "claims.toml")
    assert main(["doctor", "--noise", "--model", "embedded", "--claims", claims, "--baseline", str(recorded)]) == 2
    assert message in capsys.readouterr().err
    assert recorded.read_text() == text


def test_heads_are_measured_each(embedded, replication):
    """A claim about all heads is as many cells as there are heads that differ."""
    samples = Samples(embedded, replication, Plan(layers=(6,), words={"pronouns": (), "others": ()}))
    kept = {"groups": ("K",), "primary": (Comparison("K", "cosine"),), "axis": "contexts"}
    for heads, count in ((None, 1), ((1, 2), 2), ("all", 4)):
        claim = Claim("C", "says", "row_mean", Direction.ABOVE, 0.5, heads=heads, **kept)
        assert measure_noise(samples, [claim]).cells == count
