"""Ratios on record, by processor family: what a kernel wins on one says little of another."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from qkvcheck.errors import ClaimError
from qkvcheck.files import write_document

SCHEMA = "qkvcheck/ratios/2"
FIRST_SCHEMA = "qkvcheck/ratios/1"
FACTOR = 0.7
WIDEST = {"AMX": "amx_tile", "AVX-512": "avx512f", "AVX2": "avx2", "SVE": "sve", "NEON": "asimd"}
"""What a processor multiplies with, the fastest first, and the flag by which Linux tells."""
MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}


@dataclass(frozen=True)
class Ratio:
    """A contest's outcome.

    Attributes
    ----------
    name : str
        Of the contest.
    ours, theirs : str
        What was timed.
    our_seconds, their_seconds : float
        Medians over the rounds.
    ratio : float
        Median over the rounds of theirs / ours: above 1 where ours is faster.
    low, high : float
        Least and largest ratio of a round.
    rounds : int
        How many rounds there were.
    """

    name: str
    ours: str
    theirs: str
    our_seconds: float
    their_seconds: float
    ratio: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Lost:
    """A committed ratio that was lost."""

    name: str
    ratio: float
    committed: float
    least: float


@dataclass(frozen=True)
class Record:
    """Ratios of one processor family.

    Attributes
    ----------
    family : str
        As `processor_family` names it.
    machine : mapping of str to str
        What they were measured on.
    ratios : mapping of str to float
        By contest: how many times faster ours is.
    entries : mapping of str to object
        As the file has them.
    """

    family: str
    machine: Mapping[str, str]
    ratios: Mapping[str, float]
    entries: Mapping[str, Any] = field(default_factory=dict)


def processor_family(cpuinfo: str | None = None) -> str:
    r"""Return a processor's maker, its family and model numbers, and the widest unit it multiplies with.

    Parameters
    ----------
    cpuinfo : str, optional
        As Linux has it in ``/proc/cpuinfo``; without it, this machine's. Elsewhere the platform's own word is taken.

    Examples
    --------
    >>> processor_family("vendor_id: GenuineIntel\ncpu family: 6\nmodel: 143\nflags: avx2 avx512f amx_tile\n")
    'Intel 6-143 AMX'
    >>> processor_family("vendor_id: AuthenticAMD\ncpu family: 25\nmodel: 1\nflags: sse2 avx2\n")
    'AMD 25-1 AVX2'
    """
    if cpuinfo is None:
        try:
            cpuinfo = Path("/proc/cpuinfo").read_text("utf-8")
        except OSError:
            cpuinfo = ""
    found: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    if "vendor_id" not in found and "CPU implementer" not in found:
        return platform.processor() or platform.machine()
    flags = set((found.get("flags") or found.get("Features") or "").split())
    widest = next((name for name, flag in WIDEST.items() if flag in flags), "scalar")
    if "vendor_id" not in found:
        return f"ARM {found['CPU implementer']}-{found.get('CPU part', '?')} {widest}"
    maker = MAKERS.get(found["vendor_id"], found["vendor_id"])
    return f"{maker} {found.get('cpu family', '?')}-{found.get('model', '?')} {widest}"


def committed_path() -> Path:
    """Return the file of ratios that comes with qkvcheck."""
    return Path(str(resources.files("qkvcheck"))) / "data" / "ratios.json"


def read_records(path: Path) -> list[Record]:
    """Return the records of a file, one a processor family.

    An earlier version wrote one record; it is of the processor that it names, and so of no family.

    Raises
    ------
    ClaimError
        If it is not such a file.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        schema = document["schema"]
        if schema not in (SCHEMA, FIRST_SCHEMA):
            raise ClaimError(f"{str(path)!r} has schema {schema!r}; needed is {SCHEMA!r}.")
        kept = [{**document, "family": document["machine"].get("processor", "")}] if schema == FIRST_SCHEMA else None
        return [_record(entry) for entry in kept or document["records"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClaimError(
            f"{str(path)!r} holds no ratios ({type(error).__name__}); write it with qkvcheck bench --record."
        ) from None


def _record(entry: Mapping[str, Any]) -> Record:
    ratios = {str(name): float(one["ratio"]) for name, one in entry["ratios"].items()}
    if not all(0 < ratio < float("inf") for ratio in ratios.values()):
        raise ValueError("a ratio is no positive number")
    return Record(str(entry["family"]), dict(entry["machine"]), ratios, dict(entry["ratios"]))


def record_for(records: Iterable[Record], family: str) -> Record | None:
    """Return the record of a processor family, or None."""
    return next((record for record in records if record.family == family), None)


def none_on_record(records: Sequence[Record], family: str) -> str:
    """Return the line where a processor's family has no record."""
    there = ", ".join(record.family or "unnamed" for record in records) or "none"
    return (
        f"no ratios on record for this processor ({family}; on record: {there}), so nothing was held against any; add "
        "its own with --record."
    )


def document_of(ratios: Iterable[Ratio], machine: Mapping[str, str], *, family: str) -> dict[str, Any]:
    """Return the ratios of one processor family as a document, with what they were measured on."""
    entries = {r.name: {**asdict(r), "ratio": round(r.ratio, 3)} for r in ratios}
    own = {name: entries[name] for name in sorted(entries)}
    return {"family": family, "machine": dict(machine), "ratios": own}


def write_record(path: Path, ratios: Iterable[Ratio], machine: Mapping[str, str], *, family: str) -> None:
    """Write a family's record into a file, whole or not at all; the records of other families stay."""
    others = [record for record in read_records(path) if record.family != family] if path.is_file() else []
    kept = [{"family": one.family, "machine": dict(one.machine), "ratios": dict(one.entries)} for one in others]
    records = sorted([*kept, document_of(ratios, machine, family=family)], key=lambda entry: str(entry["family"]))
    write_document(path, {"schema": SCHEMA, "records": records})


def lost(ratios: Iterable[Ratio], committed: Mapping[str, float], *, factor: float = FACTOR) -> list[Lost]:
    """Return the ratios that fell below `factor` times the committed ones."""
    return [
        Lost(r.name, r.ratio, committed[r.name], factor * committed[r.name])
        for r in ratios
        if r.name in committed and r.ratio < factor * committed[r.name]
    ]


def lines_of(ratios: Sequence[Ratio], committed: Mapping[str, float], factor: float) -> Iterator[str]:
    """Yield a table of ratios."""
    wide = max((len(r.name) for r in ratios), default=0)
    yield f"{'contest':<{wide}}  {'ours':>9}  {'theirs':>9}  {'times faster':>12}  {'rounds':>15}  committed"
    below = {entry.name for entry in lost(ratios, committed, factor=factor)}
    for r in ratios:
        known = committed.get(r.name)
        word = "not committed" if known is None else f"{known:.2f}" + ("  LOST" if r.name in below else "")
        span = f"{r.low:.2f} to {r.high:.2f}"
        yield (
            f"{r.name:<{wide}}  {1e3 * r.our_seconds:6.1f} ms  {1e3 * r.their_seconds:6.1f} ms  {r.ratio:12.2f}  "
            f"{span:>15}  {word}"
        )
