"""Claim check: the `claim` object of an experiment: it judges, compares with the record, and hands the finding on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from qkvcheck.capture import Activations, Captured, FileSource, Samples, Source, heads_in, sample_of
from qkvcheck.claims import (
    Cell,
    Claim,
    Compared,
    ControlCapture,
    ControlSource,
    JudgeOptions,
    Kind,
    Networks,
    Role,
    Verdict,
    at_heads,
    called_in_verdicts,
    captured_for,
    cells,
    evidence_from_dict,
    judge_against_untrained,
    judge_conditions,
    judge_layers,
    judge_sample,
    not_judged,
    seed_controls,
)
from qkvcheck.errors import ClaimError, DocumentError, NotCapturedError, first_line
from qkvcheck.groups import Capture
from qkvcheck.models import Position
from qkvcheck.plugin.run_files import with_comparison
from qkvcheck.plugin.session import Session
from qkvcheck.record import Finding, Run, compare
from qkvcheck.statistics import Sample


@dataclass(frozen=True)
class Apparatus:
    """What the checks of a run share.

    Attributes
    ----------
    session : Session
        The run's.
    run : Run
        What a result says of it.
    source : Source
        Where captures come from.
    controls : callable
        Returns the run's controls.
    draws : int or str, optional
        Seed of a search, in place of the claim's own.
    """

    session: Session
    run: Run
    source: Source
    controls: Callable[[], ControlSource]
    draws: int | str | None = None

    @property
    def options(self) -> JudgeOptions:
        """What does not depend on the claim."""
        qualifier = called_in_verdicts(self.run.origin.called)
        file = self.session.claims
        return JudgeOptions(qualifier) if file is None else JudgeOptions(qualifier, file.min_distinct)


@dataclass(eq=False)
class ClaimCheck:
    """A claim in one cell, to be judged by a test.

    Attributes
    ----------
    claim : Claim
        What is claimed.
    cell : Cell
        Layer, group and measure at which this case judges it.
    """

    claim: Claim
    cell: Cell
    _apparatus: Apparatus = field(repr=False)
    _conclude: Callable[[Sequence[Finding]], None] = field(repr=False)
    _notes: dict[str, object] = field(default_factory=dict, repr=False)

    def note(self, **further: object) -> None:
        """Add plain data to the evidence of the verdict that is still to come.

        Raises
        ------
        ClaimError
            If something is no plain data, or has the name of a part of `qkvcheck.claims.Evidence` and is none.
        """
        self._notes.update(self._plain(further))

    def _plain(self, further: Mapping[str, object]) -> dict[str, object]:
        """Return notes as the result file has them, which its readers have to be able to read."""
        try:
            found: dict[str, object] = json.loads(json.dumps(further, allow_nan=False))
            evidence_from_dict(found, at="")
        except (TypeError, ValueError, RecursionError) as error:
            raise ClaimError(
                f"claim {self.claim.id}: a note has to be plain data, such as numbers and texts ({first_line(error)})."
            ) from None
        except DocumentError as error:
            raise ClaimError(
                f"claim {self.claim.id}: a note has the name of a part of the evidence, and {error}; rename it."
            ) from None
        return found

    def check(self, captured: Captured | None = None, *, controls: Mapping[str, ControlCapture] | None = None) -> None:
        """Judge the claim, as its kind says; of all heads each.

        Parameters
        ----------
        captured : Activations or tuple of Activations, optional
            What the claim's statistic takes; without it what the claim names as its capture, with the controls that go
            with it.
        controls : mapping of str to Activations, optional
            Such as ``controls.of("target")``; without it the target gets its own, other activations of yours none.
        """
        __tracebackhide__ = True
        if self.claim.kind == Kind.EXACT:
            raise ClaimError(f"claim {self.claim.id} is exact; call claim.require with its conditions.")
        if (reason := self._token_alone()) is not None:
            self._hand_on(not_judged(self.claim, self.cell, reason, qualifier=self._apparatus.options.qualifier))
            return
        if self.claim.kind == Kind.SEARCH:
            self._hand_on(*self._searches())
            return
        given, controls = self._given(captured, controls)
        self._hand_on(
            *(self._judged(cell, given, controls) for cell in at_heads(self.claim, self.cell, heads_in(given)))
        )

    def _judged(self, cell: Cell, given: Captured, controls: Mapping[str, ControlCapture]) -> Verdict:
        """Judge the claim in one cell."""
        options = self._apparatus.options
        if self.claim.kind == Kind.EVERY_LAYER:
            seeds = [control for name in seed_controls() if (control := self._seeds(controls, name)) is not None]
            untrained = seeds[0] if seeds else None
            return judge_layers(self.claim, cell, given, untrained=untrained, options=options)
        sample = sample_of(given, layer=cell.layer, head=cell.at_head)
        if self.claim.kind == Kind.AGAINST_UNTRAINED:
            compared = self._compared(seed_controls(), controls, given, cell)
            return judge_against_untrained(self.claim, cell, sample, compared, options=options)
        names = self._apparatus.session.controls_of_claim(self.claim)
        return judge_sample(
            replace(self.claim, controls=names),
            cell,
            sample,
            family=self._family(cell),
            controls=self._compared(names, controls, given, cell),
            tokens=self._tokens(given, cell),
            options=options,
        )

    def _token_alone(self) -> str | None:
        """Return why the first layer can't be judged, where nothing but the token itself enters its projections."""
        source = self._apparatus.source
        if self.cell.layer > 0 or self.claim.kind == Kind.EVERY_LAYER or not isinstance(source, Samples):
            return None
        architecture = source.hooked.architecture
        position = architecture.position_of(source.hooked.config)
        if position is Position.LEARNED:
            return None
        return (
            f"at layer 0 of {architecture.family} queries, keys and values hang on the token alone: places enter later "
            f"({position}), so the target's rows are the same in every context"
        )

    def _given(
        self, captured: Captured | None, controls: Mapping[str, ControlCapture] | None
    ) -> tuple[Captured, Mapping[str, ControlCapture]]:
        """Return what is judged, and the controls that go with it."""
        source = self._apparatus.source
        capture = captured_for(self.claim) if captured is None else Capture.TARGET
        given = source.captured(capture) if captured is None else captured
        if controls is None:
            # The run's controls go with what the run captured, and not with other activations.
            ours = captured is None or captured is source.captured(Capture.TARGET)
            controls = self._apparatus.controls().of(capture) if ours else {}
        return given, controls

    @staticmethod
    def _seeds(controls: Mapping[str, ControlCapture], name: str) -> Networks | None:
        try:
            found = controls[name] if name in set(controls) else None
        except NotCapturedError:
            return None
        return None if isinstance(found, (Activations, tuple)) else found

    def _compared(
        self, names: tuple[str, ...], controls: Mapping[str, ControlCapture], given: Captured, cell: Cell
    ) -> dict[str, Compared]:
        """Return each control's sample, or why there is none."""
        found: dict[str, Compared] = {}
        layer, head = cell.layer, cell.at_head
        for name in (name for name in names if name in set(controls)):
            try:
                control = controls[name]
                found[name] = (
                    sample_of(control, layer=layer, head=head)
                    if isinstance(control, (Activations, tuple))
                    else control.at(layer, given, head=head)
                )
            except NotCapturedError as error:
                found[name] = str(error)
        return found

    def _tokens(self, given: Captured, cell: Cell) -> Callable[[], Sample] | None:
        """Return what gives the words grid at a cell, where the target of the run's own contexts is judged."""
        source = self._apparatus.source
        if isinstance(given, tuple) or given is not source.captured(Capture.TARGET):
            return None

        def tokens() -> Sample:
            words = source.some_words if isinstance(source, Samples) else source.captured(Capture.WORDS)
            return sample_of(words, layer=cell.layer, head=cell.at_head)

        return tokens

    def _searches(self) -> Iterator[Verdict]:
        """Let hypothesis look for a context that breaks the claim, and shrink it; of all heads in each."""
        from qkvcheck.search import judge_every_context

        source = self._apparatus.source
        if isinstance(source, FileSource):
            raise source.lacks("the model")
        assert isinstance(source, Samples)
        draws = self._apparatus.draws
        heads = {} if self.cell.head is None else heads_in(source.target)
        for cell in at_heads(self.claim, self.cell, heads):
            yield judge_every_context(
                source,
                self.claim,
                cell,
                budget=self.claim.budget,
                rng_seed=self.claim.seed if draws is None else draws,
                qualifier=self._apparatus.options.qualifier,
            )

    def _family(self, cell: Cell) -> list[Cell]:
        """Return the cells that share simultaneous intervals with one, at its own head."""
        if cell.role != Role.FAMILY:
            return []
        session = self._apparatus.session
        every = cells(self.claim, layers=session.layers, deciding=session.deciding_layer)
        return [other for other in every if other.role == Role.FAMILY and other.layer == cell.layer]

    def require(self, conditions: Mapping[str, bool], *, n: int, **further: object) -> None:
        """Judge an exact claim: it holds if every condition, named by a sentence, does."""
        __tracebackhide__ = True
        qualifier = self._apparatus.options.qualifier
        noted = self._plain(further)
        self._hand_on(judge_conditions(self.claim, self.cell, conditions, n=n, qualifier=qualifier, further=noted))

    def not_judged(self, reason: str) -> NoReturn:
        """Say why this claim can't be judged here; the test is skipped."""
        __tracebackhide__ = True
        self._hand_on(not_judged(self.claim, self.cell, reason, qualifier=self._apparatus.options.qualifier))
        raise AssertionError("a claim that is not judged ends its test")

    def _hand_on(self, *verdicts: Verdict) -> None:
        __tracebackhide__ = True
        session, run = self._apparatus.session, self._apparatus.run
        baseline = None if session.settings.update == "all" else session.baseline_for(run)[0]
        found = [compare(baseline, self._noted(verdict), versions=run.versions) for verdict in verdicts]
        self._conclude([with_comparison(session, run, finding) for finding in found])

    def _noted(self, verdict: Verdict) -> Verdict:
        """Return a verdict with the notes of its test in its evidence."""
        if not self._notes:
            return verdict
        noted = evidence_from_dict({**json.loads(json.dumps(verdict.evidence.to_dict())), **self._notes})
        return replace(verdict, evidence=noted)
