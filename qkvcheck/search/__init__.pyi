from .adversary import attack, judge_every_context, replay
from .outcome import outcome_lines, rate_lines, search_record, write_found
from .strategies import context_of, context_set, context_sets, contexts, register_profile

__all__ = [
    "attack",
    "context_of",
    "context_set",
    "context_sets",
    "contexts",
    "judge_every_context",
    "outcome_lines",
    "rate_lines",
    "register_profile",
    "replay",
    "search_record",
    "write_found",
]
