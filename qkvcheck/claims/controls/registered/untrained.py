"""Untrained: networks of the same configuration with freshly drawn weights; what they show, training did not make."""

from __future__ import annotations

from qkvcheck.claims.controls.registry import UNTRAINED, SeedControl, register_control


@register_control
class UntrainedNetworks(SeedControl):
    """Twins of the model, one a seed (see `qkvcheck.claims.untrained`)."""

    name = UNTRAINED
    says = "networks of the same shape with random weights: what training did not make"
    order = 3
    label = "untrained network"
    colour = "untrained"
    column = "untrained"
