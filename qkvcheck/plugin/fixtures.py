"""Fixtures: the model under test, its contexts and activations, the controls, and the claim that a test judges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from qkvcheck.plugin.outcomes import conclude
from qkvcheck.plugin.stash import SESSION_KEY

if TYPE_CHECKING:
    from qkvcheck.capture import Activations, Samples, Submission
    from qkvcheck.claims import Cell, Claim, Controls
    from qkvcheck.contexts import ContextSet
    from qkvcheck.models import HookedModel
    from qkvcheck.plugin.claim_check import ClaimCheck
    from qkvcheck.record import Finding


def layers_of(items: Iterable[pytest.Item]) -> set[int]:
    """Return the layers that experiments name."""
    layers = (marker.kwargs.get("layer") for item in items for marker in item.iter_markers("claim"))
    return {layer for layer in layers if isinstance(layer, int)}


@pytest.fixture(scope="session")
def qkv_model(pytestconfig: pytest.Config) -> HookedModel | Submission:
    """The hooked model under test; override it with `qkvcheck.from_model(model, tokenizer)` for one of your own."""
    session = pytestconfig.stash[SESSION_KEY]
    return session.hooked if session.submission is None else session.submission


@pytest.fixture(scope="session")
def contexts(pytestconfig: pytest.Config, qkv_model: HookedModel | Submission) -> ContextSet | Submission:
    """The corpus, tokenised for the model, with the target found in each context."""
    from qkvcheck.capture import Submission

    if isinstance(qkv_model, Submission):
        return qkv_model
    return pytestconfig.stash[SESSION_KEY].contexts_for(qkv_model)


@pytest.fixture(scope="session")
def samples(request: pytest.FixtureRequest, qkv_model: HookedModel, contexts: ContextSet) -> Samples | Submission:
    """What experiments measure: the target, the token before it, fresh contexts, other words."""
    from qkvcheck.capture import Submission

    if isinstance(qkv_model, Submission):
        return qkv_model
    session = request.config.stash[SESSION_KEY]
    return session.samples_of(qkv_model, contexts, layers=layers_of(request.session.items))


@pytest.fixture(scope="session")
def activations(samples: Samples | Submission) -> Activations:
    """The target's queries, keys and values in every context: (context, layer, width)."""
    return samples.target


@pytest.fixture(scope="session")
def controls(pytestconfig: pytest.Config, samples: Samples | Submission) -> Controls | Submission:
    """The controls: the same measurements where a claim should not hold."""
    from qkvcheck.capture import Submission

    if isinstance(samples, Submission):
        return samples
    cache = getattr(pytestconfig, "cache", None)  # none under -p no:cacheprovider

    from qkvcheck.plugin.progress import announcing

    def announce(text: str) -> None:
        reporter: Any = pytestconfig.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and reporter.isatty:
            with announcing(pytestconfig) as say:
                say(text)

    return pytestconfig.stash[SESSION_KEY].controls_of(
        samples, folder=None if cache is None else cache.mkdir("qkvcheck"), announce=announce
    )


@pytest.fixture(scope="session")
def qkv_run(pytestconfig: pytest.Config, qkv_model: HookedModel | Submission, contexts: ContextSet) -> dict[str, Any]:
    """What a result says of this run: model, corpus, versions, settings."""
    from qkvcheck.capture import Submission
    from qkvcheck.plugin.session import describe_referee, describe_run

    session = pytestconfig.stash[SESSION_KEY]
    if isinstance(qkv_model, Submission):
        return describe_referee(session, qkv_model)
    return describe_run(session, qkv_model, contexts)


@pytest.fixture
def qkv_cell() -> tuple[Claim, Cell]:
    """The claim and cell of this case; a claim marker fills it in."""
    pytest.fail('the claim fixture needs a marker such as @pytest.mark.claim(id="P3a").', pytrace=False)


@pytest.fixture
def claim(request: pytest.FixtureRequest, qkv_cell: tuple[Claim, Cell], qkv_run: dict[str, Any]) -> ClaimCheck:
    """The claim that this test judges, in one cell: call its `check`, `require` or `not_judged` once."""
    from qkvcheck.plugin.claim_check import ClaimCheck

    session = request.config.stash[SESSION_KEY]
    recording, strict = session.settings.update is not None, session.settings.strict

    def end_test(finding: Finding) -> None:
        __tracebackhide__ = True
        conclude(request.node, finding, qkv_run, recording=recording, strict=strict)

    return ClaimCheck(
        *qkv_cell,
        session=session,
        run=qkv_run,
        usual_controls=lambda: request.getfixturevalue("controls"),
        conclude=end_test,
        draws=_seed(request.config.getoption("hypothesis_seed", None)),  # of hypothesis's own plugin
    )


def _seed(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdigit() else text
