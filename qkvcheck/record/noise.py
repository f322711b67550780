"""Noise: how much a claim's number moves when only the way of computing it changes.

The same capture under other batch sizes, thread counts, attention implementations and number formats is the same
measurement; what differs is rounding. The largest change is the noise floor of a statistic: drift of a recorded number
is judged against it, not against a tolerance that somebody guessed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from qkvcheck.capture import Samples
from qkvcheck.claims import Cell, Claim, at_heads, captured_for, cells, is_one_number, number_of
from qkvcheck.errors import ClaimError, NotCapturedError, QkvcheckError
from qkvcheck.models import one_thread
from qkvcheck.record.change import NoiseFloor

APART = ("bfloat16",)
"""Number formats that are no noise: they are another condition, and shown to compare with."""


@dataclass(frozen=True)
class Noise:
    """The largest changes that were seen, by statistic.

    Attributes
    ----------
    variations : mapping of str to mapping of str to float
        For each way of computing, the largest absolute change of each statistic over all cells.
    cells : int
        Cells that were measured.
    skipped : mapping of str to str
        Ways that could not be tried, and why.
    """

    variations: Mapping[str, Mapping[str, float]]
    cells: int
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def floors(self) -> dict[str, float]:
        """The noise floor of each statistic: the largest change in any way that is the same measurement."""
        found: dict[str, float] = {}
        for name, changes in self.variations.items():
            for statistic, change in changes.items() if name not in APART else ():
                found[statistic] = max(change, found.get(statistic, 0.0))
        return found


def measure_noise(samples: Samples, claims: Sequence[Claim], *, announce: Callable[[str], None] | None = None) -> Noise:
    """Measure every claim's number in every way, and how far each is from the usual one.

    Parameters
    ----------
    samples : Samples
        Of the model, with the corpus and the layers.
    claims : sequence of Claim
        Those that are one number of the corpus are measured, in all their cells.
    announce : callable, optional
        Told which way is being tried.

    Raises
    ------
    ClaimError
        If no claim is a number of the corpus.
    """
    say = announce or (lambda _: None)
    chosen = [claim for claim in claims if is_one_number(claim)]
    heads = samples.hooked.heads
    places = [
        (claim, at_head)
        for claim in chosen
        for cell in cells(claim, layers=samples.layers)
        for at_head in at_heads(claim, cell, heads)
    ]
    say("as usual")
    usual = _numbers(samples, places)
    if all(value is None for value in usual):
        raise ClaimError("no claim can be measured here; name claims files that hold one with a threshold.")
    variations: dict[str, dict[str, float]] = {}
    skipped = {}
    for name, make in _ways(samples):
        say(name)
        try:
            with make() as other:
                found = _numbers(other, places)
        except (QkvcheckError, RuntimeError, ValueError) as error:
            skipped[name] = str(error).splitlines()[0]
            continue
        changes = variations[name] = {}
        for (claim, _), before, after in zip(places, usual, found, strict=True):
            if before is not None and after is not None:
                changes[claim.statistic] = max(abs(after - before), changes.get(claim.statistic, 0.0))
    return Noise(variations, sum(value is not None for value in usual), skipped)


def noise_floor(noise: Noise, machine: Mapping[str, str]) -> NoiseFloor:
    """Return what goes with the verdicts on record: three digits each."""
    return NoiseFloor(
        statistics={name: float(f"{value:.3g}") for name, value in sorted(noise.floors.items())},
        variations={
            name: float(f"{max(changes.values(), default=0.0):.3g}") for name, changes in noise.variations.items()
        },
        machine=dict(machine),
    )


def noise_lines(noise: Noise) -> list[str]:
    """Return the table for a terminal: statistics down, ways across."""
    names = list(noise.variations)
    wide = max(len(statistic) for statistic in noise.floors)
    lines = [f"largest change of {noise.cells} cells, by way of computing", ""]
    lines.append(f"{'':<{wide}} {'floor':>9} " + " ".join(f"{name:>13}" for name in names))
    for statistic, floor in sorted(noise.floors.items()):
        changes = " ".join(f"{noise.variations[name].get(statistic, float('nan')):13.2g}" for name in names)
        lines.append(f"{statistic:<{wide}} {floor:9.2g} {changes}")
    lines += [f"{name} was not tried: {reason}" for name, reason in noise.skipped.items()]
    return [*lines, "", "bfloat16 is another condition, not noise: it is not in the floor."]


def _numbers(samples: Samples, places: Sequence[tuple[Claim, Cell]]) -> list[float | None]:
    found: list[float | None] = []
    for claim, cell in places:
        try:
            found.append(number_of(samples.captured(captured_for(claim)), claim, cell))
        except (ClaimError, NotCapturedError):
            found.append(None)  # not judged here
    return found


def _ways(samples: Samples) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield a name and a context manager that gives the samples as they come out that way."""
    hooked, plan = samples.hooked, samples.plan

    def planned(**changes: Any) -> Callable[[], Any]:
        return lambda: _same(Samples(hooked, samples.contexts, replace(plan, **changes)))

    yield "batch of 64", planned(batch_size=64)
    yield "batch of 4096", planned(batch_size=4096)
    yield "padded layout", planned(exact_layout=True)
    yield "one thread", lambda: _one_thread(samples)
    other = "eager" if getattr(hooked.config, "_attn_implementation", "sdpa") != "eager" else "sdpa"
    yield f"{other} attention", lambda: _changed(samples, attention=other)
    yield "float64", lambda: _changed(samples, dtype="float64")
    yield "bfloat16", lambda: _changed(samples, dtype="bfloat16")


@contextmanager
def _same(samples: Samples) -> Iterator[Samples]:
    yield samples


@contextmanager
def _one_thread(samples: Samples) -> Iterator[Samples]:
    with one_thread():
        yield Samples(samples.hooked, samples.contexts, samples.plan)


@contextmanager
def _changed(samples: Samples, *, attention: str | None = None, dtype: str | None = None) -> Iterator[Samples]:
    """Give the samples of a copy, so that the user's model stays as it was."""
    import torch

    hooked = samples.hooked
    model = copy.deepcopy(hooked.model)
    if attention is not None:
        model.config._attn_implementation = attention
    if dtype is not None:
        model = model.to(getattr(torch, dtype))
    yield samples.of_model(hooked.with_model(model))
