"""Spec: what `--qkv-model` may say, read into its parts."""

from __future__ import annotations

from dataclasses import dataclass

from qkvcheck.errors import ModelError, shown

DIGITS = 18
"""Of the seed of an untrained twin."""


@dataclass(frozen=True)
class ModelSpec:
    """What `--qkv-model` asked for.

    Attributes
    ----------
    source : str
        ``auto``, ``smollm2``, ``embedded``, a directory, a GGUF file, or a hub id with an optional ``@revision``.
    untrained_seed : int or None
        Seed of a freshly initialised twin; None for the model's own weights.
    tiny : bool
        Whether the twin is shrunk.
    """

    source: str
    untrained_seed: int | None = None
    tiny: bool = False

    def __str__(self) -> str:
        if self.untrained_seed is None:
            return self.source
        return f"{self.source}#{'tiny' if self.tiny else 'untrained'}" + (
            f"={self.untrained_seed}" if self.untrained_seed else ""
        )


def parse_spec(text: str) -> ModelSpec:
    """Read a model spec such as ``embedded``, ``gpt2#untrained=3``, ``llama#tiny`` or ``org/name@revision``.

    Raises
    ------
    ModelError
        If what follows ``#`` is not ``untrained``, ``tiny``, or one of them with ``=SEED``.
    """
    source, mark, variant = text.partition("#")
    if not source:
        raise ModelError(
            f"model {text!r} names no model; give auto, smollm2, embedded, a directory, a .gguf file or a hub id "
            "such as gpt2."
        )
    if not mark:
        return ModelSpec(source)
    name, equals, seed = variant.partition("=")
    if name not in ("untrained", "tiny"):
        raise ModelError(
            f"model {text!r} has an unknown variant {'#' + name!r}; allowed are #untrained and #tiny, with "
            "=SEED or not."
        )
    if equals and not (seed.isascii() and seed.isdigit() and len(seed) <= DIGITS):
        raise ModelError(
            f"model {shown(text)} has seed {shown(seed)}; the seed must be a whole number from 0, of at most {DIGITS} "
            f"digits, as in {source[:80]}#{name}=3."
        )
    return ModelSpec(source, int(seed) if equals else 0, tiny=name == "tiny")
