"""Picture: a figure with what belongs to it, and what a verdict carries for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qkvcheck.claims import Verdict
from qkvcheck.errors import slug


@dataclass(frozen=True)
class Figure:
    """A picture with what belongs to it.

    Attributes
    ----------
    name : str
        Unlike that of any other figure of a page; made a slug.
    title, caption : str
        What it shows, of what model, and how many.
    alt : str
        The same for who can't see it, with the main numbers.
    svg : str
        The picture.
    header, rows : tuple
        Its numbers.
    wide : bool
        Whether it is as wide as the page.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    wide: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", slug(self.name))  # it names elements of the page, and files


def carrying(verdicts: Sequence[Verdict], evidence: str, measure: str) -> dict[str, Verdict]:
    """Return the verdict of each group that carries a part of `Evidence`; claims fixed beforehand come first.

    Those of single heads are left out: a picture of a layer is of all of the width.
    """
    found: dict[str, Verdict] = {}
    for verdict in sorted(verdicts, key=lambda v: (v.exploratory, v.key)):
        if getattr(verdict.evidence, evidence) is not None and verdict.measure == measure and verdict.head is None:
            found.setdefault(verdict.group, verdict)
    return found
