"""Page: one run, or several side by side, as a single HTML file that needs no network and no script."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qkvcheck.claims import (
    Decision,
    Role,
    controls_by_name,
)
from qkvcheck.errors import SettingsError, visible
from qkvcheck.files import replace_text
from qkvcheck.record import FileOrigin, Finding, ModelOrigin, Results, Run
from qkvcheck.report.compared import moved_sentences
from qkvcheck.report.figures.picture import Figure
from qkvcheck.report.forest import forest
from qkvcheck.report.overview import (
    contrast_sentences,
    lead_sentence,
    learned_sentence,
    standings,
)
from qkvcheck.report.page_claims import PageCell, page_cell, page_claim
from qkvcheck.report.sentences import poles_sentence
from qkvcheck.report.tally import by_claim, is_tagged, tally
from qkvcheck.report.terminal import column_controls, counted, holding_text, layers_text, target_text
from qkvcheck.report.texts import explained_texts

NEEDED = ("jinja2", "matplotlib")
TABLE_ROWS = 60
"""A figure's numbers are shown as a table up to as many rows; there is always a file of all of them."""


def missing_libraries() -> str | None:
    """Return how to install what a page needs and what is not there, or None."""
    from importlib.util import find_spec

    lacking = [name for name in NEEDED if find_spec(name) is None]
    if not lacking:
        return None
    return f"a report needs {' and '.join(lacking)}: pip install 'qkvcheck[report]'"


def write_page(path: str | Path, results: Sequence[Results], *, short: bool = False) -> None:
    """Write a page: of one result everything, of several a comparison.

    Parameters
    ----------
    path : str or Path
        The HTML file; it is replaced as a whole.
    results : sequence of Results
        One a model.
    short : bool
        Of one result only what is not folded: the verdicts as a picture with its table, the histograms, what was run.

    Raises
    ------
    SettingsError
        If the libraries for it are not installed, or several results are to have a short version.
    OSError
        If the file can't be written.
    """
    replace_text(Path(path), page(results, short=short))


def page(results: Sequence[Results], *, short: bool = False) -> str:
    """Return a page as text; see `write_page`."""
    why = missing_libraries()
    if why is not None:
        raise SettingsError(f"{why}.")
    if short and len(results) > 1:
        raise SettingsError(f"a page that compares {len(results)} results has no short version; write one a result.")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qkvcheck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    if len(results) == 1:
        name, content = "run.html", _run(results[0], short=short)
    else:
        name, content = "comparison.html", _comparison(results)
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    text: str = environment.get_template(name).render(made=made, **content)
    return text


def _shown(value: Any) -> Any:
    """Return what a template prints, without control characters; what is markup already stays."""
    return visible(value) if type(value) is str else value


@dataclass(frozen=True)
class PageFigure:
    """A figure as the page shows it: its picture, and its numbers as a table or a file."""

    name: str
    title: str
    caption: str
    svg: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]] | None
    count: int
    csv: str
    wide: bool


def _figure(figure: Figure) -> PageFigure:
    from markupsafe import Markup

    return PageFigure(
        name=figure.name,
        title=figure.title,
        caption=figure.caption,
        svg=Markup(figure.svg),  # drawn by us; its texts are escaped by matplotlib
        header=figure.header,
        rows=figure.rows if len(figure.rows) <= TABLE_ROWS and len(figure.header) <= 12 else None,
        count=len(figure.rows),
        csv=csv_link(figure.header, figure.rows),
        wide=figure.wide,
    )


def _run(results: Results, *, short: bool) -> dict[str, Any]:
    from qkvcheck.report.figures.drawn import figures_of

    run, findings = results.run, results.findings
    figures = [_figure(figure) for figure in figures_of(run, findings, only="histograms" if short else None)]
    grouped = by_claim(findings)
    anchors = {identity: "findings" if short else f"claim-{n}" for n, identity in enumerate(grouped)}
    found = standings(grouped)
    return {
        "title": f"Claims about queries, keys and values in {run.named}",
        "short": short,
        "run": run,
        "measured": _measured(run, findings),
        "citations": [cited.text for cited in run.citations if set(cited.claims) & set(grouped)],
        "tally": f"{tally(run, findings) if is_tagged(findings) else lead_sentence(found)}.",
        "tagged": is_tagged(findings),
        "moved": moved_sentences(findings),
        "forest": (picture := forest(grouped, anchors=anchors)),
        "kinds": {row.id: row.kind for _, rows in picture.groups for row in rows},
        "learned": learned_sentence(found),
        "contrasts": [] if run.origin.untrained else contrast_sentences(grouped),
        "columns": [control.label for control in column_controls()],
        "controls": [
            (control.name, control.says)
            for control in controls_by_name().values()
            if any(f.verdict.control(control.name) for f in findings)
        ],
        "poles": poles_sentence([finding for of in grouped.values() for finding in of]),
        "facts": [*_facts(run), *(("explained", text) for text in explained_texts(findings))],
        "claims": [page_claim(identity, of, anchor=anchors[identity]) for identity, of in grouped.items()],
        "cell_count": len(findings),
        "figures": figures,
        "first_histograms": next((figure.name for figure in figures if figure.name.startswith("histograms")), None),
        "made_with": ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items())),
        "versions": run.versions,
        "settings": {name: _plain(value) for name, value in asdict(run.settings).items()},
    }


def _measured(run: Run, findings: Sequence[Finding]) -> str:
    """Return in one line what was measured: of which model, what, where, beside how many untrained networks."""
    corpus = run.corpus
    seeds = max((control.seeds or 0 for f in findings for control in f.verdict.controls), default=0)
    beside = f", beside {counted(seeds, 'untrained network')}" if seeds else ""
    which = "the token" if corpus.target_ids is None else "the last token of"
    token = f"{which} {corpus.target.strip()!r}" if isinstance(corpus.target, str) else "a token"
    layers = ", ".join(map(str, run.settings.layers))
    where = f"layer{'s' if len(run.settings.layers) != 1 else ''} {layers} (zero-based)"
    return f"Queries, keys and values of {token} in {corpus.contexts} sentences at {where}{beside}."


def _facts(run: Run) -> list[tuple[str, str]]:
    origin, corpus, settings = run.origin, run.corpus, run.settings
    untrained = "; untrained: what it shows, training did not make" if origin.untrained else ""
    shape = corpus.padded_shape  # (context, token, number), or without tokens where activations came from a file
    captured = f"{' x '.join(map(str, shape))}: contexts x {'tokens x ' if len(shape) > 2 else ''}numbers of Q, K and V"
    made = (
        "none: each claim is made by its test"
        if settings.claims_sha256 is None
        else f"sha256 {settings.claims_sha256[:12]}"
    )
    named = ("model", f"{origin.spec} ({origin.source}){_stand_in(run)}{untrained}")
    layers = ("layers", layers_text(settings.layers).partition(" ")[2])
    if isinstance(origin, FileOrigin) or corpus.seen is None:
        file = ("file", f"sha256 {origin.fingerprint[:12]}")
        return [named, layers, ("captured", captured), ("claims file", made), file]
    positions = ", ".join(f"{index} ({count})" for index, count in corpus.seen.positions.items())
    size = f"{counted(origin.layers, 'layer')}, {origin.parameters:,} parameters"
    return [
        named,
        ("network", f"{origin.family} architecture, {size}"),
        *_training(origin),
        (
            "contexts",
            f"{corpus.contexts}{holding_text(corpus)} (corpus {corpus.name}), {corpus.distinct_prefixes} distinct "
            f"{'up to the target' if corpus.seen.causal else 'as a whole'}",
        ),
        ("target", f"{target_text(corpus)} at index {positions} (zero-based)"),
        layers,
        ("captured", captured),
        ("numbers", f"{settings.dtype} on {settings.device}"),
        ("fingerprint", f"{origin.fingerprint[:12]} (sha256 of weights, architecture and tokenizer)"),
        ("corpus", f"sha256 {corpus.sha256[:12]}"),
        ("claims file", made),
    ]


def _training(origin: ModelOrigin) -> list[tuple[str, str]]:
    record = origin.training
    if not record:
        return []
    own, bigram, positions = (record.get(name) for name in ("held_out_loss", "bigram_loss", "training_positions"))
    if not all(isinstance(number, (int, float)) for number in (own, bigram, positions)):
        return []  # how another model was trained, in words of its own
    losses = f"{own:.3f} nats a token on held-out text, a bigram model's {bigram:.3f}"
    edition = f"edition {record['edition']}; " if "edition" in record else ""
    return [("training", f"{edition}{positions:,} tokens of generated English; its loss is {losses}")]


def _stand_in(run: Run) -> str:
    return ", a stand-in for GPT-2 small" if run.origin.stand_in else ""


def csv_link(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as the address of a file that is in the page itself."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return f"data:text/csv;charset=utf-8,{quote(visible(buffer.getvalue()), safe=',.-')}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@dataclass
class ComparedRow:
    """A row of a comparison: one claim in one group, a cell a model."""

    claim: str
    statement: str
    place: str
    order: tuple[bool, float, str]
    cells: list[PageCell | None]

    @property
    def agreed(self) -> bool:
        """Whether every model has it, with the same verdict."""
        return all(self.cells) and len({cell.kind for cell in self.cells if cell}) == 1


def _comparison(results: Sequence[Results]) -> dict[str, Any]:
    names = _distinct([entry.run.named for entry in results])
    every: dict[str, ComparedRow] = {}
    for number, entry in enumerate(results):
        for finding in entry.findings:
            verdict = finding.verdict
            if verdict.role != Role.DECIDES:
                continue
            # The same claim at another layer of a deeper model is the same row.
            where = f"{verdict.group} {verdict.measure}"
            where = where if verdict.head is None else f"head {verdict.head:02d} {where}"
            key = f"{verdict.claim} {where}"
            order = (verdict.exploratory, math.inf if verdict.order is None else verdict.order, key)
            blank: list[PageCell | None] = [None] * len(results)
            row = every.setdefault(key, ComparedRow(verdict.claim, verdict.statement, where, order, blank))
            row.cells[number] = row.cells[number] or page_cell(finding)
    rows = sorted(every.values(), key=lambda row: row.order)
    what = "models"
    if all(entry.run.corpus.of_several for entry in results):
        what = "targets" if len({entry.run.origin.spec for entry in results}) == 1 else "runs"
    return {
        "what": what,
        "title": f"{len(results)} {what}: claims about queries, keys and values",
        "models": [
            {"name": name, "facts": _facts(entry.run), "summary": tally(entry.run, entry.findings)}
            for name, entry in zip(names, results, strict=True)
        ],
        "rows": rows,
        "agreed": sum(row.agreed for row in rows),
        "supported": Decision.SUPPORTED,
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """Tell models of one name apart by their place."""
    return [f"{name} ({place + 1})" if names.count(name) > 1 else name for place, name in enumerate(names)]
