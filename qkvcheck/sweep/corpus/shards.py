"""Shards: every file of a corpus looked at once: its hash, and where each piece of so many records begins."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from qkvcheck.errors import ContextError, first_line
from qkvcheck.sweep.corpus.sources import (
    MOST_BYTES,
    PARQUET,
    TABLE,
    Fault,
    Reader,
    bounded_lines,
    damage_of,
    opened,
    parquet_file,
    rows_of_table,
)


@dataclass(frozen=True)
class Shard:
    """A bounded number of records of one file.

    Attributes
    ----------
    number : int
        Its place among all, from 0.
    file : int
        The file's place among all.
    start, stop : int
        Records, from 0.
    offset : int
        Byte at which the first begins, where that can be told.
    """

    number: int
    file: int
    start: int
    stop: int
    offset: int = 0


@dataclass(frozen=True)
class Scanned:
    """What was seen of a file.

    Attributes
    ----------
    path, sha256 : str
        The file, and the hash of its bytes.
    bytes, records : int
        Its size, and how many records can be reached.
    offsets : tuple of int
        Byte at which each piece begins, where that can be told.
    fault : str or None
        Why it ends early, or can't be read at all.
    """

    path: str
    sha256: str
    bytes: int
    records: int
    offsets: tuple[int, ...] = ()
    fault: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


class _Hashed(io.RawIOBase):
    """A file that hashes what is read of it, told of how much at each piece."""

    def __init__(self, raw: BinaryIO, told: Callable[[int], object]) -> None:
        self._raw, self._told = raw, told
        self.digest, self.size = hashlib.sha256(), 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what fits."""
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        self.digest.update(data)
        self.size += len(data)
        self._told(len(data))
        return len(data)

    def drain(self) -> None:
        """Read what a reader left."""
        piece = bytearray(1 << 20)
        while self.readinto(piece):
            pass


def _nothing(_: int) -> None:
    pass


def scan(
    path: Path, *, records: int, most: int = MOST_BYTES, told: Callable[[int], object] = _nothing, column: str = "text",
    labelled: bool = False,
) -> Scanned:  # fmt: skip
    """Look at a file once: its hash, how many records it holds, and where each piece of `records` begins.

    Parameters
    ----------
    path : Path
        The file.
    records : int
        Records of a piece.
    most : int
        Bytes of the longest line that is taken.
    told : callable
        Gets the number of bytes read, piece by piece.
    column : str
        Of the texts: a table or Parquet file without it is refused at once.
    labelled : bool
        Whether a label is read too.

    Raises
    ------
    ContextError
        If it is of a kind that is not read, can't be opened, or has no such column.
    """
    reader = Reader(path, column=column, most=most, labelled=labelled)
    try:
        with path.open("rb") as raw:
            hashed = _Hashed(raw, told)
            if reader.form.kind == PARQUET:
                hashed.drain()
                count, offsets, fault = *_parquet(path, reader), None
            else:
                count, offsets, fault = _counted(hashed, reader, records=records)
                hashed.drain()
    except OSError as error:
        raise ContextError(f"corpus {str(path)!r} can't be read ({error.strerror or error}); check --corpus.") from None
    except BrokenError as error:
        return Scanned(str(path), hashed.digest.hexdigest(), hashed.size, 0, (), str(error))
    return Scanned(str(path), hashed.digest.hexdigest(), hashed.size, count, offsets, fault)


class BrokenError(Exception):
    """A file of which nothing can be read."""


def _parquet(path: Path, reader: Reader) -> tuple[int, tuple[int, ...]]:
    try:
        with parquet_file(path) as file:
            reader.check_column(list(file.schema_arrow.names))
            return int(file.metadata.num_rows), ()
    except ContextError:
        raise
    except Exception as error:  # of pyarrow: whatever it likes for a broken file
        raise BrokenError(f"is no whole Parquet file ({first_line(error)})") from None


def _counted(hashed: _Hashed, reader: Reader, *, records: int) -> tuple[int, tuple[int, ...], str | None]:
    """Return the records that can be reached, where pieces begin, and why there are no more."""
    count = place = 0
    offsets: list[int] = []
    try:
        lines = bounded_lines(opened(hashed, reader.form), most=reader.most)  # type: ignore[arg-type] # it reads
        # Rows of a table are counted as they are read: a quoted value may hold newlines.
        table = reader.form.kind == TABLE
        sizes = (0 for _ in rows_of_table(reader, lines)) if table else (size for _, size in lines)
        for size in sizes:
            if count % records == 0:
                offsets.append(place)
            count += 1
            place += size
    except Exception as error:
        fault = damage_of(error)
        if fault is None:
            raise
        return count, (), fault
    return count, tuple(offsets) if reader.form.seekable else (), None


def shards_of(files: Sequence[Scanned], *, records: int, limit: int | None = None) -> list[Shard]:
    """Cut files into shards, in their order; `limit` is a number of records after which the rest is left.

    Examples
    --------
    >>> files = [Scanned("a", "", 9, 5), Scanned("b", "", 2, 1)]
    >>> [(one.file, one.start, one.stop) for one in shards_of(files, records=3)]
    [(0, 0, 3), (0, 3, 5), (1, 0, 1)]
    """
    found: list[Shard] = []
    left = limit
    for place, file in enumerate(files):
        for piece, start in enumerate(range(0, file.records, records)):
            stop = min(start + records, file.records)
            if left is not None:
                stop = min(stop, start + left)
                left -= stop - start
            if stop > start:
                offset = file.offsets[piece] if file.offsets else 0
                found.append(Shard(len(found), place, start, stop, offset))
    return found


def faults_of(files: Sequence[Scanned]) -> Iterator[Fault]:
    """Yield what is wrong with whole files: those that end early, and those that hold nothing."""
    for file in files:
        if file.fault is not None:
            yield Fault(file.path, None, f"{file.fault}; {file.records:,} records before that are taken")
        elif not file.records:
            yield Fault(file.path, None, "holds no record")


def kept_input(stream: BinaryIO, folder: Path, *, suffix: str = ".txt") -> Path:
    """Keep standard input as a file, so that it can be read again after a stop."""
    path = folder / f"input{suffix}"
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    temporary.replace(path)
    return path
