"""Claim check: the `claim` object of an experiment: it judges, compares with the record, and hands the finding on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from qkvcheck.baseline import Finding, compare
from qkvcheck.claims import MINIMUM_DISTINCT, Cell, Claim
from qkvcheck.controls import Captured, Controls, sample_of
from qkvcheck.session import Session
from qkvcheck.verdicts import STAND_IN, Verdict, judge, judge_conditions, not_judged


class ClaimCheck:
    """A claim in one cell, to be judged by a test.

    Parameters
    ----------
    claim : Claim
        What is claimed.
    cell : Cell
        Layer, group and measure at which this case judges it.
    session : Session
        The run's.
    run : mapping
        As `qkvcheck.session.describe_run` returns it.
    usual_controls : callable
        Returns the run's controls, for a check that names none.
    conclude : callable
        Takes the finding and ends the test as its outcome says.
    """

    def __init__(
        self,
        claim: Claim,
        cell: Cell,
        *,
        session: Session,
        run: Mapping[str, Any],
        usual_controls: Callable[[], Controls],
        conclude: Callable[[Finding], None],
    ) -> None:
        self.claim = claim
        self.cell = cell
        self._session = session
        self._run = run
        self._usual_controls = usual_controls
        self._conclude = conclude
        self._qualifier = (STAND_IN,) if run["model"]["stand_in"] else ()

    def check(self, captured: Captured, *, controls: Mapping[str, Captured] | None = None) -> None:
        """Judge the claim on captured activations; without `controls`, those of the target are taken.

        Parameters
        ----------
        captured : Activations or tuple of Activations
            What the claim's statistic takes.
        controls : mapping of str to Activations, optional
            Such as ``controls.of(lambda samples: samples.target)``.
        """
        __tracebackhide__ = True
        if controls is None and self.claim.controls:
            controls = self._usual_controls().of(lambda samples: samples.target)
        beside = {name: controls[name] for name in self.claim.controls if name in controls} if controls else {}
        file = self._session.claims
        self._hand_on(
            judge(
                self.claim,
                self.cell,
                sample_of(captured, layer=self.cell.layer),
                controls={name: sample_of(control, layer=self.cell.layer) for name, control in beside.items()},
                qualifier=self._qualifier,
                minimum_distinct=file.minimum_distinct if file else MINIMUM_DISTINCT,
            )
        )

    def require(self, conditions: Mapping[str, bool], *, n: int, **evidence: Any) -> None:
        """Judge an exact claim: it holds if every condition, named by a sentence, does."""
        __tracebackhide__ = True
        self._hand_on(judge_conditions(self.claim, self.cell, conditions, n=n, qualifier=self._qualifier, **evidence))

    def not_judged(self, reason: str) -> NoReturn:
        """Say why this claim can't be judged here; the test is skipped."""
        __tracebackhide__ = True
        self._hand_on(not_judged(self.claim, self.cell, reason, qualifier=self._qualifier))
        raise AssertionError("a claim that is not judged ends its test")

    def _hand_on(self, verdict: Verdict) -> None:
        __tracebackhide__ = True
        recording = self._session.settings.update == "all"
        baseline = None if recording else self._session.baseline_for(self._run)[0]
        self._conclude(compare(baseline, verdict))
