"""Workers, kills and resumes, as processes: the same bits whatever happens to them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qkvcheck import cli
from qkvcheck.contexts.corpora import read_corpus
from tests.conftest import ROOT

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.long
CLAIMS = """
schema = "qkvcheck/claims/1"
[[claim]]
id = "poles"
statement = "two poles"
statistic = "variance"
direction = "above"
threshold = 0.4444444444444444
axis = "dimensions"
groups = ["QQ", "QK"]
primary = [["QQ", "cosine"]]
controls = ["non-target"]
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sentences with other beginnings, so that nothing is repeated."""
    lines = [line.text for line in read_corpus("replication").lines]
    path = tmp_path_factory.mktemp("corpus") / "a.txt"
    path.with_name("claims.toml").write_text(CLAIMS, encoding="utf-8")
    path.write_text("\n".join(f"{one} {other}" for one in lines[:12] for other in lines) + "\n", encoding="utf-8")
    return path


def command(corpus, out, *more):
    claims = str(corpus.with_name("claims.toml"))
    return [sys.executable, "-m", "qkvcheck.cli", "sweep", "--model", "embedded", "--claims", claims, "--corpus",
            str(corpus), "--out", str(out), "--layers", "6", "--untrained-seeds", "0", "--shard-records", "24",
            *more]  # fmt: skip


def started(arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def done(process):
    out, err = process.communicate(timeout=550)
    assert process.returncode == 0, err[-2000:]
    return out


@pytest.fixture(scope="module")
def expected(corpus, tmp_path_factory):
    """The results of one process that nothing happened to."""
    out = tmp_path_factory.mktemp("once") / "out"
    done(started(command(corpus, out)))
    return (out / "results.json").read_bytes()


def test_two_workers_find_what_one_process_does(corpus, expected, tmp_path):
    done(started(command(corpus, tmp_path / "out", "--workers", "2")))
    assert (tmp_path / "out" / "results.json").read_bytes() == expected


def some_shards(out, count=1):
    """Wait until so many checkpoints are there."""
    folder = Path(out) / "checkpoints"
    for _ in range(3000):
        if folder.is_dir() and len(list(folder.glob("*.npz"))) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("no checkpoint in time")


def test_a_worker_that_is_killed_changes_nothing(corpus, expected, tmp_path):
    process = started(command(corpus, tmp_path / "out", "--workers", "2"))
    some_shards(tmp_path / "out")
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "spawn_main" in " ".join(child.cmdline())
    ]
    assert workers
    random.Random(0).choice(workers).send_signal(signal.SIGKILL)
    done(process)
    assert (tmp_path / "out" / "results.json").read_bytes() == expected
    told = json.loads((tmp_path / "out" / "swept.json").read_text("utf-8"))
    assert told["contexts"] == told["counts"]["occurrences"] - told["counts"]["bare"]


@pytest.mark.parametrize("seed", range(3))
def test_the_whole_sweep_is_killed_and_resumed(seed, corpus, expected, tmp_path):
    rng = random.Random(seed)
    out = tmp_path / "out"
    process = started(command(corpus, out))
    some_shards(out, rng.randint(1, 3))
    time.sleep(rng.random())
    process.kill()
    process.communicate()
    done(started(command(corpus, out, "--resume")))
    assert (out / "results.json").read_bytes() == expected


def test_a_scheduler_that_does_not_answer(tmp_path, corpus, capsys):
    arguments = command(corpus, tmp_path / "out", "--scheduler", "nothing://here")[3:]
    assert cli.main(arguments) == 2
    assert "--scheduler 'nothing://here' does not answer" in capsys.readouterr().err
