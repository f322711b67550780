"""Windows: every place of the targets in a text, each with the tokens before it: all that a causal model sees there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qkvcheck.contexts import Context, ContextSet, Encoder, clusters_of
from qkvcheck.errors import QkvcheckError, first_line
from qkvcheck.sweep.corpus.sources import Fault, Record
from qkvcheck.sweep.plan import SweepPlan
from qkvcheck.sweep.state import key_of


@dataclass(frozen=True)
class Window:
    """One place of a target, with what stands before it.

    Attributes
    ----------
    target : int
        Which of the targets.
    tokens : tuple of int
        What stands before it, and the target itself.
    record : str
        Where it stands.
    label : str or None
        What its record says of its cluster.
    key : int
        Seeded hash of the tokens.
    """

    target: int
    tokens: tuple[int, ...]
    record: str
    label: str | None
    key: int

    @property
    def context(self) -> Context:
        """The same as the capture takes it."""
        return Context("", self.tokens, len(self.tokens) - 1, self.label)


@dataclass
class Counts:
    """What was met.

    Attributes
    ----------
    records, occurrences : int
        Records that were read, and places of a target in them.
    bare : int
        Places with nothing before them, which are no contexts.
    repeated : int
        Contexts that were met before, where these count once.
    """

    records: int = 0
    occurrences: int = 0
    bare: int = 0
    repeated: int = 0

    def add(self, other: Counts) -> None:
        """Add what was met elsewhere."""
        self.records += other.records
        self.occurrences += other.occurrences
        self.bare += other.bare
        self.repeated += other.repeated


def windows_of(
    record: Record, encoder: Encoder, targets: Sequence[int], plan: SweepPlan, counts: Counts, *, file: int = 0
) -> Iterator[Window]:
    """Yield every place of a target in a record that has something before it, in order."""
    counts.records += 1
    tokens = encoder.encode(record.text)
    wanted = {token: number for number, token in enumerate(targets)}
    for place, token in enumerate(tokens):
        number = wanted.get(token)
        if number is None:
            continue
        counts.occurrences += 1
        if place == 0:
            counts.bare += 1
            continue
        seen = tuple(tokens[max(0, place - plan.window) : place + 1])
        yield Window(number, seen, f"{file}:{record.number}", record.label, key_of(seen, plan.seed))


def found_in(
    record: Record, encoder: Encoder, targets: Sequence[int], plan: SweepPlan, counts: Counts, *, file: int, path: str
) -> list[Window] | Fault:
    """Return the windows of a record, or why its text can't be tokenised."""
    try:
        return list(windows_of(record, encoder, targets, plan, counts, file=file))
    except QkvcheckError as error:
        return Fault(path, record.number, first_line(error))


def clusters_in(windows: Sequence[Window], plan: SweepPlan) -> list[str]:
    """Return the cluster of each window, as `qkvcheck.contexts.clusters_of` names it."""
    if plan.clusters == "document":
        return [f"record {window.record}" for window in windows]
    how = "first-word" if plan.clusters == "auto" else plan.clusters
    contexts = ContextSet(tuple(window.context for window in windows), "", 0, "--corpus", "")
    return list(clusters_of(contexts, how)[0])


KINDS = {
    "auto": "first token", "first-word": "first token", "preceding-token": "preceding token", "position": "position",
    "prefix": "distinct row", "label": "label", "document": "record",
}  # fmt: skip
"""What makes a cluster, in words."""
