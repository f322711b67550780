"""Hooked: a model that can be captured from."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.files import file_part
from qkvcheck.models.architecture import Architecture, Position, rope_of, told_of
from qkvcheck.models.gguf.converted import naming_gguf
from qkvcheck.models.gguf.fetched import SMOLLM2
from qkvcheck.models.locating import EMBEDDED
from qkvcheck.models.spec import ModelSpec
from qkvcheck.models.tokenizers import PretrainedEncoder, RecordedEncoder
from qkvcheck.models.tokens.special import SpecialTokens
from qkvcheck.models.weights.fingerprint import digest_parameters, parameters_in, parameters_of
from qkvcheck.models.weights.held import Held

if TYPE_CHECKING:
    import torch

_STAND_INS = {EMBEDDED: "the stand-in", SMOLLM2.name: "SmolLM2-135M"}


@dataclass(frozen=True, repr=False)
class HookedModel:
    """A loaded model that can be captured from.

    Attributes
    ----------
    held : Held
        The network's weights, as far as they have been read.
    encoder : PretrainedEncoder or RecordedEncoder
        Its tokenizer.
    architecture : Architecture
        Where its family keeps Q, K and V.
    spec : ModelSpec
        What was asked for, with `auto` resolved.
    origin : str
        Where it came from, and why, for a person.
    special : SpecialTokens
        What stands before and after every context.

    Examples
    --------
    >>> from qkvcheck.models.loading import load_model
    >>> load_model("embedded")
    HookedModel(embedded: gpt2, 12 layers, float32 on cpu)
    """

    held: Held
    encoder: PretrainedEncoder | RecordedEncoder
    architecture: Architecture
    spec: ModelSpec
    origin: str
    special: SpecialTokens = field(default_factory=SpecialTokens)

    def __repr__(self) -> str:
        return (
            f"HookedModel({self.spec}: {self.architecture.family}, {self.depth} layers, {self.dtype} on {self.device})"
        )

    @property
    def model(self) -> Any:
        """The network with all its layers: a transformers.PreTrainedModel, left as it was found."""
        with self._naming():
            return self.held.whole()

    def _naming(self) -> AbstractContextManager[None]:
        """Name the file that somebody gave in what is said of it when its weights are read."""
        return naming_gguf(None if self.held.files is None else self.held.files.directory)

    @property
    def config(self) -> Any:
        """Configuration of the whole network."""
        return self.held.config

    def reaching(self, layer: int) -> HookedModel:
        """Return the same with the network as far as a layer; what comes after it need not be in memory."""
        if self.held.is_whole:
            return self
        with self._naming():
            return replace(self, held=self.held.reaching(layer + 1))

    def with_model(self, model: Any) -> HookedModel:
        """Return the same with another network of the family, which is in memory."""
        return replace(self, held=Held(model))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return self.architecture.depth(self.held.outline)

    @property
    def projections(self) -> dict[str, slice]:
        """Where Q, K and V stand when they are put one after the other."""
        return self.architecture.heads(self.config).projections

    @property
    def heads(self) -> dict[str, int]:
        """Number of heads of Q, K and V; with grouped queries K and V have fewer."""
        return self.architecture.heads(self.config).counts

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = self.held.device
        return device

    @property
    def dtype(self) -> str:
        """Number format of the weights, such as ``float32``."""
        return str(self.held.dtype).removeprefix("torch.")

    @property
    def parameters(self) -> int:
        """Number of parameters, shared ones counted once."""
        return self.held.parameters

    @property
    def is_stand_in(self) -> bool:
        """Whether this is a model that stands in for GPT-2 small where that is not at hand."""
        return self.spec.source in _STAND_INS

    @property
    def called(self) -> str:
        """What verdicts call it, such as ``"the stand-in"``; empty for a model that somebody named."""
        return _STAND_INS.get(self.spec.source, "")

    @property
    def is_untrained(self) -> bool:
        """Whether the weights are freshly initialised."""
        return self.spec.untrained_seed is not None

    @property
    def slug(self) -> str:
        """Name for files: letters, digits, dots and hyphens."""
        path = Path(self.spec.source)
        name = path.name if path.exists() else self.spec.source
        text = str(replace(self.spec, source=name))
        return file_part(text)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 over parameters (name, shape, bytes), listed configuration fields, and the tokenizer.

        Buffers are left out, and so is the rest of the configuration: 35 of its keys differ between
        transformers 4.57 and 5.23 for the same model.
        """
        with self._naming():
            return _fingerprint(self)


def _fingerprint(hooked: HookedModel) -> str:
    digest = hashlib.sha256()
    held, config = hooked.held, hooked.config
    if held.files is None or held.is_whole:
        digest_parameters(digest, parameters_of(hooked.model))
    else:
        held.files.check()
        digest_parameters(digest, parameters_in(held.files.directory, held.outline, held.dtype))
    fields = {name: told_of(config, name) for name in hooked.architecture.fingerprint_fields}
    heads = hooked.architecture.heads(config)
    for name, number in (("num_key_value_heads", heads.key), ("head_dim", heads.width)):
        if name in fields and fields[name] is None:  # one release writes down what the other leaves to be worked out
            fields[name] = number
    if hooked.architecture.position_of(config) is Position.ROTARY:
        fields["rope"] = rope_of(config)
    digest.update(json.dumps(fields, sort_keys=True).encode())
    digest.update(hooked.encoder.fingerprint().encode())
    return digest.hexdigest()
