"""Fingerprint: which weights these are, told from memory or from their files, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qkvcheck.models.weights.files import is_finite, not_finite, weight_files

if TYPE_CHECKING:
    import torch

Named = tuple[str, "torch.Tensor"]


def names_of(model: Any) -> dict[str, str]:
    """Return what each parameter is called here, and in the model.

    The name of a head of its own changes between releases; here it is always one.
    """
    tied = getattr(model.get_input_embeddings(), "weight", None)
    head = getattr(model.get_output_embeddings(), "weight", None)
    own = head is not None and head is not tied
    return {("lm_head.weight" if own and one is head else name): name for name, one in model.named_parameters()}


def parameters_of(model: Any) -> Iterator[Named]:
    """Return the parameters of a loaded model, in the order of their names."""
    parameters = dict(model.named_parameters())
    for name, inside in sorted(names_of(model).items()):
        yield name, parameters[inside].detach().cpu()


def parameters_in(directory: Path, outline: Any, dtype: torch.dtype) -> Iterator[Named]:
    """Return the same from the files of a model that is not in memory, one tensor after the other.

    Parameters
    ----------
    directory : Path
        With the files.
    outline : transformers.PreTrainedModel
        The model's shapes.
    dtype : torch.dtype
        What the weights become.

    Raises
    ------
    ModelError
        If a tensor holds NaN or infinite numbers.
    """
    from contextlib import ExitStack

    from safetensors import safe_open

    with ExitStack() as stack:
        files = [stack.enter_context(safe_open(path, framework="pt")) for path in weight_files(directory)]
        where = {name: file for file in files for name in file.keys()}  # noqa: SIM118 (no mapping)
        for name, inside in sorted(names_of(outline).items()):
            tensor = where[inside].get_tensor(inside).to(dtype)
            if not is_finite(tensor):
                raise not_finite(directory, [name])
            yield name, tensor


def digest_parameters(digest: Any, parameters: Iterator[Named]) -> None:
    """Put names, shapes, number format and bytes of parameters into a hash."""
    import torch

    for name, tensor in parameters:
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
