"""Gathering: what a session found, model by model, from this process or from xdist's workers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from qkvcheck.plugin.outcomes import finding_on

if TYPE_CHECKING:
    from qkvcheck.record import Finding, Run


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
        finding = finding_on(report)
        if finding is None or not hasattr(report, "qkvcheck_run"):
            continue
        text: str = report.qkvcheck_run
        if text not in runs:
            runs[text] = run_from_dict(json.loads(text))
        run = runs[text]
        # Workers may word the same run differently, such as where the model came from.
        place = (run.origin.spec, conditions_of(run))
        entry = found.setdefault(place, Gathered(run))
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
