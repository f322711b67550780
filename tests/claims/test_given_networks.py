"""A file with all its arms: every claim gets the verdict that the model itself gets."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from qkvcheck.capture import Plan, Samples
from qkvcheck.capture.hooks import capture_words
from qkvcheck.capture.submission import read_submission
from qkvcheck.claims import NOT_ASKED, Controls, Decision, FileControls, Role, cells, load_claims
from qkvcheck.errors import NotCapturedError
from qkvcheck.models import untrained_twin
from qkvcheck.plugin.claim_check import Apparatus, ClaimCheck
from tests.conftest import CLAIM_FILES
from tests.made_up import make_run

LAYERS, NETWORKS = (5, 6), 19
ON_THE_TARGET = ("P3a", "P3b", "P5", "B5", "B6")
ON_WORDS = ("P6", "P7", "B3", "B8")


@pytest.fixture(scope="module")
def claims():
    return load_claims(*CLAIM_FILES)


@pytest.fixture(scope="module")
def samples(embedded, replication, claims) -> Samples:
    return Samples(embedded, replication, Plan(LAYERS, claims.words.lists()))


@pytest.fixture(scope="module")
def arms(samples, embedded, replication, claims) -> dict[str, np.ndarray]:
    """What another tool would write: words in an order of its own, one more of them, float32."""
    lists = claims.words.lists()
    every = [word for word in [*lists["others"], *lists["pronouns"]] if word != " her"]
    words = [" her", " back", *every]

    def grid(hooked):
        return capture_words(hooked, replication, words, layers=LAYERS).values

    twins = [untrained_twin(embedded, seed=seed) for seed in range(NETWORKS)]
    return {
        "target": samples.target.values,
        "preceding": samples.preceding.values,
        "words": grid(embedded),
        "untrained": np.stack([samples.of_model(twin).target.values for twin in twins]),
        "untrained_words": np.stack([grid(twin) for twin in twins]),
        "layers": np.array(LAYERS),
        "widths": np.array([128, 128, 128]),
        "texts": np.array([context.text for context in replication.contexts]),
        "word_texts": np.array(words),
    }


def source_of(arms, folder, claims, *, without=()):
    path = folder / "theirs.npz"
    np.savez(path, **{name: array for name, array in arms.items() if name not in without})
    return read_submission(path, words=claims.words.lists())


def judge(claims, name, source, controls, *, role=Role.DECIDES, **changes):
    """Judge the cells of a claim at layer 6 as its test would: `claim.check()`."""
    claim = replace(claims.claims[name], **changes)
    session = SimpleNamespace(
        settings=SimpleNamespace(update="all", compare=None),
        claims=claims,
        layers=LAYERS,
        deciding_layer=6,
        controls_of_claim=lambda one: (*one.controls, "other-token"),
    )
    found = []
    for cell in cells(claim, layers=LAYERS, deciding=6):
        if cell.layer == 6 and cell.role == role:
            apparatus = Apparatus(session, make_run(model={"stand_in": False}), source, lambda: controls)
            ClaimCheck(claim, cell, apparatus, found.extend).check()
    assert found
    return [finding.verdict for finding in found]


@pytest.fixture(scope="module")
def own_controls(samples):
    return Controls(samples, untrained_seeds=NETWORKS)


@pytest.fixture(scope="module")
def file(arms, claims, tmp_path_factory):
    return source_of(arms, tmp_path_factory.mktemp("file"), claims)


@pytest.mark.parametrize("name", [*ON_THE_TARGET, *ON_WORDS])
def test_each_claim_gets_the_verdict_of_a_direct_run(name, claims, samples, own_controls, file):
    own = judge(claims, name, samples, own_controls)
    theirs = judge(claims, name, file, FileControls(file))
    for one, other in zip(own, theirs, strict=True):
        assert (other.verdict, other.n, other.n_distinct, other.clusters) == (
            one.verdict, one.n, one.n_distinct, one.clusters,
        )  # fmt: skip
        exact = {"abs": 0} if name in ON_THE_TARGET else {"abs": 2e-6}
        for field in ("estimate", "plug_in", "low", "high"):
            assert getattr(other, field) == pytest.approx(getattr(one, field), **exact)
        untrained, again = one.control("untrained"), other.control("untrained")
        assert (again.seeds, again.passing, again.specificity) == (NETWORKS, untrained.passing, untrained.specificity)
        for field in ("estimate", "low", "high", "p_value"):
            assert getattr(again, field) == pytest.approx(getattr(untrained, field), rel=1e-5, abs=1e-5)
        if name in ON_THE_TARGET and name != "B6":
            assert set(other.qualifier) == set(one.qualifier)
            token, same = one.control("other-token"), other.control("other-token")
            assert (same.passes, same.specificity) == (token.passes, token.specificity)
            assert same.estimate == pytest.approx(token.estimate, abs=2e-6)


def test_named_words_are_found_in_the_file(claims, samples, file):
    """The claims file's words, wherever the file has them."""
    none = SimpleNamespace(of=lambda _capture: {})
    measures = {"measures": ("variance-pronouns", "variance-others", "similarity"), "groups": ("Q",), "primary": ()}
    own, theirs = (judge(claims, "P6", source, none, role=Role.FAMILY, **measures) for source in (samples, file))
    assert [v.measure for v in own] == list(measures["measures"])
    assert [v.estimate for v in theirs] == pytest.approx([v.estimate for v in own], abs=2e-6)
    assert [v.verdict for v in theirs] == [v.verdict for v in own]


def test_without_untrained_networks_nothing_is_said_of_training(arms, claims, tmp_path):
    bare = source_of(arms, tmp_path, claims, without=("untrained", "untrained_words"))
    (verdict,) = judge(claims, "B6", bare, FileControls(bare))
    assert verdict.verdict == Decision.NOT_JUDGED
    assert verdict.reason == "theirs.npz holds the target's rows and 21 words only, not untrained networks"
    lenient = {"threshold": -2.0}
    held = [v for name in ("P3b", "P7", "B8") for v in judge(claims, name, bare, FileControls(bare), **lenient)]
    for verdict in [*held, *judge(claims, "P5", bare, FileControls(bare))]:
        assert (NOT_ASKED in verdict.qualifier) == (verdict.verdict == Decision.SUPPORTED)
        assert "not untrained networks" in verdict.control("untrained").reason


def test_one_network_is_one_seed(arms, claims, tmp_path):
    few = {**arms, "untrained": arms["untrained"][:1], "untrained_words": arms["untrained_words"][:1]}
    source = source_of(few, tmp_path, claims)
    (verdict,) = judge(claims, "B6", source, FileControls(source))
    assert verdict.verdict == Decision.NOT_JUDGED
    assert "specificity needs 19" in verdict.reason
    (verdict,) = judge(claims, "P3b", source, FileControls(source), threshold=-2.0)
    assert verdict.control("untrained").seeds == 1
    assert NOT_ASKED not in verdict.qualifier


def test_networks_without_their_words_are_asked_about_the_target_alone(arms, claims, tmp_path):
    source = source_of(arms, tmp_path, claims, without=("untrained_words",))
    (verdict,) = judge(claims, "B6", source, FileControls(source))
    assert verdict.verdict != Decision.NOT_JUDGED
    for verdict in judge(claims, "P7", source, FileControls(source)):
        assert "untrained network 1" in verdict.control("untrained").reason


def test_a_file_that_lacks_words_of_the_claims_file_leaves_those_claims(arms, claims, tmp_path):
    kept = [number for number, word in enumerate(arms["word_texts"]) if word not in (" Tom", " us")]
    few = {**arms, "words": arms["words"][:, :, kept], "word_texts": arms["word_texts"][kept]}
    source = source_of(few, tmp_path, claims, without=("untrained", "untrained_words"))
    with pytest.raises(
        NotCapturedError, match="holds 18 of the 20 words that the claims file names, not ' us', ' Tom'"
    ):
        judge(claims, "P6", source, FileControls(source))


def test_what_only_a_model_has_is_not_held(file):
    for name in ("fresh", "matched", "everywhere", "words_and_weights", "profile", "hooked", "contexts"):
        with pytest.raises(NotCapturedError, match=f"only, not {name.replace('_', ' ')}"):
            getattr(file, name)
    assert not hasattr(file, "nothing")
    for capture in ("fresh", "matched", "every_layer", "words_and_weights"):
        with pytest.raises(NotCapturedError, match="theirs.npz holds"):
            file.captured(capture)
    controls = FileControls(file).of("target")
    assert {"untrained", "different-words"} <= set(controls)
    with pytest.raises(NotCapturedError, match="not the control different-words"):
        _ = controls["different-words"]


def test_no_seed_asked_for_is_said_too(claims, samples):
    """The same note in a run of a model, and no crash at every layer."""
    none = Controls(samples, untrained_seeds=0)
    (verdict,) = judge(claims, "P3b", samples, none, threshold=-2.0)
    assert (verdict.verdict, NOT_ASKED in verdict.qualifier) == (Decision.SUPPORTED, True)
    (verdict,) = judge(claims, "B4", samples, none, threshold=-2.0)
    assert (verdict.verdict, NOT_ASKED in verdict.qualifier) == (Decision.SUPPORTED, True)
    assert all(point.untrained is None for point in verdict.evidence.profile)
