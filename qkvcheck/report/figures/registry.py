"""Registry: the figures of a report: functions that draw from what a run's verdicts carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from qkvcheck.claims import Verdict
from qkvcheck.errors import ClaimError
from qkvcheck.record import Run
from qkvcheck.report.figures.picture import Figure


@dataclass(frozen=True)
class FigureInput:
    """What a figure is drawn from.

    Attributes
    ----------
    verdicts : sequence of Verdict
        Those at one layer, or all of the run.
    layer : int
        Zero-based; of a figure over all layers the one that decides.
    where : str
        Model and contexts, for captions.
    run : Run
        What the verdicts are of.
    """

    verdicts: Sequence[Verdict]
    layer: int
    where: str
    run: Run


Draw = Callable[[FigureInput], Iterator[Figure]]


@dataclass(frozen=True)
class RegisteredFigure:
    """A function that draws figures, and when it is called.

    Attributes
    ----------
    name : str
        Unlike any other's.
    draw : callable
        Takes a `FigureInput`; yields figures, or none where a run does not carry their numbers.
    order : int
        Its place on a page; those of a project come after the package's own.
    over_layers : bool
        Whether it is drawn once for all layers, rather than for each.
    wide : bool
        Whether it is as wide as the page.
    """

    name: str
    draw: Draw
    order: int = 100
    over_layers: bool = False
    wide: bool = False


_FIGURES: dict[str, RegisteredFigure] = {}


def register_figure(
    name: str, *, order: int = 100, over_layers: bool = False, wide: bool = False
) -> Callable[[Draw], Draw]:
    """Register a function that draws figures; a decorator.

    Parameters
    ----------
    name, order, over_layers, wide
        As in `RegisteredFigure`.

    Raises
    ------
    ClaimError
        If another figure has that name.

    Examples
    --------
    >>> @register_figure("nothing")
    ... def nothing(given):
    ...     return iter(())
    """

    def register(draw: Draw) -> Draw:
        other = _FIGURES.get(name)
        if other is not None and _place(other.draw) != _place(draw):
            raise ClaimError(f"figure {name!r} is registered already, by {_place(other.draw)}; rename it.")
        _FIGURES[name] = RegisteredFigure(name, draw, order, over_layers, wide)
        return draw

    return register


def _place(draw: Draw) -> str:
    return f"{draw.__module__}.{getattr(draw, '__qualname__', repr(draw))}"


def registered_figures() -> list[RegisteredFigure]:
    """Return every registered figure, in the order of a page."""
    _register_our_own()
    return sorted(_FIGURES.values(), key=lambda figure: figure.order)


@cache
def _register_our_own() -> None:
    from qkvcheck.report.figures import registered

    for module in iter_modules(registered.__path__):
        import_module(f"{registered.__name__}.{module.name}")
