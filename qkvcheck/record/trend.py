"""Trend: the same claims over several checkpoints, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from qkvcheck.claims import Decision
from qkvcheck.errors import ClaimError
from qkvcheck.record.baseline import Baseline
from qkvcheck.record.change import Entry, other_measurement
from qkvcheck.record.checkpoint import other_than_weights


@dataclass(frozen=True)
class TrendPoint:
    """A cell at one checkpoint.

    Attributes
    ----------
    verdict : Decision
        What was found.
    estimate, low, high : float or None
        With its 95 % interval.
    flip : bool
        Whether the verdict is another one than at the checkpoint before that has this cell.
    """

    verdict: Decision
    estimate: float | None
    low: float | None
    high: float | None
    flip: bool = False


@dataclass(frozen=True)
class TrendCell:
    """A claim's cell over checkpoints.

    Attributes
    ----------
    key : str
        Of the cell.
    statistic, bound : str or None
        None where no file says it.
    points : tuple of TrendPoint or None
        One a checkpoint; None where a file lacks the cell.
    """

    key: str
    statistic: str | None
    bound: str | None
    points: tuple[TrendPoint | None, ...]

    @property
    def flips(self) -> int:
        """How often the verdict turned."""
        return sum(point is not None and point.flip for point in self.points)

    @property
    def threshold(self) -> float | None:
        """The bound as a number; None for an exact claim, and where it is not known."""
        sign, _, number = (self.bound or "").partition(" ")
        return float(number) if sign and number else None


@dataclass(frozen=True)
class Trend:
    """Claims over checkpoints of the same contexts and settings.

    Attributes
    ----------
    names : tuple of str
        The files, as short as they differ.
    models, fingerprints : tuple of str
        Of each file.
    cells : tuple of TrendCell
        Sorted by key.
    """

    names: tuple[str, ...]
    models: tuple[str, ...]
    fingerprints: tuple[str, ...]
    cells: tuple[TrendCell, ...]

    @property
    def flips(self) -> int:
        """How often a verdict turned."""
        return sum(cell.flips for cell in self.cells)

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        heads = zip(self.names, self.models, self.fingerprints, strict=True)
        return {
            "flips": self.flips,
            "checkpoints": [{"name": name, "model": model, "fingerprint": print_} for name, model, print_ in heads],
            "cells": [{**asdict(cell), "flips": cell.flips} for cell in self.cells],
        }


def trend_of(checkpoints: Sequence[Baseline]) -> Trend:
    """Put checkpoints side by side, in the order given.

    Parameters
    ----------
    checkpoints : sequence of Baseline
        As `read_checkpoint` reads them; at least one.

    Raises
    ------
    ClaimError
        If they differ in more than weights, or in what a cell measures.
    """
    first, *others = checkpoints
    for other in others:
        reason = other_than_weights(first, other.conditions)
        if reason is not None:
            raise ClaimError(
                f"{str(other.path)!r} and {str(first.path)!r} can't be compared: {reason}; judge both on the same "
                "contexts with the same settings."
            )
    keys = sorted({key for one in checkpoints for key in one.verdicts})
    return Trend(
        _names([one.path for one in checkpoints]),
        tuple(one.model for one in checkpoints),
        tuple(one.conditions.fingerprint for one in checkpoints),
        tuple(_cell(key, checkpoints) for key in keys),
    )


def _cell(key: str, checkpoints: Sequence[Baseline]) -> TrendCell:
    known = Entry(Decision.NOT_JUDGED)
    points: list[TrendPoint | None] = []
    before: Decision | None = None
    for checkpoint in checkpoints:
        entry = checkpoint.verdicts.get(key)
        if entry is None:
            points.append(None)
            continue
        told = other_measurement(known, entry)
        if told is not None:
            raise ClaimError(
                f"{str(checkpoint.path)!r} can't be compared with those before it: {key} has another {told}; judge all "
                "checkpoints with one claim."
            )
        known = replace(known, statistic=known.statistic or entry.statistic, bound=known.bound or entry.bound)
        flip = before not in (None, entry.verdict)
        points.append(TrendPoint(entry.verdict, entry.estimate, entry.low, entry.high, flip))
        before = entry.verdict
    return TrendCell(key, known.statistic, known.bound, tuple(points))


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return the files' names as short as they differ: a record is called MODEL+CORPUS.json."""
    for form in (
        [path.stem.partition("+")[0] for path in paths],
        [path.stem for path in paths],
        [path.name for path in paths],
    ):
        if len(set(form)) == len(form):
            return tuple(form)
    return tuple(map(str, paths))
