"""Untrained: the same measurements in networks of the same shape with freshly drawn weights, one a seed.

What they show as well, training did not make. Nineteen seeds tell how far a further one would lie; a single one only
tells whether it meets the same criterion. Their numbers are kept on disk, so that they cost once: a number is
found again only if everything it depends on is the same (`qkvcheck.claims.kept.KeptNumber`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from qkvcheck.capture import IN_MEMORY, Captured, CaptureStore, Samples, sample_of
from qkvcheck.claims.kept import KeptNumber, digest
from qkvcheck.claims.seed_numbers import SeedNumber
from qkvcheck.errors import DocumentError, NotCapturedError
from qkvcheck.files import write_document
from qkvcheck.groups import Capture
from qkvcheck.inputs import read_json
from qkvcheck.models import twin_identity, untrained_twin
from qkvcheck.statistics import KERNEL_VARIABLE, Sample, each

LARGE = 200_000_000
"""Up to so many parameters 19 seeds are the default; above it one."""
HELD = 10_000_000
"""Up to so many parameters the networks of all seeds are held; of larger ones the last, and what was captured."""


def default_seeds(parameters: int) -> int:
    """Return how many untrained seeds a model of that size gets unless a run asks for another number."""
    return 19 if parameters <= LARGE else 1


class Twins:
    """Untrained twins of a model, one a seed, sampled when first asked for.

    Parameters
    ----------
    samples : Samples
        Of the model under test.
    seed : int
        The first seed.
    count : int
        How many.
    folder : Path or None
        Where numbers are kept; None keeps none.
    announce : callable, optional
        Told of the progress.
    ahead : callable, optional
        Returns the captures that will be asked for. Of a network too large to be held with all others they are taken
        as soon as it is drawn, so that it is drawn once.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        seed: int,
        count: int,
        folder: Path | None = None,
        announce: Callable[[str], None] | None = None,
        ahead: Callable[[], Collection[Capture]] | None = None,
    ) -> None:
        self._samples = samples
        self._ahead = ahead
        own = samples.hooked.spec.untrained_seed
        self.seeds = [s for s in range(seed, seed + count + 1) if s != own][:count]
        self._folder = folder
        self._announce = announce
        self._made: dict[int, Samples] = {}
        self._drawn: set[int] = set()
        self._captured = CaptureStore()
        self._kept: dict[str, Any] = {}
        self._identities: dict[int, str] = {}

    def samples(self, seed: int) -> Samples:
        """Return the samples of one seed's twin; a large one takes the place of the last."""
        if seed not in self._made:
            self._drawn.add(seed)
            if self._announce is not None:
                self._announce(f"untrained twin {len(self._drawn)} of {len(self.seeds)}")
            if not self._holds_all:
                self._made.clear()  # before the next one is drawn: there is room for one
            self._made[seed] = self._samples.of_model(untrained_twin(self._samples.hooked, seed=seed))
        return self._made[seed]

    @cached_property
    def _holds_all(self) -> bool:
        return bool(self._samples.hooked.parameters <= HELD) and not self.streams

    @cached_property
    def streams(self) -> bool:
        """Whether captures of all seeds are more than is held in memory: then the rest is on disk."""
        width: int = max(part.stop for part in self._samples.hooked.projections.values())
        numbers = len(self._samples.contexts) * len(self._samples.layers) * width * len(self.seeds)
        return numbers * np.dtype(np.float32).itemsize > IN_MEMORY

    def captured(self, seed: int, capture: Capture) -> Captured:
        """Return a capture of one seed's twin, and take with it those that will be asked for.

        Raises
        ------
        NotCapturedError
            If it makes no sense in these networks.
        """
        if self._holds_all:
            return self.samples(seed).captured(capture)
        if (seed, capture) not in self._captured:
            ahead = () if self._ahead is None else self._ahead()
            wanted = [one for one in Capture if one == capture or one in ahead]
            missing = [one for one in wanted if (seed, one) not in self._captured]
            found = self.samples(seed).together(missing)
            for one, values in found.items():
                self._captured.put((seed, one), values)
            self._made.clear()  # a large network, or all that was captured of one: neither is needed again
        kept = self._captured.get((seed, capture))
        if isinstance(kept, str):
            raise NotCapturedError(kept)
        return kept

    def identity(self, seed: int) -> str:
        """Return a digest of what decides the numbers of one seed's twin."""
        if seed not in self._identities:
            self._identities[seed] = digest(twin_identity(self._samples.hooked, seed=seed))
        return self._identities[seed]

    @cached_property
    def sampled(self) -> str:
        """A digest of the contexts, and of how they are captured."""
        return digest((self._samples.contexts, self._samples.plan))

    def remembered(self, key: KeptNumber, compute: Callable[[], Any]) -> Any:
        """Return what is kept under a key, in memory or on disk; else compute it and keep it."""
        name = digest(key)
        if name not in self._kept:
            path = None if self._folder is None else self._folder / f"untrained-{name}.json"
            found = None if path is None else _read(path)
            if found is None:
                found = compute()
                if path is not None:
                    with suppress(OSError):  # kept for speed alone
                        path.parent.mkdir(parents=True, exist_ok=True)
                        write_document(path, kept(found))
            self._kept[name] = found
        return self._kept[name]


def _read(path: Path) -> Any:
    """Return what a file keeps; None if it is missing, or anything but what was written: damage decides nothing."""
    try:
        data = read_json(path)
    except DocumentError:
        return None
    return data["value"] if "value" in data and data == kept(data["value"]) else None


def kept(value: Any) -> dict[str, Any]:
    """Return plain data as it is kept: with its hash."""
    return {"value": value, "sha256": hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}


class Untrained:
    """A measurement in untrained twins; what a claim's check gets as its control ``untrained``.

    Parameters
    ----------
    twins : Twins
        The networks.
    capture : Capture
        What is measured.
    """

    def __init__(self, twins: Twins, capture: Capture) -> None:
        self.twins = twins
        self.capture = capture

    def at(self, layer: int, captured: Captured, *, head: int | None = None) -> UntrainedSeeds:
        """Return the measurement at a layer, or at one head of it; `captured` is the trained network's."""
        return UntrainedSeeds(self, layer, captured, head=head)


class UntrainedSeeds:
    """A measurement in untrained twins at one layer (see `qkvcheck.claims.seed_numbers.Seeds`)."""

    def __init__(self, untrained: Untrained, layer: int, captured: Captured, *, head: int | None = None) -> None:
        self._untrained = untrained
        self._layer = layer
        self._head = head
        self._parts = captured if isinstance(captured, tuple) else (captured,)
        self._sampled: dict[int, Sample] = {}

    @property
    def count(self) -> int:
        """How many seeds there are."""
        return len(self._untrained.twins.seeds)

    def measure(self, number: SeedNumber, *, first: int | None = None) -> list[Any]:
        """Return what a computation finds in each seed's sample, or in the `first` few.

        Parameters
        ----------
        number : SeedNumber
            A frozen dataclass: what it finds, plain data, depends on the sample and its fields alone.
        first : int, optional
            How many seeds; without it all.
        """
        found = []
        for seed in each("untrained networks", self._untrained.twins.seeds[:first]):
            compute = partial(self._compute, seed, number)
            # A capture without a recipe can't be told from another.
            known = all(part.provenance.get("recipe") for part in self._parts)
            found.append(self._untrained.twins.remembered(self.key(number, seed), compute) if known else compute())
        return found

    def key(self, number: SeedNumber, seed: int) -> KeptNumber:
        """Return everything that a number in one seed's twin depends on."""
        return KeptNumber(
            code=_own_code(),
            kernel=os.environ.get(KERNEL_VARIABLE, ""),
            twin=self._untrained.twins.identity(seed),
            sampled=self._untrained.twins.sampled,
            captured=self._captured,
            capture=self._untrained.capture,
            layer=self._layer,
            head=self._head,
            number=digest(number),
        )

    @cached_property
    def _captured(self) -> str:
        """A digest of all that is told of the trained network's activations but their values."""
        return digest(tuple(replace(part, values=np.empty(0)) for part in self._parts))

    def _compute(self, seed: int, number: SeedNumber) -> Any:
        return number(self._sample(seed))

    def _sample(self, seed: int) -> Sample:
        if seed not in self._sampled:
            if self._untrained.twins.streams:
                self._sampled.clear()
            captured = self._untrained.twins.captured(seed, self._untrained.capture)
            self._sampled[seed] = sample_of(captured, layer=self._layer, head=self._head)
        return self._sampled[seed]


@cache
def _own_code() -> str:
    """Return a hash of this package's code: another version computes its numbers anew."""
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]  # of every room: the numbers come from all of them
    for path in sorted(folder.rglob("*.py")):
        digest.update(os.fsencode(path.relative_to(folder)) + path.read_bytes())
    return digest.hexdigest()
