"""Stored: captures that are looked at again and again and are too large to be held all at once: on disk meanwhile."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

import numpy as np

from qkvcheck.capture.activations import Activations, Captured

IN_MEMORY = 256_000_000
"""Bytes of captures that are held in memory; what comes behind them is put on disk."""


class CaptureStore:
    """Captures by a key, or why there is none; the first ones in memory, the others in a temporary folder.

    The folder is deleted with the store. What is read back has the very same numbers.

    Parameters
    ----------
    in_memory : int
        Bytes that are held in memory.

    Examples
    --------
    >>> places = {"Q": slice(0, 3)}
    >>> captured = Activations(np.ones((2, 1, 3), np.float32), ("context", "layer", "width"), (6,), places)
    >>> store = CaptureStore(in_memory=0)
    >>> store.put("a", captured)
    >>> store.get("a").at(6).tolist() == captured.at(6).tolist(), "b" in store
    (True, False)
    """

    def __init__(self, *, in_memory: int = IN_MEMORY) -> None:
        self._room = in_memory
        self._kept: dict[Hashable, Captured | str] = {}
        self._files: dict[Hashable, tuple[Path, ...]] = {}
        self._folder: Path | None = None
        self._written_count = 0
        self._told: list[Activations] = []

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def put(self, key: Hashable, captured: Captured | str) -> None:
        """Keep a capture, or in words why there is none."""
        if isinstance(captured, str):
            self._kept[key] = captured
            return
        parts = tuple(map(self._sharing, captured if isinstance(captured, tuple) else (captured,)))
        self._kept[key] = parts if isinstance(captured, tuple) else parts[0]
        size = sum(part.values.nbytes for part in parts)
        if size <= self._room:
            self._room -= size
            return
        try:
            self._files[key] = tuple(self._written(part.values) for part in parts)
        except OSError:  # a full disk: then memory has to do
            return
        without = tuple(replace(part, values=np.empty(0, dtype=part.values.dtype)) for part in parts)
        self._kept[key] = without if isinstance(captured, tuple) else without[0]

    def get(self, key: Hashable) -> Captured | str:
        """Return what is kept; of what is on disk numbers are read where they are asked for."""
        captured = self._kept[key]
        if not self._files or isinstance(captured, str):
            return captured
        parts = captured if isinstance(captured, tuple) else (captured,)
        paths = self._files.get(key, (None,) * len(parts))
        # Each time another object: what is computed of a capture goes with it.
        read = tuple(
            replace(part, values=part.values if path is None else np.asarray(np.load(path, mmap_mode="r")))
            for part, path in zip(parts, paths, strict=True)
        )
        return read if isinstance(captured, tuple) else read[0]

    def _sharing(self, part: Activations) -> Activations:
        """Return a capture that shares what is told of its contexts with one that was kept before, where equal."""
        for told in self._told:
            if (told.seen, told.clusters, told.factors) == (part.seen, part.clusters, part.factors):
                return replace(part, seen=told.seen, clusters=told.clusters, factors=told.factors)
        self._told.append(replace(part, values=np.empty(0)))
        return part

    def _written(self, values: np.ndarray) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="qkvcheck-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)  # at the end of Python too
        self._written_count += 1
        path = self._folder / f"{self._written_count:06d}.npy"
        np.save(path, values)
        return path
