"""Fixtures: the model under test, its contexts and activations, the controls, and the claim that a test judges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qkvcheck.plugin.cases import case_of, claims_of
from qkvcheck.plugin.outcomes import conclude
from qkvcheck.plugin.overrides import place_of
from qkvcheck.plugin.stash import SESSION_KEY, TWICE_KEY

if TYPE_CHECKING:
    from qkvcheck.capture import Captured, FileSource, Samples
    from qkvcheck.claims import Cell, Claim, Controls, FileControls
    from qkvcheck.contexts import ContextSet
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.models import HookedModel
    from qkvcheck.plugin.claim_check import ClaimCheck
    from qkvcheck.record import Finding, Run


def layers_of(items: Iterable[pytest.Item]) -> set[int]:
    """Return the layers that experiments name."""
    layers = (marker.kwargs.get("layer") for item in items for marker in item.iter_markers("claim"))
    return {layer for layer in layers if isinstance(layer, int)}


def heads_of_cases(items: Iterable[pytest.Item]) -> set[int]:
    """Return the heads that experiments name."""
    heads = (case[1].head for item in items if isinstance(case := case_of(item), tuple))
    return {head for head in heads if isinstance(head, int)}


@pytest.fixture(scope="session")
def qkv_model(pytestconfig: pytest.Config) -> HookedModel:
    """The hooked model under test; override it with `qkvcheck.from_model(model, tokenizer)` for one of your own."""
    session = pytestconfig.stash[SESSION_KEY]
    if session.file is not None:
        raise session.file.lacks("the model")
    return session.hooked


@pytest.fixture(scope="session")
def contexts(request: pytest.FixtureRequest, pytestconfig: pytest.Config, qkv_model: HookedModel) -> ContextSet:
    """The corpus, tokenised for the model, with the target found in each context; of several targets one a test."""
    return pytestconfig.stash[SESSION_KEY].contexts_for(qkv_model, getattr(request, "param", None))


@pytest.fixture(scope="session")
def samples(request: pytest.FixtureRequest) -> Samples | FileSource:
    """What experiments measure: the target, the token before it, fresh contexts, other words."""
    session = request.config.stash[SESSION_KEY]
    if session.file is not None:
        return session.file
    hooked, own = request.getfixturevalue("qkv_model"), request.getfixturevalue("contexts")
    here = place_of(getattr(request, "_pyfuncitem"))  # noqa: B009
    same = (item for item in request.session.items if place_of(item) == here)
    return session.samples_of(hooked, own, layers=layers_of(same))


@pytest.fixture(scope="session")
def activations(samples: Samples | FileSource) -> Captured:
    """The target's queries, keys and values in every context: (context, layer, width)."""
    return samples.captured("target")


@pytest.fixture(scope="session")
def controls(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, samples: Samples | FileSource
) -> Controls | FileControls:
    """The controls: the same measurements where a claim should not hold."""
    from qkvcheck.capture import FileSource
    from qkvcheck.claims import FileControls

    if isinstance(samples, FileSource):
        return FileControls(samples)
    cache = getattr(pytestconfig, "cache", None)  # none under -p no:cacheprovider
    here = place_of(getattr(request, "_pyfuncitem"))  # noqa: B009

    def claims() -> list[Claim]:
        return claims_of(item for item in request.session.items if place_of(item) == here)

    return pytestconfig.stash[SESSION_KEY].controls_of(samples, folder=_folder(cache), claims=claims)


def _folder(cache: pytest.Cache | None) -> Path | None:
    """Return where numbers of untrained twins are kept; None where nothing can be."""
    try:
        return None if cache is None else cache.mkdir("qkvcheck")
    except OSError:  # such as a read-only project
        return None


@pytest.fixture(scope="session")
def qkv_run(request: pytest.FixtureRequest) -> Run:
    """What a result says of this run: where the activations come from, contexts, versions, settings."""
    from qkvcheck.plugin.description import describe_file_run, describe_model_run

    session = request.config.stash[SESSION_KEY]
    if session.file is not None:
        return describe_file_run(session, session.file)
    run = describe_model_run(session, request.getfixturevalue("qkv_model"), request.getfixturevalue("contexts"))
    here = place_of(getattr(request, "_pyfuncitem"))  # noqa: B009
    named = layers_of(item for item in request.session.items if place_of(item) == here)
    # Without a claims file nobody but the tests says which layers are measured.
    usual = () if session.claims is None and session.settings.layers is None and named else session.layers
    return replace(run, settings=replace(run.settings, layers=sorted({*usual, *named})))


@pytest.fixture
def qkv_cell() -> tuple[Claim, Cell]:
    """The claim and cell of this case; a claim marker fills it in."""
    pytest.fail('the claim fixture needs a marker such as @pytest.mark.claim(id="P3a").', pytrace=False)


@pytest.fixture
def claim(request: pytest.FixtureRequest, qkv_cell: tuple[Claim, Cell] | QkvcheckError) -> ClaimCheck:
    """The claim that this test judges, in one cell: call its `check`, `require` or `not_judged` once."""
    from qkvcheck.errors import ClaimError, QkvcheckError

    if isinstance(qkv_cell, QkvcheckError):  # the marker makes no sense
        raise qkv_cell
    twice = request.config.stash.get(TWICE_KEY, {}).get(request.node.nodeid)
    if twice is not None:
        raise ClaimError(twice)
    from qkvcheck.claims import check_known
    from qkvcheck.plugin.claim_check import Apparatus, ClaimCheck

    check_known(qkv_cell[0])  # before the first test this was done, but not under xdist
    session = request.config.stash[SESSION_KEY]
    recording, strict = session.settings.update is not None, session.settings.strict
    run = request.getfixturevalue("qkv_run")
    if session.settings.compare is not None:  # the same: what is wrong with it was told before, but not under xdist
        from qkvcheck.plugin.run_files import check_comparison, checkpoint_of

        check_comparison(session, [qkv_cell[0]])
        checkpoint_of(session, run)

    def end_test(findings: Sequence[Finding]) -> None:
        __tracebackhide__ = True
        conclude(request.node, findings, run, recording=recording, strict=strict)

    apparatus = Apparatus(
        session,
        run,
        request.getfixturevalue("samples"),
        controls=lambda: request.getfixturevalue("controls"),
        draws=_seed(request.config.getoption("hypothesis_seed", None)),  # of hypothesis's own plugin
    )
    return ClaimCheck(*qkv_cell, apparatus, end_test)


def _seed(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdigit() else text
