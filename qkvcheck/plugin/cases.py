"""Cases: which claim a collected test judges, in which cell, on which model, and at which of several targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pytest

from qkvcheck.plugin.overrides import DERIVED, Made, place_of, takes_our_contexts
from qkvcheck.plugin.stash import TWICE_KEY

if TYPE_CHECKING:
    from qkvcheck.claims import Cell, Claim, ClaimsFile
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.settings import Settings


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


# Several targets -----------------------------------------------------------------------------------


def give_targets(metafunc: pytest.Metafunc, targets: Sequence[str | int]) -> None:
    """Let a test whose contexts are ours run once for each of several targets; one target changes nothing.

    Parameters
    ----------
    metafunc : pytest.Metafunc
        Of the test.
    targets : sequence of (str or int)
        Those that were asked for.
    """
    if len(targets) < 2 or not {"claim", *DERIVED} & set(metafunc.fixturenames):
        return
    own = any("contexts" in _parametrized(marker) for marker in metafunc.definition.iter_markers("parametrize"))
    if own or not takes_our_contexts(metafunc.definition):
        return
    if "contexts" not in metafunc.fixturenames:  # ours ask for it while they are set up
        metafunc.fixturenames.append("contexts")
    metafunc.parametrize("contexts", targets, indirect=True, ids=target_ids(targets), scope="session")


def _parametrized(marker: pytest.Mark) -> list[str]:
    """Return the names that a marker gives values to."""
    names = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


def target_ids(targets: Sequence[str | int]) -> list[str]:
    """Return what names each target in the ids of tests: its text without spaces around it, if that is its own alone.

    Examples
    --------
    >>> target_ids([" her", " him", 607]), target_ids([" her", "her"])
    (['her', 'him', 'token607'], ['_her', 'her'])
    """
    short = [f"token{target}" if isinstance(target, int) else target.strip() for target in targets]
    return [
        name if name and short.count(name) == 1 else str(target).replace(" ", "_")
        for name, target in zip(short, targets, strict=True)
    ]


def check_targets(settings: Settings) -> None:
    """Raise `SettingsError` for what makes no sense with several targets: files that are of one."""
    from qkvcheck.errors import SettingsError

    count = len(settings.targets)
    if count < 2:
        return
    told = {
        "--qkv-activations": (settings.activations, "holds what was captured at one target"),
        "--qkv-baseline": (settings.baseline, "is the record of one target; without it each has its own"),
        "--qkv-compare": (settings.compare, "is of one target"),
    }
    for flag, (given, why) in told.items():
        if given is not None:
            raise SettingsError(
                f"--qkv-target names {count} targets, and the file of {flag} {why}; leave {flag} out, or run once for "
                "each target."
            )
