"""Shards: a file is looked at once; pieces begin where they should, and what ends early says so."""

from __future__ import annotations

import gzip
import hashlib
import io

import pytest

from qkvcheck.errors import ContextError
from qkvcheck.sweep.corpus.shards import faults_of, kept_input, scan, shards_of
from qkvcheck.sweep.corpus.sources import Reader
from tests.sweep.test_sources import NAMES, written

TEXTS = [f"{number} saw her {'again ' * (number % 7)}" for number in range(23)]


@pytest.mark.parametrize("name", NAMES)
def test_shards_hold_every_record_once(name, tmp_path):
    path = written(tmp_path, name, TEXTS)
    seen = []
    found = scan(path, records=5, told=seen.append)
    assert (found.records, found.sha256) == (23, hashlib.sha256(path.read_bytes()).hexdigest())
    assert found.bytes == sum(seen) == path.stat().st_size
    shards = shards_of([found], records=5)
    assert [shard.stop - shard.start for shard in shards] == [5, 5, 5, 5, 3]
    for order in (shards, shards[::-1], [shards[3], shards[0], shards[4], shards[1], shards[2]]):
        texts = {}
        reader = Reader(path)  # one reader for all of them, whatever their order
        for shard in order:
            texts |= {r.number: r.text for r in reader.between(shard.start, shard.stop, offset=shard.offset)}
        assert [texts[number] for number in range(23)] == TEXTS


def test_a_limit_leaves_the_rest(tmp_path):
    files = [scan(written(tmp_path, name, TEXTS), records=5) for name in ("a.txt", "b.jsonl")]
    shards = shards_of(files, records=5, limit=26)
    assert sum(shard.stop - shard.start for shard in shards) == 26
    assert shards[-1].file == 1


def test_what_is_wrong_with_a_file_is_told(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.txt.gz"
    cut.write_bytes(gzip.compress("\n".join(f"{n} {n * 7919 % 1000}" for n in range(9000)).encode())[:-3000])
    garbage = tmp_path / "garbage.txt.gz"
    garbage.write_bytes(b"nothing of the kind")
    told = [str(fault) for fault in faults_of([scan(path, records=5) for path in (empty, cut, garbage)])]
    assert "holds no record" in told[0]
    assert "is cut short" in told[1]
    assert " 0 records before that" in told[2]


def test_a_parquet_file_that_is_cut_short_is_left_out(tmp_path):
    path = written(tmp_path, "a.parquet", TEXTS)
    path.write_bytes(path.read_bytes()[:-20])
    found = scan(path, records=5)
    assert (found.records, found.sha256) == (0, hashlib.sha256(path.read_bytes()).hexdigest())
    assert "no whole Parquet file" in str(next(faults_of([found])))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_unknown_column_is_refused_at_once(name, tmp_path):
    with pytest.raises(ContextError, match="no column 'body'"):
        scan(written(tmp_path, name, TEXTS), records=5, column="body")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ContextError, match="can't be read"):
        scan(tmp_path / "none.txt", records=5)


def test_standard_input_is_kept(tmp_path):
    path = kept_input(io.BytesIO(b"I saw her.\n"), tmp_path)
    assert path.read_bytes() == b"I saw her.\n"
    assert [one.name for one in tmp_path.iterdir()] == ["input.txt"]
