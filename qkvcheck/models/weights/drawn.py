"""Drawn: fresh weights of a configuration, by the library's own initialiser, module by module.

Every module draws under a seed of its own, made of the network's seed and the module's name. So the first layers of a
network are the same whether or not those behind them are drawn too, and nothing is drawn twice: what a module's
constructor would draw first, and a head that shares its weights with the embedding, are left out. Large tensors are
drawn in pieces, each under a seed of its own, by as many threads as torch uses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from qkvcheck.errors import ModelError, first_line
from qkvcheck.models.architecture import Architecture
from qkvcheck.models.directory import LAYER_FIELDS
from qkvcheck.models.weights.files import libraries_unfit, loader_of, without_initialiser
from qkvcheck.models.weights.held import IN_PART, first_layers

if TYPE_CHECKING:
    import torch

PIECE = 2**18
"""Numbers of a tensor that are drawn under one seed."""


@dataclass(frozen=True)
class Drawn:
    """An untrained network, of which layers are drawn when they are asked for.

    Attributes
    ----------
    config : transformers.PretrainedConfig
        Of the whole network.
    architecture : Architecture
        Of its family.
    seed : int
        From which its weights are drawn.
    dtype : torch.dtype
        What the weights become.
    device : torch.device
        Where they go.
    """

    config: Any
    architecture: Architecture
    seed: int
    dtype: Any
    device: Any

    def read(self, layers: int | None) -> Any:
        """Draw the first so many layers, or with None all.

        Raises
        ------
        ModelError
            If no model can be made of the configuration.
        """
        model = draw(self.config, self.architecture, seed=self.seed, layers=layers)
        return model.to(device=self.device, dtype=self.dtype).eval()


def drawable_in_part(config: Any, architecture: Architecture) -> bool:
    """Tell whether the first layers of an untrained network can be drawn without the others."""
    return architecture.family in IN_PART and first_layers(config, 1) is not None


def draw(
    config: Any, architecture: Architecture, *, seed: int, layers: int | None = None, trust_remote_code: bool = False
) -> Any:
    """Return a network with fresh weights; torch's global generator is left as it was.

    Parameters
    ----------
    config : transformers.PretrainedConfig
        Of the network.
    architecture : Architecture
        Of its family.
    seed : int
        The same seed draws the same weights.
    layers : int, optional
        How many of its first layers; without it all.
    trust_remote_code : bool
        Whether code that comes with it may run; such a network is drawn as its own code does it, in one go.

    Returns
    -------
    transformers.PreTrainedModel
        In the number format that the configuration names.

    Raises
    ------
    ModelError
        If no model can be made of the configuration.
    """
    import torch

    loader = loader_of(architecture)
    made = config if layers is None else first_layers(config, layers)
    try:
        with torch.device("cpu"):  # whatever the usual device is: there alone the same seed draws the same weights
            return _drawn(loader, made, config, seed, trust_remote_code=trust_remote_code)
    except ImportError as error:
        raise libraries_unfit(error) from None
    except Exception as error:  # it raises what it likes
        raise ModelError(
            f"no model can be made of the configuration ({first_line(error)}); correct config.json."
        ) from None


def _drawn(loader: Any, made: Any, whole: Any, seed: int, *, trust_remote_code: bool) -> Any:
    """Draw a network of the first layers (`made`) of a whole one."""
    if trust_remote_code:
        return _in_one_go(loader, made, seed, trust_remote_code=True)
    with _without_drawing():
        model = loader.from_config(made)
    with _as_deep_as(model.config, whole):
        _initialise(model, seed)
    if not _is_all_drawn(model):  # what a constructor draws was meant to stay
        return _in_one_go(loader, whole, seed)
    return model


def _in_one_go(loader: Any, config: Any, seed: int, *, trust_remote_code: bool = False) -> Any:
    """Draw all weights from one stream of numbers, constructors included."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return loader.from_config(config, trust_remote_code=trust_remote_code)


@contextmanager
def _without_drawing() -> Iterator[None]:
    """Let constructors draw nothing, and mark what they leave open with numbers that are none."""
    import torch

    strict, only_warned = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        memory.fill_uninitialized_memory = True
        with without_initialiser():
            yield
    finally:
        memory.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(strict, warn_only=only_warned)


@contextmanager
def _as_deep_as(config: Any, whole: Any) -> Iterator[None]:
    """Let a configuration name as many layers as the whole network has: some are scaled by how many there are."""
    own = {name: getattr(config, name) for name in LAYER_FIELDS if isinstance(config.to_dict().get(name), int)}
    try:
        for name in own:
            setattr(config, name, getattr(whole, name))
        yield
    finally:
        for name, count in own.items():
            setattr(config, name, count)


def _initialise(model: Any, seed: int) -> None:
    """Run the initialiser of every module under a seed of its own."""
    import torch
    from transformers import PreTrainedModel

    names = {module: name for name, module in model.named_modules()}
    shared = _shares_its_head(model)
    original = PreTrainedModel._initialize_weights
    # Not torch.manual_seed: for every kind of device it formats a stack trace, and there are hundreds of modules.
    generator = torch.default_generator

    def under_own_seed(self: Any, module: Any, *rest: Any) -> None:
        if shared and module is model.get_output_embeddings():
            return
        generator.manual_seed(_seed_of(seed, names[module]))
        original(self, module, *rest)

    with (
        torch.random.fork_rng(devices=[]),
        patch.object(PreTrainedModel, "_initialize_weights", under_own_seed),
        _in_pieces(),
    ):
        model.initialize_weights()
    model.tie_weights()


def _shares_its_head(model: Any) -> bool:
    """Tell whether the head's weights are to be those of the embedding."""
    told = model.config.get_text_config(decoder=True)
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    alike = head is not None and embedding is not None and head.weight.shape == embedding.weight.shape
    return bool(alike and getattr(told, "tie_word_embeddings", True) and getattr(head, "bias", None) is None)


def _is_all_drawn(model: Any) -> bool:
    """Tell whether every parameter was written: one of which nothing was has a mark at either end."""
    ends = [p.detach().reshape(-1)[[0, -1]] for p in model.parameters() if p.numel()]
    return all(bool(one.isfinite().all()) for one in ends)


def _seed_of(seed: int, name: str) -> int:
    """Return a seed for what bears a name, between 0 and 2^63 - 1."""
    told = hashlib.blake2b(f"{seed}\n{name}".encode(), digest_size=8).digest()
    return int.from_bytes(told, "big") >> 1


def _in_pieces() -> Any:
    """Return a context in which large tensors are drawn in pieces, by several threads."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Pieces(TorchFunctionMode):
        """Takes `normal_` of large tensors apart."""

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if function is torch.Tensor.normal_ and _is_large(args[0]) and kwargs.get("generator") is None:
                return _normal(args[0], *args[1:], **{k: v for k, v in kwargs.items() if k != "generator"})
            return function(*args, **kwargs)

    return Pieces()


def _is_large(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.is_contiguous() and tensor.numel() > PIECE


def _normal(tensor: torch.Tensor, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    """Fill a tensor with normal numbers, each piece under its own seed: the number of threads changes nothing."""
    import torch

    first = int(torch.randint(2**62, ()))  # the next one of the module's own: drawn again, it is drawn anew
    flat = tensor.detach().view(-1)

    def fill(number: int) -> None:
        generator = torch.Generator().manual_seed(_seed_of(first, str(number)))
        flat[number * PIECE : (number + 1) * PIECE].normal_(mean, std, generator=generator)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(fill, range(-(-flat.numel() // PIECE))))
    return tensor
