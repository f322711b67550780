"""Forecast: what a run will take, told from a batch of its own contexts before the work begins."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from qkvcheck.capture.forwards import TRIE
from qkvcheck.capture.hooks import capture
from qkvcheck.capture.samples import Plan
from qkvcheck.capture.stored import IN_MEMORY
from qkvcheck.contexts import ContextSet
from qkvcheck.models import HookedModel

_PILOT = 400
"""Contexts that are run to see how long a batch takes."""


@dataclass(frozen=True)
class AskedFor:
    """What is asked for.

    Attributes
    ----------
    captures : int
        How often all contexts are run through this model: for the target, and for controls.
    words : int
        Words that each context is continued with besides; 0 where no claim asks for that.
    networks : int
        Untrained networks.
    network_captures : int
        How often all contexts are run through each of them.
    network_words : int
        Words that each context is continued with in each of them.
    measured : int
        Claims times samples, a control's and a network's counted too.
    """

    captures: int
    words: int
    networks: int
    network_captures: int
    network_words: int
    measured: int

    @property
    def runs(self) -> int:
        """How often a context is run in all."""
        return self.captures + self.words + self.networks * (self.network_captures + self.network_words)


@dataclass(frozen=True)
class Forecast:
    """What a run will take.

    Attributes
    ----------
    contexts, forwards : int
        Contexts, and how many of them are run through a network, each as often as it is.
    memory : int
        Bytes of the process at its peak.
    seconds : float
        Of this machine, as busy as it is now.
    """

    contexts: int
    forwards: int
    memory: int
    seconds: float


def forecast(
    hooked: HookedModel,
    contexts: ContextSet,
    asked: AskedFor,
    *,
    plan: Plan,
) -> Forecast:
    """Return what a run will take: some of its contexts are captured once to see how fast that is.

    Parameters
    ----------
    hooked, contexts : HookedModel, ContextSet
        What is run.
    asked : AskedFor
        What is asked for.
    plan : Plan
        How it is sampled.
    """
    n, width = len(contexts), max(part.stop for part in hooked.projections.values())
    ordered = sorted(range(n), key=lambda row: contexts.contexts[row].token_ids)
    pilot = contexts.subset(ordered[:_PILOT])
    begun = time.perf_counter()
    found = capture(hooked, pilot, layers=plan.layers, batch_size=plan.batch_size, exact_layout=plan.exact_layout)
    rate = int(found.provenance["computed"]) / max(time.perf_counter() - begun, 1e-6)
    shared = found.provenance["layout"] == TRIE
    computed = (
        int(found.provenance["computed"]) * positions_of(contexts, shared=shared) / positions_of(pilot, shared=shared)
    )
    numbers = n * width
    held = 4 * numbers * len(plan.layers)
    kept = held * (asked.captures + asked.words) + min(asked.networks * held * asked.network_captures, IN_MEMORY)
    kept += held * max(asked.network_captures + asked.network_words, 1)
    return Forecast(
        contexts=n,
        forwards=n * asked.runs,
        memory=_peak() + kept + _COPIES * 8 * numbers + _TOLD * n,
        seconds=computed * asked.runs / rate + asked.measured * _judging_seconds(n, width),
    )


def positions_of(contexts: ContextSet, *, shared: bool) -> int:
    """Return how many token positions contexts have up to their targets; with shared prefixes counted once or not."""
    if not shared:
        return sum(context.target_index + 1 for context in contexts.contexts)
    return len({c.token_ids[:stop] for c in contexts.contexts for stop in range(1, c.target_index + 2)})


_COPIES = 4
"""Copies of one layer's rows in float64 that are held while a claim is judged."""
_TOLD = 15_000
"""Bytes that texts, tokens, clusters and what else is told of a context take."""
_NANOSECONDS = 250.0
"""For each number of a sample's rows at one layer, where a claim is judged on it."""


def _judging_seconds(n: int, width: int) -> float:
    return _NANOSECONDS * 1e-9 * n * width


def _peak() -> int:
    """Return the most memory this process has had by now, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
