"""Claim: a sentence about a model that can be wrong, the number that decides it, and where it is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from qkvcheck.errors import ClaimError, NotCapturedError, nearest
from qkvcheck.groups import (
    ALL_HEADS,
    HEADS_UNKNOWN,
    Capture,
    Comparison,
    Heads,
    StrEnum,
    head_count,
    head_read,
    heads_that_differ,
)

MARGIN = 0.05
MIN_DISTINCT = 20
DEFAULT_LAYER = 6
LAYERS = 10_000
"""One more than the largest number of a layer, as options take them too."""
EXPLORATORY = "exploratory"
"""Label of a claim that was made or edited after numbers had been seen."""


class Direction(StrEnum):
    """How an estimate has to stand to the threshold."""

    ABOVE = "above"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    EXACT = "exact"
    """There is no threshold: every condition has to hold."""


BOUNDS = (Direction.ABOVE, Direction.AT_LEAST, Direction.AT_MOST)


class Kind(StrEnum):
    """How a claim is judged, and with it what evidence its verdict carries."""

    INTERVAL = "interval"
    """The interval of a number beside the threshold."""
    COUNT = "count"
    """Single contexts, counted against the threshold; of statistics that count."""
    EXACT = "exact"
    """Conditions that hold or don't."""
    EVERY_LAYER = "every_layer"
    """The number at every layer of the model, with intervals that hold for all at once."""
    AGAINST_UNTRAINED = "against_untrained"
    """The difference from untrained networks."""
    SEARCH = "search"
    """A search for a context that breaks the claim."""


DECLARED_KINDS = (Kind.INTERVAL, Kind.EVERY_LAYER, Kind.AGAINST_UNTRAINED, Kind.SEARCH)
"""Those that a claims file may name; the others follow from the direction and the statistic."""


class Role(StrEnum):
    """What a cell is to its claim."""

    DECIDES = "decides"
    """A primary cell at the claim's layer."""
    OTHER_LAYER = "beside"
    """A primary cell at another layer, or another head: it is shown."""
    FAMILY = "family"
    """Any other cell: shown with intervals that hold for all of them at once; it can't flip the claim."""


class Tag(StrEnum):
    """Whose a claim is; docs/claims.md says why each has its own."""

    PAPER = "paper"
    """The paper says it in these terms."""
    READING = "reading"
    """A sentence of the paper's, as we read it: the statistic and the bound are ours."""
    EXTENSION = "extension"
    """It goes beyond what the paper says."""
    MEASUREMENT = "measurement"
    """It holds of any network: it checks the setup."""


@dataclass(frozen=True)
class Criterion:
    """What a number has to meet.

    Attributes
    ----------
    direction : Direction
        How it has to stand to the threshold.
    threshold : float
        The bound.
    pole_share : float or None
        Least share of pairs beyond -0.5 and beyond 0.5, where two poles are asked for.
    """

    direction: Direction
    threshold: float
    pole_share: float | None = None

    def meets(self, estimate: float) -> bool:
        """Tell whether a number clears the threshold."""
        if self.direction == Direction.AT_MOST:
            return estimate <= self.threshold
        return estimate > self.threshold if self.direction == Direction.ABOVE else estimate >= self.threshold


@dataclass(frozen=True)
class Claim:
    """One sentence that can be wrong, with the number that decides it.

    Attributes
    ----------
    id : str
        Its name, such as ``"P3a"``: it stands in the names of tests and cells.
    statement : str
        The claim in words.
    statistic : str
        The name of a registered statistic (``qkvcheck claims --statistics``), or of an exact check.
    direction : Direction
        How the estimate has to stand to `threshold`.
    threshold : float or None
        The bound, fixed before anybody looks; None for an exact claim.
    source : str
        Where it comes from.
    kind : Kind
        How it is judged.
    capture : Capture or None
        What it is measured on; without it (None) what its statistic is captured on.
    axis : {"dimensions", "contexts"}
        What is compared; a file that does not say has that of the groups.
    groups : tuple of str
        In what it is measured: contexts are compared in Q, K or V, dimensions in pairs of them; of an exact claim any.
    measures : tuple of str
        How it is measured: cosine, pearson, or the statistic's own; its cells are all groups with all measures.
    primary : tuple of Comparison
        The cells that decide, each a group and a measure such as ``["Q", "cosine"]``; the others are shown.
    heads : tuple of int, "all" or None
        The attention heads it speaks of, each a cell of its own; without it (None) all of the width.
    controls : tuple of str
        What is measured with it, such as untrained networks.
    margin : float
        How far a control has to stay away for the claim to be specific against it, in units of the statistic.
    label : str
        ``"exploratory"`` for a claim that was made or edited after numbers had been seen.
    tag : Tag or None
        Whose it is.
    tag_reason : str
        Why it has that tag.
    not_independent_of : tuple of str
        Claims that measure nearly the same quantity.
    pole_share : float or None
        Least share of pairs beyond -0.5, and beyond 0.5, for two poles.
    equally_common_below : float or None
        The size of the estimate below which both poles are said to be about equally common.
    rate : float
        Of a counting statistic: the share of contexts that may miss the threshold.
    budget : int
        Of a search: how many examples are drawn.
    seed : int
        Of a search: from which seed.
    corpus : str or None
        The corpus it is measured on, where that is not the run's.
    tolerance : float or None
        Of an exact claim, for what holds up to rounding.
    order : int or None
        Its place in the claims files; None for one that a marker makes.
    file_sha256 : str or None
        Hash of the claims file.
    own : mapping
        The project's own keys, which its claims file declares as ``own_keys``.

    Examples
    --------
    >>> claim = Claim("mine", "rows are alike", "row_mean", Direction.ABOVE, 0.9, groups=("Q",), axis="contexts")
    >>> claim.meets(0.95), claim.side(0.85, 0.95)
    (True, None)
    """

    id: str
    statement: str
    statistic: str
    direction: Direction
    threshold: float | None
    source: str = ""
    kind: Kind = Kind.INTERVAL
    capture: Capture | None = None
    axis: str = "dimensions"
    groups: tuple[str, ...] = ()
    measures: tuple[str, ...] = ("cosine",)
    primary: tuple[Comparison, ...] = ()
    heads: Heads | None = None
    controls: tuple[str, ...] = ()
    margin: float = MARGIN
    label: str = ""
    tag: Tag | None = None
    tag_reason: str = ""
    not_independent_of: tuple[str, ...] = ()
    pole_share: float | None = None
    equally_common_below: float | None = None
    rate: float = 0.05
    budget: int = 100
    seed: int = 0
    corpus: str | None = None
    tolerance: float | None = None
    order: int | None = None
    file_sha256: str | None = None
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Every group with every measure."""
        return tuple(Comparison(group, measure) for measure in self.measures for group in self.groups)

    @property
    def criterion(self) -> Criterion:
        """What its number has to meet.

        Raises
        ------
        ClaimError
            If the claim is exact.
        """
        if self.threshold is None:
            raise ClaimError(f"claim {self.id} is exact: it has conditions, not a threshold.")
        return Criterion(self.direction, self.threshold, self.pole_share)

    def meets(self, estimate: float) -> bool:
        """Tell whether a number clears the threshold.

        Raises
        ------
        ClaimError
            If the claim is exact.
        """
        return self.criterion.meets(estimate)

    def side(self, low: float, high: float) -> bool | None:
        """Tell whether a whole interval clears the threshold (true), misses it (false), or neither (None)."""
        ends = {self.meets(low), self.meets(high)}
        return ends.pop() if len(ends) == 1 else None


@dataclass(frozen=True)
class Cell:
    """One place where a claim is measured.

    Attributes
    ----------
    claim : str
        The claim's id.
    layer : int
        Zero-based.
    group, measure : str
        A pair group or projection, and what is compared in it.
    role : Role
        Whether it decides.
    key : str
        Such as ``P3a-L06-QQ``, or ``P3a-L06.H03-QQ`` of a head.
    head : int, "all" or None
        The attention head, zero-based, of the queries; ``"all"`` until it is known how many there are.
    asked : tuple of int, "all" or None
        The heads that are judged in this run.
    over : int
        How many heads its interval holds for at once.
    reads : mapping of str to int
        Which head of Q, K and V it is.

    Examples
    --------
    >>> Cell("P5", 6, "Q", "pearson", Role.DECIDES, "P5-L06-Q").comparison
    Comparison(group='Q', measure='pearson')
    """

    claim: str
    layer: int
    group: str
    measure: str
    role: Role
    key: str
    head: int | Literal["all"] | None = None
    asked: Heads | None = None
    over: int = 1
    reads: Mapping[str, int] = field(default_factory=dict)

    @property
    def at_head(self) -> int | None:
        """The number of its head; None for a cell of all of the width, or of heads that are not known yet."""
        return self.head if isinstance(self.head, int) else None

    @property
    def comparison(self) -> Comparison:
        """Group and measure."""
        return Comparison(self.group, self.measure)


def cell_key(claim: Claim, *, layer: int, group: str, measure: str, head: int | Literal["all"] | None = None) -> str:
    """Return a cell's name, such as ``P3a-L06-QQ``; the claim's first measure is not spelled out."""
    suffix = "" if measure == claim.measures[0] else f"-{measure}"
    at_head = "" if head is None else f".H{head:02d}" if isinstance(head, int) else ".Hall"
    return f"{claim.id}-L{layer:02d}{at_head}-{group}{suffix}"


def cells(
    claim: Claim, *, layers: Sequence[int], deciding: int | None = None, heads: Heads | None = None
) -> list[Cell]:
    """Return every cell of a claim, in the order layers, heads, measures, groups.

    Parameters
    ----------
    claim : Claim
        What is claimed.
    layers : sequence of int
        Zero-based layers to measure.
    deciding : int, optional
        The layer that decides; if it is not among `layers`, each of them does.
    heads : tuple of int, "all" or None
        Heads that a run asks for, in place of the claim's own. Those that are the claim's own decide; if none of them
        is, each of them does. With ``"all"`` there is one cell for them, until `at_heads` is told how many there are.

    Examples
    --------
    >>> primary = (Comparison("Q", "cosine"),)
    >>> claim = Claim("mine", "alike", "row_mean", Direction.ABOVE, 0.9, groups=("Q",), primary=primary)
    >>> [(cell.key, str(cell.role)) for cell in cells(claim, layers=[5, 6], deciding=6)]
    [('mine-L05-Q', 'beside'), ('mine-L06-Q', 'decides')]
    """
    found = []
    asked = claim.heads if heads is None or claim.kind == Kind.EXACT else heads
    places: tuple[int | Literal["all"] | None, ...] = (
        (None,) if asked is None else (ALL_HEADS,) if asked == ALL_HEADS else asked
    )
    for layer in layers:
        at_deciding_layer = deciding not in layers or layer == deciding
        for head in places:
            decides = at_deciding_layer and (not isinstance(head, int) or _decides(claim, asked, head))
            primary = Role.DECIDES if decides else Role.OTHER_LAYER
            for group, measure in claim.comparisons:
                role = primary if Comparison(group, measure) in claim.primary else Role.FAMILY
                key = cell_key(claim, layer=layer, group=group, measure=measure, head=head)
                found.append(Cell(claim.id, layer, group, measure, role, key, head, asked))
    return found


def _decides(claim: Claim, asked: Heads | None, head: int) -> bool:
    """Tell whether a head decides: one of the claim's own; or any, where it has none or a run asks for none of them."""
    own = claim.heads
    if own is None or own == ALL_HEADS or head in own:
        return True
    return asked != ALL_HEADS and not set(own) & set(asked or ())


def at_heads(claim: Claim, cell: Cell, heads: Mapping[str, int]) -> list[Cell]:
    """Return the cells that stand for one, once it is known how many heads Q, K and V have.

    A cell of all of the width is itself. Of all heads those are taken that differ: with grouped queries several heads
    read the same keys and values, which are judged once. Intervals hold at once for the claim's own heads, also where a
    run asks for some of them; of other heads, for those that it asks for.

    Parameters
    ----------
    claim, cell : Claim, Cell
        As `cells` returned it.
    heads : mapping of str to int
        Of a model, or of captured activations.

    Raises
    ------
    NotCapturedError
        If it is a cell of heads, and how many there are is not known.

    Examples
    --------
    >>> claim = Claim("mine", "alike", "row_mean", Direction.ABOVE, 0.9, groups=("K",), heads="all")
    >>> (cell,) = cells(claim, layers=[6])
    >>> [(one.key, one.over) for one in at_heads(claim, cell, {"Q": 4, "K": 2, "V": 2})]
    [('mine-L06.H00-K', 2), ('mine-L06.H02-K', 2)]
    """
    if cell.head is None:
        return [cell]
    if not heads:
        raise NotCapturedError(HEADS_UNKNOWN)
    every, found = tuple(range(head_count(heads))), []
    own = every if claim.heads == ALL_HEADS else claim.heads or ()
    asked = every if cell.asked == ALL_HEADS else cell.asked or ()
    ours = heads_that_differ(own, cell.group, heads)
    others = [head for head in heads_that_differ(asked, cell.group, heads, before=own) if head not in own]
    numbers = every if cell.head == ALL_HEADS else (cell.head,)
    for head in heads_that_differ(numbers, cell.group, heads, before=own):
        role = cell.role
        if role == Role.DECIDES and not _decides(claim, cell.asked, head):
            role = Role.OTHER_LAYER
        key = cell_key(claim, layer=cell.layer, group=cell.group, measure=cell.measure, head=head)
        over = max(len(ours if head in own else others), 1)
        reads = {name: head_read(head, name, heads) for name in heads}
        found.append(replace(cell, key=key, head=head, role=role, over=over, reads=reads))
    return found


def check_decided(claim: Claim, *, where: str) -> None:
    """Raise `ClaimError` unless some cell decides a claim: one that none decides would pass whatever is measured."""
    named = [f"{group} {measure}" for group, measure in claim.comparisons]
    if not claim.primary:
        raise ClaimError(
            f"{where}: no cell decides claim {claim.id}; name one or more as primary, of: {', '.join(named) or 'none'}."
        )
    for comparison in claim.primary:
        text = " ".join(comparison)
        if text not in named:
            # Of another group is no slip of the pen: a hint would name the mistake.
            hint = nearest(text, [one for one in named if one.split(" ")[0] == comparison.group])
            raise ClaimError(
                f"{where}: claim {claim.id} names {text!r} as primary, which is none of its cells "
                f"({', '.join(named)}).{hint or f' Name one of these, or add {comparison.group!r} to groups.'}"
            )
