"""The search: what it finds is broken, small, reproducible, and no rate."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.claim import Claim, cells
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.cli import main
from qkvcheck.contexts.context import Context
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.errors import ClaimError
from qkvcheck.search.engine import search
from qkvcheck.search.measures import ContextMeasure, measure_of
from qkvcheck.search.outcome import outcome_lines, write_found
from qkvcheck.search.strategies import context_set, context_sets, contexts
from tests.conftest import CLAIM_FILES, ROOT

CLAIMS = load_claims(*CLAIM_FILES)


@pytest.fixture(scope="module")
def samples(embedded, alike):
    return Samples(embedded, alike, Plan(layers=(6,), words=CLAIMS.words.lists()))


def primary(claim: Claim):
    return next(c for c in cells(claim, layers=[6]) if (c.group, c.measure) == claim.primary[0])


def attack(samples, identity: str = "P5", *, budget: int = 150, seed: int = 0, claim: Claim | None = None, **drawn):
    claim = claim or CLAIMS.claims[identity]
    measure = measure_of(samples, claim, primary(claim))
    encoder = samples.hooked.encoder
    if isinstance(measure, ContextMeasure):
        strategy = contexts(encoder, " her", **{"before": (2, 12), "after": 0, **drawn})
    else:
        strategy = context_sets(encoder, " her", **{"size": 20, "before": (2, 6), "after": 0, **drawn})
    return search(measure, strategy, claim=claim, cell=primary(claim), budget=budget, rng_seed=seed)


def by_definition(samples, context: Context) -> float:
    """Return the mean Pearson correlation of a context's query with those of the corpus, from single forwards."""
    one = context_set([context], target=" her", target_id=samples.contexts.target_id)
    row = capture(samples.hooked, one, layers=[6], exact_layout=True).projection(6, "Q")[0].astype(np.float64)
    corpus = (
        capture(samples.hooked, samples.contexts, layers=[6], exact_layout=True).projection(6, "Q").astype(np.float64)
    )
    return float(np.mean([np.corrcoef(row, other)[0, 1] for other in corpus]))


def test_finds_what_is_worse_than_every_sentence_of_the_corpus(samples):
    """The corpus misses the bound itself."""
    found = attack(samples, claim=replace(CLAIMS.claims["P5"], threshold=0.95), budget=250)
    assert found.found is not None
    assert found.found.value < found.corpus == found.bar
    assert found.worst.value <= found.found.value
    for entry in (found.found, found.worst, found.neighbour):
        assert by_definition(samples, entry.example) == pytest.approx(entry.value, abs=1e-5)
    assert found.neighbour.value >= found.bar


def test_same_seed_same_search(samples):
    first, second, other = (attack(samples, seed=seed, budget=60) for seed in (3, 3, 4))
    assert first.log == second.log
    assert first.found == second.found
    assert first.log != other.log


def test_bar_is_the_threshold_where_the_corpus_meets_it(samples):
    """A claim that holds for the corpus is broken by whatever misses its threshold, and shrinks to the simplest."""
    own = measure_of(samples, CLAIMS.claims["P5"], primary(CLAIMS.claims["P5"])).corpus(CLAIMS.claims["P5"])
    holds = replace(CLAIMS.claims["P5"], threshold=own - 1e-3)
    found = attack(samples, claim=holds, budget=250)
    assert found.bar == holds.threshold
    assert found.found.value < found.bar
    never = attack(samples, claim=replace(holds, threshold=-1.0), budget=40)
    assert never.found is None
    assert "supports nothing" in outcome_lines(never)[-1]
    assert "%" not in "".join(outcome_lines(never))


def test_corpus_contexts_are_no_finding(samples):
    found = attack(samples, before=2, budget=400)
    own = {context.prefix for context in samples.contexts.contexts}
    assert own.isdisjoint(entry.example.prefix for entry in found.log)


@pytest.mark.slow
@pytest.mark.parametrize("identity", ["P3a", "P3c", "P6", "P6n", "B3", "B5", "B7"])
def test_claims_on_sets_are_measured_as_their_experiments_do(samples, identity):
    found = attack(samples, identity, budget=2)
    assert found.tried >= 1
    assert np.isfinite(found.worst.value)
    assert len(found.worst.example) == 20


@pytest.mark.long
def test_set_measure_is_the_statistic(samples):
    from qkvcheck.statistics.formulas import variance

    worst = attack(samples, "P3a", budget=4).worst
    rows = capture(samples.hooked, worst.example, layers=[6], exact_layout=True).projection(6, "Q")
    assert variance(rows) == pytest.approx(worst.value, abs=1e-5)


@pytest.mark.parametrize("identity", ["P1", "P2", "P9", "B4", "B6"])
def test_what_is_no_number_of_contexts_is_refused(samples, identity):
    claim = CLAIMS.claims[identity]
    with pytest.raises(ClaimError, match=f"claim {identity} can't be searched"):
        measure_of(samples, claim, primary(claim))


def test_finding_reproduces_from_its_file(samples, tmp_path):
    found = attack(samples, budget=250)
    assert write_found(tmp_path / "found.jsonl", found) == 54  # whatever the corpus has
    again = encode_corpus(read_corpus(tmp_path / "found.jsonl"), samples.hooked.encoder, target=" her")
    first = again.contexts[0]
    assert first == found.found.example
    assert by_definition(samples, first) == pytest.approx(found.found.value, abs=1e-5)
    record = json.loads((tmp_path / "found.jsonl").read_text().splitlines()[0])
    assert record["search"]["cell"] == "P5-L06-Q"


@pytest.mark.needs_model
def test_command(tmp_path, capsys, monkeypatch, alike_file):
    monkeypatch.chdir(ROOT)
    out = tmp_path / "found.jsonl"
    arguments = ["search", "--model", "embedded", "--budget", "250", "--corpus", str(alike_file), "--out", str(out)]
    assert main(arguments) == 1
    told = capsys.readouterr().out
    assert "@example(context_of(" in told
    assert "nearest one that is no worse" in told
    shrunk = encode_corpus(read_corpus(out), _encoder(), target=" her").contexts[0]
    assert shrunk.target_index <= 4 or "Shorter ones were tried" in told


OWN = """
schema = "qkvcheck/claims/1"
[[claim]]
id = "mine"
statement = "keys are alike"
statistic = "row_mean"
direction = "above"
threshold = -1
axis = "{axis}"
groups = ["K"]
primary = [["K", "cosine"]]
controls = ["of-a-file-that-is-not-loaded"]
"""


@pytest.mark.needs_model
def test_a_claim_of_other_cells_is_refused_and_its_controls_need_not_be_known(tmp_path, capsys):
    """Of a search no control is measured."""
    path = tmp_path / "claims.toml"
    arguments = ["search", "--model", "embedded", "--claims", str(path), "--claim", "mine", "--budget", "1"]
    path.write_text(OWN.format(axis="dimensions"))
    assert main(arguments) == 2
    assert "row_mean compares contexts; axis is 'dimensions'" in capsys.readouterr().err
    path.write_text(OWN.format(axis="contexts"))
    assert main(arguments) == 0


def _encoder():
    from qkvcheck.models.loading import load_model

    return load_model("embedded").encoder


@pytest.mark.needs_model
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0"], "--budget 0 is too small"),
        (["--before", "x"], "--before 'x' can't be read"),
        (["--claim", "P99"], "claim 'P99' is not on file"),
        (["--group", "QQ"], "claim P5 has no cell QQ"),
        (["--out", "no/such/folder/f.jsonl"], "can't be written"),
        (["--claims", "no.toml"], "can't be read"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["search", "--model", "embedded", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told
