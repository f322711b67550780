"""Report: findings as lines for a terminal. Pure: plain data in, lines with a colour name out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qkvcheck.claims import (
    ALSO_UNTRAINED,
    Control,
    Decision,
    Kind,
    Role,
    controls_by_name,
    estimate_text,
    number_text,
    threshold_text,
)
from qkvcheck.errors import visible
from qkvcheck.groups import Heads, heads_text
from qkvcheck.record import FileOrigin, Finding, Run, RunCorpus, label
from qkvcheck.report.heads import Family, family_label, head_families, middle, reason_lines, spread_text
from qkvcheck.report.tally import by_claim, is_tagged, tally, tally_sentences
from qkvcheck.report.texts import control_text, explained_texts, settled_text, stage_text

WIDTH = 116
LEAST_ROOM = 24
"""Columns that a verdict needs, to go on below itself."""
_INDENT = " " * 7


@dataclass(frozen=True)
class Line:
    """One line of a report, with the colour it has where colours are on: red, green, yellow, bold or none.

    A row of a table may be broken at `breaks` alone, counted in characters.
    """

    text: str
    colour: str = ""
    breaks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", visible(self.text))


def colour_of(finding: Finding) -> str:
    """Return the colour of a verdict: red only for what fails a run, such as a flip to supported."""
    verdict = finding.verdict
    if finding.differs:
        return "red"
    if verdict.verdict == Decision.SUPPORTED:
        return "yellow" if ALSO_UNTRAINED in verdict.qualifier else "green"
    fails = verdict.verdict == Decision.REFUTED and not finding.refuted_before and verdict.role == Role.DECIDES
    return "red" if fails else "yellow"


def asked_line(
    *,
    model: str,
    corpus: str,
    targets: Sequence[str | int],
    layers: Sequence[int] | None,
    heads: Heads | None = None,
    why: str = "",
) -> str:
    """Return the header line: what a run was asked for, before anything is loaded; no layers: as the tests say."""
    listed = "as tests name them, else 6" if layers is None else ", ".join(map(str, layers))
    beside = "" if heads is None else f", heads {heads_text(heads)}"
    target = f"target{'s' if len(targets) > 1 else ''} {', '.join(map(repr, targets))}"
    return f"qkvcheck: model {model}, corpus {corpus}, {target}, layers {listed}{beside} (zero-based{why})"


def summary_lines(
    run: Run,
    findings: Sequence[Finding],
    *,
    every_cell: bool = False,
    every_head: bool | None = None,
    gate_off: str | None = None,
    width: int | None = None,
) -> list[Line]:
    """Return the header of what was measured, and the claims table.

    Parameters
    ----------
    run : Run
        Where the activations come from, contexts, versions, settings.
    findings : sequence of Finding
        Of the run, in any order.
    every_cell : bool
        Whether the cells that don't decide are listed too, and every control.
    every_head : bool, optional
        Whether a claim about several heads has a line a head; without it, as `every_cell`.
    gate_off : str, optional
        Why no recorded verdicts apply.
    width : int, optional
        Of the terminal, in columns; without it, text is wrapped at `WIDTH` and a row is as long as it is.
    """
    headings = [*(control.column or "" for control in column_controls()), "offset"]
    lines = [*_measured(run), *notices(run, width or WIDTH), *_explained(findings, width or WIDTH)]
    lines += [*merged_lines(findings, width or WIDTH), Line("")]
    lines.append(_row("claim", "cell", "estimate [95 %]", "threshold", headings, "verdict", colour="bold"))
    for claim in by_claim(findings).values():
        heads = every_cell if every_head is None else every_head
        lines += _claim_lines(claim, every_cell=every_cell, every_head=heads, width=width or WIDTH)
    lines += [Line(""), *_closing(run, findings, width or WIDTH)]
    if width is not None:
        lines = [part for line in lines for part in _fitted(line, width)]
    if gate_off is not None:
        lines.append(Line(f"The gate is off: {gate_off}. Record the verdicts with --qkv-update=all.", "yellow"))
    return lines


def quiet_lines(
    run: Run, findings: Sequence[Finding], *, gate_off: str | None = None, width: int = WIDTH
) -> list[Line]:
    """Return what is left of the summary under ``-q``: the tally; by tag it is wrapped."""
    gate = f"; the gate is off ({gate_off})" if gate_off is not None else ""
    text = f"qkvcheck: {run.named}: {tally(run, findings)}{gate}"
    return wrapped(text, width=width) if is_tagged(findings) else [Line(text)]


def _fitted(line: Line, width: int) -> list[Line]:
    """Return a line in lines of a terminal: a row broken between its parts, a text between words."""
    if len(line.text) <= width:
        return [line]
    lead = len(line.text) - len(line.text.lstrip())
    indent = " " * (lead + 2 if lead else 10 if line.text[9:10] == " " else 2)
    if not line.breaks:
        return [
            Line(part, line.colour)
            for part in textwrap.wrap(line.text, width, subsequent_indent=indent, break_long_words=False)
        ]
    first, second = line.breaks
    head, beside, verdict = line.text[:first].rstrip(), line.text[first:second], line.text[second:].strip()
    room = width - second - 2
    if second <= width and room >= LEAST_ROOM:  # the verdict goes on in its own column
        parts = textwrap.wrap(verdict, room)
        below = [Line(" " * (second + 2) + part, line.colour) for part in parts[1:]]
        return [Line(f"{head}{line.text[len(head) : second]}  {parts[0]}", line.colour), *below]
    fits = second <= width
    rest = verdict if fits else f"{' '.join(beside.split())}  {verdict}"
    parts = textwrap.wrap(rest, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
    return [Line(line.text[:second] if fits else head, line.colour), *(Line(part, line.colour) for part in parts)]


def wrapped(text: str, colour: str = "", *, width: int = WIDTH) -> list[Line]:
    """Return a text in lines of at most `width`; a word that is longer stays whole, and so does ``reading 2 of 7``."""
    held = re.sub(r"(\w+) (\d+) of (\d+)", "\\1\N{NO-BREAK SPACE}\\2\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}\\3", text)
    parts = textwrap.wrap(held, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return [Line(part.replace("\N{NO-BREAK SPACE}", " "), colour) for part in parts]


def judged_lines(run: Run) -> list[Line]:
    """Return what activations captured elsewhere are."""
    origin, shape = run.origin, " x ".join(map(str, run.corpus.padded_shape))
    return [
        Line(f"judged    {origin.spec} ({origin.source}), sha256 {origin.fingerprint[:12]}", "bold"),
        Line(f"          {shape} at {layers_text(run.settings.layers)}"),
        *([Line(f"          {stage_text(origin)}")] if isinstance(origin, FileOrigin) else []),
    ]


def _measured(run: Run) -> list[Line]:
    origin, corpus = run.origin, run.corpus
    shape = " x ".join(map(str, corpus.padded_shape))
    captured = f"{shape} at {layers_text(run.settings.layers)}"
    if isinstance(origin, FileOrigin) or corpus.seen is None:
        return judged_lines(run)
    causal = corpus.seen.causal
    unseen = f"it can't see the {counted(corpus.seen.unseen_tokens, 'token')} after it"
    positions = ", ".join(f"{index} ({count})" for index, count in corpus.seen.positions.items())
    stand_in = ", a stand-in for GPT-2 small" if origin.stand_in else ""
    lines = [
        Line(f"model     {origin.spec} ({origin.source}){stand_in}", "bold"),
        Line(
            f"          {origin.family}, {counted(origin.layers, 'layer')}, {origin.parameters:,} parameters, "
            f"{run.settings.dtype} on {run.settings.device}, fingerprint {origin.fingerprint[:12]}"
        ),
        Line(
            f"contexts  {corpus.name}: {corpus.contexts}{holding_text(corpus)}, of them {corpus.distinct_prefixes} "
            f"distinct {'left of the target' if causal else 'as a whole'}; {corpus.first_words} first tokens"
        ),
        *([] if corpus.special_tokens is None else [Line(f"          before each: {corpus.special_tokens}")]),
        Line(
            f"target    {target_text(corpus)} at index {positions}; "
            f"{unseen if causal else 'what stands after it counts too: the model looks both ways'}"
        ),
        Line(f"captured  {captured}"),
    ]
    return lines


def target_text(corpus: RunCorpus) -> str:
    """Return the target, and of one of several tokens which is captured."""
    several = "" if corpus.target_ids is None else f" ({len(corpus.target_ids)} tokens, the last one is captured)"
    return f"{corpus.target!r}{several}"


def holding_text(corpus: RunCorpus) -> str:
    """Return of how many sentences those are that hold one of several targets; empty where every one has to."""
    return "" if corpus.sentences is None else f" of {counted(corpus.sentences, 'sentence')}"


def notices(run: Run, width: int) -> list[Line]:
    """Return what a reader has to know of a run before any number: whose sentences, and which model it is not."""
    origin, corpus = run.origin, run.corpus
    if isinstance(origin, FileOrigin) or corpus.seen is None:
        return []
    lines = []
    if corpus.lecture:
        text = "These are the lecture's own 54 sentences (recognised by their hash)."
        lines += wrapped(f"          {text}", "bold", width=width)
    if origin.stand_in:
        text = f"The paper speaks of GPT-2 small: what holds on {origin.called} is no result about GPT-2."
        lines += wrapped(text, "yellow", width=width)
    if origin.untrained:
        text = "This network is untrained: what it shows, training did not make."
        lines += wrapped(text, "yellow", width=width)
    return lines


def _explained(findings: Iterable[Finding], width: int) -> list[Line]:
    parts = [part for text in explained_texts(findings) for part in textwrap.wrap(text, width - 10)]
    return [Line(f"{'' if number else 'explained':<10}{text}") for number, text in enumerate(parts)]


def merged_lines(findings: Iterable[Finding], width: int) -> list[Line]:
    """Say where contexts count with others, once for all claims; what a reason says already is left out."""
    told: dict[str, dict[str, None]] = {}
    for finding in once_for_all_layers(findings):
        for one in finding.verdict.evidence.merged or ():
            number = f"{one.distinct} distinct contexts of {one.contexts}"
            if number not in (finding.verdict.reason or ""):
                text = f"{number} at layer {one.layer}: {one.why}"
                told.setdefault(text, {})[finding.verdict.claim] = None
    every = (f"{text} (in {', '.join(claims)})" for text, claims in told.items())
    parts = [part for text in every for part in textwrap.wrap(text, width - 10)]
    return [Line(f"{'' if number else 'merged':<10}{text}", "yellow") for number, text in enumerate(parts)]


def _claim_lines(findings: Sequence[Finding], *, every_cell: bool, every_head: bool, width: int) -> list[Line]:
    first = findings[0].verdict
    parts = textwrap.wrap(first.statement, width - len(_INDENT)) or [""]
    lines = [
        Line(f"{first.claim:<{len(_INDENT) - 1}} {parts[0]}", "bold"),
        *(Line(_INDENT + text) for text in parts[1:]),
    ]
    roles = (Role.DECIDES, Role.OTHER_LAYER)
    shown = once_for_all_layers(f for role in roles for f in findings if f.verdict.role == role)
    lines += _rows(shown, every_head=every_head)
    families = [] if every_head else [family for family in head_families(shown) if len(family) > 1]
    summed = {finding.verdict.key for family in families for finding in family}
    alone = [finding for finding in shown if finding.verdict.key not in summed]
    reasons = {f.verdict.reason: None for f in alone if f.verdict.reason}
    reasons |= {f"{f.verdict.key} is open: {settle}": None for f in alone if (settle := settled_text(f.verdict))}
    reasons |= {text: None for family in families for text in reason_lines(family)}
    lines += [Line(f"{_INDENT}  {text}") for reason in reasons for text in textwrap.wrap(reason, width - 9)]
    lines += _warnings(alone, width)
    family = [f for f in findings if f.verdict.role == Role.FAMILY]
    if every_cell:
        lines += _rows(family, every_head=every_head)
        lines += [
            Line(f"{_INDENT}  {f.verdict.key} against {c.name}: {control_text(c)}")
            for f in shown
            for c in f.verdict.controls
            if f.verdict.role == Role.DECIDES
        ]
    if family:
        held = sum(f.verdict.verdict == Decision.SUPPORTED for f in family)
        lines.append(Line(f"{_INDENT}{held} of {len(family)} other cells supported"))
    return lines


def _warnings(findings: Sequence[Finding], width: int) -> list[Line]:
    """Return what companions of cells that decide found and a reader has to know."""
    told: dict[str, list[str]] = {}
    for finding in findings:
        verdict = finding.verdict
        for one in verdict.evidence.beside or () if verdict.role == Role.DECIDES else ():
            if one.warns:
                told.setdefault(one.text, []).append(verdict.key)
    every = [f"{', '.join(keys)}: {text}" for text, keys in told.items()]
    return [Line(f"{_INDENT}  {part}", "yellow") for text in every for part in textwrap.wrap(text, width - 9)]


def _rows(findings: Sequence[Finding], *, every_head: bool) -> list[Line]:
    """Return a line a cell; cells without an estimate that share layer and verdict share a line, and so do heads."""
    lines: list[Line] = []
    exact: dict[tuple[int, str], list[Finding]] = {}
    for family in head_families(findings):
        if family[0].verdict.threshold is None:
            exact.setdefault((family[0].verdict.layer, label(family[0])), []).extend(family)
        elif len(family) > 1 and not every_head:
            lines.append(_family_line(family))
        else:
            lines += [_finding_line(finding) for finding in family]
    for (layer, _), alike in exact.items():
        cell = f"L{layer:02d} {' '.join(f.verdict.group for f in alike)}"
        lines.append(_finding_line(alike[0], cell=cell))
    return lines


def _family_line(family: Family) -> Line:
    """Return the line of one cell over several heads: the least, the median and the largest estimate."""
    verdicts = [finding.verdict for finding in family]
    first = verdicts[0]
    beside = [
        middle(None if (found := verdict.control(control.name)) is None else found.estimate for verdict in verdicts)
        for control in column_controls()
    ]
    offset = middle(verdict.offset_share for verdict in verdicts)
    shown = [*map(number_text, beside), "-" if offset is None else f"{offset:.0%}"]
    every = first.kind == Kind.EVERY_LAYER
    cell = f"{'all' if every else f'L{first.layer:02d}'} {len(family)} heads {first.group}"
    cell += "" if every else f" {first.measure}"
    text = family_label(family) + (f" [{first.role}]" if first.role != Role.DECIDES else "")
    colours = {colour_of(finding) for finding in family}
    colour = next(colour for colour in ("red", "yellow", "green") if colour in colours)
    return _row("", cell, spread_text(family), threshold_text(first), shown, text, colour=colour)


def _finding_line(finding: Finding, *, cell: str | None = None) -> Line:
    verdict = finding.verdict
    controls = [verdict.control(control.name) for control in column_controls()]
    shown = ["-" if control is None else number_text(control.estimate) for control in controls]
    shown.append("-" if verdict.offset_share is None else f"{verdict.offset_share:.0%}")
    if cell is None:
        lowest = verdict.evidence.least_at_layer
        head = "" if verdict.head is None else f".H{verdict.head:02d}"
        where = f"L{verdict.layer:02d}{head}" if lowest is None else f"all, least L{lowest:02d}{head}"
        cell = f"{where} {verdict.group}" + ("" if lowest is not None else f" {verdict.measure}")
    text = label(finding) + (f" [{verdict.role}]" if verdict.role != Role.DECIDES else "")
    colour = colour_of(finding)
    return _row("", cell, estimate_text(verdict), threshold_text(verdict), shown, text, colour=colour)


def _row(
    claim: str, cell: str, estimate: str, threshold: str, controls: Sequence[str], verdict: str, *, colour: str
) -> Line:
    beside = " ".join(f"{text:>9}" for text in controls)
    head = f"{claim:<7}{cell:<21} {estimate:<26} {threshold:>9}"
    return Line(f"{head} {beside}  {verdict}".rstrip(), colour, breaks=(len(head), len(head) + len(beside) + 1))


def _closing(run: Run, findings: Sequence[Finding], width: int) -> list[Line]:
    lines = [
        Line(f"{', '.join(group[:-1])} and {group[-1]} measure nearly one quantity: they are not independent evidence.")
        for group in dependent_groups(findings)
    ]
    if any(len(family) > 1 for family in head_families(findings)):
        lines.append(
            Line(
                "A line of several heads has the least estimate with its head, the median, and the largest with its "
                "head; of controls and offset the median. Head by head: -vv, or qkvcheck explain."
            )
        )
    columns = [control for control in column_controls() if any(f.verdict.control(control.name) for f in findings)]
    if columns:
        means = [f"{control.column}: {control.says.partition(':')[0]}" for control in columns]
        lines.append(
            Line(
                f"{'; '.join(means)}; offset: the share that is mean offset alone. All controls: -v, or qkvcheck "
                "explain."
            )
        )
    if not is_tagged(findings):
        return [*lines, Line(tally(run, findings), "bold")]
    return [*lines, *(line for text in tally_sentences(run, findings) for line in wrapped(text, "bold", width=width))]


def once_for_all_layers(findings: Iterable[Finding]) -> list[Finding]:
    """Keep a claim about all layers once: each of its cells holds the same measurement."""
    kept: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        verdict = finding.verdict
        every = verdict.kind == Kind.EVERY_LAYER
        place = (verdict.claim, verdict.group, verdict.measure, verdict.head)
        kept.setdefault(place if every else (verdict.key,), finding)
    return list(kept.values())


def dependent_groups(findings: Iterable[Finding]) -> list[tuple[str, ...]]:
    """Return claims of a run that measure nearly one quantity, as their claims file says."""
    run = {f.verdict.claim: f.verdict for f in findings}
    found = []
    for name, verdict in run.items():
        group = tuple(sorted({name, *verdict.not_independent_of}))
        if len(group) > 1 and group not in found and all(other in run for other in group):
            found.append(group)
    return found


def column_controls() -> list[Control]:
    """Return the controls that have a column in the table."""
    return [control for control in controls_by_name().values() if control.column is not None]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> counted(1, "layer"), counted(12, "layer")
    ('1 layer', '12 layers')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def layers_text(layers: Sequence[int]) -> str:
    """Return layers with what their numbers mean.

    Examples
    --------
    >>> layers_text([1])
    'layer 1 (zero-based: layer 1 is block number 2)'
    """
    listed = ", ".join(map(str, layers))
    last = max(layers, default=0)
    return f"layer{'' if len(layers) == 1 else 's'} {listed} (zero-based: layer {last} is block number {last + 1})"
