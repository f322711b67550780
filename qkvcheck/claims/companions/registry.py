"""Registry: what a companion is, and the companions by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar, TypeVar

from qkvcheck.claims.claim import Claim, Role
from qkvcheck.claims.comparison import Compared
from qkvcheck.claims.evidence import Beside
from qkvcheck.claims.verdict import Verdict
from qkvcheck.errors import ClaimError
from qkvcheck.statistics import Measurement, Sample


@dataclass(frozen=True)
class Around:
    """What there is to look at besides a claim's own measurement.

    Attributes
    ----------
    controls : mapping of str to Sample, Seeds or str
        What the claim's controls measured, or why they did not.
    tokens : callable or None
        Returns the sample of the words grid, (context, word, width) with the target as word 0, at the claim's layer and
        head; raises `QkvcheckError` where there is none. None where no model can be asked.
    """

    controls: Mapping[str, Compared] = field(default_factory=dict)
    tokens: Callable[[], Sample] | None = None


class Companion(ABC):
    """A further look at what a verdict was found on; it decides nothing.

    Attributes
    ----------
    name : str
        Such as ``"participation-ratio"``.
    says : str
        What it tells, in words.
    order : int
        Its place among the companions; those of a project come after the package's own.
    statistics : frozenset of str
        Names of the statistics beside which it stands; empty: of every one.
    axis : {"dimensions", "contexts"} or None
        What the claim has to compare; None for either.
    every_cell : bool
        Whether it stands beside cells that decide nothing too.
    """

    name: ClassVar[str]
    says: ClassVar[str]
    order: ClassVar[int] = 100
    statistics: ClassVar[frozenset[str]] = frozenset()
    axis: ClassVar[str | None] = None
    every_cell: ClassVar[bool] = False

    def stands_beside(self, verdict: Verdict) -> bool:
        """Tell whether it stands beside a verdict."""
        return (
            (self.every_cell or verdict.role in (Role.DECIDES, Role.OTHER_LAYER))
            and (not self.statistics or verdict.statistic in self.statistics)
            and self.axis in (None, verdict.axis)
        )

    @abstractmethod
    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return what it finds, or None where it has nothing to say.

        Parameters
        ----------
        claim, own, verdict : Claim, Measurement, Verdict
            The claim, what was measured for it, and what was found, with its controls.
        """

    def look_around(self, claim: Claim, own: Measurement, verdict: Verdict, around: Around) -> Beside | None:
        """Return the same where it looks at more than the claim's own measurement: by default at no more.

        Parameters
        ----------
        claim, own, verdict : Claim, Measurement, Verdict
            As for `look`.
        around : Around
            What else there is.
        """
        del around
        return self.look(claim, own, verdict)


class WideCompanion(Companion):
    """A companion that looks at more than a claim's own measurement."""

    def look(self, claim: Claim, own: Measurement, verdict: Verdict) -> Beside | None:
        """Return what it finds where there is nothing else to look at."""
        return self.look_around(claim, own, verdict, Around())

    @abstractmethod
    def look_around(self, claim: Claim, own: Measurement, verdict: Verdict, around: Around) -> Beside | None:
        """Return what it finds; see `Companion.look_around`."""


NOTHING_ELSE = Around()
_COMPANIONS: dict[str, Companion] = {}
CompanionClass = TypeVar("CompanionClass", bound=type[Companion])


def register_companion(companion: CompanionClass) -> CompanionClass:
    """Register a companion under its name; a decorator of its class.

    Raises
    ------
    ClaimError
        If another companion has that name.

    Examples
    --------
    >>> @register_companion
    ... class Largest(Companion):
    ...     name = "largest-number"
    ...     says = "the largest number of the rows"
    ...     statistics = frozenset({"largest_number"})
    ...
    ...     def look(self, claim, own, verdict):
    ...         return Beside(self.name, f"the largest number is {own.parts[0][0].max():.4g}")
    >>> companions_by_name()["largest-number"].says
    'the largest number of the rows'
    """
    other = _COMPANIONS.get(companion.name)
    if other is not None and _place(type(other)) != _place(companion):
        raise ClaimError(f"companion {companion.name!r} is registered already, by {_place(type(other))}; rename it.")
    _COMPANIONS[companion.name] = companion()
    return companion


def _place(companion: type[Companion]) -> str:
    return f"{companion.__module__}.{companion.__qualname__}"


def companions_by_name() -> Mapping[str, Companion]:
    """Return every registered companion by its name, in their order."""
    _register_our_own()
    return dict(sorted(_COMPANIONS.items(), key=lambda item: item[1].order))


def look_beside(claim: Claim, own: Measurement, verdict: Verdict, around: Around = NOTHING_ELSE) -> list[Beside] | None:
    """Return what every companion of a verdict finds, in their order; None where there is none."""
    asked = [one for one in companions_by_name().values() if one.stands_beside(verdict)]
    found = [seen for one in asked if (seen := one.look_around(claim, own, verdict, around)) is not None]
    return found or None


@cache
def _register_our_own() -> None:
    from qkvcheck.claims.companions import registered

    for module in iter_modules(registered.__path__):
        import_module(f"{registered.__name__}.{module.name}")
