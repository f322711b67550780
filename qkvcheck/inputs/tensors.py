"""Tensors: the header of a safetensors file, checked before any library opens the file.

A file begins with the length of its header; the header is JSON and names each tensor with its type, its shape and the
bytes that it takes. Together the tensors take all bytes once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import Any

from qkvcheck.errors import QkvcheckError, shown
from qkvcheck.inputs.given import Given

HEADER_LIMIT = 25_000_000
"""Bytes of a header; the format allows 100 million, the largest models need some hundred thousand."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64,
}  # fmt: skip
_PLAIN_NAME = re.compile(r"[^\x00-\x1f]{1,500}")


@dataclass(frozen=True)
class TensorEntry:
    """What a header says of one tensor.

    Attributes
    ----------
    dtype : str
        Such as ``"F32"``.
    shape : tuple of int
        Its lengths.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TensorHeader:
    """What a safetensors file says of itself.

    Attributes
    ----------
    tensors : dict of str to TensorEntry
        By their names.
    metadata : dict of str to str
        Texts that go with them.
    """

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]


def read_tensor_header(given: Given) -> TensorHeader:
    """Return what a safetensors file says of itself.

    Raises
    ------
    QkvcheckError
        If it is cut off, longer than it says, or its header is not what the format asks for.
    """
    with given.opened() as (file, size):
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= size - 8:
            raise given.refused("is cut off or is no safetensors file")
        if length > HEADER_LIMIT:
            raise given.refused(f"has a header of {length:,} bytes; at most {HEADER_LIMIT:,} are read")
        raw = file.read(length)
    header = given.parsed(given.text_of(raw), where="(its header)")
    if not isinstance(header, dict):
        raise given.refused("is no readable safetensors file (its header is no JSON object)")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise given.refused("is no readable safetensors file (its metadata are not texts)")
    places: list[tuple[int, int, str]] = []
    tensors: dict[str, TensorEntry] = {}
    for name, told in header.items():
        entry, begin, end = _entry(given, name, told)
        tensors[name] = entry
        places.append((begin, end, name))
    _check_places(given, sorted(places), 8 + length, size)
    return TensorHeader(tensors, metadata)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _entry(given: Given, name: str, told: Any) -> tuple[TensorEntry, int, int]:
    known = isinstance(told, dict) and {"dtype", "shape", "data_offsets"} <= told.keys()
    if not known or not _PLAIN_NAME.fullmatch(name):
        raise _unreadable(given, name, "has no dtype, shape and data_offsets")
    dtype, shape, offsets = told["dtype"], told["shape"], told["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _unreadable(given, name, f"is of type {shown(dtype)}; known are {', '.join(BITS)}")
    if not isinstance(shape, list) or len(shape) > 32 or not all(map(_is_whole, shape)):
        raise _unreadable(given, name, f"has shape {shown(shape)}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_whole, offsets)):
        raise _unreadable(given, name, f"has data_offsets {shown(offsets)}")
    begin, end = offsets
    if end - begin != prod(shape) * BITS[dtype] // 8:
        needed = f"{prod(shape) * BITS[dtype] // 8:,}"
        raise _unreadable(given, name, f"of {dtype} {shown(shape)} takes {needed} bytes and has {end - begin:,}")
    return TensorEntry(dtype, tuple(shape)), begin, end


def _unreadable(given: Given, name: str, what: str) -> QkvcheckError:
    return given.refused(f"is no readable safetensors file (tensor {shown(name)} {what})")


def _check_places(given: Given, places: list[tuple[int, int, str]], start: int, size: int) -> None:
    """Refuse tensors that overlap or leave bytes between them, and a file of another length."""
    at = 0
    for begin, end, name in places:
        if begin != at:
            what = "overlaps the one before it" if begin < at else f"leaves {begin - at:,} bytes before it unused"
            raise _unreadable(given, name, f"{what}")
        at = end
    if size != start + at:
        raise given.refused(f"has {size:,} bytes and should have {start + at:,}")
