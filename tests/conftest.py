"""What the tests share: two models, two corpora, and small random arrays."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from qkvcheck.capture.hooks import capture
from qkvcheck.contexts.context import ContextSet
from qkvcheck.contexts.corpora import encode_corpus, read_corpus
from qkvcheck.models.loading import HookedModel, embedded_directory, from_model, load_model, untrained_twin

HERE = Path(__file__).parent
ROOT = HERE.parent
CLAIM_FILES = tuple(ROOT / "experiments" / f"{name}.toml" for name in ("claims", "beyond"))
"""Claims and what was added later; the second declares the keys of the project's own that the first one uses."""
HEAVY = {
    "pytester": "needs_pytester",
    **dict.fromkeys(("embedded", "full_size", "hooked"), "needs_model"),
    "distributions": "needs_time",
}
"""Fixtures that take seconds, and the marker of a test that uses one, directly or through other fixtures."""


def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
    """Leave slow tests out unless ``-m`` names the marker or an argument names a test."""
    config = collector.config
    if "slow" in config.getoption("markexpr") or any("::" in argument for argument in config.args):
        return None
    marks = [*getattr(obj, "pytestmark", ()), *collector.iter_markers()]
    return [] if any(mark.name == "slow" for mark in marks) else None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what a plain run leaves out."""
    left_out = _leaves_long_out(config)
    return "left out: tests marked long (tox run -e long) and slow (tox run -e slow)" if left_out else None


def _leaves_long_out(config: pytest.Config) -> bool:
    return "long" not in config.getoption("markexpr") and not any("::" in argument for argument in config.args)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave long tests out, mark each other one with what it needs, and `quick` where that is nothing."""
    if _leaves_long_out(config):
        items[:] = [item for item in items if item.get_closest_marker("long") is None]
    for item in items:
        if HERE in item.path.parents:
            for needed in {HEAVY[name] for name in item.fixturenames if name in HEAVY}:
                item.add_marker(needed)
            damaged = "fuzz" in item.path.parts  # a few inputs to each reader, in every plain run
            if not damaged and not any(m.name.startswith("needs_") or m.name == "slow" for m in item.iter_markers()):
                item.add_marker("quick")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    """A cache of the tests' own: what a developer has fetched would be what ``auto`` chooses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QKV_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def embedded() -> HookedModel:
    """The embedded model."""
    return load_model("embedded")


@pytest.fixture(scope="session")
def full_size() -> HookedModel:
    """GPT-2 small with fresh weights and the recorded word pieces."""
    return load_model("gpt2#untrained")


@pytest.fixture(scope="session", params=["embedded", pytest.param("full_size", marks=pytest.mark.long)])
def hooked(request: pytest.FixtureRequest) -> HookedModel:
    """Each of the two models in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def replication(embedded: HookedModel) -> ContextSet:
    """The replication corpus in the embedded model's tokens."""
    return encode_corpus(read_corpus("replication"), embedded.encoder, target=" her")


@pytest.fixture(scope="session")
def corpus_records() -> dict[str, list[dict]]:
    """The corpora as they stand in their files."""
    folder = resources.files("qkvcheck") / "data" / "corpora"
    return {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
        for name in ("replication", "balanced", "grammatical")
    }


@pytest.fixture(scope="session")
def loaded(embedded: HookedModel, replication: ContextSet) -> None:
    """Everything heavy imported: pytester forgets what an inner run imports, and torch can't be imported twice."""
    import hypothesis
    import scipy.special
    import scipy.stats

    from qkvcheck.capture import submission
    from qkvcheck.claims import arrays, controls_by_name, judging, layers
    from qkvcheck.plugin import claim_check, description, hooks, run_files, session
    from qkvcheck.record import results
    from qkvcheck.report import page, terminal
    from qkvcheck.report.figures import drawn
    from qkvcheck.report.figures.registry import registered_figures
    from qkvcheck.search import adversary
    from qkvcheck.statistics import statistics_by_name

    ours = (adversary, arrays, claim_check, description, drawn, hooks, judging, layers, page, results, run_files)
    assert all((hypothesis, scipy.special, scipy.stats, session, submission, terminal, *ours))
    # Each of a file that is imported when it is first asked for.
    assert all((controls_by_name(), registered_figures(), statistics_by_name()))
    capture(untrained_twin(embedded), replication, layers=[6])
    from_model(embedded.model, AutoTokenizer.from_pretrained(embedded_directory()))


@pytest.fixture(scope="session")
def distributions(tmp_path_factory) -> Path:
    """A folder with the wheel and the source distribution."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def installed(distributions, tmp_path_factory) -> Path:
    """A folder with the wheel's contents alone, for PYTHONPATH: qkvcheck without its sources around it."""
    (wheel,) = distributions.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator under a fixed seed."""
    return np.random.default_rng(7)
