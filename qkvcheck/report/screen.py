"""Screen: the claims of a run on one screen, a line each. Pure: plain data in, lines with a colour name out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qkvcheck.claims import (
    ALSO_UNTRAINED,
    ANY_TOKEN,
    EXPLORATORY,
    OTHER_WORDS,
    STAND_IN,
    UNTRAINED,
    Decision,
    Direction,
    Role,
    Verdict,
    threshold_text,
)
from qkvcheck.errors import some_of
from qkvcheck.record import FileOrigin, Finding, Run
from qkvcheck.report.heads import SEVERITY
from qkvcheck.report.tally import SHORT, by_claim, decision, tally_sentences
from qkvcheck.report.terminal import (
    Line,
    colour_of,
    counted,
    holding_text,
    judged_lines,
    merged_lines,
    notices,
    once_for_all_layers,
    target_text,
    wrapped,
)

NARROW = 100
"""Below this many columns numbers are short: three digits, unless that puts one on its bound, and no 0 before them."""
LEAST = 12
"""A claim's words with fewer columns get a line of their own."""
FEWEST = 16
"""Columns of a claim's words beside its id, unless they are shorter: fewer tell nothing."""
MOST_REASONS = 3


@dataclass(frozen=True)
class _Note:
    """A letter behind a verdict: what it means, and whether a claim has it."""

    letter: str
    means: str
    holds: Callable[[Finding], bool]


def _qualified(*notes: str) -> Callable[[Finding], bool]:
    return lambda finding: any(note in finding.verdict.qualifier for note in notes)


def _qualified_else(finding: Finding) -> bool:
    """Whether a verdict has a note that no letter stands for; where it is of is said above."""
    known = (ALSO_UNTRAINED, OTHER_WORDS, ANY_TOKEN, STAND_IN, EXPLORATORY)
    told = any(note not in known and not note.startswith("on ") for note in finding.verdict.qualifier)
    return told or finding.verdict.lead is not None or any(one.warns for one in finding.verdict.evidence.beside or ())


NOTES = (
    _Note("r", "refuted on record too", lambda f: f.change is None and f.refuted_before),
    _Note("m", "moved beyond the margin", lambda f: f.change is None and f.beyond),
    _Note("u", "untrained networks do it too", _qualified(ALSO_UNTRAINED)),
    _Note("w", "other words do the same", _qualified(OTHER_WORDS)),
    _Note("t", "any repeated token does", _qualified(ANY_TOKEN)),
    _Note("!", "more to know: -v, or qkvcheck explain", _qualified_else),
)


@dataclass(frozen=True)
class _Row:
    """One claim's texts, and the findings behind them."""

    claim: str
    says: str
    cell: str
    estimate: str
    bound: str
    untrained: str
    verdict: str
    exploratory: bool = False
    colour: str = "bold"

    @property
    def numbers(self) -> tuple[str, str, str, str, str]:
        """What stands in columns behind the claim's words."""
        return self.cell, self.estimate, self.bound, self.untrained, self.verdict


def screen_lines(run: Run, findings: Sequence[Finding], *, width: int = 80, gate_off: str | None = None) -> list[Line]:
    """Return what was measured, a line a claim, and the tally; all cells have `summary_lines`.

    Parameters
    ----------
    run : Run
        Where the activations come from, contexts, versions, settings.
    findings : sequence of Finding
        Of the run, in any order.
    width : int
        Of the terminal, in columns.
    gate_off : str, optional
        Why no recorded verdicts apply.

    Returns
    -------
    list of Line
        None longer than `width`, if it is at least 60 and no name is longer than that.
    """
    claims = list(by_claim(once_for_all_layers(findings)).values())
    shown = [shown_of(claim) for claim in claims]
    layers = {finding.verdict.layer for finding in shown if finding.verdict.evidence.least_at_layer is None}
    layer = layers.pop() if len(layers) == 1 else None
    narrow = width < NARROW
    rows = [_row(claim, narrow=narrow, layer=layer) for claim in claims]
    cell = "cell" if layer is None else f"L{layer:02d}"
    head = _Row("claim", "", cell, "estimate [95 %]", "bound", "untr." if narrow else "untrained", "verdict")
    lines = [*_head(run, width), *notices(run, width), *merged_lines(findings, width), Line("")]
    lines += _table(head, rows, width)
    lines += [Line(""), *_legend(claims, narrow=narrow, width=width), *_not_judged(shown, width)]
    lines += [line for text in tally_sentences(run, findings) for line in wrapped(text, "bold", width=width)]
    if gate_off is not None:
        text = f"The gate is off: {gate_off}. Record the verdicts with --qkv-update=all."
        lines += wrapped(text, "yellow", width=width)
    return lines


def _head(run: Run, width: int) -> list[Line]:
    origin, corpus = run.origin, run.corpus
    if isinstance(origin, FileOrigin) or corpus.seen is None:
        return [part for line in judged_lines(run) for part in wrapped(line.text, line.colour, width=width)]
    shape = f"{origin.family}, {counted(origin.layers, 'layer')}, {origin.parameters / 1e6:,.1f}M parameters"
    held = f"{corpus.contexts}{holding_text(corpus)} ({corpus.distinct_prefixes} distinct) of {corpus.name}"
    layers = ", ".join(map(str, run.settings.layers))
    model = f"{origin.spec} ({origin.source}): {shape}, fingerprint {origin.fingerprint[:12]}"
    return [
        *wrapped(f"model     {model}", "bold", width=width),
        *wrapped(f"contexts  {held}, target {target_text(corpus)}, layers {layers} (zero-based)", width=width),
    ]


def shown_of(findings: Sequence[Finding]) -> Finding:
    """Return the cell of a claim that is shown for it: of those that decide, the one nearest to taking it away.

    Parameters
    ----------
    findings : sequence of Finding
        Of one claim. Where none of them decides, the others are looked at.
    """
    deciding = [finding for finding in findings if finding.verdict.role == Role.DECIDES]

    def weight(finding: Finding) -> tuple[bool, int, float]:
        verdict = finding.verdict
        return not finding.differs, SEVERITY.index(verdict.verdict), _room(verdict)

    return min(deciding or findings, key=weight)


def _room(verdict: Verdict) -> float:
    """Return by how much an estimate clears its bound; below 0 where it misses."""
    if verdict.estimate is None or verdict.threshold is None:
        return 0.0
    room = verdict.estimate - verdict.threshold
    return -room if verdict.direction == Direction.AT_MOST else room


def _row(findings: Sequence[Finding], *, narrow: bool, layer: int | None) -> _Row:
    shown = shown_of(findings)
    verdict = shown.verdict
    further = sum(finding.verdict.role == Role.DECIDES for finding in findings) - 1
    untrained = verdict.control(UNTRAINED)
    number = _format(verdict, narrow=narrow)
    word = SHORT.get(verdict.verdict, verdict.verdict.lower())
    turned = "FLIPPED to " if shown.flipped else ""
    if shown.change is not None:  # the verdict may be the same, and its number or its bound another one
        turned = "CHANGED, " if shown.recorded == verdict.verdict else "CHANGED to "
        turned = "NEW, " if shown.recorded is None else turned
    letters = "".join(note.letter for note in NOTES if note.holds(shown))
    ends = "" if verdict.low is None or verdict.high is None else f" [{number(verdict.low)}, {number(verdict.high)}]"
    sign = threshold_text(verdict).partition(" ")[0]
    return _Row(
        verdict.claim,
        verdict.statement.partition(": ")[0],
        _cell(verdict, layer) + (f"+{further}" if further > 0 else ""),
        "-" if verdict.estimate is None else f"{number(verdict.estimate)}{ends}",
        sign if verdict.threshold is None else f"{sign}{'' if narrow else ' '}{number(verdict.threshold)}",
        "-" if untrained is None or untrained.estimate is None else number(untrained.estimate),
        (turned + word if decision(findings) is not None else f"[{turned}{word}]") + (f" {letters}" if letters else ""),
        verdict.exploratory,
        colour_of(shown),
    )


def _cell(verdict: Verdict, layer: int | None) -> str:
    """Return where a number is from: layer, unless it stands above, head and group."""
    parts = [] if verdict.layer == layer else [f"L{verdict.layer:02d}"]
    parts = parts if verdict.evidence.least_at_layer is None else ["all"]
    parts += [] if verdict.head is None else [f"H{verdict.head:02d}"]
    return f"{'.'.join(parts)} {verdict.group}".strip()


def _format(verdict: Verdict, *, narrow: bool) -> Callable[[float], str]:
    """Return how the numbers of a verdict are written: so that none looks like the bound without being it."""
    bound = verdict.threshold
    numbers = [one for one in (verdict.estimate, verdict.low, verdict.high) if one is not None]
    met = bound is not None and any(f"{one:.3f}" == f"{bound:.3f}" and one != bound for one in numbers)

    def short(value: float) -> str:
        text = f"{value:.{4 if met else 3}f}"
        return text.replace("0.", ".", 1) if abs(value) < 1 and not text.lstrip("-").startswith("1") else text

    return short if narrow else lambda value: f"{value:.4f}"


def _table(head: _Row, rows: Sequence[_Row], width: int) -> list[Line]:
    """Return the rows in columns: a claim's words get what the numbers leave."""
    every = [head, *rows]
    columns = [max(map(len, texts)) for texts in zip(*(row.numbers for row in every), strict=True)]
    left = width - sum(columns) - 2 * len(columns)
    name = max(len(row.claim) for row in every)
    apart = left < min(name, 8) + 1 + LEAST
    lines = []
    beyond = any(row.exploratory for row in rows) and not all(row.exploratory for row in rows)
    for row in every:
        if beyond and row.exploratory:
            lines.append(Line("exploratory:"))
            beyond = False
        numbers = "  ".join(
            text.ljust(size) if place in (0, 1, 4) else text.rjust(size)
            for place, (text, size) in enumerate(zip(row.numbers, columns, strict=True))
        ).rstrip()
        if apart:
            if row is not head:
                lines.append(Line(_cut(f"{row.claim}  {row.says}", width), "bold"))
            lines.append(Line(f"  {numbers}", row.colour))
        else:
            lines.append(Line(f"{_named(row, left, min(name, left // 3)):<{left}}  {numbers}", row.colour))
    return lines


def _named(row: _Row, size: int, name: int) -> str:
    """Return a claim's id, in at least `name` columns, and as much of its words as there is room for."""
    room = size - max(name, len(row.claim)) - 1
    if room < min(len(row.says), FEWEST):
        return _cut(row.claim, size)
    return f"{row.claim:<{name}} {_cut(row.says, room)}"


def _cut(text: str, size: int) -> str:
    """Return a text of at most `size` columns, cut where it is longer."""
    if len(text) <= size:
        return text.rstrip()
    return f"{text[: size - 2].rstrip()}.."


def _legend(claims: Sequence[Sequence[Finding]], *, narrow: bool, width: int) -> list[Line]:
    """Say what letters and signs of the table mean, those alone that stand in it."""
    shown = [shown_of(claim) for claim in claims]
    told = [f"{note.letter}: {note.means}" for note in NOTES if any(map(note.holds, shown))]
    if any(finding.verdict.n_needed is not None for finding in shown):
        told.append("open: -v tells how many contexts would settle it")
    if any(decision(claim) is None for claim in claims):
        told.insert(0, "[]: no cell of this run decides")
    if any(sum(f.verdict.role == Role.DECIDES for f in claim) > 1 for claim in claims):
        told.insert(0, "+1: one more cell decides, further from failing")
    if narrow and any(f.verdict.control(UNTRAINED) for f in shown):
        told.insert(0, "untr.: untrained networks")
    return wrapped(f"{'; '.join(told)}. Every cell and control: -v.", width=width) if told else []


def _not_judged(shown: Sequence[Finding], width: int) -> list[Line]:
    """Say why claims are not judged, those of one reason together; of many reasons the first few."""
    reasons: dict[str, list[str]] = {}
    for verdict in (finding.verdict for finding in shown):
        if verdict.verdict == Decision.NOT_JUDGED:
            reasons.setdefault(verdict.reason or "no reason told", []).append(verdict.claim)
    told = [f"Not judged: {some_of(names)}: {why}." for why, names in list(reasons.items())[:MOST_REASONS]]
    if len(reasons) > MOST_REASONS:
        told.append(f"And {len(reasons) - MOST_REASONS} more reasons: -v.")
    return [line for text in told for line in wrapped(text, width=width)]
