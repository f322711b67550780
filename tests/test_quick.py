"""The quick lane: its tests exist, and none of them uses what takes seconds."""

from __future__ import annotations

import pytest

from tests.conftest import HEAVY


@pytest.fixture
def through_another(embedded):
    return embedded


@pytest.fixture
def markers(request) -> set[str]:
    return {mark.name for mark in request.node.iter_markers()}


def test_a_plain_test_is_quick(markers):
    assert "quick" in markers
    assert not any(name.startswith("needs_") for name in markers)


@pytest.mark.usefixtures("through_another")
def test_a_model_is_found_through_other_fixtures(markers):
    assert "needs_model" in markers
    assert "quick" not in markers


@pytest.mark.usefixtures("pytester")
def test_pytester_is_found(markers):
    assert "needs_pytester" in markers
    assert "quick" not in markers


@pytest.mark.needs_time
def test_an_explicit_marker_counts(markers):
    assert "quick" not in markers


def test_no_quick_test_uses_a_heavy_fixture(request):
    quick = [item for item in request.session.items if item.get_closest_marker("quick")]
    assert request.node in quick
    assert [item.nodeid for item in quick if HEAVY.keys() & set(item.fixturenames)] == []


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_fixtures_exist(name, request):
    """A fixture that is renamed would let its tests into the quick lane."""
    assert request.session._fixturemanager.getfixturedefs(name, request.node)
