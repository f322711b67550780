"""Loaded: what `Activations.save` wrote, read back, and held against what the file says of its arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qkvcheck.capture.activations import AXES, SCHEMA, Activations
from qkvcheck.errors import CaptureError, DocumentError, first_line, shown
from qkvcheck.groups import PROJECTIONS, Stage, Turns, heads_obstacle
from qkvcheck.inputs import Given, TensorHeader, from_document, read_tensor_header


def load_activations(path: str | Path) -> Activations:
    """Read what `Activations.save` wrote.

    Raises
    ------
    CaptureError
        If the file is not such a file.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> captured = Activations(np.ones((2, 1, 3), np.float32), ("context", "layer", "width"), (6,), {"Q": slice(0, 3)})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     captured.save(Path(folder) / "rows.safetensors")
    ...     load_activations(Path(folder) / "rows.safetensors")
    Activations(2 context x 1 layer x 3 width; layers 6)
    """
    given = Given(Path(path), "activations", CaptureError, "give a file that qkvcheck wrote, or record it again")
    header = read_tensor_header(given)
    about = header.metadata
    if about.get("schema") != SCHEMA:
        raise given.refused(f"has schema {shown(about.get('schema'))}; needed is {SCHEMA!r}")
    layout = _layout(given, header)
    provenance = given.parsed(about.get("provenance", "{}"), where="(its provenance)")
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        raise given.refused("has a provenance that is no object of texts")
    arrays = arrays_of(given, [name for name in ("values", "mask") if name in header.tensors])
    values = arrays["values"]
    finite = np.isfinite(values)
    if not finite.all():
        place = np.unravel_index(int(np.argmin(finite)), finite.shape)
        where = ", ".join(f"{axis} {at}" for axis, at in zip(layout.axes[:-1], place, strict=False))
        raise given.refused(f"holds {values[place]} ({where}, from 0); nothing can be said of NaN or infinite numbers")
    return Activations(
        values=values,
        axes=layout.axes,
        layers=layout.layers,
        projections={name: slice(*part) for name, part in layout.blocks.items()},
        mask=arrays.get("mask"),
        provenance=provenance,
        seen=layout.seen,
        heads=layout.heads,
        stage=layout.stage,
        factors=layout.factors,
        turns=layout.turns,
    )


@dataclass(frozen=True)
class _Layout:
    """What a file says of its arrays."""

    axes: tuple[str, ...]
    layers: tuple[int, ...]
    blocks: dict[str, tuple[int, int]]
    seen: tuple[str, ...] | None = None
    heads: dict[str, int] = field(default_factory=dict)
    stage: Stage = Stage.PROJECTION
    factors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    turns: tuple[Turns, ...] = ()

    def __post_init__(self) -> None:
        if self.axes not in AXES:
            raise ValueError(f"axes are {shown(self.axes)}; they are one of {'; '.join(map(', '.join, AXES))}")
        if not self.layers or min(self.layers) < 0 or len({*self.layers}) < len(self.layers):
            raise ValueError(f"layers are {shown(self.layers)}; they are different zero-based numbers")
        for name, (start, stop) in self.blocks.items():
            if name not in PROJECTIONS or not 0 <= start < stop:
                raise ValueError(
                    f"block {shown(name)} is {start} to {stop}; blocks are Q, K and V, each a part of the width"
                )
        widths = {name: stop - start for name, (start, stop) in self.blocks.items()}
        if self.turns and len(self.turns) != len(self.layers):
            raise ValueError(f"turns are told of {len(self.turns)} layers; they are of all {len(self.layers)} or none")
        obstacle = heads_obstacle(self.heads, widths) if self.heads else None
        if obstacle is not None:
            raise ValueError(obstacle)


def _layout(given: Given, header: TensorHeader) -> _Layout:
    """Return what a file says of its arrays, held against their shapes."""
    told = given.parsed(header.metadata.get("layout", "null"), where="(its layout)")
    try:
        layout = from_document(_Layout, told, at="layout")
    except DocumentError as error:
        raise given.refused(str(error)) from None
    values, mask = header.tensors.get("values"), header.tensors.get("mask")
    if values is None or values.dtype not in ("F32", "F64"):
        raise given.refused("holds no values of type F32 or F64")
    lengths = dict(zip(layout.axes, values.shape, strict=False))
    width = max((stop for _, stop in layout.blocks.values()), default=0)
    fits = len(values.shape) == len(layout.axes) and 0 not in values.shape
    if not fits or lengths["layer"] != len(layout.layers) or width > lengths["width"] or not layout.blocks:
        raise given.refused(
            f"holds values of shape {shown(values.shape)}, which are not {len(layout.layers)} layers and blocks up to "
            f"{width} along the axes {', '.join(layout.axes)}"
        )
    told_of = [*layout.factors.values(), *([] if layout.seen is None else [layout.seen])]
    for told in told_of:
        if len(told) != lengths["context"]:
            raise given.refused(f"tells what {len(told)} contexts had seen, and holds {lengths['context']}")
    if mask is not None and (mask.dtype, mask.shape) != ("BOOL", (lengths["context"], lengths.get("token"))):
        raise given.refused(
            f"holds a mask of type {mask.dtype} and shape {shown(mask.shape)}, which is not one of its tokens"
        )
    return layout


def arrays_of(given: Given, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return arrays of a safetensors file whose header was checked."""
    from safetensors import safe_open

    try:
        with safe_open(given.path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in names}
    except Exception as error:  # the reader raises what it likes for a broken file
        raise given.refused(f"is not a readable safetensors file ({first_line(error)})") from None
