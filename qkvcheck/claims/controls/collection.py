"""Collection: the controls of one model or file, each captured when it is first looked up, and then kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from qkvcheck.capture import Captured, FileSource, Samples, capture_named
from qkvcheck.claims.controls.registry import (
    NON_TARGET,
    OTHER_TOKEN,
    PRONOUNS,
    SeedControl,
    VariantControl,
    control_named,
    controls_by_name,
)
from qkvcheck.claims.given_networks import GivenNetworks
from qkvcheck.claims.seed_numbers import Networks
from qkvcheck.claims.untrained import Twins, Untrained, default_seeds
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import Capture

ControlCapture = Captured | Networks
"""What a claim's check takes as a control."""


class ControlSource(Protocol):
    """Where controls come from."""

    def of(self, capture: Capture | str) -> Mapping[str, ControlCapture]:
        """Return the controls that go with a capture."""


class Controls:
    """The controls of one model, by name.

    Parameters
    ----------
    samples : Samples
        Of the model under test.
    seed : int
        Of the first untrained twin.
    untrained_seeds : int, optional
        How many untrained twins; without it as many as the model's size allows.
    folder : Path, optional
        Where numbers of untrained twins are kept.
    announce : callable, optional
        Told of the progress.
    ahead : callable, optional
        Returns the captures of untrained twins that will be asked for (see `Twins`).
    """

    def __init__(
        self,
        samples: Samples,
        *,
        seed: int = 0,
        untrained_seeds: int | None = None,
        folder: Path | None = None,
        announce: Callable[[str], None] | None = None,
        ahead: Callable[[], Collection[Capture]] | None = None,
    ) -> None:
        self._samples = samples
        count = default_seeds(samples.hooked.parameters) if untrained_seeds is None else untrained_seeds
        self.twins = Twins(samples, seed=seed, count=count, folder=folder, announce=announce, ahead=ahead)
        self._varied: dict[str, Samples | NotCapturedError] = {}

    def under(self, name: str) -> Samples:
        """Return the model's samples as a control varies them.

        Raises
        ------
        NotCapturedError
            If the control makes no sense for these contexts.
        ClaimError
            If there is no such control.
        """
        control = control_named(name)
        if not isinstance(control, VariantControl):
            raise NotCapturedError(f"{name} is captured on other networks or not at all")
        if name not in self._varied:
            try:
                self._varied[name] = control.vary(self._samples)
            except NotCapturedError as error:
                self._varied[name] = error
        found = self._varied[name]
        if isinstance(found, NotCapturedError):
            raise found
        return found

    def of(self, capture: Capture | str) -> Mapping[str, ControlCapture]:
        """Return the controls that go with a capture; each is captured when it is looked up.

        Looking up one that makes no sense for the capture raises `NotCapturedError`.

        Parameters
        ----------
        capture : Capture or str
            What is measured, such as ``"target"``.
        """
        return _Lazy(self, capture_named(capture))

    def captured(self, name: str, capture: Capture) -> ControlCapture:
        """Return one of them."""
        if isinstance(control_named(name), SeedControl):
            return Untrained(self.twins, capture)
        return self.under(name).captured(capture)


class FileControls:
    """The controls that a file of activations holds; of any other one it says that it does not.

    Parameters
    ----------
    source : FileSource
        The file.
    """

    def __init__(self, source: FileSource) -> None:
        self._source = source

    def of(self, capture: Capture | str) -> Mapping[str, ControlCapture]:
        """Return the controls that go with a capture.

        Looking up one that the file does not hold raises `NotCapturedError`.
        """
        return _Lazy(self, capture_named(capture))

    def captured(self, name: str, capture: Capture) -> ControlCapture:
        """Return one of them."""
        source = self._source
        if isinstance(control_named(name), SeedControl):
            if not source.networks:
                raise source.lacks("untrained networks")
            return GivenNetworks([network.captured(capture) for network in source.networks])
        if name == NON_TARGET and capture == Capture.TARGET and source.preceding is not None:
            return source.preceding
        if name == OTHER_TOKEN and capture == Capture.TARGET:
            word = next((word for word in PRONOUNS if word in source.word_texts[1:]), PRONOUNS[0])
            return source.at_word(word)
        raise source.lacks(f"the control {name}")


class _Lazy(Mapping[str, ControlCapture]):
    """A mapping whose values are captured when they are looked up."""

    def __init__(self, controls: Controls | FileControls, capture: Capture) -> None:
        self._controls = controls
        self._capture = capture
        self._names = [
            name for name, one in controls_by_name().items() if isinstance(one, (VariantControl, SeedControl))
        ]

    def __getitem__(self, name: str) -> ControlCapture:
        if name not in self._names:
            raise KeyError(name)
        return self._controls.captured(name, self._capture)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
