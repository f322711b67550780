"""Submission: activations that another tool captured, read from a file and judged as if they were our own.

The file is safetensors or npz and holds::

    target     (context, layer, width) or (context, width), floating: the target's Q | K | V in each context
    layers     (layer,), whole numbers: zero-based layers along the layer axis
    widths     (3,), whole numbers: widths of Q, K and V; they add up to width
    preceding  optional, shaped as target: the token before the target in each context
    texts      optional: the sentences, so that contexts can be clustered by first word
               (npz: an array of strings; safetensors: a JSON list under "texts" in the metadata)

What `Activations.save` wrote is read too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qkvcheck.capture.activations import SCHEMA, Activations, Captured, load_activations
from qkvcheck.capture.source import capture_named
from qkvcheck.contexts import LEAST_FIRST_WORDS
from qkvcheck.errors import CaptureError, NotCapturedError
from qkvcheck.groups import Capture


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
    """

    target: Activations
    preceding: Activations | None
    texts: tuple[str, ...] | None
    name: str
    sha256: str

    @property
    def layers(self) -> tuple[int, ...]:
        """Zero-based layers that it holds."""
        return self.target.layers

    def captured(self, capture: Capture | str) -> Captured:
        """Return the target's rows; a file holds nothing else of a claim's captures.

        Raises
        ------
        NotCapturedError
            If another capture is asked for.
        """
        named = capture_named(capture)
        if named != Capture.TARGET:
            raise self.lacks(NOT_HELD[named])
        return self.target

    def lacks(self, what: str) -> NotCapturedError:
        """Return the error that says what the file does not hold."""
        return NotCapturedError(f"{self.name} holds the target's rows only, not {what}")


NOT_HELD: Mapping[Capture, str] = {
    Capture.WORDS: "other words in the target's place",
    Capture.WORDS_AND_WEIGHTS: "other words in the target's place",
    Capture.GENERIC_REMOVED: "other words in the target's place",
    Capture.FRESH: "contexts that nobody picked",
    Capture.MATCHED: "the balanced corpus",
    Capture.EVERY_LAYER: "every layer",
}
"""What a capture needs that a file of activations does not hold."""


def read_submission(path: str | Path) -> FileSource:
    """Read activations that another tool captured; see the module for the schema.

    Raises
    ------
    CaptureError
        If the file can't be read or is not of the schema.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CaptureError(
            f"activations {str(path)!r} can't be read ({error.strerror}); give a safetensors or npz file. "
            "Check --qkv-activations."
        ) from None
    arrays, metadata = _read(path)
    sha256 = hashlib.sha256(raw).hexdigest()
    if metadata.get("schema") == SCHEMA:
        return _own(path, sha256)
    texts = _texts(arrays, metadata, path)
    layers, widths = _whole_numbers(arrays, "layers", path), _whole_numbers(arrays, "widths", path)
    target = _rows(arrays, "target", layers=layers, widths=widths, path=path)
    if texts is not None and len(texts) != len(target):
        raise CaptureError(f"{str(path)!r} has {len(texts)} texts for {len(target)} contexts; give one a context.")
    ends = np.cumsum([0, *widths]).tolist()
    blocks = {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(("Q", "K", "V"))}
    clusters, kind = _clusters(texts)

    def activations(values: np.ndarray) -> Activations:
        return Activations(
            values=values,
            axes=("context", "layer", "width"),
            layers=tuple(layers),
            projections=blocks,
            provenance={"file": path.name, "clusters": kind, "dtype": str(arrays["target"].dtype)},
            clusters=clusters,
        )

    preceding = _rows(arrays, "preceding", layers=layers, widths=widths, path=path) if "preceding" in arrays else None
    if preceding is not None and preceding.shape != target.shape:
        raise CaptureError(
            f"{str(path)!r}: preceding is {preceding.shape} and target {target.shape}; both need the same shape."
        )
    beside = None if preceding is None else activations(preceding)
    return FileSource(activations(target), beside, texts, path.name, sha256)


def _own(path: Path, sha256: str) -> FileSource:
    """Take what `Activations.save` wrote."""
    captured = load_activations(path)
    if captured.axes != ("context", "layer", "width"):
        raise CaptureError(f"{str(path)!r} holds axes {', '.join(captured.axes)}; needed are context, layer, width.")
    told = json.loads(captured.provenance.get("texts", "null"))
    texts = None if told is None else tuple(told)
    clusters, kind = _clusters(texts)
    provenance = {**captured.provenance, "clusters": kind}
    return FileSource(replace(captured, clusters=clusters, provenance=provenance), None, texts, path.name, sha256)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}, {}
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except Exception as error:  # the readers raise what they like for a broken file
        raise CaptureError(
            f"activations {str(path)!r} are not a readable safetensors or npz file ({str(error).splitlines()[0]}); "
            "give one with target, layers and widths (docs/referee.md)."
        ) from None


def _whole_numbers(arrays: dict[str, np.ndarray], name: str, path: Path) -> list[int]:
    if name not in arrays or arrays[name].dtype.kind not in "iu" or arrays[name].ndim != 1:
        found = f"{arrays[name].dtype} {arrays[name].shape}" if name in arrays else "missing"
        raise CaptureError(f"{str(path)!r}: {name} is {found}; it has to be a list of whole numbers (docs/referee.md).")
    values = [int(value) for value in arrays[name]]
    if name == "widths" and (len(values) != 3 or min(values) < 1):
        raise CaptureError(f"{str(path)!r}: widths are {values}; they are the three widths of Q, K and V.")
    if name == "layers" and (len(set(values)) != len(values) or not values or min(values) < 0):
        raise CaptureError(f"{str(path)!r}: layers are {values}; they are different zero-based numbers.")
    return values


def _rows(arrays: dict[str, np.ndarray], name: str, *, layers: list[int], widths: list[int], path: Path) -> np.ndarray:
    if name not in arrays or arrays[name].dtype.kind != "f":
        found = str(arrays[name].dtype) if name in arrays else "missing"
        raise CaptureError(f"{str(path)!r}: {name} is {found}; it has to be floating numbers (docs/referee.md).")
    values = arrays[name]
    if values.ndim == 2 and len(layers) == 1:
        values = values[:, None]
    if values.ndim != 3 or values.shape[1:] != (len(layers), sum(widths)):
        raise CaptureError(
            f"{str(path)!r}: {name} has shape {arrays[name].shape}; with {len(layers)} layers and widths {widths} it "
            f"has to be (contexts, {len(layers)}, {sum(widths)})."
        )
    return np.ascontiguousarray(values, dtype=np.float64 if values.dtype == np.float64 else np.float32)


def _texts(arrays: dict[str, np.ndarray], metadata: dict[str, str], path: Path) -> tuple[str, ...] | None:
    if "texts" in arrays:
        return tuple(str(text) for text in arrays["texts"])
    if "texts" not in metadata:
        return None
    try:
        return tuple(str(text) for text in json.loads(metadata["texts"]))
    except ValueError:
        raise CaptureError(f"{str(path)!r}: texts in the metadata are not a JSON list; correct them.") from None


def _clusters(texts: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, str]:
    first_words = [text.split(" ")[0] for text in texts or ()]
    if len(set(first_words)) >= LEAST_FIRST_WORDS:
        return tuple(first_words), "first word"
    return None, "distinct row"
