"""Untrained: the same measurements in networks of the same shape with freshly drawn weights, one a seed.

What they show as well, training did not make. Nineteen seeds tell how far a further one would lie; a single one only
tells whether it meets the same criterion. Their numbers are kept on disk, so that they cost once: a number is
found again only if weights' recipe, contexts, layers, statistic, libraries and this package's own code are the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from qkvcheck.capture import Captured, Samples, sample_of
from qkvcheck.documents import read_json
from qkvcheck.errors import DocumentError
from qkvcheck.files import write_document
from qkvcheck.groups import Capture
from qkvcheck.models import untrained_twin
from qkvcheck.statistics import Sample

LARGE = 10_000_000
"""Up to so many parameters 19 seeds are the default; above it one."""


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
    """

    def __init__(
        self,
        samples: Samples,
        *,
        seed: int,
        count: int,
        folder: Path | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._samples = samples
        own = samples.hooked.spec.untrained_seed
        self.seeds = [s for s in range(seed, seed + count + 1) if s != own][:count]
        self._folder = folder
        self._announce = announce
        self._made: dict[int, Samples] = {}
        self._kept: dict[str, Any] = {}

    def samples(self, seed: int) -> Samples:
        """Return the samples of one seed's twin."""
        if seed not in self._made:
            if self._announce is not None:
                self._announce(f"untrained twin {len(self._made) + 1} of {len(self.seeds)}")
            self._made[seed] = self._samples.of_model(untrained_twin(self._samples.hooked, seed=seed))
        return self._made[seed]

    def identity(self, seed: int) -> list[Any]:
        """Return what decides the weights of one seed's twin."""
        return [seed, *self._shape]

    @cached_property
    def _shape(self) -> list[Any]:
        hooked = self._samples.hooked
        versions = [metadata.version(name) for name in ("torch", "transformers", "numpy")]
        config = json.loads(hooked.model.config.to_json_string(use_diff=False))
        config.pop("_name_or_path", None)
        return [versions, config, hooked.dtype, str(hooked.device), hooked.architecture.family]

    def remembered(self, key: list[Any], compute: Callable[[], Any]) -> Any:
        """Return what is kept under a key, in memory or on disk; else compute it and keep it."""
        name = hashlib.sha256(json.dumps([_own_code(), *key], sort_keys=True, default=str).encode()).hexdigest()
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

    def at(self, layer: int, captured: Captured) -> UntrainedSeeds:
        """Return the measurement at a layer; `captured` is the trained network's."""
        return UntrainedSeeds(self, layer, captured)


class UntrainedSeeds:
    """A measurement in untrained twins at one layer (see `qkvcheck.claims.comparison.Seeds`)."""

    def __init__(self, untrained: Untrained, layer: int, captured: Captured) -> None:
        self._untrained = untrained
        self._layer = layer
        parts = captured if isinstance(captured, tuple) else (captured,)
        self._recipe = [part.provenance.get("recipe") for part in parts]
        self._clusters = [part.clusters for part in parts]
        self._sampled: dict[int, Sample] = {}

    @property
    def count(self) -> int:
        """How many seeds there are."""
        return len(self._untrained.twins.seeds)

    def measure(self, what: str, compute: Callable[[Sample], Any], *, first: int | None = None) -> list[Any]:
        """Return what `compute` (named `what`) finds in each seed's sample, or in the `first` few; plain data."""
        twins = self._untrained.twins
        found = []
        for seed in twins.seeds[:first]:
            key = [twins.identity(seed), what, self._layer, self._recipe, self._clusters, str(self._untrained.capture)]
            number = partial(self._compute, seed, compute)
            # A capture without a recipe can't be told from another.
            found.append(twins.remembered(key, number) if all(self._recipe) else number())
        return found

    def _compute(self, seed: int, compute: Callable[[Sample], Any]) -> Any:
        return compute(self._sample(seed))

    def _sample(self, seed: int) -> Sample:
        if seed not in self._sampled:
            captured = self._untrained.twins.samples(seed).captured(self._untrained.capture)
            self._sampled[seed] = sample_of(captured, layer=self._layer)
        return self._sampled[seed]


@cache
def _own_code() -> str:
    """Return a hash of this package's code: another version computes its numbers anew."""
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]  # of every room: the numbers come from all of them
    for path in sorted(folder.rglob("*.py")):
        digest.update(os.fsencode(path.relative_to(folder)) + path.read_bytes())
    return digest.hexdigest()
