"""Groups: queries, keys and values, the pair groups made of them, and words that files use for what is captured."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Literal, NamedTuple

if sys.version_info >= (3, 11):
    from enum import StrEnum
else:

    class StrEnum(str, Enum):
        """An enumeration whose members are texts, as in Python 3.11."""

        __str__ = str.__str__

        def __format__(self, format_spec: str) -> str:
            return str.__format__(str(self), format_spec)


PROJECTIONS = ("Q", "K", "V")
"""Queries, keys and values, in the order in which they stand along the width."""
PAIR_GROUPS = ("QQ", "KK", "VV", "QK", "QV", "KV")
"""What dimensions are compared with: those of one projection among each other, or of one with those of another."""
MEASURES = ("cosine", "pearson")
"""How two vectors are compared."""
GROUPS_OF = {"contexts": PROJECTIONS, "dimensions": PAIR_GROUPS}
"""The groups in which contexts are compared with each other, and those in which dimensions are."""
_ORDER = (*PROJECTIONS, *PAIR_GROUPS, "".join(PROJECTIONS))


class Comparison(NamedTuple):
    """What is compared, and how: a pair group or a projection, and a measure.

    Attributes
    ----------
    group : str
        Such as ``"QK"`` (dimensions of Q with those of K) or ``"Q"`` (contexts, in Q).
    measure : str
        ``"cosine"`` or ``"pearson"``; a statistic may have further ones.
    """

    group: str
    measure: str


class Layers(NamedTuple):
    """Layers as they are asked for: by number, and as shares of a model's depth.

    Attributes
    ----------
    numbers : tuple of int
        Zero-based.
    shares : tuple of float
        From 0 to 1.
    """

    numbers: tuple[int, ...]
    shares: tuple[float, ...] = ()

    def at(self, depth: int) -> tuple[int, ...]:
        """Return the layers of a model of so many, in order, each once.

        Examples
        --------
        >>> Layers((6,), (0.25, 0.5)).at(30)
        (6, 8, 15)
        """
        return tuple(sorted({*self.numbers, *(layer_at(share, depth) for share in self.shares)}))


def layer_at(share: float, depth: int) -> int:
    """Return the zero-based layer at a share of a model's depth.

    Examples
    --------
    >>> layer_at(6 / 12, 30), layer_at(1.0, 12)
    (15, 11)
    """
    return min(round(share * depth), depth - 1)


class Stage(StrEnum):
    """Where on their way queries, keys and values are taken."""

    PROJECTION = "projection"
    """As the projections put them out."""
    ATTENTION = "attention"
    """As scores are computed of them: after norm and rotation of queries and keys, where a family has them."""


class Turns(NamedTuple):
    """Which rotations of a head change no score: of queries and keys by the same one, and of values by any.

    Attributes
    ----------
    rotary : int
        So many dimensions of a head, from its first, are turned by an angle that grows with the place (rotary
        embedding), two by two: of those only turns within each pair change no score. The others rotate freely.
    neighbours : bool
        Whether dimensions 0 and 1 are a pair, 2 and 3, ...; else 0 and `rotary` / 2, 1 and `rotary` / 2 + 1, ...
    obstacle : str
        Why no rotation of queries and keys is free; empty where some are.
    of_values : str
        The same of values.

    Examples
    --------
    >>> Turns(4).pairs, Turns(4, neighbours=True).pairs
    (((0, 2), (1, 3)), ((0, 1), (2, 3)))
    """

    rotary: int = 0
    neighbours: bool = False
    obstacle: str = ""
    of_values: str = ""

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The dimensions that are turned together."""
        half = self.rotary // 2
        return tuple((2 * n, 2 * n + 1) if self.neighbours else (n, half + n) for n in range(half))


TURNS_UNTOLD = Turns(obstacle="whether rotary embedding or a norm follows the projections is not told")
"""Of rows of which nobody said what follows."""

FIRST_TOKEN, PRECEDING_TOKEN, POSITION = FACTORS = ("first token", "preceding token", "position")
"""What is told of each context besides its rows: its first token, the one before the rows', and their place."""


class Capture(StrEnum):
    """What is captured of a corpus for a statistic, by the name that claims files and markers use."""

    TARGET = "target"
    """The target of every context: (context, width)."""
    WORDS = "words"
    """Each context continued with each word, the target first: (context, word, width)."""
    WORDS_AND_WEIGHTS = "words_and_weights"
    """The same with one more word, what the weights put out alone."""
    GENERIC_REMOVED = "generic_removed"
    """The target less the mean of all other words in the same contexts: (context, width)."""
    FRESH = "fresh"
    """The target in contexts that nobody picked, and in the corpus: two of (context, width)."""
    MATCHED = "matched"
    """Target and preceding token of the balanced corpus, positions matched: two of (context, width)."""
    EVERY_LAYER = "every_layer"
    """The target at every layer of the model."""


def axis_of(groups: Iterable[str]) -> str:
    """Return what groups compare: contexts, in one projection each, or dimensions.

    Examples
    --------
    >>> axis_of(["Q", "K"]), axis_of(["QK"])
    ('contexts', 'dimensions')
    """
    return "contexts" if all(len(group) == 1 for group in groups) else "dimensions"


class Form(NamedTuple):
    """How many arrays a capture has, of how many axes, and whether the last word is what the weights put out alone."""

    arrays: int = 1
    axes: int = 2
    weights: bool = False


FORMS = {
    Capture.WORDS: Form(axes=3),
    Capture.WORDS_AND_WEIGHTS: Form(axes=3, weights=True),
    Capture.FRESH: Form(arrays=2),
    Capture.MATCHED: Form(arrays=2),
}
"""Of captures; of the others one array (context, width)."""


def group_text(group: str) -> str:
    """Return a group as it is read.

    Examples
    --------
    >>> group_text("QK"), group_text("Q")
    ('Q-K', 'Q')
    """
    return "-".join(group) if len(group) == 2 else group


def group_order(group: str) -> int:
    """Return where a group stands in tables: Q, K, V, QQ, ..., KV, QKV; others after them."""
    return _ORDER.index(group) if group in _ORDER else len(_ORDER)


# Heads -----------------------------------------------------------------------------------------------

Heads = tuple[int, ...] | Literal["all"]
"""Attention heads that a claim or a run names: numbers from 0, each once and in order, or all that a model has."""
ALL_HEADS: Literal["all"] = "all"
HEADS_UNKNOWN = "how many heads Q, K and V have is not told with these activations"
MOST_HEADS = 1024
"""One more than the largest number of a head."""
HEADS_FORM = f'a whole number from 0 to {MOST_HEADS - 1}, a list of them, a range such as "0-11", or "all"'


def heads_of(given: object) -> Heads | None:
    """Return the heads that somebody named, each once and in order; None if it can't be read.

    Parameters
    ----------
    given : int, sequence of int, or str
        Such as ``3``, ``[0, 3]``, ``"0-11"``, ``"0,3"`` or ``"all"``.

    Examples
    --------
    >>> heads_of(3), heads_of([3, 0]), heads_of("0-2,5"), heads_of("all"), heads_of("last")
    ((3,), (0, 3), (0, 1, 2, 5), 'all', None)
    """
    if isinstance(given, str):
        return ALL_HEADS if given.strip() == ALL_HEADS else _numbers(given)
    listed: list[object] = list(given) if isinstance(given, (list, tuple)) else [given]
    numbers = {one for one in listed if isinstance(one, int) and not isinstance(one, bool) and 0 <= one < MOST_HEADS}
    return tuple(sorted(numbers)) if len(numbers) == len(listed) and listed else None


def _numbers(text: str) -> tuple[int, ...] | None:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*", part, flags=re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < MOST_HEADS:
            return None
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def heads_text(heads: Heads) -> str:
    """Return heads as options take them.

    Examples
    --------
    >>> heads_text((0, 1, 2, 5)), heads_text("all")
    ('0-2,5', 'all')
    """
    if heads == ALL_HEADS:
        return ALL_HEADS
    parts: list[list[int]] = []
    for head in heads:
        if parts and head == parts[-1][-1] + 1:
            parts[-1].append(head)
        else:
            parts.append([head])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def head_count(heads: Mapping[str, int]) -> int:
    """Return how many heads a layer has: those of its queries, of which it has most.

    Examples
    --------
    >>> head_count({"Q": 9, "K": 3, "V": 3})
    9
    """
    return max(heads.values(), default=0)


def head_read(head: int, name: str, heads: Mapping[str, int]) -> int:
    """Return which head of a projection belongs to a head: with grouped queries several share one of K and V.

    Examples
    --------
    >>> [head_read(7, name, {"Q": 9, "K": 3, "V": 3}) for name in "QKV"]
    [7, 2, 2]
    """
    return head * heads[name] // head_count(heads)


def heads_that_differ(
    numbers: Iterable[int], group: str, heads: Mapping[str, int], *, before: Collection[int] = ()
) -> tuple[int, ...]:
    """Return one of each set of heads for which a group compares the same numbers: one of `before`, else the first.

    Examples
    --------
    >>> shared = {"Q": 6, "K": 2, "V": 2}
    >>> heads_that_differ(range(6), "K", shared), heads_that_differ(range(6), "QK", shared)
    ((0, 3), (0, 1, 2, 3, 4, 5))
    """
    first: dict[tuple[int, ...], int] = {}
    for head in sorted(numbers, key=lambda one: (one not in before, one)):
        first.setdefault(tuple(head_read(head, name, heads) for name in group if name in heads), head)
    return tuple(sorted(first.values()))


def heads_obstacle(heads: Mapping[str, int], widths: Mapping[str, int]) -> str | None:
    """Return why numbers of heads can't be those of projections of some widths, or None if they can.

    Examples
    --------
    >>> heads_obstacle({"Q": 9, "K": 3, "V": 3}, {"Q": 576, "K": 192, "V": 192})
    >>> heads_obstacle({"Q": 5, "K": 5, "V": 5}, {"Q": 12, "K": 12, "V": 12})
    '5 heads do not divide the width 12 of Q'
    """
    if set(heads) != set(widths):
        return f"heads are those of {', '.join(heads) or 'nothing'}, and projections {', '.join(widths)}"
    for name, count in heads.items():
        if not 1 <= count <= MOST_HEADS:
            return f"{name} has {count} heads; they are from 1 to {MOST_HEADS}"
        if widths[name] % count:
            return f"{count} heads do not divide the width {widths[name]} of {name}"
        if head_count(heads) % count:
            return f"{count} heads of {name} do not divide the {head_count(heads)} heads of the queries"
    return None
