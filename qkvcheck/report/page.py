"""Page: one run, or several side by side, as a single HTML file that needs no network and no script."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qkvcheck.claims import (
    ALSO_UNTRAINED,
    DIFFERENT_WORDS,
    UNTRAINED,
    Decision,
    Kind,
    Role,
    Verdict,
    controls_by_name,
    estimate_text,
    number_text,
    threshold_text,
)
from qkvcheck.errors import SettingsError
from qkvcheck.files import replace_text
from qkvcheck.groups import group_text
from qkvcheck.record import FileOrigin, Finding, ModelOrigin, Results, Run, label
from qkvcheck.report.overview import (
    ALSO_RANDOM,
    BY_CONSTRUCTION,
    NOT_BETTER,
    contrast_sentences,
    lead_sentence,
    learned_sentence,
    standings,
)
from qkvcheck.report.sentences import LEADS, claim_sentences, poles_sentence
from qkvcheck.report.statistic_words import scale_words
from qkvcheck.report.terminal import by_claim, counted, decision, layers_text, tally
from qkvcheck.report.texts import control_text

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


def write_page(path: str | Path, results: Sequence[Results]) -> None:
    """Write a page: of one result everything, of several a comparison.

    Parameters
    ----------
    path : str or Path
        The HTML file; it is replaced as a whole.
    results : sequence of Results
        One a model.

    Raises
    ------
    SettingsError
        If the libraries for it are not installed.
    OSError
        If the file can't be written.
    """
    replace_text(Path(path), page(results))


def page(results: Sequence[Results]) -> str:
    """Return a page as text; see `write_page`."""
    why = missing_libraries()
    if why is not None:
        raise SettingsError(f"{why}.")
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("qkvcheck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    name, content = ("run.html", _run(results[0])) if len(results) == 1 else ("comparison.html", _comparison(results))
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    text: str = environment.get_template(name).render(made=made, **content)
    return text


def _run(results: Results) -> dict[str, Any]:
    from markupsafe import Markup

    from qkvcheck.report.figures.drawn import figures_of

    run, findings = results.run, results.findings
    figures = [
        {
            "name": figure.name,
            "title": figure.title,
            "caption": figure.caption,
            "svg": Markup(figure.svg),  # drawn by us; its texts are escaped by matplotlib
            "header": figure.header,
            "rows": figure.rows if len(figure.rows) <= TABLE_ROWS and len(figure.header) <= 12 else None,
            "count": len(figure.rows),
            "csv": csv_link(figure.header, figure.rows),
            "wide": figure.wide,
        }
        for figure in figures_of(run, findings)
    ]
    grouped = by_claim(findings)
    claims = [{**_claim(identity, of), "anchor": f"claim-{n}"} for n, (identity, of) in enumerate(grouped.items())]
    found = standings(grouped)
    return {
        "title": f"Claims about queries, keys and values in {run.origin.spec}",
        "run": run,
        "citations": [cited.text for cited in run.citations if set(cited.claims) & {claim["id"] for claim in claims}],
        "summary": f"{run.origin.spec}{_stand_in(run)}. {lead_sentence(found)}",
        "glance": [
            {
                "lead": f"{'Exploratory, ' if entry.exploratory else ''}{LEADS[entry.verdict]}".capitalize(),
                # Green is for what holds beyond what a network without training shows.
                "kind": "weak" if entry.remark in (ALSO_RANDOM, BY_CONSTRUCTION, NOT_BETTER) else _kind(entry.verdict),
                "claims": [claim for claim in claims if claim["id"] in entry.claims],
                "remark": entry.remark,
            }
            for entry in found
        ],
        "learned": learned_sentence(found),
        "contrasts": [] if run.origin.untrained else contrast_sentences(grouped),
        "controls": [
            (control.name, control.says)
            for control in controls_by_name().values()
            if any(f.verdict.control(control.name) for f in findings)
        ],
        "poles": poles_sentence([finding for of in grouped.values() for finding in of]),
        "facts": _facts(run),
        "claims": claims,
        "cell_count": len(findings),
        "figures": figures,
        "first_histograms": next(
            (figure["name"] for figure in figures if figure["name"].startswith("histograms")), None
        ),
        "versions": run.versions,
        "settings": {name: _plain(value) for name, value in asdict(run.settings).items()},
    }


def _claim(identity: str, findings: Sequence[Finding]) -> dict[str, Any]:
    verdicts = [finding.verdict for finding in findings]
    return {
        "id": identity,
        "statement": verdicts[0].statement,
        "source": verdicts[0].source,
        "decision": decision(findings) or "not decided",
        "also_untrained": any(ALSO_UNTRAINED in v.qualifier for v in verdicts if v.role == Role.DECIDES),
        "scale": next((words for v in verdicts if v.threshold is not None and (words := scale_words(v))), None),
        "found": _found([v for v in verdicts if v.role == Role.DECIDES]),
        "exploratory": verdicts[0].exploratory,
        "sentences": claim_sentences(findings),
        "cells": [_cell(finding) for finding in findings],
        "deciding": _deciding(findings),
    }


def _found(deciding: Sequence[Verdict]) -> str:
    """Return a claim's numbers beside those of untrained networks, for the overview."""
    several = len({v.layer for v in deciding}) > 1
    told = [
        f"{group_text(v.group)}{f' at layer {v.layer}' if several else ''} {number_text(v.estimate)}"
        for v in deciding
        if v.estimate is not None
    ]
    # A difference from untrained networks, and the worst of a search, are numbers of another kind than theirs.
    alike = [v.control(UNTRAINED) for v in deciding if v.kind not in (Kind.AGAINST_UNTRAINED, Kind.SEARCH)]
    beside = [
        number_text(control.estimate) for control in alike if control is not None and control.estimate is not None
    ]
    if not told:
        return next((v.reason for v in deciding if v.verdict == Decision.NOT_JUDGED and v.reason), "")
    return f"found {', '.join(told)}{'; untrained ' if beside else ''}{', '.join(beside)}"


def _deciding(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the rows of the cells that decide; exact ones that stand alike at a layer share a row."""
    rows: dict[Any, dict[str, Any]] = {}
    for finding in (finding for finding in findings if finding.verdict.role == Role.DECIDES):
        verdict, cell = finding.verdict, _cell(finding)
        row = rows.setdefault((verdict.layer, label(finding)) if verdict.threshold is None else verdict.key, cell)
        if row is not cell:
            row["key"] += f" {verdict.group}"
    return list(rows.values())


def _kind(verdict: str) -> str:
    """Return the class of a verdict in the page."""
    return verdict.lower().replace(" ", "-")


def _cell(finding: Finding) -> dict[str, Any]:
    verdict = finding.verdict
    return {
        "key": verdict.key,
        "layer": verdict.layer,
        "group": verdict.group,
        "measure": verdict.measure,
        "decides": verdict.role == Role.DECIDES,
        "estimate": estimate_text(verdict),
        "threshold": threshold_text(verdict),
        "verdict": label(finding),
        "kind": "changed" if finding.change else _kind(verdict.verdict),
        "controls": [(control.name, control_text(control)) for control in verdict.controls],
        "beside": [_control_cell(verdict, name) for name in (DIFFERENT_WORDS, UNTRAINED)],
        "offset": "-" if verdict.offset_share is None else f"{verdict.offset_share:.0%}",
        "reason": verdict.reason,
        "change": finding.change,
        "bar": interval_bar(verdict),
    }


def _control_cell(verdict: Verdict, name: str) -> dict[str, str]:
    """Return a control's number and how specific the claim is against it, for the table."""
    control = verdict.control(name)
    if control is None or control.estimate is None:
        return {"number": "-", "specificity": ""}
    return {"number": number_text(control.estimate), "specificity": control.specificity or ""}


def interval_bar(verdict: Verdict) -> dict[str, float] | None:
    """Return where estimate, interval and threshold stand on a scale from 0 to 100, or None without an interval."""
    if verdict.estimate is None or verdict.low is None or verdict.high is None or verdict.threshold is None:
        return None
    least = min(-0.05, verdict.low, verdict.threshold)
    most = max(1.05, verdict.high, verdict.threshold)
    span = most - least

    def place(value: float) -> float:
        return round(100 * (value - least) / span, 2)

    return {
        "low": place(verdict.low),
        "high": place(verdict.high),
        "estimate": place(verdict.estimate),
        "threshold": place(verdict.threshold),
        "zero": place(0.0),
    }


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
            f"{corpus.contexts} (corpus {corpus.name}), {corpus.distinct_prefixes} distinct up to the target",
        ),
        ("target", f"{corpus.target!r} at index {positions} (zero-based)"),
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
    own, bigram = record["held_out_loss"], record["bigram_loss"]
    losses = f"{own:.3f} nats a token on held-out text, a bigram model's {bigram:.3f}"
    return [("training", f"{record['training_positions']:,} tokens of generated English; its loss is {losses}")]


def _stand_in(run: Run) -> str:
    return ", a stand-in for GPT-2 small" if run.origin.stand_in else ""


def csv_link(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as the address of a file that is in the page itself."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return f"data:text/csv;charset=utf-8,{quote(buffer.getvalue(), safe=',.-')}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _comparison(results: Sequence[Results]) -> dict[str, Any]:
    names = _distinct([str(entry.run.origin.spec) for entry in results])
    every: dict[str, dict[str, Any]] = {}
    for place, entry in enumerate(results):
        for finding in entry.findings:
            verdict = finding.verdict
            if verdict.role != Role.DECIDES:
                continue
            # The same claim at another layer of a deeper model is the same row.
            key = f"{verdict.claim} {verdict.group} {verdict.measure}"
            row = every.setdefault(
                key,
                {
                    "claim": verdict.claim,
                    "statement": verdict.statement,
                    "place": f"{verdict.group} {verdict.measure}",
                    "cells": [None] * len(results),
                    "order": (verdict.exploratory, math.inf if verdict.order is None else verdict.order, key),
                },
            )
            if row["cells"][place] is None:
                row["cells"][place] = _cell(finding)
    rows = sorted(every.values(), key=lambda row: row["order"])
    agreed = sum(len({cell["kind"] for cell in row["cells"] if cell}) == 1 and all(row["cells"]) for row in rows)
    return {
        "title": f"{len(results)} models: claims about queries, keys and values",
        "models": [
            {"name": name, "facts": _facts(entry.run), "summary": tally(entry.run, entry.findings)}
            for name, entry in zip(names, results, strict=True)
        ],
        "rows": rows,
        "agreed": agreed,
        "supported": Decision.SUPPORTED,
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """Tell models of one name apart by their place."""
    return [f"{name} ({place + 1})" if names.count(name) > 1 else name for place, name in enumerate(names)]
