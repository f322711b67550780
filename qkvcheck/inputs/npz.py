"""Npz: arrays of an npz archive, whose sizes and types are looked at before a byte is unpacked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import BinaryIO

import numpy as np

from qkvcheck.errors import shown
from qkvcheck.inputs.given import Given

ALWAYS_ALLOWED = 64_000_000
"""Bytes that an archive may always unpack to, however small it is."""
RATIO = 20
"""How much larger than the file its arrays may be: activations shrink by a tenth or so."""
MOST = 16_000_000_000
"""Bytes that an archive may unpack to at all."""
_HEADER = 10_000
_KINDS = "fiuUS"
"""Types that are read: floating and whole numbers, texts. Objects are pickles; nothing here ever runs one."""


@dataclass(frozen=True)
class _Member:
    """An array of an archive, as its header tells."""

    info: zipfile.ZipInfo
    dtype: np.dtype
    shape: tuple[int, ...]


def read_npz(given: Given, *, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Return the arrays of an npz archive that have a wanted name; the others are left alone.

    Parameters
    ----------
    given : Given
        The file.
    wanted : collection of str
        Names of arrays.

    Raises
    ------
    QkvcheckError
        If it is no such archive, is damaged, holds a name that is nearly a wanted one or arrays of objects, or would
        unpack to more than is allowed.
    """
    with given.opened() as (file, size):
        try:
            return _arrays(given, file, size, wanted)
        except given.error:
            raise
        except Exception as error:  # zipfile, zlib and numpy raise what they like for a broken file
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise given.refused(f"is not a readable npz file ({shown(told[0], most=160)[1:-1]})") from None


def _arrays(given: Given, file: BinaryIO, size: int, wanted: Collection[str]) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise given.refused(f"holds {shown(twice)} twice")
        given.refuse_misspelt([name.removesuffix(".npy") for name in names], tuple(wanted))
        chosen = {name: info for info in infos if (name := info.filename.removesuffix(".npy")) in wanted}
        total, allowed = sum(info.file_size for info in chosen.values()), min(max(ALWAYS_ALLOWED, RATIO * size), MOST)
        if total > allowed:
            raise given.refused(
                f"has {size:,} bytes and would unpack to {total:,}; a file of that size may unpack to {allowed:,}"
            )
        members = {name: _member(given, archive, name, info) for name, info in chosen.items()}
        return {name: _array(given, archive, name, member) for name, member in members.items()}


def _member(given: Given, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> _Member:
    """Read the header of an array, and see that it says what the archive says."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream, max_header_size=_HEADER)
        start = stream.tell()
    if dtype.hasobject:
        raise given.refused(f"holds Python objects under {shown(name)}, a pickle, which can run code when it is read")
    if dtype.kind not in _KINDS or dtype.names is not None or dtype.subdtype is not None:
        raise given.refused(f"holds {shown(str(dtype))} under {shown(name)}; numbers and texts are read")
    if len(shape) > 16 or not all(isinstance(length, int) and length >= 0 for length in shape):
        raise given.refused(f"holds {shown(name)} of shape {shown(shape)}")
    needed = prod(shape) * dtype.itemsize
    if needed != info.file_size - start or (dtype.itemsize == 0 and prod(shape) > _HEADER):
        raise given.refused(
            f"holds {shown(name)} of shape {shown(shape)}, which takes {needed:,} bytes, in {info.file_size - start:,}"
        )
    return _Member(info, dtype, shape)


def _array(given: Given, archive: zipfile.ZipFile, name: str, member: _Member) -> np.ndarray:
    with archive.open(member.info) as stream, suppress(zlib.error):
        return np.lib.format.read_array(stream, allow_pickle=False, max_header_size=_HEADER)
    raise given.refused(f"is damaged: {shown(name)} can't be unpacked")
