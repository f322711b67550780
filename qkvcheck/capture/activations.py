"""Activations: captured arrays with named axes, the places of Q, K and V in them, and where they came from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from platform import python_version

import numpy as np

from qkvcheck.errors import CaptureError, NotCapturedError
from qkvcheck.groups import HEADS_UNKNOWN, Stage, Turns, head_count, head_read, heads_obstacle
from qkvcheck.statistics import Sample

SCHEMA = "qkvcheck/activations/1"
_ROUNDING = {"bfloat16": 2.0**-7, "float16": 2.0**-10}
"""Relative rounding of the number formats that are narrower than what captures are kept in."""
AXES = (
    ("context", "layer", "width"),
    ("context", "layer", "token", "width"),
    ("context", "layer", "word", "width"),
)
"""The axes that captures have."""


@dataclass(frozen=True, eq=False)
class Activations:
    """Captured attention projections.

    Attributes
    ----------
    values : ndarray of float32
        Shaped as `axes` says: (context, layer, width), with a token axis (context, layer, token, width) where
        all positions were captured, or with a word axis (context, layer, word, width) where each context was
        continued with several words.
    axes : tuple of str
        Names of the axes.
    layers : tuple of int
        Zero-based layers along the layer axis.
    projections : mapping of str to slice
        Where Q, K and V stand along the width.
    mask : ndarray of bool, optional
        (context, token): true where there is a token, false where there is padding.
    provenance : mapping of str to str
        Model, corpus, ``dtype``, and ``recipe``: a hash of what was run, whatever the weights.
    clusters : tuple of str, optional
        Each context's cluster: those that share one leave a jackknife together.
    subsets : mapping of str to tuple of int
        Named selections along a word axis.
    seen : tuple of str, optional
        For each context a hash of what the model had seen where it was captured (of a word axis, at its first word):
        contexts that share it are one. None where tokens are not known.
    heads : mapping of str to int
        How many heads Q, K and V have, which stand head after head along the width; with grouped queries K and V have
        fewer. Empty where that is not known.
    stage : Stage
        Where on their way they were taken.
    factors : mapping of str to tuple of str
        What is told of each context, by the names of `qkvcheck.groups.FACTORS`; empty where that is not known.
    turns : tuple of Turns
        For each layer, which rotations of a head change no score; empty where that is not known.

    Examples
    --------
    >>> import numpy as np
    >>> places = {"Q": slice(0, 2), "K": slice(2, 4), "V": slice(4, 6)}
    >>> captured = Activations(np.zeros((54, 1, 6), np.float32), ("context", "layer", "width"), (6,), places)
    >>> captured, captured.projection(6, "K").shape
    (Activations(54 context x 1 layer x 6 width; layers 6), (54, 2))
    """

    values: np.ndarray
    axes: tuple[str, ...]
    layers: tuple[int, ...]
    projections: Mapping[str, slice]
    mask: np.ndarray | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    clusters: tuple[str, ...] | None = None
    subsets: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seen: tuple[str, ...] | None = None
    heads: Mapping[str, int] = field(default_factory=dict)
    stage: Stage = Stage.PROJECTION
    factors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    turns: tuple[Turns, ...] = ()
    _samples: dict[tuple[object, ...], Sample] = field(default_factory=dict, init=False, repr=False)

    def at(self, layer: int) -> np.ndarray:
        """Return the values of one layer (zero-based), without the layer axis.

        Raises
        ------
        CaptureError
            If that layer was not captured.
        """
        if layer not in self.layers:
            raise CaptureError(
                f"layer {layer} (zero-based) was not captured; captured: {', '.join(map(str, self.layers))}. "
                "Name it in --qkv-layers."
            )
        values: np.ndarray = np.take(self.values, self.layers.index(layer), axis=self.axes.index("layer"))
        return values

    def projection(self, layer: int, name: str) -> np.ndarray:
        """Return Q, K or V of one layer: `at` cut to the projection's part of the width.

        Raises
        ------
        CaptureError
            If that layer or projection was not captured.
        """
        if name not in self.projections:
            raise CaptureError(f"projection {name!r} was not captured; captured: {', '.join(self.projections)}.")
        return self.at(layer)[..., self.projections[name]]

    def only(self, layers: Sequence[int]) -> Activations:
        """Return the same at some of its layers.

        Raises
        ------
        CaptureError
            If one of them was not captured.
        """
        stacked = np.stack([self.at(layer) for layer in layers], axis=self.axes.index("layer"))
        recipe = f"{self.provenance.get('recipe')} at layers {', '.join(map(str, layers))}"
        return replace(self, values=stacked, layers=tuple(layers), provenance={**self.provenance, "recipe": recipe})

    def __repr__(self) -> str:
        shape = " x ".join(f"{size} {name}" for name, size in zip(self.axes, self.values.shape, strict=True))
        return f"Activations({shape}; layers {', '.join(map(str, self.layers))})"

    def recorded(self, *, texts: Sequence[str], **described: object) -> Activations:
        """Return the same with what a reader of the file will want to know: where, from what, with which versions.

        Parameters
        ----------
        texts : sequence of str
            The sentences.
        **described : object
            Further provenance, each value as text.
        """
        versions = {name: metadata.version(name) for name in ("qkvcheck", "torch", "transformers", "numpy")}
        told = {name: str(value) for name, value in described.items()}
        further = {"texts": json.dumps(list(texts)), "versions": json.dumps(versions), "python": python_version()}
        return replace(self, provenance={**self.provenance, **told, **further})

    def save(self, path: str | Path) -> None:
        """Write values, mask and provenance as one safetensors file, the whole of it or nothing."""
        from safetensors.numpy import save_file

        arrays = {"values": np.ascontiguousarray(self.values)}
        if self.mask is not None:
            arrays["mask"] = self.mask
        layout: dict[str, object] = {
            "axes": list(self.axes),
            "layers": list(self.layers),
            "blocks": {name: [part.start, part.stop] for name, part in self.projections.items()},
        }
        if self.seen is not None:
            layout["seen"] = list(self.seen)
        if self.heads:
            layout["heads"] = dict(self.heads)
        if self.stage is not Stage.PROJECTION:
            layout["stage"] = str(self.stage)
        if self.factors:
            layout["factors"] = {name: list(told) for name, told in self.factors.items()}
        if self.turns:
            layout["turns"] = [list(one) for one in self.turns]
        about = {"schema": SCHEMA, "layout": json.dumps(layout), "provenance": json.dumps(dict(self.provenance))}
        temporary = Path(path).with_name(f"{Path(path).name}.{os.getpid()}.tmp")
        try:
            save_file(arrays, temporary, metadata=about)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


Captured = Activations | tuple[Activations, ...]
"""What a statistic takes: one capture, or several of them."""


def heads_in(captured: Captured) -> Mapping[str, int]:
    """Return how many heads the projections of a capture have; empty where that is not known."""
    return (captured[0] if isinstance(captured, tuple) else captured).heads


def sample_of(captured: Captured, *, layer: int, head: int | None = None) -> Sample:
    """Return what a statistic takes, from one or more captures at a layer.

    The same captures give the same sample, so that the cells of a claim share what was computed of it; it is kept with
    the first of them.

    Parameters
    ----------
    captured : Activations or tuple of Activations
        What was captured.
    layer, head : int
        Zero-based. Of a head the sample holds the columns of its queries, and those of the keys and values that it
        reads; without one, all columns.

    Raises
    ------
    CaptureError
        If that layer was not captured, or has no such head.
    NotCapturedError
        If it is not known how many heads there are.

    Examples
    --------
    >>> import numpy as np
    >>> places, heads = {"Q": slice(0, 4), "K": slice(4, 6), "V": slice(6, 8)}, {"Q": 2, "K": 1, "V": 1}
    >>> rows = np.arange(8.0)[None, None].repeat(3, axis=0)
    >>> captured = Activations(rows, ("context", "layer", "width"), (6,), places, heads=heads)
    >>> sample_of(captured, layer=6, head=1).arrays[0][0].tolist()
    [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    parts = captured if isinstance(captured, tuple) else (captured,)
    kept, key = parts[0]._samples, (layer, head, *parts[1:])
    if key not in kept:
        clusters = tuple(part.clusters for part in parts if part.clusters is not None)
        arrays, projections = tuple(part.at(layer) for part in parts), parts[0].projections
        heads, turns = parts[0].heads, parts[0].turns
        if head is not None:
            heads = dict.fromkeys(heads, 1)
            cuts = [head_columns(part.projections, part.heads, head) for part in parts]
            arrays = tuple(array[..., columns] for array, (columns, _) in zip(arrays, cuts, strict=True))
            projections = cuts[0][1]
        kept[key] = Sample(
            arrays=arrays,
            projections=projections,
            clusters=clusters if len(clusters) == len(parts) else None,
            cluster_kind=parts[0].provenance.get("clusters", "distinct row"),
            subsets=parts[0].subsets,
            seen=tuple(part.seen for part in parts),
            rounding=_ROUNDING.get(parts[0].provenance.get("dtype", "")),
            heads=heads,
            turns=turns[parts[0].layers.index(layer)] if turns else None,
            factors=parts[0].factors,
        )
    return kept[key]


def head_columns(
    projections: Mapping[str, slice], heads: Mapping[str, int], head: int
) -> tuple[np.ndarray, dict[str, slice]]:
    """Return the columns of one head of Q, K and V, and where these stand once the width is cut to them.

    Parameters
    ----------
    projections : mapping of str to slice
        Where Q, K and V stand along the width, each head after head.
    heads : mapping of str to int
        How many heads each has.
    head : int
        Zero-based, of the queries; of K and V the head is taken that it reads.

    Raises
    ------
    CaptureError
        If there is no such head.
    NotCapturedError
        If it is not known how many heads there are.
    """
    check_head(heads, head)
    obstacle = heads_obstacle(heads, {name: place.stop - place.start for name, place in projections.items()})
    if obstacle is not None:
        raise CaptureError(
            f"these activations can't be cut into heads: {obstacle}. Check what says how many there are."
        )
    columns: list[np.ndarray] = []
    places: dict[str, slice] = {}
    at = 0
    for name, place in projections.items():
        size = (place.stop - place.start) // heads[name]
        start = place.start + head_read(head, name, heads) * size
        columns.append(np.arange(start, start + size))
        places[name] = slice(at, at + size)
        at += size
    return np.concatenate(columns), places


def check_head(heads: Mapping[str, int], head: int) -> None:
    """Raise `NotCapturedError` where the number of heads is not known, and `CaptureError` for one that is not there."""
    count = head_count(heads)
    if not count:
        raise NotCapturedError(HEADS_UNKNOWN)
    if head >= count:
        raise CaptureError(
            f"there is no head {head} (zero-based); a layer has {count}, 0 to {count - 1}. Check heads and --qkv-heads."
        )
