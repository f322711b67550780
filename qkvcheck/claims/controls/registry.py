"""Registry: what a control is, and the controls by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar, TypeVar

from qkvcheck.capture import Samples
from qkvcheck.claims.verdict import ControlKind
from qkvcheck.errors import ClaimError, nearest
from qkvcheck.statistics import Measurement

DIFFERENT_WORDS, OTHER_TOKEN, UNTRAINED, NON_TARGET = "different-words", "other-token", "untrained", "non-target"
PRONOUNS = (" him", " her", " them")
"""What the control ``other-token`` puts in the target's place: the first that is another one."""


class Control(ABC):
    """The same measurement where a claim should not hold.

    Attributes
    ----------
    name : str
        As claims files and options name it.
    says : str
        What it tells, in words.
    order : int
        Its place among the controls; those of a project come after the package's own.
    kind : ControlKind
        How its number is compared with a claim's.
    label : str
        Its name in pictures and tables.
    colour : str or None
        In pictures: a name of the page's style sheet, or a colour such as ``"#1b9e77"``; None leaves it out of them.
    column : str or None
        Its heading in the terminal's table; None gives it no column there.
    """

    name: ClassVar[str]
    says: ClassVar[str]
    order: ClassVar[int] = 100
    kind: ClassVar[ControlKind]
    label: ClassVar[str] = ""
    colour: ClassVar[str | None] = None
    column: ClassVar[str | None] = None


class VariantControl(Control):
    """A control that captures something else on the same model, such as other words in the target's place."""

    kind = ControlKind.PAIRED

    @abstractmethod
    def vary(self, samples: Samples) -> Samples:
        """Return what is measured instead.

        Parameters
        ----------
        samples : Samples
            Of the model under test; `Samples.under` departs from them.

        Raises
        ------
        NotCapturedError
            If that makes no sense for these contexts; the message says why.
        """


class SeedControl(Control):
    """A control in other networks, one a seed."""

    kind = ControlKind.SEEDS


class ReferenceControl(Control):
    """A line to read by, no evidence: what the statistic would be for permuted numbers."""

    kind = ControlKind.REFERENCE

    @abstractmethod
    def line(self, own: Measurement) -> tuple[float, str]:
        """Return the number, and how it was found."""


_CONTROLS: dict[str, Control] = {}
ControlClass = TypeVar("ControlClass", bound=type[Control])


def register_control(control: ControlClass) -> ControlClass:
    """Register a control under its name; a decorator of its class.

    Raises
    ------
    ClaimError
        If another control has that name.

    Examples
    --------
    >>> @register_control
    ... class EveryOther(VariantControl):
    ...     name = "every-other"
    ...     says = "every other sentence: whether half of the corpus gives the same"
    ...
    ...     def vary(self, samples):
    ...         return samples.under(Variant(), contexts=samples.contexts.subset(range(0, len(samples.contexts), 2)))
    >>> control_named("every-other").kind
    <ControlKind.PAIRED: 'paired'>
    """
    other = _CONTROLS.get(control.name)
    if other is not None and _place(type(other)) != _place(control):
        raise ClaimError(f"control {control.name!r} is registered already, by {_place(type(other))}; rename it.")
    _CONTROLS[control.name] = control()
    return control


def _place(control: type[Control]) -> str:
    return f"{control.__module__}.{control.__qualname__}"


def controls_by_name() -> Mapping[str, Control]:
    """Return every registered control by its name, in their order."""
    _register_our_own()
    return dict(sorted(_CONTROLS.items(), key=lambda item: item[1].order))


def control_named(name: str) -> Control:
    """Return a control.

    Raises
    ------
    ClaimError
        If there is none of that name.
    """
    known = controls_by_name()
    if name not in known:
        raise ClaimError(f"control {name!r} is not known; allowed: {', '.join(known)}.{nearest(name, known)}")
    return known[name]


def drawn_controls() -> list[Control]:
    """Return the controls that have a colour in pictures."""
    return [control for control in controls_by_name().values() if control.colour is not None]


def seed_controls() -> tuple[str, ...]:
    """Return the names of the controls in other networks."""
    return tuple(name for name, control in controls_by_name().items() if isinstance(control, SeedControl))


def reference_named(name: str) -> ReferenceControl | None:
    """Return a reference line by its name, or None for any other control."""
    control = controls_by_name().get(name)
    return control if isinstance(control, ReferenceControl) else None


@cache
def _register_our_own() -> None:
    from qkvcheck.claims.controls import registered

    for module in iter_modules(registered.__path__):
        import_module(f"{registered.__name__}.{module.name}")
