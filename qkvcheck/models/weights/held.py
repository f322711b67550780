"""Held: what is in memory of a model's weights: all of them, or those of its first layers.

A hook at layer 8 of 32 needs nothing of the layers after it. They are read when somebody asks for them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from qkvcheck.errors import ModelError, shown
from qkvcheck.inputs import TensorEntry
from qkvcheck.models.architecture import Architecture
from qkvcheck.models.directory import LAYER_FIELDS
from qkvcheck.models.weights.files import FLOATING, headers_of, load_weights, weight_files, without_weights

IN_PART = frozenset(
    (
        *("bert", "bloom", "camembert", "codegen", "cohere", "deberta-v2", "distilbert", "electra", "falcon", "gemma"),
        *("gemma2", "gemma3_text", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "llama", "mistral"),
        *(
            "mixtral",
            "modernbert",
            "mpt",
            "olmo",
            "olmo2",
            "opt",
            "phi",
            "phi3",
            "qwen2",
            "qwen3",
            "roberta",
            "smollm3",
        ),
        *("stablelm", "starcoder2", "t5", "xlm-roberta"),
    )
)
"""Families of which the first layers alone were shown to give what the whole gives: nothing hangs on how many follow.

In ALBERT it does: which modules a layer uses is told by its share of the depth.
"""


@dataclass(frozen=True)
class Files:
    """Where the weights of a model are read from.

    Attributes
    ----------
    directory : Path
        With safetensors files that are whole.
    config : transformers.PretrainedConfig
        Of the whole model.
    architecture : Architecture
        Of its family.
    dtype : torch.dtype
        What the weights become.
    device : torch.device
        Where they go.
    stamp : tuple
        Sizes and times of the files, as they were when the model was looked at.
    """

    directory: Path
    config: Any
    architecture: Architecture
    dtype: Any
    device: Any
    stamp: tuple[tuple[str, int, int], ...] = ()

    def check(self) -> None:
        """Raise `ModelError` where the files are not those that were looked at: half of a model would be another's."""
        if self.stamp != stamp_of(self.directory):
            raise ModelError(
                f"the weights in {shown(str(self.directory))} changed while they were in use; let nothing write there, "
                "and start again."
            )

    def read(self, layers: int | None) -> Any:
        """Read the first so many layers, or with None all.

        Raises
        ------
        ModelError
            If the files have changed since they were looked at, or can't be read.
        """
        self.check()
        config = self.config if layers is None else first_layers(self.config, layers)
        model = load_weights(
            self.directory, config, architecture=self.architecture, dtype=self.dtype, trust_remote_code=False
        )
        return model.to(device=self.device, dtype=self.dtype).eval()


def stamp_of(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of change of a model's weight files."""
    found = [(path.name, path.stat()) for path in weight_files(directory) if path.exists()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


class Source(Protocol):
    """Where the layers of a model come from when they are asked for."""

    @property
    def architecture(self) -> Architecture:
        """Of the model's family."""

    @property
    def dtype(self) -> Any:
        """Number format of the weights: a torch.dtype."""

    @property
    def device(self) -> Any:
        """Where the weights go: a torch.device."""

    def read(self, layers: int | None) -> Any:
        """Return a model of the first so many layers, or with None of all."""


class Held:
    """A model's weights, as far as they have been read.

    Parameters
    ----------
    outline : transformers.PreTrainedModel
        The whole model: itself, or its shapes without memory.
    source : Source, optional
        Where layers come from when they are asked for; without it `outline` is the model itself.
    """

    def __init__(self, outline: Any, source: Source | None = None) -> None:
        self.outline = outline
        self._source = source
        self._model: Any = outline if source is None else None
        self._depth = 0 if source is None else source.architecture.depth(outline)
        self._layers = 0
        self._part: Held | None = None

    @cached_property
    def parameters(self) -> int:
        """Number of parameters of the outline, shared ones counted once."""
        return sum(one.numel() for one in self.outline.parameters())

    @property
    def files(self) -> Files | None:
        """Where the weights are read from; None where they are in memory, or are drawn."""
        return self._source if isinstance(self._source, Files) else None

    @property
    def is_whole(self) -> bool:
        """Whether all layers are in memory."""
        return self._layers == self._depth

    def whole(self) -> Any:
        """Return the model with all its layers."""
        return self.first(self._depth)

    def first(self, layers: int) -> Any:
        """Return the model with at least its first so many layers; what is held already is not read again."""
        if self._source is not None and self._layers < layers:
            self._model, self._layers, self._part = None, 0, None  # before the next is read: memory holds one
            self._model, self._layers = self._source.read(layers if layers < self._depth else None), layers
        return self._model

    def reaching(self, layers: int) -> Held:
        """Return what `first` returns as a model held by itself; the same object until other layers are read."""
        model = self.first(layers)
        if self._part is None:
            self._part = Held(model)
        return self._part

    @property
    def config(self) -> Any:
        """Configuration of the whole: of the model itself, once that is in memory."""
        return self._model.config if self.is_whole else self.outline.config

    @property
    def dtype(self) -> Any:
        """Number format of the weights: a torch.dtype."""
        return next(self._model.parameters()).dtype if self._source is None else self._source.dtype

    @property
    def device(self) -> Any:
        """Where the weights are: a torch.device."""
        return next(self._model.parameters()).device if self._source is None else self._source.device


def readable_in_part(directory: Path, config: Any, architecture: Architecture) -> Any | None:
    """Return the whole model's shapes if its first layers can be read alone, else None.

    They can where the family is one of `IN_PART` and every parameter stands in the files under its own name.

    Parameters
    ----------
    directory : Path
        With safetensors files that are whole.
    config : transformers.PretrainedConfig
        Of the model.
    architecture : Architecture
        Of a family that is known.
    """
    if architecture.family not in IN_PART:
        return None
    outline = without_weights(config, architecture)
    held = headers_of(directory)
    if not all(_holds(held, name, tuple(one.shape)) for name, one in outline.named_parameters()):
        return None
    few = first_layers(config, 1)
    if few is None or architecture.depth(without_weights(few, architecture)) != 1:
        return None
    return outline


def _holds(held: Mapping[str, TensorEntry], name: str, shape: tuple[int, ...]) -> bool:
    entry = held.get(name)
    return entry is not None and entry.dtype in FLOATING and tuple(entry.shape) == shape


def first_layers(config: Any, layers: int) -> Any | None:
    """Return a configuration of the first so many layers of the same model; None if it does not name its layers.

    Examples
    --------
    >>> from transformers import GPT2Config
    >>> first_layers(GPT2Config(), 3).n_layer
    3
    """
    few = copy.deepcopy(config)
    told = few.to_dict()
    names = [name for name in LAYER_FIELDS if isinstance(told.get(name), int)]
    if not names:
        return None
    before = told[names[0]]
    for name, value in vars(few).items():
        if isinstance(value, (list, tuple)) and len(value) == before:  # a word or a number for each layer
            setattr(few, name, value[:layers])
    for name in names:
        setattr(few, name, layers)
    return few
