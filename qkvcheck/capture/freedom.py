"""Freedom: which rotations of a head change no score of a model, and what is told of contexts besides their rows."""

from __future__ import annotations

from collections.abc import Sequence

from qkvcheck.contexts import ContextSet
from qkvcheck.groups import FIRST_TOKEN, POSITION, PRECEDING_TOKEN, Stage, Turns
from qkvcheck.models import HookedModel, rope_of

NORM = "queries and keys are normed between projection and score, with a gain for each dimension"
CLIP = "what the projections put out is clipped, dimension by dimension"


def turns_of(hooked: HookedModel, layers: Sequence[int], *, stage: Stage) -> tuple[Turns, ...]:
    """Return which rotations of rows that are captured there change no score, for each layer.

    As attention computes scores of them, all do. As the projections put them out, rotary embedding leaves turns within
    its pairs; a norm with gains, or clipped projections, leave none.

    Parameters
    ----------
    hooked : HookedModel
        The model.
    layers : sequence of int
        Zero-based layers.
    stage : Stage
        Where rows are taken.
    """
    return tuple(Turns() if stage is Stage.ATTENTION else _as_projected(hooked, layer) for layer in layers)


def _as_projected(hooked: HookedModel, layer: int) -> Turns:
    architecture, config = hooked.architecture, hooked.config
    if architecture.clip(config) is not None:
        return Turns(obstacle=CLIP, of_values=CLIP)
    between = architecture.between_of(config, layer)
    if "norm" in between:
        return Turns(obstacle=NORM)
    if "rotary" not in between:
        return Turns()
    width = architecture.heads(config).width
    turned = getattr(config, "rotary_dim", None) or rope_of(config)["partial_rotary_factor"] * width
    return Turns(int(turned), architecture.neighbours)


def factors_of(contexts: ContextSet, positions: Sequence[int]) -> dict[str, tuple[str, ...]]:
    """Return what is told of each context besides its rows: its first token, the one before the rows', and their place.

    Before the last token of a target of several stands, here, what stands before its first one.

    Parameters
    ----------
    contexts : ContextSet
        The contexts.
    positions : sequence of int
        Zero-based position of the captured token in each.
    """
    told = [
        (context.token_ids, place, context.target_start if place == context.target_index else place)
        for context, place in zip(contexts.contexts, positions, strict=True)
    ]
    return {
        FIRST_TOKEN: tuple(f"token {ids[0]:06d}" for ids, _, _ in told),
        PRECEDING_TOKEN: tuple(f"token {ids[begin - 1]:06d}" if begin > 0 else "none" for ids, _, begin in told),
        POSITION: tuple(f"position {place:04d}" for _, place, _ in told),
    }
