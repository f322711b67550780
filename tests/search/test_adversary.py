"""The adversary: for-all verdicts, rates of random draws, findings measured again, and an untrained network beside."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan, Samples
from qkvcheck.claims.claim import cells
from qkvcheck.claims.claims_file import load_claims
from qkvcheck.claims.evidence import evidence_from_dict
from qkvcheck.cli import main
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.contexts.sampling import draw_contexts
from qkvcheck.models.loading import untrained_twin
from qkvcheck.search import adversary
from qkvcheck.search.outcome import rate_lines
from qkvcheck.search.strategies import context_of, context_set
from qkvcheck.statistics.bounds import violation_rate
from tests.conftest import CLAIM_FILES, ROOT

CLAIMS = load_claims(*CLAIM_FILES)
B9 = CLAIMS.claims["B9"]
CELL = next(cell for cell in cells(B9, layers=[6]) if cell.group == "Q")


@pytest.fixture(scope="module")
def samples(embedded, alike):
    return Samples(embedded, alike, Plan(layers=(6,), words=CLAIMS.words.lists()))


@pytest.fixture(scope="module")
def verdict(samples):
    return adversary.judge_every_context(samples, B9, CELL, budget=60, rng_seed=1)


def by_definition(hooked, corpus, contexts) -> list[float]:
    """Return each context's mean correlation with the corpus' queries, from plain padded forwards."""
    drawn = context_set(contexts, target=corpus.target, target_id=corpus.target_id)
    rows, own = (
        capture(hooked, c, layers=[6], exact_layout=True).projection(6, "Q").astype(np.float64) for c in (drawn, corpus)
    )
    return [float(np.mean([np.corrcoef(row, other)[0, 1] for other in own])) for row in rows]


def test_one_context_refutes_a_claim_about_all(samples, verdict):
    assert verdict.verdict == "REFUTED"
    search = verdict.evidence.search
    assert verdict.n == search.tried
    assert verdict.estimate == min(search.worst.value, search.corpus)
    found = context_of(search.found.text, samples.hooked.encoder, " her")
    assert by_definition(samples.hooked, samples.contexts, [found])[0] == pytest.approx(search.found.value, abs=1e-5)
    assert repr(search.found.text) in verdict.reason
    assert "%" not in verdict.reason  # a search counts nothing
    kept = verdict.to_dict()["evidence"]
    assert json.loads(json.dumps(kept)) == kept
    assert evidence_from_dict(kept) == verdict.evidence


def test_the_finding_stands_beside_an_untrained_network(samples, verdict):
    found = context_of(verdict.evidence.search.found.text, samples.hooked.encoder, " her")
    twin = untrained_twin(samples.hooked, seed=0)
    (control,) = verdict.controls
    assert control.estimate == pytest.approx(by_definition(twin, samples.contexts, [found])[0], abs=1e-5)
    assert control.estimate != pytest.approx(verdict.evidence.search.found.value, abs=1e-2)


def test_nothing_found_supports_nothing(samples):
    never = replace(B9, threshold=-1.0)
    verdict = adversary.judge_every_context(samples, never, CELL, budget=15, rng_seed=1)
    assert verdict.verdict == "INCONCLUSIVE"
    assert verdict.evidence.search.found is None
    assert "can only be refuted" in verdict.reason


def test_the_corpus_itself_refutes(embedded, replication):
    """The corpus misses 0.9, whatever the search meets."""
    samples = Samples(embedded, replication, Plan(layers=(6,), words=CLAIMS.words.lists()))
    verdict = adversary.judge_every_context(samples, B9, CELL, budget=1, rng_seed=1)
    assert verdict.verdict == "REFUTED"
    assert verdict.estimate <= verdict.evidence.search.corpus < 0.9


def test_rate_counts_independent_draws(samples):
    """The same draws by hand, each measured by a plain forward."""
    claim = replace(B9, threshold=0.88)
    found = adversary.count_violations(samples, claim, CELL, count=40, rng_seed=5)
    drawn = draw_contexts(
        samples.hooked.encoder,
        count=40,
        rng=np.random.default_rng(5),
        target=" her",
        target_id=samples.contexts.target_id,
        exclude=frozenset(context.prefix for context in samples.contexts.contexts),
    ).contexts
    values = by_definition(samples.hooked, samples.contexts, drawn)
    untrained = by_definition(untrained_twin(samples.hooked, seed=0), samples.contexts, drawn)
    assert found.rate == violation_rate(sum(value <= 0.88 for value in values), 40)
    assert found.untrained == violation_rate(sum(value <= 0.88 for value in untrained), 40)
    assert 0 < found.rate.violations < 40
    assert found.worst.value == pytest.approx(min(values), abs=1e-5)


@pytest.mark.parametrize(("threshold", "violations"), [(0.0, 0), (0.9, 2)])
def test_rate_of_sets(samples, threshold, violations):
    claim = replace(CLAIMS.claims["P3a"], threshold=threshold)
    found = adversary.count_violations(
        samples, claim, next(c for c in cells(claim, layers=[6]) if c.group == "QQ"), count=2, rng_seed=5
    )
    assert (found.what, found.rate.n, found.rate.violations) == ("sets", 2, violations)
    assert len(found.worst.example) == len(samples.contexts)


@pytest.mark.parametrize(
    ("violations", "words"), [(0, "fewer than 5.0%"), (3, "at least 1.4%"), (59, "at least 95.0%")]
)
def test_rate_in_words(violations, words):
    rate = violation_rate(violations, 59)
    told = rate_lines(rate, rate, what="contexts", seed=0, threshold=0.9)
    assert f"{violations} miss 0.9, so {words}" in told[0]


def test_independent_draws_reach_every_position_evenly(embedded):
    """Subjects of one to four words are drawn evenly; searches need not be even."""
    counts = np.zeros(6, dtype=int)
    for seed in range(40):
        drawn = draw_contexts(
            embedded.encoder, count=59, rng=np.random.default_rng(seed), target=" her",
            target_id=embedded.encoder.encode(" her")[0],
        )  # fmt: skip
        counts += np.bincount([context.target_index for context in drawn.contexts], minlength=6)
    assert counts[:2].sum() == 0
    assert np.abs(counts[2:] - 590).max() < 5 * np.sqrt(2360 * 0.25 * 0.75)


@pytest.mark.needs_model
def test_command_replays_its_own_file(tmp_path, capsys, monkeypatch, alike_file):
    monkeypatch.chdir(ROOT)
    out = str(tmp_path / "found.jsonl")
    common = ["search", "--model", "embedded", "--claim", "B9", "--group", "Q", "--corpus", str(alike_file), "--json"]
    assert main([*common, "--budget", "40", "--rate", "3", "--out", out]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["rate"]["model"]["n"] == 3
    assert set(told["search"]) >= {"found", "worst", "nearest_passing", "corpus", "bar", "untrained", "tried", "seed"}
    assert main([*common, "--replay", out]) == 1
    again = json.loads(capsys.readouterr().out)["values"]
    assert again[0]["text"] == told["search"]["found"]["text"]
    assert again[0]["value"] == pytest.approx(told["search"]["found"]["value"], abs=1e-7)
    assert main([*common[:-1], "--replay", out]) == 1
    assert "misses it  " in capsys.readouterr().out


@pytest.mark.needs_model
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "0"], "--rate 0 is too small"),
        (["--replay", "none.jsonl"], "'none.jsonl' can't be read: it does not exist"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["search", "--model", "embedded", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_file_of_a_set_is_one_example(samples):
    claim = CLAIMS.claims["P3a"]
    cell = next(c for c in cells(claim, layers=[6]) if c.group == "QQ")
    whole = encode_corpus(read_corpus("balanced"), samples.hooked.encoder, target=" her")
    (measured,) = adversary.replay(samples, claim, cell, whole)
    assert measured.example == whole


def test_a_search_in_one_head_looks_at_its_columns_alone(samples):
    """Head 2 of four heads of 32, in the model and in its twin."""
    claim = replace(B9, heads=(2,))
    (cell,) = [c for c in cells(claim, layers=[6]) if c.group == "K"]
    verdict = adversary.judge_every_context(samples, claim, cell, budget=12, rng_seed=1)
    assert (verdict.key, verdict.head) == ("B9-L06.H02-K", 2)
    found = context_of(verdict.evidence.search.worst.text, samples.hooked.encoder, " her")
    drawn = context_set([found], target=" her", target_id=samples.contexts.target_id)
    rows, own = (
        capture(samples.hooked, c, layers=[6], exact_layout=True).projection(6, "K").astype(np.float64)[:, 64:96]
        for c in (drawn, samples.contexts)
    )
    expected = np.mean([np.corrcoef(rows[0], other)[0, 1] for other in own])
    assert verdict.evidence.search.worst.value == pytest.approx(expected, abs=1e-5)
    assert adversary.attack(samples, claim, cell, budget=12, rng_seed=1).corpus == verdict.evidence.search.corpus


def test_the_command_searches_in_a_head(capsys):
    claims = [str(path) for path in CLAIM_FILES]
    arguments = ["search", "--claim", "B9", "--claims", *claims, "--model", "embedded", "--budget", "6", "--json"]
    assert main([*arguments, "--head", "1"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["search"]["cell"] == "B9-L06.H01-Q"
    for head, message in (("4", "there is no head 4 (zero-based); a layer has 4"), ("-1", "--head -1 makes no sense")):
        assert main([*arguments, "--head", head]) == 2
        assert message in capsys.readouterr().err
