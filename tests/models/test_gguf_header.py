"""The header of a GGUF file: every count of it is held against the bytes that are there."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import gguf
import pytest

from qkvcheck.errors import ModelError
from qkvcheck.models.gguf.header import MOST_ITEMS, GgufHeader, read_header

KINDS = {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def field(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


ARCHITECTURE = field("general.architecture", 8, text("llama"))
ONE = tensor("blk.0.attn_q.weight", (4, 2), 0, 0)


def made(
    *, fields: tuple[bytes, ...] = (ARCHITECTURE,), tensors: tuple[bytes, ...] = (ONE,), numbers: int = 32,
    counts: tuple[int, int] | None = None, version: int = 3, magic: bytes = b"GGUF",
) -> bytes:  # fmt: skip
    counts = counts or (len(tensors), len(fields))
    start = magic + struct.pack("<IQQ", version, *counts) + b"".join(fields) + b"".join(tensors)
    return start + bytes(-len(start) % 32) + bytes(numbers)


def read(folder: Path, content: bytes) -> GgufHeader:
    path = folder / "m.gguf"
    path.write_bytes(content)
    return read_header(path, KINDS)


def test_what_is_told(tmp_path):
    fields = (
        ARCHITECTURE,
        field("llama.block_count", 4, struct.pack("<I", 2)),
        field("tokenizer.ggml.model", 8, text("gpt2")),
        field("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("Ġher")),
        field("tokenizer.ggml.add_bos_token", 7, b"\0"),
        field("some.scores", 9, struct.pack("<IQ3f", 6, 3, 1, 2, 3)),
    )
    tensors = (ONE, tensor("blk.1.attn_q.weight", (32, 2), 8, 32), tensor("output_norm.weight", (4,), 0, 128))
    header = read(tmp_path, made(fields=fields, tensors=tensors, numbers=144))
    assert (header.family, header.blocks, header.numbers) == ("llama", 2, 8 + 64 + 4)
    assert header.quantisation == "Q8_0"
    assert header.has_tokenizer
    assert header.add_bos is False
    assert header.fields["some.scores"] == 3
    assert [one.shape for one in header.tensors] == [(4, 2), (32, 2), (4,)]


def test_what_is_not_told(tmp_path):
    header = read(tmp_path, made())
    assert header.add_bos is None
    assert not header.has_tokenizer


HUGE = 2**63


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not GGUF"),
        (b"GGUF", "is not GGUF"),
        (made(magic=b"GGML"), r"begins with b'GGML' and not with b'GGUF'"),
        (made(version=1), "is GGUF of version 1; versions 2 and 3"),
        (made(version=3 << 24), "is written for machines of the other byte order"),
        (made(counts=(HUGE, 1)), "is damaged: it says that it has 9,223,372,036,854,775,808 tensors"),
        (made(counts=(1, HUGE)), "9,223,372,036,854,775,808 keys"),
        (made(counts=(1, 9_999)), "is cut off or damaged"),
        (made(counts=(99_999, 1)), "is damaged"),
        (made(fields=(struct.pack("<Q", HUGE),)), "a key ends 9,223,372,036,854,77"),
        (made(fields=(field("k", 8, struct.pack("<Q", 2**40)),)), "the text of 'k' ends"),
        (made(fields=(field("k", 9, struct.pack("<IQ", 0, 2**40)),)), "says that it has 1,099,511,627,776 items"),
        (made(fields=(field("k", 9, struct.pack("<IQ", 8, 1000)),)), "cut off or damaged"),
        (made(fields=(field("k", 9, struct.pack("<IQ", 9, 10)),)), "'k' is a list of type 9, which is not known"),
        (made(fields=(field("k", 77, b""),)), "'k' has a value of type 77"),
        (made(fields=(ARCHITECTURE, ARCHITECTURE)), "has the key 'general.architecture' twice"),
        (made(fields=(text("a").replace(b"a", b"\xff"),)), "is damaged"),
        (made(fields=()), "does not say which architecture it has"),
        (made(fields=(field("general.architecture", 4, bytes(4)),)), "does not say which architecture it has"),
        (made(fields=(ARCHITECTURE, field("split.count", 2, b"\3\0"))), "is one of 3 parts of a model; merge them"),
        (made(fields=(ARCHITECTURE, field("general.alignment", 4, struct.pack("<I", 48)))), "has to be a power of two"),
        (made(fields=(ARCHITECTURE, field("general.alignment", 4, bytes(4)))), "general.alignment is 0"),
        (made(tensors=()), "holds no tensors"),
        (made(tensors=(ONE, ONE)), "has the tensor 'blk.0.attn_q.weight' twice"),
        (made(tensors=(tensor("t", (4,) * 5, 0, 0),)), "has 5 dimensions"),
        (made(tensors=(text("t") + struct.pack("<I", 2**32 - 1),)), "has 4,294,967,295 dimensions"),
        (made(tensors=(tensor("t", (0, 2), 0, 0),)), "of shape"),
        (made(tensors=(tensor("t", (33, 2), 8, 0),)), "can't be in blocks of 32"),
        (made(tensors=(tensor("t", (4, 2), 99, 0),)), "in format 99, which the installed gguf package does not know"),
        (made(tensors=(tensor("t", (HUGE, HUGE), 0, 0),)), "is cut off"),
        (made(tensors=(tensor("t", (4, 2), 0, HUGE),)), "is cut off"),
        (made(numbers=31), "is cut off: it has .* bytes, and 'blk.0.attn_q.weight' ends at byte"),
        # So that a small file is not many times as large dequantised.
        (made(tensors=(ONE, tensor("t", (4, 2), 0, 0))), "the tensors 'blk.0.attn_q.weight' and 't' overlap"),
    ],
)  # fmt: skip
def test_damage_is_one_line_and_quick(tmp_path, content, message):
    started = time.process_time()
    with pytest.raises(ModelError, match=message) as caught:
        read(tmp_path, content)
    assert time.process_time() - started < 0.5
    assert "\n" not in str(caught.value)
    assert "'" + str(tmp_path / "m.gguf")[-20:] in str(caught.value) or "m.gguf" in str(caught.value)


def test_no_place_to_cut_off_goes_unseen(tmp_path):
    whole = made(fields=(ARCHITECTURE, field("k", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b"))))
    assert read(tmp_path, whole).numbers == 8
    for end in range(len(whole)):
        with pytest.raises(ModelError):
            read(tmp_path, whole[:end])


def test_many_small_lists_have_a_bound_too(tmp_path):
    half = struct.pack("<IQ", 0, MOST_ITEMS // 2 + 1) + bytes(MOST_ITEMS // 2 + 1)
    with pytest.raises(ModelError, match="'b' says that it has 2,000,001 items"):
        read(tmp_path, made(fields=(ARCHITECTURE, field("a", 9, half), field("b", 9, half))))
