"""Shifts against another checkpoint: the interval against its definition, the outcomes, and what is comparable."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from qkvcheck.claims import Claim, Decision, Direction
from qkvcheck.claims.evidence import Evidence, KeptReplicates
from qkvcheck.errors import ClaimError
from qkvcheck.inputs import documents
from qkvcheck.record.baseline import entry_of, read_baseline, write_baseline
from qkvcheck.record.checkpoint import check_same_claims, other_than_weights, read_checkpoint
from qkvcheck.record.finding import Finding, finding_from_dict
from qkvcheck.record.results import write_results
from qkvcheck.record.shift import Outcome, shift_of
from qkvcheck.record.trend import trend_of
from qkvcheck.report.compared import compared_lines
from qkvcheck.report.figures.trend import draw_trend, trend_lines
from tests.made_up import make_run, make_verdict

KEY = "A-L06-V"
RUN = make_run()
OTHER = replace(RUN, origin=replace(RUN.origin, fingerprint="e" * 64, spec="later"))


def measured(values: np.ndarray, *, estimate: float, verdict="SUPPORTED", kind="first token", **fields):
    kept = KeptReplicates(float(values.mean()), [float(np.delete(values, at).mean()) for at in range(len(values))])
    return make_verdict(KEY, verdict=verdict, estimate=estimate, statistic="row_mean", threshold=0.1, cluster_kind=kind,
                        evidence=Evidence(replicates=kept), **fields)  # fmt: skip


@pytest.fixture
def two():
    rng = np.random.default_rng(0)
    before = rng.normal(0.4, 0.05, size=24)
    return before, before + rng.normal(0.1, 0.02, size=24)


@pytest.mark.parametrize(("statistic", "widening"), [("row_mean", 3), ("sign_balance", 6)])
def test_interval_is_that_of_the_paired_jackknife(two, statistic, widening):
    before, after = two
    entry = entry_of(measured(before, estimate=0.4))
    found = shift_of(entry, replace(measured(after, estimate=0.5), statistic=statistic))
    n = len(before)
    pseudo = [n * (after - before).mean() - (n - 1) * np.delete(after - before, at).mean() for at in range(n)]
    error = np.std(pseudo, ddof=1) / np.sqrt(n) * np.sqrt((n + widening) / (n - widening))
    half = stats.t.ppf(0.975, n - 1) * error
    assert found.low == pytest.approx(np.mean(pseudo) - half, abs=1e-7)  # nine digits are kept, times 24 clusters
    assert found.high == pytest.approx(np.mean(pseudo) + half, abs=1e-7)
    assert (found.clusters, found.change) == (24, pytest.approx(0.1))


@pytest.mark.parametrize(
    ("margin", "outcome", "fails", "strict"),
    [
        (None, Outcome.MOVED, False, False),
        (0.0, Outcome.BEYOND, True, True),
        (0.05, Outcome.BEYOND, True, True),
        ("low", Outcome.OPEN, False, True),
        ("high", Outcome.WITHIN, False, False),
        (0.5, Outcome.WITHIN, False, False),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_outcome_by_the_whole_interval(two, margin, outcome, fails, strict, sign):
    before, after = (sign * values for values in two)
    entry, verdict = entry_of(measured(before, estimate=sign * 0.4)), measured(after, estimate=sign * 0.5)
    plain = shift_of(entry, verdict)
    near, far = sorted(map(abs, (plain.low, plain.high)))
    margin = {"low": near, "high": far}.get(margin, margin)
    found = shift_of(entry, verdict, margin=margin)
    assert (found.outcome, found.fails(), found.fails(strict=True)) == (outcome, fails, strict)


def test_flip_fails_whatever_the_margin_and_in_either_direction(two):
    before, after = two
    for was, now in (("SUPPORTED", "REFUTED"), ("REFUTED", "SUPPORTED"), ("SUPPORTED", "NOT JUDGED")):
        entry = entry_of(measured(before, estimate=0.4, verdict=was))
        found = shift_of(entry, measured(after, estimate=0.5, verdict=now), margin=9.0)
        assert found.outcome == Outcome.FLIP
        assert found.fails()
        assert f"FLIP: {was} -> {now}" in found.text


def test_without_a_pairing_the_estimate_decides(two):
    before, after = two
    entry = entry_of(measured(before, estimate=0.4))
    for other in (
        measured(after, estimate=0.5, kind="preceding token"),
        measured(after, estimate=0.5, n_distinct=53),
        measured(after[:20], estimate=0.5),
    ):
        found = shift_of(entry, other, margin=0.09)
        assert (found.low, found.outcome) == (None, Outcome.BEYOND)
        assert "not paired" in found.text
        assert shift_of(entry, other, margin=0.11).outcome == Outcome.WITHIN
    assert shift_of(entry, measured(before, estimate=0.4), margin=0.0).outcome == Outcome.SAME


def test_a_finding_carries_it_through_json(two):
    before, after = two
    shift = shift_of(entry_of(measured(before, estimate=0.4)), measured(after, estimate=0.5), margin=0.2)
    finding = Finding(measured(after, estimate=0.5), compared=shift)
    assert finding_from_dict({**finding.to_dict()}).compared == shift
    assert "compared" not in Finding(measured(after, estimate=0.5)).to_dict()


def written(tmp_path, two):
    """Return a record and results that say the same, and the path of a later checkpoint's record."""
    before, after = two
    record, results, later = (tmp_path / name for name in ("m+c.json", "r.json", "later+c.json"))
    write_baseline(record, RUN, [measured(before, estimate=0.4)], mode="all")
    write_results(results, RUN, [Finding(measured(before, estimate=0.4))])
    write_baseline(later, OTHER, [measured(after, estimate=0.5, verdict="REFUTED")], mode="all")
    return record, results, later


def test_a_record_and_results_are_read_alike(tmp_path, two):
    record, results, _ = written(tmp_path, two)
    one, other = read_checkpoint(record), read_checkpoint(results)
    assert one.verdicts == other.verdicts
    assert one.conditions == other.conditions
    (tmp_path / "bad.json").write_text('{"schema": "else"}')
    with pytest.raises(ClaimError, match=r"file to compare with '.*bad.json'.*name a record"):
        read_checkpoint(tmp_path / "bad.json")


def test_each_is_read_once_and_what_is_wrong_in_it_is_said_of_the_file_that_was_named(tmp_path, two, monkeypatch):
    reads, read_bytes = [], documents.read_bytes

    def counting(path, **options):
        reads.append(path)
        return read_bytes(path, **options)

    monkeypatch.setattr(documents, "read_bytes", counting)
    for path in written(tmp_path, two)[:2]:
        reads.clear()
        read_checkpoint(path)
        assert reads == [path]
        text = path.read_text()
        path.write_text(text.replace('"SUPPORTED"', '"PERHAPS"'))
        with pytest.raises(
            ClaimError, match=rf"file to compare with '.*{re.escape(path.name)}': verdicts.*PERHAPS.*; name a record"
        ):
            read_checkpoint(path)


def test_only_the_weights_may_differ(tmp_path, two):
    record, _, _ = written(tmp_path, two)
    checkpoint = read_checkpoint(record)
    assert other_than_weights(checkpoint, OTHER) is None
    half = replace(OTHER, settings=replace(OTHER.settings, dtype="float64"))
    assert other_than_weights(checkpoint, half) == "other dtype (float32 on record, float64 now)"
    sentences = replace(OTHER, corpus=replace(OTHER.corpus, sha256="a" * 64))
    assert other_than_weights(checkpoint, sentences) == "other contexts"


def test_claims_have_to_be_the_same(tmp_path, two):
    record, _, _ = written(tmp_path, two)
    checkpoint = read_checkpoint(record)
    claim = Claim("A", "says", "row_mean", Direction.ABOVE, 0.1, groups=("V",), primary=(("V", "cosine"),))
    check_same_claims(checkpoint, [claim])
    check_same_claims(checkpoint, [replace(claim, id="A-L", threshold=9.0)])  # another claim
    for other, told in (
        (replace(claim, threshold=0.2), r"claim A has another bound \(> 0.1 there, > 0.2 here\)"),
        (replace(claim, statistic="variance"), r"another statistic \(row_mean there, variance here\)"),
        (replace(claim, direction=Direction.AT_LEAST), "another bound"),
    ):
        with pytest.raises(ClaimError, match=told):
            check_same_claims(checkpoint, [other])
    old = {key: replace(entry, statistic=None, bound=None) for key, entry in checkpoint.verdicts.items()}
    check_same_claims(replace(checkpoint, verdicts=old), [replace(claim, threshold=0.2)])  # an earlier version's


def test_terminal_block_and_its_quiet_form(tmp_path, two):
    record, _, _ = written(tmp_path, two)
    checkpoint = read_baseline(record)
    for margin, quiet in ((0.5, 0), (0.01, 3)):
        verdict = measured(two[1], estimate=0.5)
        finding = Finding(verdict, compared=shift_of(checkpoint.verdicts[KEY], verdict, margin=margin))
        failing = {KEY} if finding.compared.fails() else set()
        every = compared_lines(
            checkpoint, OTHER, [finding, Finding(make_verdict("NEW-L06-Q"))], failing=failing, width=999
        )
        text = " ".join(" ".join(line.text for line in every).split())
        assert f"compared with {record} (m, ffffffffffff): other weights, same contexts and settings" in text
        assert "SUPPORTED: 0.4000 -> 0.5000, +0.1000 [" in text
        assert "not there to compare with: NEW-L06-Q" in text
        assert len(compared_lines(checkpoint, OTHER, [finding], failing=failing, every=False, width=999)) == quiet


def test_trend_marks_flips_between_neighbours(tmp_path, two):
    record, results, later = written(tmp_path, two)
    trend = trend_of([read_checkpoint(path) for path in (record, results, later)])
    (cell,) = trend.cells
    assert trend.names == ("m", "r", "later")
    assert [point.flip for point in cell.points] == [False, False, True]
    assert (trend.flips, cell.threshold, cell.statistic) == (1, 0.1, "row_mean")
    lines = trend_lines(trend)
    assert "<> 0.5000 [0.4600, 0.5400] refuted" in lines[-2]
    assert lines[-1].startswith("FLIPPED: A-L06-V")
    draw_trend(trend, tmp_path / "trend.png")
    assert (tmp_path / "trend.png").read_bytes()[:4] == b"\x89PNG"


def test_trend_over_a_gap_and_its_refusals(tmp_path, two):
    record, _, later = written(tmp_path, two)
    first, last = read_checkpoint(record), read_checkpoint(later)
    gap = replace(first, verdicts={})
    assert [p and p.flip for p in trend_of([first, gap, last]).cells[0].points] == [False, None, True]
    assert last.verdicts[KEY].verdict == Decision.REFUTED
    with pytest.raises(ClaimError, match=r"can't be compared: other contexts"):
        trend_of([first, replace(last, conditions=replace(last.conditions, corpus_sha256="0"))])
    moved = {KEY: replace(last.verdicts[KEY], bound="> 0.2")}
    with pytest.raises(ClaimError, match=r"A-L06-V has another bound \(> 0.1 there, > 0.2 here\)"):
        trend_of([first, replace(last, verdicts=moved)])
