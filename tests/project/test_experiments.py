"""The experiments themselves: all of them on record, and P1, P2 and P9 able to fail."""

from __future__ import annotations

import json
import shutil

import hypothesis
import pytest

from qkvcheck.claims.claim import cells
from qkvcheck.claims.claims_file import load_claims
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("loaded")
EXPERIMENTS = ROOT / "experiments"


@pytest.fixture
def copy(pytester):
    """The project's experiments in a folder of their own, without recorded verdicts."""
    for path in [*EXPERIMENTS.glob("*.py"), *EXPERIMENTS.glob("*.toml")]:
        shutil.copy(path, pytester.path)
    pytester.makeini(
        "[pytest]\nqkv_claims = claims.toml beyond.toml\nqkv_model = embedded\nqkv_layers = 6\nqkv_untrained_seeds = 1"
    )
    return pytester


def verdicts_of(project, *arguments: str) -> dict[str, dict]:
    project.runpytest("--qkv-json", "r.json", *arguments)
    return {v["key"]: v for v in json.loads((project.path / "r.json").read_text())["verdicts"]}


@pytest.mark.parametrize("name", ["embedded", "embedded+balanced"])
def test_every_cell_but_p9_is_on_record(name):
    recorded = json.loads((EXPERIMENTS / "baselines" / f"{name}.json").read_text())["verdicts"]
    file = load_claims(EXPERIMENTS / "claims.toml", EXPERIMENTS / "beyond.toml")
    keys = {cell.key for claim in file.claims.values() for cell in cells(claim, layers=file.layers)}
    assert set(recorded) == {key for key in keys if not key.startswith("P9")}


def test_every_claim_has_an_experiment():
    source = "\n".join(path.read_text("utf-8") for path in EXPERIMENTS.glob("test_*.py"))
    for identity in load_claims(EXPERIMENTS / "claims.toml", EXPERIMENTS / "beyond.toml").claims:
        assert source.count(f'claim(id="{identity}")') == 1


def test_p1_needs_54_contexts_in_8_tokens(copy):
    (copy.path / "few.txt").write_text("\n".join(["We saw her again", "They gave her a red coat"]) + "\n")
    verdict = verdicts_of(copy, "-k", "P1", "--qkv-corpus", "few.txt")["P1-L06-QKV"]
    assert verdict["verdict"] == "REFUTED"
    assert "there are 54 contexts" in verdict["reason"]
    assert "the tensor is 54 x 8 x 384" in verdict["reason"]
    assert verdicts_of(copy, "-k", "P1")["P1-L06-QKV"]["verdict"] == "SUPPORTED"


def test_p2_tells_pairs_and_zero_columns(copy):
    found = verdicts_of(copy, "-k", "P2")
    assert {key: v["evidence"]["pairs"] for key, v in found.items()} == {
        **{f"P2-L06-{group}": 128 * 127 // 2 for group in ("QQ", "KK", "VV")},
        **{f"P2-L06-{group}": 128 * 128 for group in ("QK", "QV", "KV")},
    }
    assert all(v["evidence"]["zero_columns"] == 0 for v in found.values())
    assert all(v["evidence"]["conditions"]["abs(cos) <= 1 + 1e-6"] for v in found.values())


def test_p9_judges_a_larger_model_by_the_claims_on_the_target(copy):
    assert verdicts_of(copy, "-k", "P9")["P9-L06-QKV"]["verdict"] == "NOT JUDGED"
    path = copy.path / "claims.toml"
    path.write_text(path.read_text().replace("124439808", "1000000"))
    verdict = verdicts_of(copy, "-k", "P9")["P9-L06-QKV"]
    assert verdict["verdict"] == "REFUTED"
    cells_of_p9 = ["P3a-L06-QQ", "P3b-L06-QQ", "P4-L06-QQ", "P5-L06-Q", "P5-L06-K", "P8-L06-QQ"]
    assert verdict["reason"] == "does not hold: P3a-L06-QQ; P4-L06-QQ; P5-L06-Q; P8-L06-QQ"
    assert set(verdict["evidence"]["conditions"]) == set(cells_of_p9)
    assert verdict["evidence"]["parameters"] == 2_622_976


def test_p6n_needs_the_target_of_the_balanced_corpus(copy):
    (copy.path / "him.txt").write_text("\n".join(["We saw him again", "They gave him a red coat"]) + "\n")
    verdict = verdicts_of(copy, "-k", "P6n-L06-QQ", "--qkv-corpus", "him.txt", "--qkv-target", " him")["P6n-L06-QQ"]
    assert verdict["verdict"] == "NOT JUDGED"
    assert verdict["reason"] == "the balanced corpus holds ' her', and the target is ' him'"


def test_layer_0_of_full_size_gpt2_is_not_judged(copy):
    """There the target is a function of token and position alone: four positions, four rows."""
    found = verdicts_of(
        copy,
        "-k",
        "P3a-L00-QQ or P5-L00-Q",
        "--qkv-model",
        "gpt2#untrained",
        "--qkv-layers",
        "0",
        "--qkv-controls",
        "claim",
    )
    for verdict in found.values():
        assert verdict["verdict"] == "NOT JUDGED"
        assert verdict["reason"] == (
            "4 distinct contexts of 54 (50 have the numbers of another up to rounding, though their tokens differ); at "
            "least 20 are needed"
        )
        assert verdict["estimate"] is None


def test_layers_are_judged_together(copy):
    """B4: brute force at each layer, and layer 0 left out with its count."""
    from qkvcheck import encode_corpus, load_model, read_corpus
    from qkvcheck.capture.hooks import capture
    from qkvcheck.statistics.formulas import variance

    (verdict,) = verdicts_of(copy, "-k", "B4-L06-KK").values()
    assert verdict["verdict"] == "INCONCLUSIVE"
    assert "holds at layers 1, 2, 3, 4, 5, 6, 7, 8, 9; open at 10, 11; " in verdict["reason"]
    assert "layer 0 not judged: 4 distinct contexts of 54" in verdict["reason"]
    hooked = load_model("embedded")
    contexts = encode_corpus(read_corpus("replication"), hooked.encoder, target=" her")
    rows = capture(hooked, contexts, layers=range(12))
    for point in verdict["evidence"]["profile"][1:]:
        plain = variance(rows.projection(point["layer"], "K"))
        assert point["low"] < point["estimate"] < point["high"]
        assert abs(plain - point["estimate"]) < 0.03  # its bias
        assert point["untrained"]["low"] <= point["untrained"]["mean"] <= point["untrained"]["high"]


def test_against_untrained_needs_nineteen_seeds(copy):
    (verdict,) = verdicts_of(copy, "-k", "B6-L06-QQ").values()
    assert verdict["verdict"] == "NOT JUDGED"
    assert verdict["reason"] == "1 untrained seed(s); specificity needs 19"
    (verdict,) = verdicts_of(copy, "-k", "B6-L06-KK", "--qkv-untrained-seeds", "19").values()
    assert verdict["verdict"] == "SUPPORTED"
    assert 0 < verdict["low"] < verdict["estimate"] < verdict["high"]


def test_attribution_goes_with_its_verdict(copy):
    (verdict,) = verdicts_of(copy, "-k", "B7-L06-V").values()
    shares = verdict["evidence"]["attribution"]
    assert sum(share for name, share in shares.items() if name != "top_share") == pytest.approx(1.0)


def test_every_result_carries_the_hash_of_its_claims_file(copy):
    import hashlib

    found = verdicts_of(copy, "-k", "P4-L06-QQ or B2-L06-QQ", "--qkv-controls", "claim")
    for key, name in (("P4-L06-QQ", "claims.toml"), ("B2-L06-QQ", "beyond.toml")):
        assert found[key]["claims_sha256"] == hashlib.sha256((EXPERIMENTS / name).read_bytes()).hexdigest()
    assert "exploratory" in found["B2-L06-QQ"]["qualifier"]
    assert "exploratory" not in found["P4-L06-QQ"]["qualifier"]


SEARCHED = ("-k", "B9-L06", "--qkv-controls", "claim")


@pytest.mark.long
def test_search_is_the_same_under_the_same_seed_and_in_workers(copy, monkeypatch):
    """B9: --hypothesis-seed fixes every draw, also in two workers; without it the claims file's seed does."""
    monkeypatch.setattr(hypothesis.core, "global_force_seed", None)  # the option sets it in this process
    runs = [
        verdicts_of(copy, *SEARCHED, *more)
        for more in ([], ["--hypothesis-seed", "7"], ["--hypothesis-seed", "7"], ["--hypothesis-seed", "8"])
    ]
    copy.runpytest_subprocess("-n", "2", "--qkv-json", "w.json", *SEARCHED, "--hypothesis-seed", "7")
    workers = {v["key"]: v for v in json.loads((copy.path / "w.json").read_text())["verdicts"]}
    assert runs[1] == runs[2] == workers
    plain, seven, eight = (run["B9-L06-K"]["evidence"]["search"] for run in (runs[0], runs[1], runs[3]))
    assert (plain["seed"], seven["seed"], eight["seed"]) == (20261125, 7, 8)
    assert seven["worst"] != eight["worst"]


def test_search_needs_a_model(copy):
    import numpy as np

    rows = np.random.default_rng(0).normal(size=(54, 1, 384)).astype(np.float32)
    np.savez(copy.path / "a.npz", target=rows, layers=np.array([6]), widths=np.array([128, 128, 128]))
    verdict = verdicts_of(copy, *SEARCHED, "--qkv-activations", "a.npz")["B9-L06-K"]
    assert verdict["verdict"] == "NOT JUDGED"
    assert "the model" in verdict["reason"]
