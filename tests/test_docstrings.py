"""The examples in docstrings: those of public names are there, and all of them run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import qkvcheck
from qkvcheck.claims.companions import registry as companions
from qkvcheck.claims.controls import registry as controls
from qkvcheck.report.figures import registry as figures
from qkvcheck.statistics import registry as statistics

REGISTRIES = ((companions, "_COMPANIONS"), (controls, "_CONTROLS"), (figures, "_FIGURES"), (statistics, "_STATISTICS"))
WITH_A_MODEL = ("qkvcheck.models.loading", "qkvcheck.contexts.corpora")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(qkvcheck.__path__, "qkvcheck.")
    if not module.ispkg and not module.name.endswith(("download", "micro_kernel", "numba_"))
]


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """What an example registers goes with it."""
    # First filled with the package's own, which each is once in a process.
    assert all((companions.companions_by_name(), controls.controls_by_name()))
    assert all((figures.registered_figures(), statistics.statistics_by_name()))
    for module, name in REGISTRIES:
        monkeypatch.setattr(module, name, dict(getattr(module, name)))


def run_examples(name: str) -> doctest.TestResults:
    return doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)


@pytest.mark.parametrize("name", ["qkvcheck", *(name for name in MODULES if name not in WITH_A_MODEL)])
def test_examples_run(name):
    assert run_examples(name).failed == 0


@pytest.mark.needs_model
@pytest.mark.parametrize("name", WITH_A_MODEL)
def test_examples_with_a_model_run(name):
    found = run_examples(name)
    assert (found.failed, found.attempted > 0) == (0, True)


@pytest.mark.parametrize("name", qkvcheck.__all__)
def test_public_names_have_an_example(name):
    assert ">>> " in (getattr(qkvcheck, name).__doc__ or "")
