"""Controls: the same measurement where the claim should not hold, so that a control can take it away.

``non-target``
    The token before the target, in the same sentences. Different words stand there, so it is lower for a
    trivial reason too: variance between words. It says whether anything is special about the target at all.
``untrained``
    A network of the same configuration with freshly drawn weights. What it shows as well, training did not
    make. One seed says whether it passes the same criterion, not how specific the claim is to training.
``shuffled``
    All entries of the captured array permuted together. A reference line: nearly any structure breaks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from qkvcheck.activations import Activations
from qkvcheck.capture import ALL, BATCH_SIZE, PRECEDING, TARGET, capture, capture_words
from qkvcheck.contexts import ContextSet, match_positions
from qkvcheck.corpora import encode_corpus, read_corpus
from qkvcheck.models import HookedModel, untrained_twin
from qkvcheck.sampling import draw_contexts
from qkvcheck.verdicts import Sample


class Samples:
    """What experiments measure of one model, captured when first asked for and then kept.

    Parameters
    ----------
    hooked : HookedModel
        The model.
    contexts : ContextSet
        The corpus.
    layers : sequence of int
        Zero-based layers.
    words : mapping of str to sequence of str
        Word lists ``pronouns`` and ``others`` of the claims file.
    fresh_count, fresh_seed : int
        How many contexts to draw that nobody picked, and from which seed.
    batch_size : int
        Contexts a forward.
    """

    def __init__(
        self,
        hooked: HookedModel,
        contexts: ContextSet,
        *,
        layers: Sequence[int],
        words: Mapping[str, Sequence[str]],
        fresh_count: int,
        fresh_seed: int,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.hooked = hooked
        self.contexts = contexts
        self.layers = tuple(layers)
        self._words = words
        self._fresh = (fresh_count, fresh_seed)
        self._batch_size = batch_size

    def beside(self, hooked: HookedModel) -> Samples:
        """Return the same samples of another model."""
        count, seed = self._fresh
        return Samples(
            hooked,
            self.contexts,
            layers=self.layers,
            words=self._words,
            fresh_count=count,
            fresh_seed=seed,
            batch_size=self._batch_size,
        )

    @cached_property
    def everywhere(self) -> Activations:
        """Every position of every context, right-padded: (context, layer, token, width)."""
        return self._capture(self.contexts, ALL)

    @cached_property
    def target(self) -> Activations:
        """The target of every context: (context, layer, width)."""
        return self._capture(self.contexts, TARGET)

    @cached_property
    def preceding(self) -> Activations:
        """The token before the target of every context: (context, layer, width)."""
        return self._capture(self.contexts, PRECEDING)

    @cached_property
    def fresh(self) -> Activations:
        """The target in contexts that nobody picked: (context, layer, width)."""
        count, seed = self._fresh
        drawn = draw_contexts(
            self.hooked.encoder,
            count=count,
            rng=np.random.default_rng(seed),
            target=self.contexts.target,
            target_id=self.contexts.target_id,
            exclude=frozenset(context.prefix for context in self.contexts.contexts),
        )
        return self._capture(drawn, TARGET)

    @cached_property
    def matched(self) -> tuple[Activations, Activations]:
        """Target and preceding token of the balanced corpus, each position equally often in both."""
        balanced = encode_corpus(read_corpus("balanced"), self.hooked.encoder, target=" her")
        target_rows, preceding_rows = match_positions(balanced)
        return (
            self._capture(balanced.subset(target_rows), TARGET),
            self._capture(balanced.subset(preceding_rows), PRECEDING),
        )

    def words(self, subset: str = "") -> Activations:
        """Each context continued with each word: (context, layer, word, width); the target is word 0.

        Parameters
        ----------
        subset : {"", "pronouns", "others"}
            Which word list; empty for both.
        """
        grid, listed = self._word_grid
        keep = [listed.index(word) for word in (listed if not subset else self._words[subset]) if word in listed]
        return replace(grid, values=np.take(grid.values, keep, axis=2))

    @cached_property
    def _word_grid(self) -> tuple[Activations, list[str]]:
        every = [*self._words["pronouns"], *self._words["others"]]
        listed = [self.contexts.target, *(word for word in every if word != self.contexts.target)][: len(every)]
        grid = capture_words(self.hooked, self.contexts, listed, layers=self.layers, batch_size=self._batch_size)
        return grid, listed

    def _capture(self, contexts: ContextSet, positions: str) -> Activations:
        return capture(self.hooked, contexts, layers=self.layers, positions=positions, batch_size=self._batch_size)


Captured = Activations | tuple[Activations, ...]
"""What a statistic takes: one capture, or several of them."""


class Controls:
    """The controls of one model, by name.

    Parameters
    ----------
    samples : Samples
        Of the model under test.
    seed : int
        Of the shuffle and of the untrained twin.
    """

    def __init__(self, samples: Samples, *, seed: int) -> None:
        self._samples = samples
        self._seed = seed

    @cached_property
    def untrained(self) -> Samples:
        """The same samples of an untrained twin."""
        return self._samples.beside(untrained_twin(self._samples.hooked, seed=self._seed))

    def of(self, choose: Callable[[Samples], Captured]) -> Mapping[str, Captured]:
        """Return the controls that go with a measurement; each is captured when it is looked up.

        Parameters
        ----------
        choose : callable
            Takes from a model's samples what is measured, such as ``lambda samples: samples.target``.
        """
        makers: dict[str, Callable[[], Captured]] = {
            "untrained": lambda: choose(self.untrained),
            "shuffled": lambda: self._shuffle(choose(self._samples)),
        }
        if min(self._samples.contexts.target_indices) > 0:
            makers["non-target"] = lambda: self._samples.preceding
        return _Lazy(makers)

    def _shuffle(self, captured: Captured) -> Captured:
        rng = np.random.default_rng(self._seed)
        if isinstance(captured, tuple):
            return tuple(shuffled(part, rng=rng) for part in captured)
        return shuffled(captured, rng=rng)


def shuffled(activations: Activations, *, rng: np.random.Generator) -> Activations:
    """Return the activations with all entries of each layer permuted together.

    Parameters
    ----------
    activations : Activations
        With layers along axis 1.
    rng : numpy.random.Generator
        Source of the permutation.
    """
    values = np.empty_like(activations.values)
    for place in range(len(activations.layers)):
        layer = activations.values[:, place]
        values[:, place] = rng.permutation(layer.ravel()).reshape(layer.shape)
    return replace(activations, values=values)


def sample_of(captured: Captured, *, layer: int) -> Sample:
    """Return what a statistic takes, from one or more captures at a layer."""
    parts = captured if isinstance(captured, tuple) else (captured,)
    return Sample(tuple(part.at(layer) for part in parts), parts[0].blocks)


class _Lazy(Mapping[str, Captured]):
    """A mapping whose values are made when they are looked up."""

    def __init__(self, makers: Mapping[str, Callable[[], Captured]]) -> None:
        self._makers = makers

    def __getitem__(self, name: str) -> Captured:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)
