"""The ratio gate: what is measured, what is compared, and what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from qkvcheck.cli import main
from qkvcheck.commands.benchmark import contests as bench
from qkvcheck.commands.benchmark import peers, ratios
from qkvcheck.commands.benchmark.contests import Contest
from qkvcheck.commands.benchmark.ratios import Ratio
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.errors import ClaimError
from qkvcheck.statistics.similarity import PAIR_GROUPS, summarise_groups

RATIO = Ratio("a-b", "ours", "theirs", 0.001, 0.004, 4.0, 3.0, 5.0, 7)


class Clock:
    """Time that passes only where a side lets it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds, log: list, name: str):
        """Return a side that takes so long each time."""
        untimed = 0.25
        durations = iter([0.0, *(d for s in seconds for d in (untimed, s))])  # first of all both are compared

        def run() -> str:
            self.now += next(durations)
            log.append(name)
            return "the result"

        return run


def contest(start, agree=lambda _a, _b: None) -> Contest:
    return Contest("a-b", "ours", "theirs", (), start, agree)


def test_ratio_is_the_median_over_rounds_and_the_order_alternates():
    clock, log = Clock(), []
    ours = clock.takes([1.0, 2.0, 1.0], log, "o")
    theirs = clock.takes([3.0, 4.0, 9.0], log, "t")
    found = bench.measure(contest(lambda: (ours, theirs)), rounds=3, clock=clock)
    assert (found.ratio, found.low, found.high) == (3.0, 2.0, 9.0)
    assert (found.our_seconds, found.their_seconds) == (1.0, 4.0)
    assert "".join(log) == "ot" + "oott" + "ttoo" + "oott"


def test_nothing_is_timed_where_the_results_differ():
    with pytest.raises(ClaimError, match=r"different results \(by a lot\); nothing was timed"):
        bench.measure(contest(lambda: (lambda: 1, lambda: 2), lambda _a, _b: "by a lot"))


def test_lost_is_below_the_factor_only():
    assert ratios.lost([RATIO], {"a-b": 5.71}) == []
    (lost,) = ratios.lost([RATIO], {"a-b": 5.72})
    assert (lost.name, lost.ratio, lost.committed) == ("a-b", 4.0, 5.72)
    assert lost.least == pytest.approx(4.004)
    assert ratios.lost([RATIO], {"other": 100.0}) == []
    assert ratios.lost([RATIO], {"a-b": 5.0}, factor=0.9) != []


def written(path, *made, family=None):
    """Write a record of this processor, or of another."""
    own = ratios.processor_family() if family is None else family
    ratios.write_record(path, made, {"processor": "x"}, family=own)


def test_ratios_are_written_and_read_back_and_other_families_stay(tmp_path):
    path = tmp_path / "ratios.json"
    written(path, RATIO, family="AMD 25-1 AVX2")
    written(path, replace(RATIO, ratio=2.0), family="Intel 6-143 AMX")
    written(path, replace(RATIO, ratio=5.0), family="AMD 25-1 AVX2")
    records = ratios.read_records(path)
    assert {record.family: record.ratios for record in records} == {
        "AMD 25-1 AVX2": {"a-b": 5.0}, "Intel 6-143 AMX": {"a-b": 2.0},
    }  # fmt: skip
    assert ratios.record_for(records, "Intel 6-143 AMX").machine == {"processor": "x"}
    assert ratios.record_for(records, "Intel 6-143 AVX-512") is None
    for text in (
        "no json",
        '{"schema": "qkvcheck/ratios/2"}',
        '{"schema": "other", "ratios": {}}',
        "[]",
        '{"schema": "qkvcheck/ratios/2", "records": [{"family": "x", "machine": {}, "ratios": {"a": {"ratio": 0}}}]}',
    ):
        path.write_text(text)
        with pytest.raises(ClaimError, match="ratios"):
            ratios.read_records(path)
    with pytest.raises(ClaimError, match="holds no ratios"):
        ratios.read_records(tmp_path / "nowhere.json")


def test_a_file_of_an_earlier_version_is_of_no_family(tmp_path):
    path = tmp_path / "ratios.json"
    entry = {"a-b": {"ratio": 4.0}}
    path.write_text(json.dumps({"schema": "qkvcheck/ratios/1", "machine": {"processor": "AMD EPYC"}, "ratios": entry}))
    (record,) = ratios.read_records(path)
    assert (record.family, record.ratios) == ("AMD EPYC", {"a-b": 4.0})


def cpuinfo(vendor: str, family: str, model: str, flags: str) -> str:
    one = f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nflags\t\t: {flags}\n"
    return f"{one}\n{one}"


@pytest.mark.parametrize(
    ("text", "family"),
    [
        (cpuinfo("GenuineIntel", "6", "143", "sse2 avx2 avx512f amx_tile amx_int8"), "Intel 6-143 AMX"),
        (cpuinfo("GenuineIntel", "6", "85", "sse2 avx2 avx512f"), "Intel 6-85 AVX-512"),
        (cpuinfo("AuthenticAMD", "25", "17", "sse2 avx2 avx512f"), "AMD 25-17 AVX-512"),
        (cpuinfo("AuthenticAMD", "25", "1", "sse2 avx2"), "AMD 25-1 AVX2"),
        (cpuinfo("HygonGenuine", "24", "1", "sse2"), "HygonGenuine 24-1 scalar"),
        ("processor: 0\nFeatures: fp asimd sve\nCPU implementer: 0x41\nCPU part: 0xd40\n", "ARM 0x41-0xd40 SVE"),
    ],
)  # fmt: skip
def test_a_family_is_maker_model_and_widest_unit(text, family):
    assert ratios.processor_family(text) == family


def test_committed_ratios_name_contests_and_are_above_their_targets():
    records = ratios.read_records(ratios.committed_path())
    assert len({record.family for record in records}) == len(records)
    for record in records:
        assert set(record.ratios) <= {c.name for c in bench.contests()}
        assert all(ratio > 0 for ratio in record.ratios.values())
    assert {name for record in records for name in record.ratios} == {c.name for c in bench.contests()}


@pytest.mark.parametrize("peer", ["lecture", "numpy", "torch", "scikit_learn"])
def test_peers_of_the_kernels_count_the_same(peer, rng):
    if peer == "scikit_learn":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    x = bench.activations_like(54, 90, rng=rng)
    blocks, groups = bench.equal_blocks(90), [(g[0], g[1]) for g in PAIR_GROUPS]
    theirs = getattr(peers, f"histograms_of_{peer}")(x, blocks, groups, bins=100)
    ours = summarise_groups(x, blocks, groups, kernel="reference")
    assert bench.same_counts(ours, theirs, tolerance=2e-3) is None
    theirs[3] = np.roll(theirs[3], 1)
    assert "QK: " in bench.same_counts(ours, theirs)


def test_the_padded_forward_is_our_reference(embedded, replication):
    from qkvcheck.capture.hooks import capture

    theirs = peers.PaddedForward(embedded, replication, 6)()
    assert bench.same_numbers(capture(embedded, replication, layers=[6], exact_layout=True).at(6), theirs) is None
    assert "largest difference" in bench.same_numbers(theirs, np.roll(theirs, 1, axis=0))
    assert not any(module._forward_hooks for module in embedded.model.modules())


@pytest.mark.needs_model
@pytest.mark.parametrize("peer", ["Nnsight", "TransformerLens"])
def test_hooking_libraries_capture_the_same(peer):
    pytest.importorskip({"Nnsight": "nnsight", "TransformerLens": "transformer_lens"}[peer], reason="not installed")
    from transformers import AutoTokenizer

    from qkvcheck.capture.hooks import capture
    from qkvcheck.models.loading import embedded_directory, load_model

    own = load_model("embedded")  # TransformerLens changes the model it wraps
    contexts = encode_corpus(read_corpus("replication"), own.encoder, target=" her")
    more = (AutoTokenizer.from_pretrained(embedded_directory()),) if peer == "TransformerLens" else ()
    theirs = getattr(peers, peer)(own, contexts, 6, *more)()
    ours = capture(load_model("embedded"), contexts, layers=[6]).at(6)
    assert bench.same_numbers(ours, theirs, tolerance=2e-5) is None


@pytest.mark.long
@pytest.mark.needs_model
def test_command_measures_checks_and_records(tmp_path, capsys):
    record, committed = tmp_path / "mine.json", tmp_path / "committed.json"
    usual = ["bench", "--only", "histogram-torch-lecture", "--ratios", str(committed)]
    written(committed, replace(RATIO, name="histogram-torch-lecture", ratio=0.01))
    assert main([*usual, "--check", "--record", str(record)]) == 0
    out, err = capsys.readouterr()
    assert "times faster" in out
    assert "histogram-torch-lecture" in out
    assert "histogram-torch-lecture ..." in err
    (made,) = ratios.read_records(record)
    assert made.family == ratios.processor_family()
    assert made.ratios["histogram-torch-lecture"] > 0
    written(committed, replace(RATIO, name="histogram-torch-lecture", ratio=1e6))
    assert main([*usual, "--check"]) == 1
    out, err = capsys.readouterr()
    assert "LOST" in out
    assert "LOST: histogram-torch-lecture is" in err
    committed.unlink()
    written(committed, replace(RATIO, name="histogram-torch-lecture", ratio=1e6), family="Z80 scalar")
    assert main([*usual, "--check"]) == 0
    out, err = capsys.readouterr()
    assert "LOST" not in out + err
    assert "no ratios on record for this processor" in err
    assert "on record: Z80 scalar" in err
    assert main([*usual, "--rounds", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ratios"]["histogram-torch-lecture"]["rounds"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--check", "--rounds", "3"], "--rounds 3 is too few; at least 7"),
        (["--rounds", "0"], "at least 1"),
        (["--factor", "2"], "--factor 2 must be above 0 and at most 1"),
        (["--only", "nothing"], "no contest's name holds 'nothing'; there are histogram-numba-lecture"),
        (["--ratios", "nowhere.json"], "'nowhere.json' holds no ratios"),
        (["--record", "."], "'.' is a folder; name a file in it"),
        (["--record", "no/such/folder.json"], "there is no folder 'no/such'; make it"),
    ],
)
def test_wrong_use_is_one_line(options, message, capsys):
    assert main(["bench", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_what_is_not_installed_is_told(monkeypatch, capsys, tmp_path):
    committed = tmp_path / "committed.json"
    written(committed, RATIO)
    monkeypatch.setattr(bench, "find_spec", lambda _name: None)
    usual = ["bench", "--only", "numba-sklearn", "--ratios", str(committed)]
    assert main(usual) == 0
    assert "histogram-numba-sklearn was not measured: numba is not installed." in capsys.readouterr().out
    assert main([*usual, "--check"]) == 2
    assert "nothing that was measured has a committed ratio" in capsys.readouterr().err
