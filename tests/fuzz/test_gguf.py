"""Fuzz: GGUF files with damage anywhere, and fields of every sort: a model or one line."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
import torch
from hypothesis import strategies as st

from qkvcheck.models.gguf.converted import checked_header
from qkvcheck.models.loading import load_model
from tests.gguf_files import write_gguf

from .damage import damaged, fuzz, reads_or_refuses

pytestmark = pytest.mark.needs_time

ODD_NUMBERS = (0, 1, 2, 3, 5, 31, 32, 64, 97, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


@pytest.fixture
def whole(tmp_path, monkeypatch) -> Iterator[bytes]:
    """A small model as one file, which loads."""
    monkeypatch.setenv("QKV_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked child has none of its parent's threads, and would wait for them
    path = write_gguf(tmp_path / "whole.gguf", kind=gguf.GGMLQuantizationType.F32)
    load_model(str(path))  # imports what the children need
    yield path.read_bytes()
    torch.set_num_threads(threads)


class Content(bytes):
    """What hypothesis shows of a file; the file itself is left in the test's folder."""

    def __repr__(self) -> str:
        return f"{len(self):,} bytes"


def read(path: Path) -> None:
    """Load a model, and use its tokenizer."""
    hooked = load_model(str(path))
    ids = hooked.encoder.encode("He gave her a book")
    assert all(0 <= number < hooked.model.get_input_embeddings().num_embeddings for number in ids)


def checker(tmp_path: Path, *, name: str, header: bool = False):
    path = tmp_path / "damaged.gguf"

    def check(content: bytes) -> bool:
        path.write_bytes(content)
        if header:
            return reads_or_refuses(checked_header, path, name=name)
        return reads_or_refuses(read, path, name=name, isolated=True, seconds=20, memory=2 << 30)

    return check


def start_of_numbers(content: bytes) -> int:
    """Before it stands everything that says what the numbers are."""
    return len(content) - sum(-(-t.n_bytes // 32) * 32 for t in _reader(content).tensors)


def _reader(content: bytes) -> gguf.GGUFReader:
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(content)
        file.flush()
        return gguf.GGUFReader(file.name)


def test_headers(whole, tmp_path, examples):
    check = checker(tmp_path, name="GGUF headers", header=True)
    assert check(whole)
    end = start_of_numbers(whole)
    fuzz(damaged(whole[:end]).map(lambda start: Content(start + whole[end:])), check, examples=2 * examples)


def test_files_cut_off(whole, tmp_path, examples):
    check = checker(tmp_path, name="GGUF files cut off", header=True)

    def refuses(content: bytes) -> None:
        assert not check(content)

    refuses(whole[:-33])
    fuzz(st.integers(0, len(whole) - 33).map(lambda end: Content(whole[:end])), refuses, examples=examples)


def test_fields(whole, tmp_path, examples):
    """Each number that says how large something is, with others in its place, through the whole of loading."""
    check = checker(tmp_path, name="GGUF fields")
    reader = _reader(whole)
    sorts = (gguf.GGUFValueType.UINT32, gguf.GGUFValueType.FLOAT32)
    places = {
        name: field.offset + len(name) + 12
        for name, field in reader.fields.items()
        if field.types and field.types[0] in sorts and not name.startswith("GGUF.")
    }

    def changed(change: tuple[str, int]) -> bool:
        place = places[change[0]]
        return check(whole[:place] + struct.pack("<I", change[1]) + whole[place + 4 :])

    fuzz(st.tuples(st.sampled_from(sorted(places)), st.sampled_from(ODD_NUMBERS)), changed, examples=examples // 2)


def test_whole_files(whole, tmp_path, examples):
    fuzz(damaged(whole).map(Content), checker(tmp_path, name="GGUF files"), examples=examples // 3)
