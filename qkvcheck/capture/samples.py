"""Samples: what experiments measure of one model, captured when first asked for and then kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from qkvcheck.capture.activations import Activations, Captured, sample_of
from qkvcheck.capture.hooks import ALL, BATCH_SIZE, PRECEDING, TARGET, capture, capture_words
from qkvcheck.capture.source import capture_named
from qkvcheck.contexts import (
    Context,
    ContextSet,
    clusters_of,
    draw_contexts,
    encode_corpus,
    match_positions,
    read_corpus,
)
from qkvcheck.errors import NotCapturedError
from qkvcheck.groups import FIRST_TOKEN, POSITION, PRECEDING_TOKEN, Capture
from qkvcheck.models import HookedModel, untrained_twin
from qkvcheck.statistics import SCORED, drawn_rows, governing_factors

EXPLAINS_MOST = "explains-most"
"""Clusters by the factor that `qkvcheck.statistics.governing_factors` names first."""
_BY_FACTOR = {FIRST_TOKEN: "first-word", PRECEDING_TOKEN: "preceding-token", POSITION: "position"}
BALANCED_TARGET = " her"
"""What every context of the balanced corpus holds."""


def listed_words(lists: Mapping[str, Sequence[str]], target: str) -> list[str]:
    """Return what each context is continued with: the target, and the words of the lists without it."""
    every = [*lists["pronouns"], *lists["others"]]
    return [target, *(word for word in every if word != target)][: len(every)]


def subsets_of(lists: Mapping[str, Sequence[str]], listed: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return where the words of each list stand among those that contexts were continued with."""
    return {name: tuple(listed.index(word) for word in words if word in listed) for name, words in lists.items()}


def without_generic(target: Activations, words: Activations) -> Activations:
    """Return the target less the mean of all words but the first, over contexts and words: (context, layer, width)."""
    generic = words.values.astype(np.float64)[:, :, 1:].mean(axis=(0, 2))
    recipe = f"{target.provenance.get('recipe')} less the generic mean of {words.provenance.get('recipe')}"
    return replace(
        target,
        values=(target.values - generic).astype(np.float32),
        provenance={**target.provenance, "recipe": recipe},
    )


@dataclass(frozen=True)
class Plan:
    """How a model is sampled, apart from the model.

    Attributes
    ----------
    layers : tuple of int
        Zero-based layers.
    words : mapping of str to sequence of str
        Word lists ``pronouns`` and ``others`` of the claims file.
    fresh_count, fresh_seed : int
        How many contexts to draw that nobody picked, and from which seed.
    clusters : str
        As `qkvcheck.contexts.clusters_of` takes it, or ``"explains-most"``: by the factor that explains most of the
        corpus' own target, over the layers and Q, K and V.
    batch_size : int
        Token positions a forward.
    exact_layout : bool
        As `qkvcheck.capture.capture` takes it.
    """

    layers: tuple[int, ...]
    words: Mapping[str, Sequence[str]]
    fresh_count: int = 59
    fresh_seed: int = 0
    clusters: str = "auto"
    batch_size: int = BATCH_SIZE
    exact_layout: bool = False

    @property
    def sha256(self) -> str:
        """Hash of what is captured besides the contexts: word lists, fresh contexts, clusters."""
        words = {name: list(listed) for name, listed in self.words.items()}
        told = json.dumps([words, self.fresh_count, self.fresh_seed, self.clusters], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Variant:
    """How a control departs from the target.

    Attributes
    ----------
    change : callable or None
        What is done to a set of contexts before it is captured.
    position : str
        ``"target"``, or ``"preceding"`` for the token before it.
    refused : mapping of Capture to str
        Captures that make no sense under it, and why.
    """

    change: Callable[[ContextSet], ContextSet] | None = None
    position: str = TARGET
    refused: Mapping[Capture, str] | None = None


def _row(captured: Activations, number: int) -> Activations:
    """Return one context of a capture."""
    seen = None if captured.seen is None else (captured.seen[number],)
    factors = {name: (told[number],) for name, told in captured.factors.items()}
    return replace(captured, values=captured.values[[number]], seen=seen, factors=factors)


def _key_of(context: Context, layer: int) -> tuple[int, tuple[int, ...], int]:
    return layer, context.token_ids, context.target_index


class Samples:
    """What experiments measure of one model, captured when first asked for and then kept.

    Parameters
    ----------
    hooked : HookedModel
        The model.
    contexts : ContextSet
        The corpus.
    plan : Plan
        Layers, words, fresh contexts.
    variant : Variant
        How a control departs from the target.
    """

    def __init__(
        self, hooked: HookedModel, contexts: ContextSet, plan: Plan, *, variant: Variant | None = None
    ) -> None:
        self.hooked = hooked
        self.contexts = contexts
        self.plan = plan
        self._variant = variant or Variant()
        self._asked_target = contexts.target  # a control may put another word in its place
        self._grids: dict[str, Activations] = {}
        self._twin: tuple[int, Samples] | None = None
        self._alone: dict[tuple[int, tuple[int, ...], int], Activations] = {}

    @property
    def layers(self) -> tuple[int, ...]:
        """Zero-based layers that are captured."""
        return self.plan.layers

    @property
    def name(self) -> str:
        """Where they come from, for messages."""
        return str(self.hooked.spec)

    def captured(self, capture: Capture | str) -> Captured:
        """Return a capture by its name; the same object each time.

        Raises
        ------
        NotCapturedError
            If it makes no sense under the control's variant.
        """
        made: dict[Capture, Callable[[], Captured]] = {
            Capture.TARGET: lambda: self.target,
            Capture.WORDS: self.words,
            Capture.WORDS_AND_WEIGHTS: lambda: self.words_and_weights,
            Capture.GENERIC_REMOVED: lambda: self.generic_removed,
            Capture.FRESH: lambda: self._fresh_and_target,
            Capture.MATCHED: lambda: self.matched,
            Capture.EVERY_LAYER: lambda: self.profile,
        }
        return made[capture_named(capture)]()

    def together(self, captures: Iterable[Capture]) -> dict[Capture, Captured | str]:
        """Return several captures by their names, or in words why one makes no sense here.

        Where every layer is wanted, the target is taken out of that: the same forward, run to the end.
        """
        wanted = list(captures)
        found: dict[Capture, Captured | str] = {}
        if Capture.EVERY_LAYER in wanted and "target" not in self.__dict__:
            with suppress(NotCapturedError):
                self.__dict__["target"] = self.profile.only(self.layers)
        for one in wanted:
            try:
                found[one] = self.captured(one)
            except NotCapturedError as error:
                found[one] = str(error)  # the error itself would hold the model, by its frames
        return found

    def of_model(self, hooked: HookedModel) -> Samples:
        """Return the same samples of another model."""
        return self._like(hooked=hooked)

    def untrained(self, seed: int) -> Samples:
        """Return the same samples of the model's untrained twin; the last one asked for is kept."""
        if self._twin is None or self._twin[0] != seed:
            self._twin = None  # before the next one is drawn: there is room for one
            self._twin = seed, self.of_model(untrained_twin(self.hooked, seed=seed))
        return self._twin[1]

    def under(self, variant: Variant, *, contexts: ContextSet | None = None) -> Samples:
        """Return the samples of the same model under a control's variant."""
        return self._like(variant=variant, contexts=contexts)

    def at_layers(self, layers: Sequence[int]) -> Samples:
        """Return the same samples at other layers."""
        return self._like(plan=replace(self.plan, layers=tuple(layers)))

    def _like(
        self,
        *,
        hooked: HookedModel | None = None,
        contexts: ContextSet | None = None,
        plan: Plan | None = None,
        variant: Variant | None = None,
    ) -> Samples:
        # Controls, twins and other layers have the clusters of the corpus' own target, so that they can be paired.
        plan = replace(plan or self.plan, clusters=self._clustering)
        other = Samples(hooked or self.hooked, contexts or self.contexts, plan, variant=variant or self._variant)
        other._asked_target = self._asked_target
        return other

    def alone(self, context: Context, layer: int) -> Activations:
        """Return the target of one further context at a layer, (1, 1, width): no layer behind it is computed."""
        self.prepare([context], layer)
        return self._alone[_key_of(context, layer)]

    def prepare(self, contexts: Sequence[Context], layer: int) -> None:
        """Capture those of some further contexts that `alone` has not returned yet, in one forward."""
        new = {key: one for one in contexts if (key := _key_of(one, layer)) not in self._alone}
        if not new:
            return
        # The forward passes the layers before it anyhow.
        passed = sorted({*(one for one in self.layers if one < layer), layer})
        captured = self._run(replace(self.contexts, contexts=tuple(new.values())), layers=tuple(passed))
        for number, context in enumerate(new.values()):
            row = _row(captured, number)
            self._alone |= {_key_of(context, one): row.only((one,)) for one in passed}

    @cached_property
    def everywhere(self) -> Activations:
        """Every position of every context, right-padded: (context, layer, token, width)."""
        return self._capture(self.contexts, ALL)

    @cached_property
    def target(self) -> Activations:
        """The target of every context: (context, layer, width)."""
        self._refuse(Capture.TARGET)
        return self._capture(self.contexts, self._variant.position)

    @cached_property
    def preceding(self) -> Activations:
        """The token before the target of every context: (context, layer, width)."""
        return self._capture(self.contexts, PRECEDING)

    @cached_property
    def fresh(self) -> Activations:
        """The target in contexts that nobody picked: (context, layer, width)."""
        self._refuse(Capture.FRESH)
        drawn = draw_contexts(
            self.hooked.encoder,
            count=self.plan.fresh_count,
            rng=np.random.default_rng(self.plan.fresh_seed),
            target=self.contexts.target,
            target_id=self.contexts.target_id,
            earlier=self.contexts.earlier,
            exclude=frozenset(context.prefix for context in self.contexts.contexts),
        )
        return self._capture(drawn, self._variant.position)

    @cached_property
    def _fresh_and_target(self) -> tuple[Activations, Activations]:
        return self.fresh, self.target

    @cached_property
    def matched(self) -> tuple[Activations, Activations]:
        """Target and preceding token of the balanced corpus, each position equally often in both."""
        self._refuse(Capture.MATCHED)
        if self._asked_target != BALANCED_TARGET:
            raise NotCapturedError(
                f"the balanced corpus holds {BALANCED_TARGET!r}, and the target is {self._asked_target!r}"
            )
        return self._matched(encode_corpus(read_corpus("balanced"), self.hooked.encoder, target=BALANCED_TARGET))

    @cached_property
    def matched_within(self) -> tuple[Activations, Activations]:
        """Target and preceding token of these contexts, each position equally often in both."""
        self._refuse(Capture.MATCHED)
        return self._matched(self.contexts)

    def _matched(self, contexts: ContextSet) -> tuple[Activations, Activations]:
        target_rows, preceding_rows = match_positions(contexts)
        if not target_rows:
            raise NotCapturedError(
                f"no position holds {contexts.target!r} in one of the contexts and what stands before it in another"
            )
        # The clusters are those of the whole corpus, so that both arms name them alike.
        clusters, kind = self._clusters(contexts)
        arms = []
        for rows, position in ((target_rows, TARGET), (preceding_rows, PRECEDING)):
            captured = self._capture(contexts.subset(rows), position)
            provenance = {**captured.provenance, "clusters": kind}
            arms.append(replace(captured, clusters=tuple(clusters[row] for row in rows), provenance=provenance))
        return arms[0], arms[1]

    def words(self, subset: str = "") -> Activations:
        """Each context continued with each word: (context, layer, word, width); the target is word 0.

        Parameters
        ----------
        subset : {"", "pronouns", "others"}
            Which word list; empty for both.
        """
        self._refuse(Capture.WORDS)
        if subset not in self._grids:
            grid = self._word_grid
            keep = grid.subsets[subset] if subset else tuple(range(grid.values.shape[2]))
            taken = np.take(grid.values, keep, axis=2)
            whole = subset == ""
            self._grids[subset] = grid if whole else replace(grid, values=taken, subsets={})
        return self._grids[subset]

    @cached_property
    def some_words(self) -> Activations:
        """The words grid for what only needs other tokens: of many contexts that of `SCORED`, drawn."""
        contexts = self.contexts
        drawn = drawn_rows(len(contexts), SCORED)
        if len(drawn) == len(contexts):
            return self.words()
        return self._like(contexts=contexts.subset(drawn.tolist())).words()

    @cached_property
    def generic_removed(self) -> Activations:
        """The target less the mean of all other words in the same contexts: (context, layer, width).

        One mean over words and contexts is taken off every row: what is left of the offset is the token's own.
        """
        self._refuse(Capture.WORDS)
        return without_generic(self.target, self.words())

    @cached_property
    def words_and_weights(self) -> Activations:
        """The words grid with one more word, what the weights put out alone: (context, layer, word, width)."""
        grid, model = self.words(), self.hooked.reaching(max(self.layers))
        found = [model.architecture.weights_alone(model.model, layer) for layer in self.layers]
        alone = [one.detach().to("cpu").float().numpy() for one in found if one is not None]
        if len(alone) < len(found):
            raise NotCapturedError(
                f"before the projections of {model.spec} no norm adds a bias: the weights put out nothing alone"
            )
        last = np.broadcast_to(np.stack(alone)[None, :, None], (len(self.contexts), len(alone), 1, len(alone[0])))
        recipe = f"{grid.provenance.get('recipe')} and the weights alone"
        return replace(
            grid,
            values=np.concatenate([grid.values, last], axis=2),
            subsets={},
            provenance={**grid.provenance, "recipe": recipe},
        )

    @cached_property
    def profile(self) -> Activations:
        """The target at every layer: (context, layer, width)."""
        return self.at_layers(range(self.hooked.depth)).target

    @cached_property
    def _word_grid(self) -> Activations:
        listed = listed_words(self.plan.words, self.contexts.target)
        grid = capture_words(
            self.hooked,
            self.contexts,
            listed,
            layers=self.layers,
            batch_size=self.plan.batch_size,
            exact_layout=self.plan.exact_layout,
        )
        return self._clustered(replace(grid, subsets=subsets_of(self.plan.words, listed)), self.contexts)

    def _refuse(self, what: Capture) -> None:
        reason = (self._variant.refused or {}).get(what)
        if reason is not None:
            raise NotCapturedError(reason)

    def _capture(self, contexts: ContextSet, positions: str) -> Activations:
        changed = contexts if self._variant.change is None else self._variant.change(contexts)
        return self._clustered(self._run(changed, positions), contexts)

    def _run(
        self, contexts: ContextSet, positions: str = TARGET, *, layers: tuple[int, ...] | None = None
    ) -> Activations:
        return capture(
            self.hooked,
            contexts,
            layers=layers or self.layers,
            positions=positions,
            batch_size=self.plan.batch_size,
            exact_layout=self.plan.exact_layout,
        )

    def _clustered(self, captured: Activations, contexts: ContextSet) -> Activations:
        clusters, kind = self._clusters(contexts)
        return replace(captured, clusters=clusters, provenance={**captured.provenance, "clusters": kind})

    def _clusters(self, contexts: ContextSet) -> tuple[tuple[str, ...], str]:
        return clusters_of(contexts, self._clustering, causal=self.hooked.architecture.causal)

    @cached_property
    def _clustering(self) -> str:
        """How contexts are clustered, as `clusters_of` takes it."""
        if self.plan.clusters != EXPLAINS_MOST:
            return self.plan.clusters
        captured = self._run(self.contexts)
        factors = governing_factors([sample_of(captured, layer=layer).rows for layer in self.layers])
        return _BY_FACTOR[factors[0]] if factors else "prefix"
