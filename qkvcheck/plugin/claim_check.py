"""Claim check: the `claim` object of an experiment: it judges, compares with the record, and hands the finding on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NoReturn

from qkvcheck.capture import Samples, Submission
from qkvcheck.claims import (
    FAMILY,
    MINIMUM_DISTINCT,
    STAND_IN,
    Captured,
    Cell,
    Claim,
    Control,
    Controls,
    Seeds,
    Untrained,
    Verdict,
    cells,
    judge,
    judge_against_untrained,
    judge_conditions,
    judge_layers,
    not_judged,
    sample_of,
)
from qkvcheck.errors import NotCapturedError
from qkvcheck.plugin.session import Session
from qkvcheck.record import Finding, compare
from qkvcheck.statistics import Sample


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
        As `qkvcheck.plugin.describe_run` returns it.
    usual_controls : callable
        Returns the run's controls, for a check that names none.
    conclude : callable
        Takes the finding and ends the test as its outcome says.
    draws : int or str, optional
        Seed of a search, in place of the claim's own.
    """

    def __init__(
        self,
        claim: Claim,
        cell: Cell,
        *,
        session: Session,
        run: Mapping[str, Any],
        usual_controls: Callable[[], Controls | Submission],
        conclude: Callable[[Finding], None],
        draws: int | str | None = None,
    ) -> None:
        self.claim = claim
        self.cell = cell
        self._session = session
        self._run = run
        self._usual_controls = usual_controls
        self._conclude = conclude
        self._draws = draws
        self._evidence: dict[str, Any] = {}
        self._qualifier = (STAND_IN,) if run["model"]["stand_in"] else ()

    def beside(self, **evidence: Any) -> None:
        """Add plain data to the evidence of the verdict that is still to come."""
        self._evidence.update(evidence)

    def check(self, captured: Captured, *, controls: Mapping[str, Control] | None = None) -> None:
        """Judge the claim on captured activations; without `controls`, the target gets its own, anything else none.

        Parameters
        ----------
        captured : Activations or tuple of Activations
            What the claim's statistic takes.
        controls : mapping of str to Activations, optional
            Such as ``controls.of(lambda samples: samples.target)``.
        """
        __tracebackhide__ = True
        names = self._session.controls_beside(self.claim)
        if controls is None and names:
            usual = self._usual_controls()
            # Those of the target belong beside the target only.
            controls = usual.of(lambda samples: samples.target) if captured is usual.target else {}
        file = self._session.claims
        verdict = judge(
            replace(self.claim, controls=names),
            self.cell,
            _sample_at(captured, self.cell.layer),
            family=self._family(),
            controls={name: self._control(controls, name, captured) for name in names if name in set(controls or ())},
            qualifier=self._qualifier,
            minimum_distinct=file.minimum_distinct if file else MINIMUM_DISTINCT,
        )
        self._hand_on(verdict)

    def check_layers(self, captured: Captured, *, controls: Mapping[str, Control] | None = None) -> None:
        """Judge the claim at every captured layer at once: it holds if it does at each layer that can be judged.

        Parameters
        ----------
        captured : Activations
            The target at many layers.
        controls : mapping of str to Activations, optional
            Of them ``untrained`` is shown layer by layer.
        """
        __tracebackhide__ = True
        twins = controls["untrained"] if controls is not None and "untrained" in set(controls) else None
        self._hand_on(
            judge_layers(
                self.claim,
                self.cell,
                captured,
                untrained=twins if isinstance(twins, Untrained) else None,
                qualifier=self._qualifier,
            )
        )

    def against_untrained(self, captured: Captured, *, controls: Mapping[str, Control]) -> None:
        """Judge by the difference from untrained seeds: the interval in which a further seed would leave it.

        Parameters
        ----------
        captured : Activations
            What the claim's statistic takes.
        controls : mapping of str to Activations
            Of them ``untrained`` is taken.
        """
        __tracebackhide__ = True
        control = self._control(controls, "untrained", captured)
        self._hand_on(
            judge_against_untrained(
                self.claim, self.cell, _sample_at(captured, self.cell.layer), control, qualifier=self._qualifier
            )
        )

    def search(self, samples: Samples | Submission) -> None:
        """Judge a claim about all contexts: hypothesis looks for one that breaks it, and shrinks it.

        ``--hypothesis-seed`` chooses the draws, else the claim's own ``seed``; its ``budget`` says how many there are.

        Parameters
        ----------
        samples : Samples
            Of the model, with the corpus.
        """
        __tracebackhide__ = True
        from qkvcheck.search import judge_every_context

        samples.hooked  # noqa: B018 (a file of activations says here that it holds no model)
        assert not isinstance(samples, Submission)
        own = self.claim.settings
        self._hand_on(
            judge_every_context(
                samples,
                self.claim,
                self.cell,
                budget=int(own.get("budget", 100)),
                rng_seed=own.get("seed", 0) if self._draws is None else self._draws,
                qualifier=self._qualifier,
            )
        )

    def _family(self) -> list[Cell]:
        """Return the cells that share simultaneous intervals with this one."""
        if self.cell.role != FAMILY:
            return []
        layers, deciding = self._session.layers, self._session.deciding_layer
        every = cells(self.claim, layers=layers, deciding=deciding)
        return [cell for cell in every if cell.role == FAMILY and cell.layer == self.cell.layer]

    def _control(self, controls: Mapping[str, Control] | None, name: str, captured: Captured) -> Sample | Seeds | str:
        """Return a control's sample, or why there is none."""
        assert controls is not None
        layer = self.cell.layer
        try:
            control = controls[name]
            return control.at(layer, captured) if isinstance(control, Untrained) else _sample_at(control, layer)
        except NotCapturedError as error:
            return str(error)

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
        if self._evidence:
            verdict = replace(verdict, evidence={**verdict.evidence, **self._evidence})
        recording = self._session.settings.update == "all"
        baseline = None if recording else self._session.baseline_for(self._run)[0]
        self._conclude(compare(baseline, verdict, versions=self._run["versions"]))


@lru_cache(maxsize=64)
def _sample_at(captured: Captured, layer: int) -> Sample:
    """Return what a statistic takes: the same object for the same capture, so that cells share their measurements."""
    return sample_of(captured, layer=layer)
