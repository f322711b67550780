"""Header: what a GGUF file says of itself, read within the bounds of the file before any library is given it.

A reader that trusts the counts of a damaged file takes memory and hours; here each of them is held against the bytes
that are there. The layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from qkvcheck.errors import ModelError, QkvcheckError, shown, some_of
from qkvcheck.inputs import Given

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SUFFIX = ".gguf"
MOST_KEYS = 10_000
MOST_TENSORS = 100_000
MOST_ITEMS = 4_000_000
"""Items of all lists together; the largest vocabularies with their merges have a quarter of that."""
_ALIGNMENT = 32
_MOST_ALIGNMENT = 1 << 20
_MOST_DIMENSIONS = 4
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_BLOCK = re.compile(r"(?:[a-z]+\.)?blk\.(\d{1,6})\.")


@dataclass(frozen=True)
class GgufTensor:
    """One tensor of a file.

    Attributes
    ----------
    name : str
        As the file has it, such as ``blk.0.attn_q.weight``.
    shape : tuple of int
        With the fastest dimension first, as the file has it.
    kind : str
        How its numbers are written, such as ``Q4_1``.
    """

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True)
class GgufHeader:
    """What a file says of itself.

    Attributes
    ----------
    path : Path
        The file.
    fields : mapping of str to object
        Numbers and texts by key; of a list, how many items it has.
    tensors : tuple of GgufTensor
        In the order of the file.
    """

    path: Path
    fields: Mapping[str, Any]
    tensors: tuple[GgufTensor, ...]

    @property
    def family(self) -> str:
        """Name of the architecture, such as ``llama``."""
        return str(self.fields["general.architecture"])

    @cached_property
    def quantisation(self) -> str:
        """In which format most of its numbers are, such as ``Q4_1``."""
        held: Counter[str] = Counter()
        for tensor in self.tensors:
            held[tensor.kind] += tensor.numbers
        return held.most_common(1)[0][0]

    @property
    def numbers(self) -> int:
        """How many numbers all tensors hold."""
        return sum(tensor.numbers for tensor in self.tensors)

    @property
    def blocks(self) -> int:
        """How many layers there are tensors of."""
        found = (_BLOCK.match(tensor.name) for tensor in self.tensors)
        return len({match[1] for match in found if match})

    @property
    def has_tokenizer(self) -> bool:
        """Whether there is a vocabulary in it."""
        return self.fields.get("tokenizer.ggml.model") not in (None, "no_vocab") and bool(
            self.fields.get("tokenizer.ggml.tokens")
        )

    @property
    def add_bos(self) -> bool | None:
        """Whether the file says that texts begin with its BOS token; None if it says nothing."""
        told = self.fields.get("tokenizer.ggml.add_bos_token")
        return told if isinstance(told, bool) else None


class _FlawError(QkvcheckError):
    """What is wrong with the bytes, and what to do where that is something else; never leaves this module."""

    def __init__(self, why: str, *, do: str | None = None) -> None:
        super().__init__(why)
        self.do = do


def given_gguf(path: Path) -> Given:
    """Return a GGUF file, and how to speak of it."""
    return Given(path, "GGUF file", ModelError, "copy or download it again")


def gguf_in(directory: Path) -> Path | None:
    """Return the one GGUF file of a directory that has no safetensors weights; None if there is none or it has them.

    Raises
    ------
    ModelError
        If there are several.
    """
    found = sorted(path for path in directory.iterdir() if path.suffix.lower() == SUFFIX)
    if not found or any(".safetensors" in path.name for path in directory.iterdir()):
        return None
    if len(found) > 1:
        raise ModelError(
            f"model directory {shown(str(directory), most=160)} holds {len(found)} GGUF files "
            f"({some_of([path.name for path in found])}); name one of them with --qkv-model."
        )
    return found[0]


def check_magic(path: Path) -> int:
    """Refuse what is no GGUF file by its first bytes; return its size.

    Raises
    ------
    ModelError
        If it can't be read, or is something else.
    """
    given = given_gguf(path)
    with given.opened() as (file, size):
        first = file.read(8)
    if not first.startswith(MAGIC) or len(first) < 8:
        raise given.refused(f"is not GGUF: it begins with {shown(first[:4])} and not with {MAGIC!r}")
    (version,) = struct.unpack("<I", first[4:])
    if version not in VERSIONS:
        swapped = struct.unpack(">I", first[4:])[0] in VERSIONS
        why = "is written for machines of the other byte order" if swapped else f"is GGUF of version {version}"
        raise given.refused(f"{why}; versions 2 and 3 in little-endian order are read", do="convert it with llama.cpp")
    return size


def read_header(path: Path, kinds: Mapping[int, tuple[str, int, int]]) -> GgufHeader:
    """Return what a file says of itself.

    Parameters
    ----------
    path : Path
        The file.
    kinds : mapping of int to tuple
        The formats that numbers can have: name, numbers a block, bytes a block.

    Raises
    ------
    ModelError
        If it is cut off or damaged.
    """
    size = check_magic(path)
    given = given_gguf(path)
    try:
        with given.opened() as (file, _), mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            return _Walk(data, size, kinds).header(path)
    except _FlawError as flaw:
        raise given.refused(str(flaw), do=flaw.do) from None
    except (UnicodeDecodeError, ValueError) as error:
        raise given.refused(f"is damaged ({error})") from None


class _Walk:
    """A walk over the bytes, from the first to the last."""

    def __init__(self, data: mmap.mmap, size: int, kinds: Mapping[int, tuple[str, int, int]]) -> None:
        self.data, self.size, self.kinds = data, size, kinds
        self.place = 8
        self.items = 0

    def header(self, path: Path) -> GgufHeader:
        """Walk over everything before the numbers, and see that those are there."""
        count, keys = self.number("<Q"), self.number("<Q")
        if count > MOST_TENSORS or keys > MOST_KEYS:
            raise _FlawError(f"is damaged: it says that it has {count:,} tensors and {keys:,} keys")
        fields: dict[str, Any] = {}
        for _ in range(keys):
            key = self.text("a key")
            if key in fields:
                raise _FlawError(f"is damaged: it has the key {shown(key)} twice")
            fields[key] = self.value(self.number("<I"), key)
        if not isinstance(fields.get("general.architecture"), str) or not fields["general.architecture"]:
            raise _FlawError("does not say which architecture it has (general.architecture)")
        self.refuse_parts(fields)
        return GgufHeader(path, fields, self.tensors(count, self.alignment(fields)))

    def take(self, count: int, what: str) -> int:
        """Step over some bytes; return where they began."""
        start = self.place
        if count > self.size - start:
            raise _FlawError(f"is cut off or damaged: {what} ends {count + start - self.size:,} bytes after it")
        self.place += count
        return start

    def number(self, form: str) -> Any:
        return struct.unpack_from(form, self.data, self.take(struct.calcsize(form), "a number"))[0]

    def text(self, what: str) -> str:
        length = self.number("<Q")
        start = self.take(length, what)
        return self.data[start : start + length].decode("utf-8")

    def value(self, kind: int, key: str) -> Any:
        """Return a number or a text; of a list how many items it has."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text(f"the text of {shown(key)}")
        if kind != _ARRAY:
            raise _FlawError(f"is damaged: {shown(key)} has a value of type {kind}, which is not known")
        kind, count = self.number("<I"), self.number("<Q")
        self.items += count
        if self.items > MOST_ITEMS:
            raise _FlawError(f"is damaged: {shown(key)} says that it has {count:,} items")
        if kind in _SCALARS:
            self.take(count * struct.calcsize(_SCALARS[kind]), f"the list {shown(key)}")
        elif kind == _STRING:
            for _ in range(count):
                self.take(self.number("<Q"), f"a text of {shown(key)}")
        else:
            raise _FlawError(f"is damaged: {shown(key)} is a list of type {kind}, which is not known")
        return count

    def refuse_parts(self, fields: Mapping[str, Any]) -> None:
        parts = fields.get("split.count", 1)
        if isinstance(parts, int) and parts > 1:
            raise _FlawError(f"is one of {parts} parts of a model", do="merge them with llama.cpp's llama-gguf-split")

    def alignment(self, fields: Mapping[str, Any]) -> int:
        found = fields.get("general.alignment", _ALIGNMENT)
        if not (isinstance(found, int) and 0 < found <= _MOST_ALIGNMENT and found & (found - 1) == 0):
            raise _FlawError(f"is damaged: general.alignment is {shown(found)}, and has to be a power of two")
        return found

    def tensors(self, count: int, alignment: int) -> tuple[GgufTensor, ...]:
        """Walk over the table of tensors; see that the bytes of each are there, and of no two the same."""
        found: dict[str, tuple[GgufTensor, int, int]] = {}
        for _ in range(count):
            name = self.text("the name of a tensor")
            if name in found:
                raise _FlawError(f"is damaged: it has the tensor {shown(name)} twice")
            found[name] = self.tensor(name)
        if not found:
            raise _FlawError("holds no tensors, so it is a vocabulary or a description alone")
        start = -(-self.place // alignment) * alignment
        end, last = start, ""
        for tensor, offset, length in sorted(found.values(), key=lambda one: one[1]):
            if start + offset < end:
                raise _FlawError(f"is damaged: the tensors {shown(last)} and {shown(tensor.name)} overlap")
            end, last = start + offset + length, tensor.name
            if end > self.size:
                raise _FlawError(f"is cut off: it has {self.size:,} bytes, and {shown(last)} ends at byte {end:,}")
        return tuple(tensor for tensor, _, _ in found.values())

    def tensor(self, name: str) -> tuple[GgufTensor, int, int]:
        """Return a tensor of the table, and where its numbers begin and how many bytes they have."""
        dimensions = self.number("<I")
        if not 0 < dimensions <= _MOST_DIMENSIONS:
            raise _FlawError(f"is damaged: the tensor {shown(name)} has {dimensions:,} dimensions")
        shape = tuple(self.number("<Q") for _ in range(dimensions))
        kind, offset = self.number("<I"), self.number("<Q")
        if kind not in self.kinds:
            raise _FlawError(f"has {shown(name)} in format {kind}, which the installed gguf package does not know")
        kind_name, block, width = self.kinds[kind]
        if 0 in shape or shape[0] % block:
            raise _FlawError(f"is damaged: {shown(name)} of shape {shown(shape)} can't be in blocks of {block}")
        return GgufTensor(name, shape, kind_name), offset, prod(shape) // block * width
