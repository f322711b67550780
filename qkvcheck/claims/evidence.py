"""Evidence: what a verdict rests on, typed; in the result file each part has its own name, and what is absent none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from qkvcheck.inputs import from_document
from qkvcheck.statistics import Attribution, Distribution, Explained, OffsetParts, Rows, ViolationRate


@dataclass(frozen=True)
class KeptReplicates:
    """A statistic on all rows, and without each cluster in turn."""

    whole: float
    without: Sequence[float]


@dataclass(frozen=True)
class ContextMatrix:
    """The similarities of all contexts with each other: of `n` contexts what stands above the diagonal, row by row.

    `contexts` are their numbers, from 0, where they were drawn from more; None where they are all.
    """

    n: int
    above: Sequence[float]
    contexts: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.n < 2 or len(self.above) != self.n * (self.n - 1) // 2:
            raise ValueError(f"n is {self.n} and above holds {len(self.above)} numbers; they have to go together")
        if self.contexts is not None and (len(self.contexts) != self.n or min(self.contexts) < 0):
            raise ValueError(f"contexts have to be {self.n} numbers from 0")


@dataclass(frozen=True)
class ClusterGroups:
    """Groups of clusters that left the jackknife instead of single ones.

    Attributes
    ----------
    clusters, groups : int
        How many clusters there are, and in how many groups.
    seed : int
        Of the order out of which groups are cut.
    """

    clusters: int
    groups: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.groups <= self.clusters:
            raise ValueError(f"groups are {self.groups} of {self.clusters} clusters; they are from 1 to as many")


def grouped_clusters(rows: Rows) -> ClusterGroups | None:
    """Return how clusters left in groups; None where each left by itself."""
    if rows.grouping is None:
        return None
    return ClusterGroups(rows.cluster_count, len(rows.clusters), rows.grouping.seed)


@dataclass(frozen=True)
class DrawnContexts:
    """Of how many contexts what looks at every pair of them was taken, where there are more.

    Attributes
    ----------
    of, taken : int
        Contexts, and those over whose pairs quantiles and the pair of the scatter plot were found.
    seed : int
        Of the draw.
    """

    of: int
    taken: int
    seed: int


@dataclass(frozen=True)
class DimensionMatrix:
    """The cosines between dimensions as a coarse picture: `rows` x `columns` cells, row by row."""

    rows: int
    columns: int
    cells: Sequence[float]

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 1 or len(self.cells) != self.rows * self.columns:
            raise ValueError(f"{len(self.cells)} cells are not {self.rows} rows by {self.columns} columns")


@dataclass(frozen=True)
class Scatter:
    """Two contexts' numbers, dimension by dimension: at most 2048 of the dimensions, evenly spread.

    Attributes
    ----------
    contexts : sequence of int
        Their two numbers, from 0.
    similarity : float
        Of the two.
    x, y : sequence of float
        Four significant digits.
    """

    contexts: Sequence[int]
    similarity: float
    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.contexts) != 2 or min(self.contexts) < 0:
            raise ValueError("contexts have to be two numbers from 0")
        if len(self.x) != len(self.y):
            raise ValueError(f"x holds {len(self.x)} numbers and y {len(self.y)}; it has to be as many")


@dataclass(frozen=True)
class MergedContexts:
    """Contexts that count with others, at one layer.

    Attributes
    ----------
    layer : int
        Zero-based.
    contexts, distinct : int
        All of them, and those that count.
    why : str
        Why the others don't.
    """

    layer: int
    contexts: int
    distinct: int
    why: str


def merged_contexts(layer: int, rows: Rows) -> list[MergedContexts] | None:
    """Return which contexts count with others, for each array in which some do; None if none do."""
    found = [MergedContexts(layer, one.contexts, one.distinct, one.why) for one in rows.merged if one.why]
    return found or None


@dataclass(frozen=True)
class HeadFamily:
    """Which heads a verdict about one head was measured in, and with how many others its interval holds.

    Attributes
    ----------
    over : int
        Heads for which the intervals hold at once: the level is split over them.
    interval : str
        The same in words.
    reads : mapping of str to int
        The head of Q, K and V; with grouped queries several heads share one of K and V.
    """

    over: int
    interval: str
    reads: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.over < 1 or min(self.reads.values(), default=0) < 0:
            raise ValueError("over has to be from 1, and heads from 0")


@dataclass(frozen=True)
class SeedRange:
    """Mean and range of a number over untrained networks."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ProfilePoint:
    """A number at one layer, with bounds that hold for all layers at once.

    Attributes
    ----------
    layer : int
        Zero-based.
    estimate, low, high : float or None
        None where nothing is judged.
    n_distinct : int
        Distinct contexts there.
    reason : str or None
        Why nothing is judged.
    mean_square : float or None
        The mean squared cosine there.
    untrained, untrained_mean_square : SeedRange or None
        The same numbers in untrained networks.
    """

    layer: int
    estimate: float | None
    low: float | None
    high: float | None
    n_distinct: int
    reason: str | None = None
    mean_square: float | None = None
    untrained: SeedRange | None = None
    untrained_mean_square: SeedRange | None = None

    def __post_init__(self) -> None:
        absent = [value is None for value in (self.estimate, self.low, self.high)]
        if self.layer < 0:
            raise ValueError(f"layer is {self.layer}; it has to be from 0")
        if any(absent) and not (all(absent) and self.reason):
            raise ValueError("estimate, low and high have to be there, or else a reason")


@dataclass(frozen=True)
class FoundExample:
    """A context, or a set of them, with its number."""

    value: float
    text: str | None = None
    target_index: int | None = None
    texts: Sequence[str] | None = None


@dataclass(frozen=True)
class SearchRecord:
    """What a search found.

    Attributes
    ----------
    claim, cell : str
        What was attacked.
    seed : int or str
        Of the draws.
    budget, tried : int
        Examples that were to be drawn, and different ones that were measured.
    corpus, bar : float
        The corpus' own worst number, and what an example had to be worse than.
    worst, found, nearest_passing : FoundExample or None
        The worst, the one that was shrunk, and the nearest that is no worse than the bar.
    """

    claim: str
    cell: str
    seed: int | str
    budget: int
    tried: int
    corpus: float
    bar: float
    worst: FoundExample | None
    found: FoundExample | None
    nearest_passing: FoundExample | None

    def to_dict(self) -> dict[str, object]:
        """Return plain data for JSON."""
        examples = {name: plain(getattr(self, name)) for name in _EXAMPLES}
        return {**asdict(self), **examples}


@dataclass(frozen=True)
class Beside:
    """What a companion found; it decides nothing.

    Attributes
    ----------
    name : str
        The companion's name.
    text : str
        What it found, in words.
    value, low, high : float or None
        The number behind it, and an interval or range of it.
    warns : bool
        Whether a reader of the verdict has to know: then the terminal shows it.
    """

    name: str
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    warns: bool = False


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on; a part that its kind of claim does not have is None.

    Attributes
    ----------
    distribution : Distribution or None
        The histogram of the similarities between dimensions.
    standard_error, effective_contexts : float or None
        Of the interval; Kish's effective number of contexts.
    replicates : KeptReplicates or None
        What was jackknifed.
    groups : ClusterGroups or None
        Groups of clusters that left the jackknife; None where each cluster left by itself.
    heads : HeadFamily or None
        Of a verdict about one head: which it is, and over how many the interval holds.
    merged : sequence of MergedContexts, or None
        Contexts that count with others, and why.
    row_quantiles : mapping of str to float, or None
        Of the similarities between contexts.
    drawn : DrawnContexts or None
        The contexts that these are of, where they are not all.
    offset : OffsetParts or None
        What the mean squared cosine is made of.
    context_matrix, dimension_matrix, scatter : or None
        The numbers behind pictures.
    histograms : mapping of str to list of int, or None
        Those of controls, by their names.
    violations : ViolationRate or None
        Contexts that miss the threshold, with bounds of their rate.
    allowed_rate : float or None
        How many may.
    means : sequence of float, or None
        Of each of these contexts the mean similarity to the corpus.
    profile : sequence of ProfilePoint, or None
        The number layer by layer.
    least_at_layer : int or None
        Where it is lowest.
    number : float or None
        The model's own number, where the estimate is a difference from untrained networks.
    search : SearchRecord or None
        What a search found.
    conditions : mapping of str to bool, or None
        Those of an exact claim.
    attribution : Attribution or None
        Where the target's energy comes from.
    explained : sequence of Explained, or None
        What first token, preceding token and position explain of the rows, beside cells that decide.
    beside : sequence of Beside, or None
        Further numbers, which decide nothing.
    further : mapping of str to plain data
        What the test added.

    Examples
    --------
    >>> evidence = Evidence(standard_error=0.1, further={"pairs": 3})
    >>> evidence.to_dict()
    {'standard_error': 0.1, 'pairs': 3}
    >>> evidence_from_dict(evidence.to_dict()) == evidence
    True
    """

    distribution: Distribution | None = None
    standard_error: float | None = None
    effective_contexts: float | None = None
    replicates: KeptReplicates | None = None
    groups: ClusterGroups | None = None
    heads: HeadFamily | None = None
    merged: Sequence[MergedContexts] | None = None
    row_quantiles: Mapping[str, float] | None = None
    drawn: DrawnContexts | None = None
    offset: OffsetParts | None = None
    context_matrix: ContextMatrix | None = None
    dimension_matrix: DimensionMatrix | None = None
    scatter: Scatter | None = None
    histograms: Mapping[str, Sequence[int]] | None = None
    violations: ViolationRate | None = None
    allowed_rate: float | None = None
    means: Sequence[float] | None = None
    profile: Sequence[ProfilePoint] | None = None
    least_at_layer: int | None = None
    number: float | None = None
    search: SearchRecord | None = None
    conditions: Mapping[str, bool] | None = None
    attribution: Attribution | None = None
    explained: Sequence[Explained] | None = None
    beside: Sequence[Beside] | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, counts in (self.histograms or {}).items():
            if not counts or min(counts) < 0:
                raise ValueError(f"the histogram of {name[:40]!r} has to hold counts from 0")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: a part that is None is left out."""
        found: dict[str, Any] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if value is None:
                continue
            if part.name in ("distribution", "further"):
                found |= dict(value) if part.name == "further" else plain(value)
            else:
                found[part.name] = plain(value)
        if self.offset is not None:
            found["offset"]["share"] = self.offset.share
        return found


def plain(value: Any) -> Any:
    """Return dataclasses as dictionaries, at any depth; what is optional and absent is left out where it was added."""
    if isinstance(value, ProfilePoint):
        kept = asdict(value)
        return {name: kept[name] for name in kept if kept[name] is not None or name in _ALWAYS}
    if isinstance(value, SearchRecord):
        return value.to_dict()
    if isinstance(value, ContextMatrix) and value.contexts is None:
        return {"n": value.n, "above": list(value.above)}
    if isinstance(value, FoundExample):
        return {name: part for name, part in asdict(value).items() if part is not None}
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return dict(value) if isinstance(value, Mapping) else value


_ALWAYS = ("layer", "estimate", "low", "high", "n_distinct", "reason")


def evidence_from_dict(data: Mapping[str, Any], *, at: str = "evidence") -> Evidence:
    """Rebuild evidence from what `Evidence.to_dict` returned, after a trip through JSON.

    Raises
    ------
    DocumentError
        If a part is not what its type says; `at` names where it stands.
    """
    ours = {part.name for part in fields(Evidence)} - {"distribution", "further"}
    found = from_document(Evidence, {name: data[name] for name in ours if name in data}, at=at)
    shape = from_document(Distribution, data, at=at) if "histogram" in data else None
    if shape is not None:
        ours |= {part.name for part in fields(Distribution)}
    return replace(found, distribution=shape, further={name: data[name] for name in data if name not in ours})


_EXAMPLES = ("worst", "found", "nearest_passing")
