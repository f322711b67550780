"""Submission: activations that another tool captured, read from a file and judged as if they were our own.

The file is safetensors or npz and holds::

    target           (context, layer, width) or (context, width), floating: the target's Q | K | V in each context
    layers           (layer,), whole numbers: zero-based layers along the layer axis
    widths           (3,), whole numbers: widths of Q, K and V; they add up to width
    heads            optional, (3,), whole numbers: heads of Q, K and V, which stand head after head along the width
    stage            optional text: "projection" (as the projections put them out; taken where nothing is said), or
                     "attention" (Q and K as attention compares them, after rotary embedding and normalisation)
    preceding        optional, shaped as target: the token before the target in each context
    words            optional, (context, layer, word, width): each context continued with each word, the target first
    untrained        optional, (network, context, layer, width): the target in untrained networks
    untrained_words  optional, (network, context, layer, word, width): the words in untrained networks
    texts            optional: the sentences, so that contexts can be clustered by first word
    word_texts       needed with words: the words, with their leading space
                     (npz: an array of strings; safetensors: a JSON list in the metadata)

What `Activations.save` wrote is read too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qkvcheck.capture.activations import SCHEMA, Activations, Captured
from qkvcheck.capture.loaded import load_activations
from qkvcheck.capture.samples import Samples, listed_words, subsets_of, without_generic
from qkvcheck.capture.source import capture_named
from qkvcheck.capture.submitted import Submitted, read_npz_submission, read_safetensors_submission, text_list
from qkvcheck.contexts import LEAST_FIRST_WORDS
from qkvcheck.errors import CaptureError, NotCapturedError, shown
from qkvcheck.groups import PROJECTIONS, TURNS_UNTOLD, Capture, Stage, Turns
from qkvcheck.inputs import Given, read_tensor_header


@dataclass(frozen=True, eq=False)
class FileSource:
    """What a file of activations holds; a `qkvcheck.capture.source.Source`.

    Attributes
    ----------
    target : Activations
        The target's rows, (context, layer, width).
    preceding : Activations or None
        Those of the token before it.
    texts : tuple of str, or None
        The sentences.
    name : str
        The file's name.
    sha256 : str
        Hash of the file.
    grid : Activations or None
        Each context continued with each word, (context, layer, word, width).
    word_texts : tuple of str
        These words, the target first.
    networks : tuple of FileSource
        What untrained networks gave for the same contexts.
    lists : mapping of str to sequence of str, or None
        Word lists of the claims file; without them all words of the file are taken.
    stage : Stage or None
        Where on their way they were taken, as far as the file says it.
    """

    target: Activations
    preceding: Activations | None
    texts: tuple[str, ...] | None
    name: str
    sha256: str
    grid: Activations | None = None
    word_texts: tuple[str, ...] = ()
    networks: tuple[FileSource, ...] = ()
    lists: Mapping[str, Sequence[str]] | None = field(default=None)
    stage: Stage | None = None

    @property
    def layers(self) -> tuple[int, ...]:
        """Zero-based layers that it holds."""
        return self.target.layers

    @property
    def depth(self) -> int | None:
        """Number of layers of the model, where the file holds every one from the first; else None: it does not say."""
        return len(self.layers) if len(self.layers) > 1 and self.layers == tuple(range(len(self.layers))) else None

    def captured(self, capture: Capture | str) -> Captured:
        """Return a capture by its name; the same object each time.

        Raises
        ------
        NotCapturedError
            If the file does not hold it.
        """
        named = capture_named(capture)
        if named == Capture.TARGET:
            return self.target
        if self.grid is None or named not in (Capture.WORDS, Capture.GENERIC_REMOVED):
            raise self.lacks(NOT_HELD[named])
        return self._listed if named == Capture.WORDS else self._without_generic

    def at_word(self, word: str) -> Activations:
        """Return the rows of one of its words in the target's place: (context, layer, width)."""
        if self.grid is None or word not in self.word_texts:
            raise self.lacks(f"the word {word!r}")
        values = np.take(self.grid.values, self.word_texts.index(word), axis=2)
        return replace(self.target, values=np.ascontiguousarray(values))

    @cached_property
    def _listed(self) -> Activations:
        """The words of the claims file's lists, in their order, as a capture of our own has them."""
        assert self.grid is not None
        if self.lists is None:
            return self.grid
        listed = listed_words(self.lists, self.word_texts[0])
        absent = [word for word in listed if word not in self.word_texts]
        if absent:
            raise NotCapturedError(
                f"{self.name} holds {len(listed) - len(absent)} of the {len(listed)} words that the claims file names, "
                f"not {', '.join(shown(word, most=30) for word in absent[:3])}"
            )
        values = np.take(self.grid.values, [self.word_texts.index(word) for word in listed], axis=2)
        return replace(self.grid, values=values, subsets=subsets_of(self.lists, listed))

    @cached_property
    def _without_generic(self) -> Activations:
        return without_generic(self.target, self._listed)

    def lacks(self, what: str) -> NotCapturedError:
        """Return the error that says what the file does not hold."""
        held = [
            "the target's rows",
            *([f"{len(self.word_texts)} words"] if self.grid is not None else []),
            *([f"{len(self.networks)} untrained network(s)"] if self.networks else []),
        ]
        return NotCapturedError(f"{self.name} holds {' and '.join(held)} only, not {what}")

    def __getattr__(self, name: str) -> Any:
        """Say of what `Samples` has and a file does not that it is not held: a claim that asks for it is not judged."""
        if not name.startswith("_") and (hasattr(Samples, name) or name in ("hooked", "contexts", "plan")):
            raise self.lacks(name.replace("_", " "))
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


NOT_HELD: Mapping[Capture, str] = {
    Capture.WORDS: "other words in the target's place",
    Capture.WORDS_AND_WEIGHTS: "other words in the target's place and what the weights put out alone",
    Capture.GENERIC_REMOVED: "other words in the target's place",
    Capture.FRESH: "contexts that nobody picked",
    Capture.MATCHED: "the balanced corpus",
    Capture.EVERY_LAYER: "every layer",
}
"""What a capture needs that a file of activations does not hold."""


def read_submission(path: str | Path, *, words: Mapping[str, Sequence[str]] | None = None) -> FileSource:
    """Read activations that another tool captured; see the module for the schema.

    Parameters
    ----------
    path : str or Path
        A safetensors or npz file.
    words : mapping of str to sequence of str, optional
        Word lists of the claims file: of the words of the file these are taken.

    Raises
    ------
    CaptureError
        If the file can't be read or is not of the schema.
    """
    path = Path(path)
    given = Given(
        path,
        "activations",
        CaptureError,
        "give a safetensors or npz file with target, layers and widths (docs/referee.md). Check --qkv-activations",
    )
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".safetensors"):
        given.check()
        raise given.refused(f"is of a kind that is not read ({shown(suffix)})")
    sha256 = _hash(given)
    if suffix == ".npz":
        return _source(path, sha256, read_npz_submission(given), words)
    header = read_tensor_header(given)
    if header.metadata.get("schema") == SCHEMA:
        return _own(path, sha256, given)
    return _source(path, sha256, read_safetensors_submission(given, header), words)


def _hash(given: Given) -> str:
    digest = hashlib.sha256()
    with given.opened() as (file, _):
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _source(path: Path, sha256: str, held: Submitted, lists: Mapping[str, Sequence[str]] | None) -> FileSource:
    clusters, kind = _clusters(held.texts)

    def activations(values: np.ndarray | None) -> Activations | None:
        if values is None:
            return None
        axes = ("context", "layer", "width") if values.ndim == 3 else ("context", "layer", "word", "width")
        provenance = {"file": path.name, "clusters": kind, "dtype": held.dtype}
        return Activations(
            values=values,
            axes=axes,
            layers=held.layers,
            projections=held.blocks,
            provenance=provenance,
            clusters=None if clusters is None else tuple(clusters),
            heads=held.heads,
            stage=held.stage or Stage.PROJECTION,
            turns=(Turns() if held.stage is Stage.ATTENTION else TURNS_UNTOLD,) * len(held.layers),
        )

    def source(prefix: str, network: int | None = None) -> FileSource:
        target, grid = (
            activations(array if array is None or network is None else array[network])
            for array in (held.arrays.get(prefix or "target"), held.arrays.get(f"{prefix}_words".lstrip("_")))
        )
        assert target is not None
        name = path.name if network is None else f"{path.name}, untrained network {network + 1},"
        return FileSource(
            target, None, held.texts, name, sha256, grid, held.word_texts or () if grid else (), lists=lists
        )

    untrained = held.arrays.get("untrained")
    return replace(
        source(""),
        preceding=activations(held.arrays.get("preceding")),
        networks=() if untrained is None else tuple(source("untrained", n) for n in range(len(untrained))),
        stage=held.stage,
    )


def _own(path: Path, sha256: str, given: Given) -> FileSource:
    """Take what `Activations.save` wrote."""
    captured = load_activations(path)
    if captured.axes != ("context", "layer", "width"):
        raise given.refused(f"holds axes {', '.join(captured.axes)}; needed are context, layer, width")
    absent = [name for name in PROJECTIONS if name not in captured.projections]
    if absent:
        raise given.refused(f"holds no {', '.join(absent)}; needed are Q, K and V")
    told = captured.provenance.get("texts")
    texts = None if told is None else text_list(given, "texts", told)
    if texts is not None and len(texts) != len(captured.values):
        raise given.refused(f"has {len(texts)} texts for {len(captured.values)} contexts", do="record it again")
    clusters, kind = _clusters(texts)
    provenance = {**captured.provenance, "clusters": kind}
    held = replace(captured, clusters=clusters, provenance=provenance)
    return FileSource(held, None, texts, path.name, sha256, stage=captured.stage)


def _clusters(texts: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, str]:
    first_words = [text.split(" ")[0] for text in texts or ()]
    if len(set(first_words)) >= LEAST_FIRST_WORDS:
        return tuple(first_words), "first word"
    return None, "distinct row"
