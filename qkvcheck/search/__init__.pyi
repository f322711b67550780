from .adversary import attack, judge_every_context, replay
from .measures import SetMeasure
from .outcome import outcome_document, outcome_lines, rate_lines, write_found
from .strategies import context_of, context_set, context_sets, contexts, register_profile

__all__ = [
    "SetMeasure",
    "attack",
    "context_of",
    "context_set",
    "context_sets",
    "contexts",
    "judge_every_context",
    "outcome_document",
    "outcome_lines",
    "rate_lines",
    "register_profile",
    "replay",
    "write_found",
]
