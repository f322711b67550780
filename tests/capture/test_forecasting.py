"""Forecast: how many forwards, bytes and seconds, against what a run then counts."""

from __future__ import annotations

import pytest

from qkvcheck.capture import forecasting
from qkvcheck.capture.forecasting import AskedFor, forecast, positions_of
from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan
from qkvcheck.contexts.corpora import encode_corpus, read_corpus


def asked(**changes) -> AskedFor:
    told = {
        "captures": 1, "words": 0, "networks": 0, "network_captures": 0, "network_words": 0, "measured": 0, **changes,
    }  # fmt: skip
    return AskedFor(**told)


@pytest.fixture
def contexts(embedded):
    return encode_corpus(read_corpus("replication"), embedded.encoder, target=" her")


def test_forwards_of_one_context():
    assert asked(captures=5, networks=19, network_captures=1).runs == 5 + 19
    assert asked(captures=2, words=20, networks=3, network_captures=1, network_words=20).runs == 2 + 20 + 3 * 21


def test_positions_are_what_a_capture_computes(embedded, contexts):
    computed = int(capture(embedded, contexts, layers=[6]).provenance["computed"])
    assert positions_of(contexts, shared=True) == computed
    assert positions_of(contexts, shared=False) == sum(c.target_index + 1 for c in contexts.contexts)


def test_time_grows_with_what_is_asked_for(embedded, contexts, monkeypatch):
    plan, clock = Plan((6,), {}), iter([0.0, 2.0] * 9)
    monkeypatch.setattr(forecasting, "time", type("Clock", (), {"perf_counter": lambda: next(clock)}))
    one, more = (forecast(embedded, contexts, asked(captures=k), plan=plan) for k in (1, 6))
    assert (one.contexts, one.forwards, more.forwards) == (54, 54, 6 * 54)
    assert one.seconds == pytest.approx(2.0)  # these contexts were the ones that were timed
    assert more.seconds == pytest.approx(12.0)
    judged = forecast(embedded, contexts, asked(measured=100), plan=plan)
    assert judged.seconds == pytest.approx(2.0 + 100 * forecasting._judging_seconds(54, 384))


def test_memory_counts_what_is_held_and_no_more_networks_than_that(embedded, contexts):
    plan = Plan((6,), {})
    one, two, many = (
        forecast(embedded, contexts, asked(networks=k, network_captures=1), plan=plan).memory for k in (1, 2, 10**9)
    )
    assert one < two
    assert many - one < 2 * forecasting.IN_MEMORY
