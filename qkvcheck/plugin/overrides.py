"""Overrides: which model a test's own `qkv_model` gives, so that nothing is kept that was captured from another one.

pytest keeps a session-scoped fixture for the whole session, and asks no more whether a test further down overrides
what it was made of. Here that is asked before each test: what depends on another `qkv_model` is given up and made anew.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from inspect import isfunction
from typing import Any

import pytest

MODULE = "qkvcheck.plugin.fixtures"
MODEL = "qkv_model"
DERIVED = ("contexts", "samples", "activations", "controls", "qkv_run")
"""Fixtures of ours that are made of the model."""
ASKED_LATER: dict[str, tuple[str, ...]] = {
    "samples": (MODEL, "contexts"),
    "qkv_run": (MODEL, "contexts"),
    "claim": ("samples", "controls", "qkv_run"),
}
"""What ours ask for while they are set up, and not in their signature."""
Definition = Any
"""pytest's FixtureDef."""
Made = tuple[Any, ...]
"""What a fixture is made of: its definition, its parameter, and the same of each fixture that it takes."""

MADE_KEY: pytest.StashKey[dict[Definition, Made]] = pytest.StashKey()
"""On the session: of what the value was made that a fixture keeps."""


def place_of(item: pytest.Item) -> Made:
    """Return what tells the run of one test from that of another: the model and contexts that it gets."""
    return tuple(_made_of(item, name, -1) for name in (MODEL, "contexts", "qkv_run"))


def from_settings(item: pytest.Item) -> bool:
    """Tell whether a test's `qkv_model` is ours, so that the settings name the model."""
    definitions = _definitions(item, MODEL)
    return bool(definitions) and _is_ours(definitions[-1])


def takes_our_contexts(item: pytest.Item) -> bool:
    """Tell whether a test's `contexts` is ours, or made of ours, and gets no parameter from elsewhere."""
    for definition in reversed(_definitions(item, "contexts")):
        if _is_ours(definition):
            return True
        if definition.params or "contexts" not in definition.argnames:
            return False
    return False


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> None:
    """Let a claim's test run once with each parameter of what it is judged on, though it does not name that."""
    code = getattr(obj, "__code__", None) if isfunction(obj) else None
    if code is None or "claim" not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return
    manager = getattr(collector.session, "_fixturemanager")  # noqa: B009
    for name in (MODEL, *DERIVED):
        if any(one.params for one in manager.getfixturedefs(name, collector) or ()):
            pytest.mark.usefixtures(name)(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give up what was made for another test's model, with all that was made of it."""
    from qkvcheck.errors import SettingsError

    kept = item.session.stash.setdefault(MADE_KEY, {})
    for name in _names(item):
        for index, definition in enumerate(_definitions(item, name)):
            made = kept.get(definition)
            if made is not None and definition.cached_result is not None and made != _made_of(item, name, index):
                definition.finish(getattr(item, "_request"))  # noqa: B009
    narrow = _narrow(item)
    if narrow is not None:
        raise SettingsError(
            f"fixture {narrow.argname!r} of {narrow.baseid or 'the root conftest.py'} has scope {narrow.scope!r}; what "
            'is captured from a model is kept for the whole run, so give it scope="session".'
        )


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Definition, request: Any) -> Generator[None, Any, Any]:
    """Remember of what a fixture is made that depends on the model."""
    item = getattr(request, "_pyfuncitem")  # noqa: B009
    found = _definitions(item, fixturedef.argname)
    if fixturedef.scope != "function" and fixturedef in found:
        made = _made_of(item, fixturedef.argname, found.index(fixturedef))
        if _holds_model(made):
            item.session.stash.setdefault(MADE_KEY, {})[fixturedef] = made
    return (yield)


def _narrow(item: pytest.Item) -> Definition | None:
    """Return an override whose scope is narrower than that of ours, which are made of it; None without one."""
    seen: set[str] = set()
    open_names = list(getattr(item, "fixturenames", ()))
    while open_names:
        name = open_names.pop()
        definitions = _definitions(item, name)
        if name in seen or not definitions or not _is_ours(definitions[-1]):
            continue
        seen.add(name)
        for taken in (*definitions[-1].argnames, *ASKED_LATER.get(name, ())):
            active = _definitions(item, taken)
            if name in DERIVED and taken in (MODEL, *DERIVED) and active and active[-1].scope != "session":
                return active[-1]
            open_names.append(taken)
    return None


def _names(item: pytest.Item) -> Iterator[str]:
    """Yield the fixtures of a test, and ours whether it names them or not."""
    yield from dict.fromkeys([*getattr(item, "fixturenames", ()), MODEL, *DERIVED])


def _definitions(item: pytest.Item, name: str) -> tuple[Definition, ...]:
    own = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    if name in own:  # with what a test's own parametrize puts in a fixture's place
        return tuple(own[name])
    manager = getattr(item.session, "_fixturemanager")  # noqa: B009
    return tuple(manager.getfixturedefs(name, item) or ())


def _is_ours(definition: Definition) -> bool:
    return getattr(definition.func, "__module__", None) == MODULE


def _made_of(item: pytest.Item, name: str, index: int, *, above: frozenset[str] = frozenset()) -> Made:
    """Return of what a test's fixture is made; `index` counts the definitions from the outermost one."""
    definitions = _definitions(item, name)
    if not definitions or name in above:
        return (name,)
    position = index % len(definitions)
    definition = definitions[position]
    case = getattr(item, "callspec", None)
    parameter = None if case is None else case.indices.get(name)
    taken = list(dict.fromkeys([*definition.argnames, *_asked_later(definition)]))
    inner: list[Made] = []
    for one in taken:
        if one != name:
            inner.append(_made_of(item, one, -1, above=above | {name}))
        elif position > 0:  # an override that takes what it overrides
            inner.append(_made_of(item, name, position - 1, above=above))
    return (name, definition, parameter, *inner)


def _asked_later(definition: Definition) -> tuple[str, ...]:
    """Return what a fixture asks for while it is set up; of a user's own that may be any of ours."""
    if _is_ours(definition):
        return ASKED_LATER.get(definition.argname, ())
    code = getattr(getattr(definition.func, "__func__", definition.func), "__code__", None)
    return (MODEL, *DERIVED) if code is not None and "getfixturevalue" in code.co_names else ()


def _holds_model(made: Made) -> bool:
    return made[0] == MODEL or any(_holds_model(one) for one in made[3:])
