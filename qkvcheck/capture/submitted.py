"""Submitted: the arrays of a file of activations, each checked against one schema before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from qkvcheck.capture.loaded import arrays_of
from qkvcheck.errors import shown
from qkvcheck.groups import PROJECTIONS, Stage, heads_obstacle
from qkvcheck.inputs import Given, TensorHeader, read_npz

NETWORK, CONTEXT, LAYER, WORD, WIDTH = "network", "context", "layer", "word", "width"
AXES: Mapping[str, tuple[str, ...]] = {
    "target": (CONTEXT, LAYER, WIDTH),
    "preceding": (CONTEXT, LAYER, WIDTH),
    "words": (CONTEXT, LAYER, WORD, WIDTH),
    "untrained": (NETWORK, CONTEXT, LAYER, WIDTH),
    "untrained_words": (NETWORK, CONTEXT, LAYER, WORD, WIDTH),
}
"""The arrays of numbers that a file may hold, and their axes; all but the first are optional."""
WHOLE = ("layers", "widths")
HEADS, STAGE = "heads", "stage"
TEXTS = ("texts", "word_texts")
KNOWN = (*AXES, *WHOLE, HEADS, *TEXTS, STAGE)
NEEDS = {"words": "word_texts", "word_texts": "words", "untrained_words": "words"}
"""What makes sense only beside something else."""
FLOATING = {"F16": 2, "F32": 4, "F64": 8}
_SEE = "see docs/referee.md"
_CLOSE = 0.05
"""How far word 0 may be from the target, against the size of the numbers; other captures of the same are closer."""


@dataclass(frozen=True, eq=False)
class Submitted:
    """What a file of activations holds.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        By the names of `AXES`, with all their axes; float32, or float64 where the file has that.
    layers : tuple of int
        Zero-based layers along the layer axis.
    blocks : mapping of str to slice
        Where Q, K and V stand along the width.
    texts, word_texts : tuple of str, or None
        The sentences, and the words along the word axis.
    dtype : str
        The target's number format in the file, by which its rows were rounded.
    heads : mapping of str to int
        How many heads Q, K and V have; empty where the file does not say.
    stage : Stage or None
        None where the file does not say.
    """

    arrays: Mapping[str, np.ndarray]
    layers: tuple[int, ...]
    blocks: Mapping[str, slice]
    texts: tuple[str, ...] | None
    word_texts: tuple[str, ...] | None
    dtype: str
    heads: Mapping[str, int]
    stage: Stage | None


def read_npz_submission(given: Given) -> Submitted:
    """Read an npz archive of the schema; raises `CaptureError` for any other."""
    arrays = read_npz(given, wanted=KNOWN)
    stage = arrays.pop(STAGE, None)
    told = None if stage is None else _texts_of_array(given, STAGE, stage.reshape(-1))
    texts = {name: _texts_of_array(given, name, arrays.pop(name)) for name in TEXTS if name in arrays}
    return _submitted(given, arrays, texts, told)


def read_safetensors_submission(given: Given, header: TensorHeader) -> Submitted:
    """Read a safetensors file of the schema; raises `CaptureError` for any other."""
    given.refuse_misspelt([*header.tensors, *header.metadata], KNOWN)
    wanted = [name for name in header.tensors if name in (*AXES, *WHOLE, HEADS)]
    for name in wanted:
        if name in AXES and header.tensors[name].dtype not in FLOATING:
            raise given.refused(
                f"has {name} of type {header.tensors[name].dtype}; needed are floating numbers ({', '.join(FLOATING)})",
                do=_SEE,
            )
    texts = {name: text_list(given, name, header.metadata[name]) for name in TEXTS if name in header.metadata}
    stage = (header.metadata[STAGE],) if STAGE in header.metadata else None
    return _submitted(given, arrays_of(given, wanted), texts, stage)


def text_list(given: Given, name: str, text: str) -> tuple[str, ...]:
    """Return texts that stand as a JSON list in the metadata of a safetensors file."""
    found: Any = given.parsed(text, where=f"({name} in its metadata)")
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise given.refused(f"has {name} in its metadata that are no JSON list of texts ({shown(found)})", do=_SEE)
    return tuple(found)


def _texts_of_array(given: Given, name: str, array: np.ndarray) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise given.refused(
            f"has {name} of type {array.dtype} and shape {shown(array.shape)}; needed is a list of texts", do=_SEE
        )
    try:
        texts = [one.decode("utf-8") if isinstance(one, bytes) else one for one in array.tolist()]
        "".join(texts).encode("utf-8")
    except (UnicodeError, ValueError):
        raise given.refused(f"has {name} that are no Unicode", do=_SEE) from None
    return tuple(texts)


def _submitted(
    given: Given, arrays: dict[str, np.ndarray], texts: dict[str, tuple[str, ...]], stage: tuple[str, ...] | None
) -> Submitted:
    if stage is not None and (len(stage) != 1 or stage[0] not in list(Stage)):
        raise given.refused(f"has stage {shown(list(stage))}; it is one of {', '.join(Stage)}", do=_SEE)
    layers, widths = (_whole_numbers(given, arrays, name) for name in WHOLE)
    present = {*arrays, *texts}
    for name, needed in NEEDS.items():
        if name in present and needed not in present:
            raise given.refused(f"holds {name} and no {needed}", do=_SEE)
    if "untrained_words" in present and "untrained" not in present:
        raise given.refused("holds untrained_words and no untrained", do=_SEE)
    word_texts = texts.get("word_texts")
    if word_texts is not None and len({*word_texts}) != len(word_texts):
        raise given.refused(f"has word_texts {shown(list(word_texts))}; they are different words", do=_SEE)
    lengths = {LAYER: len(layers), WIDTH: sum(widths)}
    if word_texts is not None:
        lengths[WORD] = len(word_texts)
    if "target" not in arrays:
        raise given.refused("is not usable: target is missing", do=_SEE)
    rows = {name: _rows(given, name, arrays[name], lengths) for name in AXES if name in arrays}
    told = texts.get("texts")
    if told is not None and len(told) != lengths[CONTEXT]:
        raise given.refused(f"has {len(told)} texts for {lengths[CONTEXT]} contexts", do="give one a context")
    for words, target in (("words", "target"), ("untrained_words", "untrained")):
        if words in rows:
            _check_first_word(given, words, rows[words][..., 0, :], rows[target])
    ends = [0, *accumulate(widths)]
    blocks = {name: slice(ends[number], ends[number + 1]) for number, name in enumerate(PROJECTIONS)}
    dtype = str(arrays["target"].dtype)
    heads = _heads(given, arrays, widths)
    return Submitted(
        rows, tuple(layers), blocks, told, word_texts, dtype, heads, None if stage is None else Stage(stage[0])
    )


def _heads(given: Given, arrays: dict[str, np.ndarray], widths: list[int]) -> dict[str, int]:
    """Return how many heads Q, K and V have, as far as a file says it."""
    if HEADS not in arrays:
        return {}
    counts = _whole_numbers(given, arrays, HEADS)
    if len(counts) != len(PROJECTIONS):
        raise given.refused(f"has heads {shown(counts)}; they are the three numbers of heads of Q, K and V", do=_SEE)
    heads = dict(zip(PROJECTIONS, counts, strict=True))
    obstacle = heads_obstacle(heads, dict(zip(PROJECTIONS, widths, strict=True)))
    if obstacle is not None:
        raise given.refused(f"has heads {shown(counts)} and widths {shown(widths)}: {obstacle}", do=_SEE)
    return heads


def _whole_numbers(given: Given, arrays: dict[str, np.ndarray], name: str) -> list[int]:
    array = arrays.get(name)
    if array is None or array.dtype.kind not in "iu" or array.ndim != 1:
        found = f"{array.dtype} {shown(array.shape)}" if array is not None else "missing"
        raise given.refused(f"is not usable: {name} is {found}; it has to be a list of whole numbers", do=_SEE)
    values = [int(value) for value in array]
    if name == "widths" and (len(values) != 3 or min(values) < 1):
        raise given.refused(f"has widths {shown(values)}; they are the three widths of Q, K and V", do=_SEE)
    if name == "layers" and (len(set(values)) != len(values) or not values or min(values) < 0):
        raise given.refused(
            f"is not usable: layers are {shown(values)}; they are different zero-based numbers", do=_SEE
        )
    return values


def _rows(given: Given, name: str, array: np.ndarray, lengths: dict[str, int]) -> np.ndarray:
    """Return an array with all its axes and in our own number format; new lengths are noted in `lengths`."""
    axes = AXES[name]
    if array.dtype.kind != "f" or array.dtype.itemsize not in FLOATING.values():
        raise given.refused(f"is not usable: {name} is {array.dtype}; it has to be floating numbers", do=_SEE)
    values = array
    if values.ndim == len(axes) - 1 and lengths[LAYER] == 1:
        values = np.expand_dims(values, axes.index(LAYER))
    if values.ndim != len(axes) or any(lengths.get(axis, n) != n for axis, n in zip(axes, values.shape, strict=True)):
        needed = ", ".join(str(lengths.get(axis, f"{axis}s")) for axis in axes)
        raise given.refused(
            f"is not usable: {name} has shape {shown(array.shape)}; with {lengths[LAYER]} layers and widths that add "
            f"up to {lengths[WIDTH]} it has to be ({needed})",
            do=_SEE,
        )
    if 0 in values.shape:
        raise given.refused(f"is not usable: {name} has shape {shown(array.shape)}, which holds nothing", do=_SEE)
    lengths.update(zip(axes, values.shape, strict=True))
    finite = np.isfinite(values)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), finite.shape)
        where = ", ".join(f"{axis} {at}" for axis, at in zip(axes[:-1], place, strict=False))
        raise given.refused(
            f"holds {values[place]} in {name} ({where}, from 0); nothing can be said of NaN or infinite numbers",
            do="capture it again",
        )
    return np.ascontiguousarray(values, dtype=np.float64 if array.dtype.itemsize == 8 else np.float32)


def _check_first_word(given: Given, name: str, first: np.ndarray, target: np.ndarray) -> None:
    """Refuse a grid whose first word is not the target: every number about words would be about another one."""
    far = float(np.sqrt(np.mean((first - target).astype(np.float64) ** 2)))
    size = float(np.sqrt(np.mean(target.astype(np.float64) ** 2)))
    if far > _CLOSE * size:
        raise given.refused(
            f"is not usable: word 0 of {name} is not the target, its rows differ by {far:.3g} where the numbers have a "
            f"size of {size:.3g}",
            do=f"put the target first; {_SEE}",
        )
