"""Cases: which claim a collected test judges, in which cell, and on which model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pytest

from qkvcheck.plugin.overrides import Made, place_of
from qkvcheck.plugin.stash import TWICE_KEY

if TYPE_CHECKING:
    from qkvcheck.claims import Cell, Claim, ClaimsFile
    from qkvcheck.errors import QkvcheckError


def case_of(item: pytest.Item) -> tuple[Claim, Cell] | QkvcheckError | None:
    """Return what a test judges, or what is wrong with its marker; None if it judges no claim."""
    case = getattr(item, "callspec", None)
    found: tuple[Claim, Cell] | QkvcheckError | None = None if case is None else case.params.get("qkv_cell")
    return found


def claims_of(items: Iterable[pytest.Item]) -> list[Claim]:
    """Return the claims that tests judge, each once."""
    found = {}
    for item in items:
        case = case_of(item)
        if isinstance(case, tuple):
            found[case[0].id] = case[0]
    return list(found.values())


def check_cases(items: Sequence[pytest.Item], *, claims: ClaimsFile | None) -> None:
    """Raise the `QkvcheckError` of what is wrong with the whole run, and not with one test.

    Parameters
    ----------
    items : sequence of pytest.Item
        Those that are to run.
    claims : ClaimsFile or None
        The project's claims.
    """
    from qkvcheck.errors import ClaimError, QkvcheckError

    twice = items[0].config.stash.get(TWICE_KEY, {}) if items else {}
    for item in items:
        if item.nodeid in twice:
            raise ClaimError(twice[item.nodeid])
        case, marker = case_of(item), item.get_closest_marker("claim")
        named = (
            marker is not None
            and not marker.args
            and set(marker.kwargs) <= {"id", "layer", "head", "heads", "group", "measure"}
        )
        if isinstance(case, QkvcheckError) and claims is None and named:  # no test will find its claim
            raise case


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Find the cells that two tests judge on one model: one finding would take the other's place."""
    first: dict[tuple[str, Made], str] = {}
    twice: dict[str, str] = {}
    for item in items:
        case = case_of(item)
        if not isinstance(case, tuple):
            continue
        cell = case[1]
        before = first.setdefault((cell.key, place_of(item)), item.nodeid)
        if before != item.nodeid:
            twice[item.nodeid] = (
                f"{cell.key} is judged twice on one model, by {before} and by {item.nodeid}, and one finding would "
                "take the other's place; give one of the two claims another id."
            )
    session.config.stash[TWICE_KEY] = twice
