"""Search report: what a search found, as lines, as a corpus file, as plain data. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qkvcheck.claims import FoundExample, SearchRecord
from qkvcheck.contexts import Context, ContextSet
from qkvcheck.search.engine import SHORT, Measured, Outcome
from qkvcheck.statistics import ViolationRate


def write_found(path: str | Path, outcome: Outcome[Any], *, count: int = 54) -> int:
    """Write what was found as a corpus in JSON lines, and return how many sentences it holds.

    For a claim on single contexts: the shrunk one first, then the worst others, up to `count`. For a claim on sets: the
    shrunk set, or the worst one.

    Parameters
    ----------
    path : str or Path
        The file.
    outcome : Outcome
        As `search` returns it.
    count : int
        Most sentences.
    """
    best = outcome.found or outcome.worst
    if isinstance(best.example, ContextSet):
        rows: list[dict[str, Any]] = [{"text": context.text} for context in best.example.contexts]
    else:
        entries = {entry.example.text: entry.value for entry in (best, *outcome.log)}
        rows = [{"text": text, "value": round(value, 6)} for text, value in list(entries.items())[:count]]
    rows[0]["search"] = {"cell": outcome.cell.key, "value": round(best.value, 6), "seed": outcome.seed}
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def search_record(outcome: Outcome[Any], *, budget: int) -> SearchRecord:
    """Return what a search found, as it goes into a verdict's evidence."""
    return SearchRecord(
        claim=outcome.claim.id,
        cell=outcome.cell.key,
        seed=outcome.seed,
        budget=budget,
        tried=outcome.tried,
        corpus=outcome.corpus,
        bar=outcome.bar,
        worst=_example(outcome.worst),
        found=_example(outcome.found),
        nearest_passing=_example(outcome.neighbour),
    )


def _example(measured: Measured[Any] | None) -> FoundExample | None:
    if measured is None:
        return None
    example = measured.example
    if isinstance(example, Context):
        return FoundExample(measured.value, text=example.text, target_index=example.target_index)
    return FoundExample(measured.value, texts=[context.text for context in example.contexts])


def outcome_lines(outcome: Outcome[Any], *, untrained: float | None = None) -> list[str]:
    """Return what a search found, for a terminal.

    Parameters
    ----------
    outcome : Outcome
        As `search` returns it.
    untrained : float, optional
        The number of what was found (else of the worst) in an untrained network.
    """
    claim, cell = outcome.claim, outcome.cell
    on_sets = isinstance(outcome.worst.example, ContextSet)
    what = "sets" if on_sets else "contexts"
    own = "the corpus" if on_sets else "worst sentence of the corpus"
    missed = "" if outcome.bar == claim.threshold else f"(the corpus itself misses {claim.threshold:g})"
    lines = [
        f"{cell.key} (layer {cell.layer}, zero-based): {claim.statement}",
        _line(own, outcome.corpus),
        _line("to be broken: worse than", outcome.bar, missed),
        _line(f"worst of {outcome.tried} different {what}", outcome.worst.value, _shown(outcome.worst.example)),
    ]
    if outcome.found is None:
        if untrained is not None:
            lines.append(_line("the same, untrained", untrained))
        lines.append(
            f"No counterexample in {outcome.tried} {what} of seed {outcome.seed}; that supports nothing: a claim for "
            "all contexts can only be refuted."
        )
        return lines
    lines.append(_line("smallest that hypothesis found", outcome.found.value, _shown(outcome.found.example)))
    if untrained is not None:
        lines.append(_line("the same, untrained", untrained, "(one network with random weights)"))
    near = outcome.neighbour
    lines.append(
        _line("nearest one that is no worse", near.value, _shown(near.example))
        if near is not None
        else f"All {what} that were tried are worse."
    )
    if isinstance(outcome.found.example, Context):
        least = outcome.short
        if len(outcome.found.example.prefix) > SHORT and least is not None:
            lines.append(
                f"Shorter ones were tried: with at most {SHORT} tokens left of the target the worst is "
                f"{least.value:.4f}, {least.example.text!r}."
            )
        lines.append(f"@example(context_of({outcome.found.example.text!r}, tokenizer, target))")
    return lines


def rate_lines(rate: ViolationRate, untrained: ViolationRate, *, what: str, seed: int, threshold: float) -> list[str]:
    """Return a rate in words: of independent draws, not of a search.

    Parameters
    ----------
    rate, untrained : ViolationRate
        In the model, and of the same draws in one untrained network.
    what : {"contexts", "sets"}
        What was drawn.
    seed : int
        Of the draws.
    threshold : float
        The claim's.
    """
    drawn = f"{rate.n} {what} drawn at random (seed {seed}; their number was fixed beforehand)"
    return [
        f"Apart from the search, {drawn}: {_misses(rate, threshold)}.",
        f"Of the same {what} in one untrained network {_misses(untrained, threshold)}.",
    ]


def _misses(rate: ViolationRate, threshold: float) -> str:
    bound = f"at least {rate.low:.1%}" if rate.violations else f"fewer than {rate.high:.1%}"
    if 0 < rate.violations < rate.n:
        bound += f" and, by another bound, at most {rate.high:.1%}"
    return f"{rate.violations} miss {threshold:g}, so {bound} of such do, at {rate.confidence:.0%} confidence"


def _line(name: str, value: float, text: str = "") -> str:
    return f"{name:<34} {value:.4f}  {text}".rstrip()


def _shown(example: Context | ContextSet) -> str:
    if isinstance(example, Context):
        return repr(example.text)
    return f"{len(example)} contexts such as {example.contexts[0].text!r}"
