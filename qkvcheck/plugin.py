"""Plugin: qkvcheck in pytest: options, fixtures, the claim marker, outcomes and the claims table.

Only pytest and the standard library are imported here at the top; torch and the rest are imported once an
experiment needs them, so that pytest starts as fast in a project that merely has qkvcheck installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from qkvcheck.activations import Activations
    from qkvcheck.baseline import Finding
    from qkvcheck.checking import ClaimCheck
    from qkvcheck.claims import Cell, Claim
    from qkvcheck.contexts import ContextSet
    from qkvcheck.controls import Controls
    from qkvcheck.models import HookedModel
    from qkvcheck.referee import Submission
    from qkvcheck.report import Line
    from qkvcheck.samples import Samples
    from qkvcheck.session import Session
    from qkvcheck.settings import Option

MARKER = (
    "claim(id, layer, group, measure, statistic, above, at_least, statement): what a test judges. With an id alone, "
    "a claim of the claims file in all its cells; with a statistic and a bound, a claim made here."
)
PROPERTY = "qkvcheck"
TRUST = "--qkv-trust-remote-code"
ALSO_UNTRAINED = "supported, also holds untrained"
RECORDED = "refuted (recorded)"
FAMILY = "refuted beside the claim"
INCONCLUSIVE_NOTE = "inconclusive"

_session_key = pytest.StashKey["Session"]()


# Configuration ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini twins."""
    from qkvcheck.settings import OPTIONS

    group = parser.getgroup("qkvcheck", "claims about queries, keys and values (qkvcheck)")
    for option in OPTIONS:
        default = f" Default: {option.default}." if option.default is not None else ""
        kind: dict[str, Any] = (
            {"action": "store_const", "const": "yes"} if option.switch else {"metavar": option.name.upper()}
        )
        text = f"{option.help}{default} Also {option.variable}, ini {option.ini}."
        group.addoption(option.flag, default=None, help=text, **kind)
        parser.addini(option.ini, f"default of {option.flag}", default=None)
    group.addoption(TRUST, action="store_true", help="let code that comes with a model run. Default: no.")
    parser.addini("qkv_claims", "the project's claims files, from the root directory", default="")
    parser.addini("qkv_baselines", "folder of recorded verdicts, from the root directory", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and read and check every setting once."""
    config.addinivalue_line("markers", MARKER)
    from qkvcheck.errors import QkvcheckError

    try:
        config.stash[_session_key] = _make_session(config)
    except QkvcheckError as error:
        raise pytest.UsageError(str(error)) from None


def _make_session(config: pytest.Config) -> Session:
    from qkvcheck.claims import load_claims
    from qkvcheck.session import Session
    from qkvcheck.settings import resolve_settings

    def command_line(option: Option) -> str | None:
        value: str | None = config.getoption(option.flag)
        return value

    def ini(option: Option) -> str | None:
        value: str | None = config.getini(option.ini)
        return value

    settings = resolve_settings(
        command_line=command_line, environment=os.environ, ini=ini, trust_remote_code=bool(config.getoption(TRUST))
    )
    claims, baselines = (str(config.getini(name) or "") for name in ("qkv_claims", "qkv_baselines"))
    session = Session(
        settings,
        load_claims(*(config.rootpath / name for name in claims.split())) if claims else None,
        baselines=config.rootpath / baselines if baselines else None,
    )
    _ = session.submission  # its layers decide what is collected, so a broken file has to show now
    return session


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what was asked for, where there is anything to say."""
    session = config.stash[_session_key]
    if session.claims is None and not session.settings.explicit:
        return None
    from qkvcheck.report import asked_line

    s = session.settings
    if s.activations is not None:
        return f"qkvcheck: activations {s.activations}"
    return asked_line(model=s.model, corpus=s.corpus, target=s.target, layers=session.layers)


# Collection and preflight -------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test with a claim marker one case a cell, under a stable id."""
    marker = metafunc.definition.get_closest_marker("claim")
    if marker is None or "qkv_cell" not in metafunc.fixturenames:
        return
    from qkvcheck.claims import cells_of_marker, claim_of_marker
    from qkvcheck.errors import QkvcheckError

    session = metafunc.config.stash[_session_key]
    try:
        if marker.args:
            raise QkvcheckError('the claim marker takes keywords only, such as id="P3a".')
        claim = claim_of_marker(marker.kwargs, session.claims)
    except QkvcheckError as error:
        pytest.fail(f"{metafunc.definition.nodeid}: {error}", pytrace=False)
    found = cells_of_marker(claim, marker.kwargs, layers=session.layers, deciding=session.deciding_layer)
    metafunc.parametrize("qkv_cell", [pytest.param((claim, cell), id=cell.key, marks=_mark(cell)) for cell in found])


def _mark(cell: Cell) -> pytest.MarkDecorator:
    """Mark a case with its coordinates, so that ``-m "claim(layer=6)"`` finds it."""
    return pytest.mark.claim(id=cell.claim, layer=cell.layer, group=cell.group, measure=cell.measure)


def _layers_of(items: Iterable[pytest.Item]) -> set[int]:
    """Return the layers that experiments name."""
    layers = (marker.kwargs.get("layer") for item in items for marker in item.iter_markers("claim"))
    return {layer for layer in layers if isinstance(layer, int)}


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Find a user's mistake before the first test, on the controller: one line, exit code 4."""
    config = session.config
    if config.option.collectonly or hasattr(config, "workerinput") or not _needs_model(session):
        return
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.progress import announcing

    ours = config.stash[_session_key]
    try:
        with announcing(config) as announce:
            ours.prepare(_layers_of(session.items), announce=announce)
        settings = ours.settings
        if settings.report is not None:
            from qkvcheck.page import missing_libraries

            why = missing_libraries()
            if why is not None:
                raise QkvcheckError(f"--qkv-report: {why}.")
        for path in filter(None, (settings.json, settings.report, settings.baseline if settings.update else None)):
            if not Path(path).parent.is_dir():
                raise QkvcheckError(
                    f"{path!r} can't be written: there is no folder {str(Path(path).parent)!r}; make it."
                )
    except QkvcheckError as error:
        raise pytest.UsageError(str(error)) from None


def _needs_model(session: pytest.Session) -> bool:
    """Whether a test here asks for the model that the settings name.

    Under xdist the controller collects nothing; there the model is loaded for a look if anybody chose one.
    """
    if session.config.pluginmanager.hasplugin("dsession"):
        return bool(session.config.stash[_session_key].settings.explicit)
    return any(
        definitions[-1].func.__module__ == __name__
        for item in session.items
        if (definitions := getattr(item, "_fixtureinfo").name2fixturedefs.get("qkv_model"))  # noqa: B009
    )


# Fixtures -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def qkv_model(pytestconfig: pytest.Config) -> HookedModel | Submission:
    """The hooked model under test; override it with `qkvcheck.from_model(model, tokenizer)` for one of your own."""
    session = pytestconfig.stash[_session_key]
    return session.hooked if session.submission is None else session.submission


@pytest.fixture(scope="session")
def contexts(pytestconfig: pytest.Config, qkv_model: HookedModel | Submission) -> ContextSet | Submission:
    """The corpus, tokenised for the model, with the target found in each context."""
    from qkvcheck.referee import Submission

    if isinstance(qkv_model, Submission):
        return qkv_model
    return pytestconfig.stash[_session_key].contexts_for(qkv_model)


@pytest.fixture(scope="session")
def samples(request: pytest.FixtureRequest, qkv_model: HookedModel, contexts: ContextSet) -> Samples | Submission:
    """What experiments measure: the target, the token before it, fresh contexts, other words."""
    from qkvcheck.referee import Submission

    if isinstance(qkv_model, Submission):
        return qkv_model
    session = request.config.stash[_session_key]
    return session.samples_of(qkv_model, contexts, layers=_layers_of(request.session.items))


@pytest.fixture(scope="session")
def activations(samples: Samples | Submission) -> Activations:
    """The target's queries, keys and values in every context: (context, layer, width)."""
    return samples.target


@pytest.fixture(scope="session")
def controls(pytestconfig: pytest.Config, samples: Samples | Submission) -> Controls | Submission:
    """The controls: the same measurements where a claim should not hold."""
    from qkvcheck.referee import Submission

    if isinstance(samples, Submission):
        return samples
    cache = getattr(pytestconfig, "cache", None)  # none under -p no:cacheprovider

    from qkvcheck.progress import announcing

    def announce(text: str) -> None:
        reporter: Any = pytestconfig.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and reporter.isatty:
            with announcing(pytestconfig) as say:
                say(text)

    return pytestconfig.stash[_session_key].controls_of(
        samples, folder=None if cache is None else cache.mkdir("qkvcheck"), announce=announce
    )


@pytest.fixture(scope="session")
def qkv_run(pytestconfig: pytest.Config, qkv_model: HookedModel | Submission, contexts: ContextSet) -> dict[str, Any]:
    """What a result says of this run: model, corpus, versions, settings."""
    from qkvcheck.referee import Submission
    from qkvcheck.session import describe_referee, describe_run

    session = pytestconfig.stash[_session_key]
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
    from qkvcheck.checking import ClaimCheck

    session = request.config.stash[_session_key]
    recording, strict = session.settings.update is not None, session.settings.strict

    def conclude(finding: Finding) -> None:
        __tracebackhide__ = True
        _conclude(request.node, finding, qkv_run, recording=recording, strict=strict)

    return ClaimCheck(
        *qkv_cell,
        session=session,
        run=qkv_run,
        usual_controls=lambda: request.getfixturevalue("controls"),
        conclude=conclude,
        draws=_seed(request.config.getoption("hypothesis_seed", None)),  # of hypothesis's own plugin
    )


def _seed(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isdigit() else text


def _conclude(item: Any, finding: Finding, run: dict[str, Any], *, recording: bool, strict: bool) -> None:
    """Put the finding on the report, and end the test as its outcome says."""
    __tracebackhide__ = True
    from qkvcheck.claims import DECIDES
    from qkvcheck.story import failure_text, properties_of
    from qkvcheck.verdicts import INCONCLUSIVE, NOT_JUDGED, REFUTED

    # One string: xdist and junit carry nothing else safely.
    item.user_properties.append((PROPERTY, json.dumps(finding.to_dict(), sort_keys=True)))
    item.user_properties.extend(properties_of(finding))
    item.stash[_run_key] = json.dumps(run)
    verdict = finding.verdict
    if finding.change is not None:
        pytest.fail(failure_text(finding, run), pytrace=False)
    if verdict.verdict == NOT_JUDGED:
        pytest.skip(f"NOT JUDGED: {verdict.reason}")
    if verdict.verdict == INCONCLUSIVE:
        if strict and verdict.role == DECIDES:
            pytest.fail(failure_text(finding, run), pytrace=False)
        pytest.skip(INCONCLUSIVE_NOTE)
    if verdict.verdict == REFUTED:
        if finding.recorded == REFUTED:
            pytest.xfail(RECORDED)
        if verdict.role != DECIDES:
            pytest.xfail(FAMILY)
        if not recording:
            pytest.fail(failure_text(finding, run), pytrace=False)
        pytest.xfail("refuted, and recorded now")


_run_key = pytest.StashKey[str]()
_notes_key = pytest.StashKey["list[Line]"]()
_part_key = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Don't judge a claim whose measurement makes no sense here, or is not in the file that is judged."""
    __tracebackhide__ = True
    from qkvcheck.errors import NotCapturedError

    try:
        return (yield)
    except NotCapturedError as error:
        check = pyfuncitem.funcargs.get("claim")
        if check is None or not hasattr(check, "not_judged"):
            raise
        reason = str(error)
    check.not_judged(reason)


# Outcomes -----------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Carry the run's description on the report, and shorten a user's mistake to its one line."""
    report = yield
    from qkvcheck.errors import QkvcheckError

    if call.excinfo is not None and isinstance(call.excinfo.value, QkvcheckError):
        report.longrepr = str(call.excinfo.value)
        report.qkvcheck_broken = True
    if report.when == "call" and _run_key in item.stash:
        report.qkvcheck_run = item.stash[_run_key]
        report.qkvcheck_part = item.config.stash.get(_part_key, False)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
    """Count what is supported but holds untrained, what is refuted on record, and broken apparatus, apart."""
    if getattr(report, "qkvcheck_broken", False):
        return "error", "E", ("ERROR", {"red": True})
    finding = _finding_on(report)
    if finding is None:
        return None
    from qkvcheck.verdicts import ALSO_UNTRAINED as NOTE
    from qkvcheck.verdicts import INCONCLUSIVE

    if report.skipped and finding.verdict.verdict == INCONCLUSIVE:
        return INCONCLUSIVE_NOTE, "?", ("INCONCLUSIVE", {"yellow": True})
    if report.passed and NOTE in finding.verdict.qualifier:
        return ALSO_UNTRAINED, "u", ("SUPPORTED, ALSO UNTRAINED", {"yellow": True})
    reason = getattr(report, "wasxfail", "").removeprefix("reason: ")
    if report.skipped and reason in (RECORDED, FAMILY):
        return reason, "r" if reason == RECORDED else "b", (reason.upper(), {"yellow": True})
    return None


def _finding_on(report: Any) -> Finding | None:
    texts = [value for name, value in getattr(report, "user_properties", ()) if name == PROPERTY]
    if getattr(report, "when", None) != "call" or not texts:
        return None
    from qkvcheck.baseline import finding_from_dict

    return finding_from_dict(json.loads(str(texts[-1])))


# Summary and files --------------------------------------------------------------------------------


def _gather(reporter: pytest.TerminalReporter) -> tuple[dict[str, Any], list[Finding]] | None:
    """Return the run's description and its findings, from this process or from xdist's workers."""
    found: dict[str, Finding] = {}
    run = None
    for report in (report for reports in reporter.stats.values() for report in reports):
        finding = _finding_on(report)
        if finding is not None and hasattr(report, "qkvcheck_run"):
            found[finding.verdict.key] = finding
            run = json.loads(report.qkvcheck_run)
    return None if run is None else (run, list(found.values()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the claims table, and tell of the files that were written."""
    gathered = _gather(terminalreporter)
    if gathered is None:
        return
    from qkvcheck.report import quiet_line, summary_lines

    run, findings = gathered
    session = config.stash[_session_key]
    _, gate_off = session.baseline_for(run) if not session.settings.update else (None, None)
    if config.get_verbosity() < 0:
        lines: Sequence[Line] = [quiet_line(run, findings, gate_off=gate_off)]
    else:
        terminalreporter.section("claims")
        lines = summary_lines(run, findings, every_cell=config.get_verbosity() > 0, gate_off=gate_off)
    lines = [*lines, *config.stash.get(_notes_key, [])]
    for line in lines:
        terminalreporter.write_line(line.text, **({line.colour: True} if line.colour else {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the files that were asked for, on the controller; a file that can't be written is no success."""
    reporter: Any = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    gathered = _gather(reporter)
    if gathered is None:
        return
    from qkvcheck.recording import record_notes, write_files

    ours = session.config.stash[_session_key]
    notes = write_files(ours, *gathered)
    if any(note.colour == "red" for note in notes):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    told, fails = record_notes(ours, *gathered, whole=_is_whole(session, reporter))
    if fails and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    session.config.stash[_notes_key] = [*notes, *told]


def _is_whole(session: pytest.Session, reporter: pytest.TerminalReporter) -> bool:
    """Tell whether a run met every claim of the project: nothing left out, stopped early, or broken.

    Under xdist the workers select; their reports carry what they left out.
    """
    config = session.config
    ours = config.stash[_session_key]
    paths = [argument.partition("::") for argument in config.args]
    left_out = any(config.getoption(name, False) for name in ("lf", "stepwise"))
    if left_out or session.shouldstop or session.shouldfail or "layers" in ours.settings.explicit:
        return False
    if any(node or not Path(config.invocation_params.dir, path).is_dir() for path, _, node in paths):
        return False
    reports = [report for found in reporter.stats.values() for report in found if hasattr(report, "when")]
    broken = any(report.failed and _finding_on(report) is None for report in reports)
    return not broken and not any(getattr(report, "qkvcheck_part", False) for report in reports)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Remember that claims were left out of this run."""
    for item in items:
        if item.get_closest_marker("claim") is not None:
            item.config.stash[_part_key] = True
