"""Outcomes: how a finding ends its test, how pytest counts, names and carries it, how a run gathers them, if any."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from qkvcheck.plugin.stash import LACKING_KEY, LAST_KEY, PART_KEY, RAN_KEY, RUN_KEY, SESSION_KEY

if TYPE_CHECKING:
    from qkvcheck.record import Finding, Run


PROPERTY = "qkvcheck"
ALSO_UNTRAINED = "supported (untrained networks too)"
RECORDED = "refuted (recorded)"
FAMILY = "refuted beside the claim"
INCONCLUSIVE_NOTE = "inconclusive"


SHOWN = 3
"""Failing heads of one test whose tables are printed; the others are named."""


def conclude(item: Any, findings: Sequence[Finding], run: Run, *, recording: bool, strict: bool) -> None:
    """Put the findings on the report, and end the test as the one says that weighs most."""
    __tracebackhide__ = True
    from qkvcheck.errors import visible
    from qkvcheck.report import failure_text, properties_of

    for finding in findings:
        # One string: xdist and junit carry nothing else safely.
        item.user_properties.append((PROPERTY, json.dumps(finding.to_dict(), sort_keys=True)))
        item.user_properties.extend(properties_of(finding, by_head=len(findings) > 1))
    item.stash[RUN_KEY] = run.text
    ends = [_end(finding, recording=recording, strict=strict) for finding in findings]
    failing = [finding for finding, end in zip(findings, ends, strict=True) if end == "fails"]
    if failing:
        further = [finding.verdict.key for finding in failing[SHOWN:]]
        texts = [failure_text(finding, run) for finding in failing[:SHOWN]]
        pytest.fail("\n".join([*texts, *([f"and so do {', '.join(further)}"] if further else [])]), pytrace=False)
    end = min(ends, key=_ORDER.index, default="passes")
    if end == INCONCLUSIVE_NOTE:
        pytest.skip(INCONCLUSIVE_NOTE)
    if end == "not judged":
        reasons = dict.fromkeys(f.verdict.reason for f, own in zip(findings, ends, strict=True) if own == end)
        pytest.skip(visible(f"NOT JUDGED: {'; '.join(str(reason) for reason in reasons)}"))
    if end != "passes":
        pytest.xfail(end)


_NOW = "refuted, and recorded now"
_ORDER = ("fails", INCONCLUSIVE_NOTE, "not judged", _NOW, RECORDED, FAMILY, "passes")
"""How findings end a test; of several the first counts."""


def _end(finding: Finding, *, recording: bool, strict: bool) -> str:
    """Return how a finding ends its test."""
    from qkvcheck.claims import Decision, Role

    verdict, decides = finding.verdict, finding.verdict.role == Role.DECIDES
    if finding.change is not None or finding.shift_fails(strict=strict):
        return "fails"
    if verdict.verdict == Decision.NOT_JUDGED:
        return "not judged"
    if verdict.verdict == Decision.INCONCLUSIVE:
        return "fails" if strict and decides else INCONCLUSIVE_NOTE
    if verdict.verdict == Decision.REFUTED:
        if finding.refuted_before:
            return RECORDED
        return FAMILY if not decides else _NOW if recording else "fails"
    return "passes"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let a claim whose fixtures can't be had here run its test, which then is not judged; skip any other test."""
    from qkvcheck.errors import NotCapturedError

    try:
        return (yield)
    except NotCapturedError as error:
        if "claim" not in getattr(item, "fixturenames", ()):
            pytest.skip(str(error))
        item.stash[LACKING_KEY] = str(error)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Don't judge a claim whose measurement makes no sense here, or is not in the file that is judged."""
    __tracebackhide__ = True
    from qkvcheck.errors import NotCapturedError

    try:
        if LACKING_KEY in pyfuncitem.stash:
            raise NotCapturedError(pyfuncitem.stash[LACKING_KEY])
        return (yield)
    except NotCapturedError as error:
        if "claim" not in pyfuncitem.fixturenames:
            raise
        reason = str(error)
    pyfuncitem._request.getfixturevalue("claim").not_judged(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Carry the run's description on the report, and shorten a user's mistake to its one line."""
    report = yield
    from qkvcheck.errors import QkvcheckError

    if call.excinfo is not None and isinstance(call.excinfo.value, QkvcheckError):
        report.longrepr = str(call.excinfo.value)
        report.qkvcheck_broken = True
    if report.when == "call" and RUN_KEY in item.stash:
        report.qkvcheck_run = item.stash[RUN_KEY]
        report.qkvcheck_part = item.config.stash.get(PART_KEY, False)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
    """Count what is supported but holds untrained, what is refuted on record, and broken apparatus, apart."""
    if getattr(report, "qkvcheck_broken", False):
        return "error", "E", ("ERROR", {"red": True})
    findings = findings_on(report)
    if not findings:
        return None
    from qkvcheck.claims import ALSO_UNTRAINED as NOTE
    from qkvcheck.claims import Decision

    if report.skipped and any(f.verdict.verdict == Decision.INCONCLUSIVE for f in findings):
        return INCONCLUSIVE_NOTE, "?", ("INCONCLUSIVE", {"yellow": True})
    if report.passed and any(NOTE in f.verdict.qualifier for f in findings):
        return ALSO_UNTRAINED, "u", ("SUPPORTED, ALSO UNTRAINED", {"yellow": True})
    reason = getattr(report, "wasxfail", "").removeprefix("reason: ")
    if report.skipped and reason in (RECORDED, FAMILY):
        return reason, "r" if reason == RECORDED else "b", (reason.upper(), {"yellow": True})
    return None


def findings_on(report: Any) -> list[Finding]:
    """Return the findings that a report carries: of a claim about all heads one a head, else one or none."""
    texts = [value for name, value in getattr(report, "user_properties", ()) if name == PROPERTY]
    if getattr(report, "when", None) != "call" or not texts:
        return []
    from qkvcheck.record import finding_from_dict

    found = [finding_from_dict(json.loads(str(text))) for text in texts]
    return list({finding.verdict.key: finding for finding in found}.values())  # run again, the last time counts


@dataclass
class Gathered:
    """What a session found on one model.

    Attributes
    ----------
    run : Run
        What a result says of it.
    found : dict of str to Finding
        By cell.
    twice : list of str
        What is wrong where two tests judged one cell.
    """

    run: Run
    found: dict[str, Finding] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """What was found, each cell once."""
        return list(self.found.values())


def gather(reporter: pytest.TerminalReporter) -> list[Gathered]:
    """Return what was found, one entry a model and corpus, in the order of the tests."""
    from qkvcheck.record import conditions_of, run_from_dict

    found: dict[tuple[object, ...], Gathered] = {}
    tests: dict[tuple[object, ...], dict[str, str]] = {}
    runs: dict[str, Run] = {}
    for report in (report for reports in reporter.stats.values() for report in reports):
        findings = findings_on(report)
        if not findings or not hasattr(report, "qkvcheck_run"):
            continue
        text: str = report.qkvcheck_run
        if text not in runs:
            runs[text] = run_from_dict(json.loads(text))
        run = runs[text]
        # Workers may word the same run differently, such as where the model came from.
        place = (run.origin.spec, conditions_of(run))
        entry = found.setdefault(place, Gathered(run))
        for finding in findings:
            first = tests.setdefault(place, {}).setdefault(finding.verdict.key, report.nodeid)
            if first == report.nodeid:
                entry.found[finding.verdict.key] = finding  # run again, the last time counts
            else:
                entry.twice.append(f"{finding.verdict.key} was judged by {first} and by {report.nodeid}")
    return list(found.values())


def broken(reporter: Any) -> bool:
    """Tell whether a test could not even be set up, by a mistake of the user's: a marker, a name, a fixture."""
    every = (report for reports in reporter.stats.values() for report in reports)
    return any(getattr(report, "qkvcheck_broken", False) and report.when == "setup" for report in every)


# A run that finds nothing -------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Remember that the run came to its end: what stopped before has its own exit status, and a list judges nothing."""
    done = yield
    only = ("collectonly", "setuponly")
    session.config.stash[RAN_KEY] = not any(session.config.getoption(name, False) for name in only)
    return done


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run without a finding where a gate was asked for; `qkvcheck.plugin.hooks` ends those with findings."""
    config = session.config
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or not config.stash.get(RAN_KEY, False):
        return
    ours, green = config.stash[SESSION_KEY], (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if ours.settings.gate is None or session.exitstatus not in green or gather(reporter):
        return
    from qkvcheck.plugin.run_files import gate_lines

    config.stash[LAST_KEY], fails = gate_lines(ours, [])
    if fails:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
