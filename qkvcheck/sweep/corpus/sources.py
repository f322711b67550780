"""Sources: the records of large files, one at a time: text, JSON lines, tables and Parquet, plain or compressed.

Nothing is read whole. A record that can't be used is a `Fault`, with the reason in words; so is a file that ends in the
middle of it. None is dropped in silence.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import iglob
from pathlib import Path
from typing import Any, BinaryIO

from qkvcheck.errors import ContextError, first_line, nearest, shown, some_of
from qkvcheck.files import is_there

TEXT, JSON, TABLE, PARQUET = "text", "jsonl", "table", "parquet"
FORMATS = {
    ".txt": TEXT, "": TEXT, ".text": TEXT, ".jsonl": JSON, ".ndjson": JSON, ".csv": TABLE, ".tsv": TABLE,
    ".parquet": PARQUET,
}  # fmt: skip
COMPRESSED = (".gz", ".zst")
LABEL = "cluster"
"""Key or column that says which records may depend on each other."""
MOST_BYTES = 4_000_000
"""Bytes of a line, unless a sweep says otherwise; longer ones are left out and counted."""
_PIECE = 1 << 16


@dataclass(frozen=True)
class Record:
    """One text of a file.

    Attributes
    ----------
    number : int
        Its place in the file, from 0; blank lines count.
    text : str
        What it says.
    label : str or None
        Which records it may depend on.
    """

    number: int
    text: str
    label: str | None = None


@dataclass(frozen=True)
class Fault:
    """What can't be used.

    Attributes
    ----------
    file : str
        Where it stands.
    number : int or None
        Its record, from 0; None for what is wrong with the whole file.
    why : str
        In words.
    ends : bool
        Whether nothing behind it can be read.
    """

    file: str
    number: int | None
    why: str
    ends: bool = False

    def __str__(self) -> str:
        return f"{self.file}{'' if self.number is None else f', record {self.number + 1}'}: {self.why}"


@dataclass(frozen=True)
class Form:
    """How a file is read.

    Attributes
    ----------
    kind : str
        One of `TEXT`, `JSON`, `TABLE` and `PARQUET`.
    packed : str
        ``".gz"``, ``".zst"`` or empty.
    delimiter : str
        Of a table.
    """

    kind: str
    packed: str = ""
    delimiter: str = ","

    @property
    def seekable(self) -> bool:
        """Whether a record can be found by the byte at which it begins."""
        return self.kind in (TEXT, JSON) and not self.packed


def form_of(path: str | Path) -> Form:
    """Return how a file is read, by its suffixes.

    Raises
    ------
    ContextError
        If it is of a kind that is not read.

    Examples
    --------
    >>> form_of("a/b.jsonl.gz")
    Form(kind='jsonl', packed='.gz', delimiter=',')
    """
    name = Path(path).name.lower()
    packed = next((suffix for suffix in COMPRESSED if name.endswith(suffix)), "")
    suffix = Path(name.removesuffix(packed)).suffix
    if suffix not in FORMATS or (FORMATS[suffix] == PARQUET and packed):
        allowed = ", ".join(filter(None, FORMATS))
        raise ContextError(
            f"corpus {shown(str(path))} is of a kind that is not read ({shown(suffix)}); allowed are {allowed}, all "
            "but Parquet also with .gz or .zst behind it."
        )
    return Form(FORMATS[suffix], packed, "\t" if suffix == ".tsv" else ",")


def files_of(patterns: Sequence[str]) -> list[Path]:
    """Return the files that paths and patterns name, sorted, each once.

    Raises
    ------
    ContextError
        If one names no file.
    """
    found: set[str] = set()
    for pattern in patterns:
        names = [pattern] if is_there(pattern) else iglob(pattern, recursive=True)  # noqa: PTH207 (it may be absolute)
        files = [str(Path(name).absolute()) for name in names if Path(name).is_file()]  # workers may stand elsewhere
        if not files:
            raise ContextError(f"--corpus {shown(pattern)} names no file; give files, or a pattern as 'data/*.txt'.")
        found.update(files)
    return [Path(name) for name in sorted(found)]


def opened(raw: BinaryIO, form: Form) -> io.BufferedReader:
    """Return the bytes of a file without their compression."""
    if form.packed == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), _PIECE)
    if form.packed == ".zst":
        try:
            from zstandard import ZstdDecompressor
        except ImportError:
            raise ContextError("a .zst file needs zstandard: pip install 'qkvcheck[sweep]'.") from None
        return io.BufferedReader(ZstdDecompressor().stream_reader(raw, read_across_frames=True), _PIECE)
    return raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw, _PIECE)  # type: ignore[arg-type]


def bounded_lines(stream: io.BufferedReader, *, most: int) -> Iterator[tuple[bytes | None, int]]:
    r"""Yield each line with the bytes that it takes; None for one of more than `most`, which is never held.

    Examples
    --------
    >>> list(bounded_lines(io.BufferedReader(io.BytesIO(b"one\ntwenty\nsix")), most=4))
    [(b'one\n', 4), (None, 7), (b'six', 3)]
    """
    while line := stream.readline(most + 1):
        size = len(line)
        if size <= most or (size == most + 1 and line.endswith(b"\n")):
            yield line, size
            continue
        while not line.endswith(b"\n") and (line := stream.readline(_PIECE)):
            size += len(line)
        yield None, size


def damage_of(error: BaseException) -> str | None:
    """Return in words what a broken file's reader raised; None for an error that is none of these."""
    if isinstance(error, (EOFError, gzip.BadGzipFile, zlib.error)) or type(error).__name__ == "ZstdError":
        return f"is cut short or no whole compressed file ({first_line(error)})"
    if type(error).__module__.startswith("pyarrow") or isinstance(error, OSError):
        return f"can't be read ({first_line(error)})"
    return None


class Reader:
    """The records of one file from a place on; going forward never reads anything twice.

    Parameters
    ----------
    path : Path
        The file.
    column : str
        Key or column of the texts.
    most : int
        Bytes of the longest line that is taken.
    labelled : bool
        Whether `LABEL` is read too.
    """

    def __init__(self, path: Path, *, column: str = "text", most: int = MOST_BYTES, labelled: bool = False) -> None:
        self.path, self.column, self.most, self.labelled = path, column, most, labelled
        self.form = form_of(path)
        self._next = 0
        self._records: Iterator[Record | Fault | None] | None = None

    def between(self, start: int, stop: int, *, offset: int = 0) -> Iterator[Record | Fault]:
        """Yield the records `start` to `stop` (without it) that are not blank, and what can't be used of them.

        Parameters
        ----------
        start, stop : int
            Numbers of records, from 0.
        offset : int
            Byte at which record `start` begins, where the form is seekable.
        """
        if self._records is None or self._next > start or (self.form.seekable and self._next != start):
            jumps = self.form.seekable
            self._next = start if jumps else 0
            self._records = self._made(start if jumps else 0, offset if jumps else 0)
        if self.form.kind == PARQUET and self._next < start:
            self._next, self._records = start, self._made(start, 0)
        for found in self._records:
            number, self._next = self._next, self._next + 1
            ends = isinstance(found, Fault) and found.ends
            if (number >= start or ends) and found is not None:
                yield found
            if ends:
                self._records = None
            if ends or self._next >= stop:
                return

    def _made(self, start: int, offset: int) -> Iterator[Record | Fault | None]:
        made = _of_parquet(self, start) if self.form.kind == PARQUET else self._of_lines(start, offset)
        number = start
        try:
            for found in made:
                number += 1
                yield found
        except Exception as error:
            why = damage_of(error)
            if why is None:
                raise
            yield Fault(str(self.path), number, why, ends=True)

    def _of_lines(self, start: int, offset: int) -> Iterator[Record | Fault | None]:
        with self.path.open("rb") as raw:
            if offset:
                raw.seek(offset)
            lines = bounded_lines(opened(raw, self.form), most=self.most)
            if self.form.kind == TABLE:
                yield from rows_of_table(self, lines)
                return
            for number, (line, size) in enumerate(lines, start):
                yield self._too_long(number, size) if line is None else self._of_line(number, line)

    def _too_long(self, number: int, size: int) -> Fault:
        return Fault(str(self.path), number, f"is {size:,} bytes long; taken are at most {self.most:,} (--max-line)")

    def _of_line(self, number: int, line: bytes) -> Record | Fault | None:
        try:
            text = line.rstrip(b"\r\n").decode("utf-8").removeprefix("\ufeff" if number == 0 else "\0")
        except UnicodeDecodeError as error:
            return Fault(str(self.path), number, f"is not UTF-8 (byte {error.start})")
        if not text.strip():
            return None
        if self.form.kind == TEXT:
            return Record(number, text)
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            return Fault(str(self.path), number, f"is no JSON ({first_line(error)})")
        if not isinstance(data, dict):
            return Fault(str(self.path), number, "is no JSON object")
        return self.record(number, data)

    def record(self, number: int, data: dict[str, Any]) -> Record | Fault | None:
        """Return what a row of named values says."""
        text = data.get(self.column)
        if self.column not in data:
            return Fault(
                str(self.path), number, f"has no {self.column!r}; it has {some_of(list(map(str, data))) or 'none'}"
            )
        if text is None or (isinstance(text, str) and not text.strip()):
            return None
        if not isinstance(text, str):
            return Fault(str(self.path), number, f"has a {self.column!r} that is no text ({shown(text)})")
        if len(text) > self.most:
            return self._too_long(number, len(text))
        label = data.get(LABEL) if self.labelled else None
        return Record(number, text, None if label is None else str(label))

    def check_column(self, names: Sequence[str]) -> None:
        """Raise `ContextError` unless a table has the columns that are read."""
        for name in (self.column, *([LABEL] if self.labelled else [])):
            if name not in names:
                raise ContextError(
                    f"{self.path} has no column {name!r}; it has {some_of(list(names), shown=8) or 'none'}. Name one "
                    f"with --column.{nearest(name, names)}"
                )


def rows_of_table(reader: Reader, lines: Iterator[tuple[bytes | None, int]]) -> Iterator[Record | Fault | None]:
    """Yield the rows of a table whose first one names the columns; a quoted value may hold newlines."""
    lost: list[int] = []

    def texts() -> Iterator[str]:
        for line, size in lines:
            if line is None:
                lost.append(size)
                yield "\n"  # in its place: a row that can't be whole
            else:
                yield line.decode("utf-8", errors="surrogateescape")

    csv.field_size_limit(max(reader.most, csv.field_size_limit()))
    rows = csv.reader(texts(), delimiter=reader.form.delimiter)
    names: list[str] | None = None
    number = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield Fault(str(reader.path), number, f"is no row ({first_line(error)})")
            number += 1
            continue
        if row is None:
            return
        if names is None:
            names = [name.removeprefix("\ufeff").strip() for name in row]
            reader.check_column(names)
            continue
        yield _row_of(reader, number, names, row, lost)
        number += 1


def _row_of(reader: Reader, number: int, names: list[str], row: list[str], lost: list[int]) -> Record | Fault | None:
    if lost:
        found = reader._too_long(number, lost[0])
        lost.clear()
        return found
    if not row:
        return None
    if len(row) != len(names):
        return Fault(str(reader.path), number, f"has {len(row)} values for {len(names)} columns")
    try:
        "".join(row).encode("utf-8")
    except UnicodeEncodeError:
        return Fault(str(reader.path), number, "is not UTF-8")
    return reader.record(number, dict(zip(names, row, strict=True)))


def parquet_file(path: Path) -> Any:
    """Return a Parquet file that is open.

    Raises
    ------
    ContextError
        If pyarrow is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError:
        raise ContextError("a Parquet file needs pyarrow: pip install 'qkvcheck[sweep]'.") from None
    return parquet.ParquetFile(path)


def _of_parquet(reader: Reader, start: int) -> Iterator[Record | Fault | None]:
    with parquet_file(reader.path) as file:
        names = list(file.schema_arrow.names)
        reader.check_column(names)
        wanted = [reader.column, *([LABEL] if reader.labelled else [])]
        before = group = 0
        while group < file.num_row_groups and before + file.metadata.row_group(group).num_rows <= start:
            before += file.metadata.row_group(group).num_rows
            group += 1
        groups = list(range(group, file.num_row_groups))
        number = before
        for batch in file.iter_batches(batch_size=1024, row_groups=groups, columns=wanted) if groups else ():
            for row in batch.to_pylist():
                if number >= start:
                    yield reader.record(number, row)
                number += 1
