"""Strategies: the documented place of `qkvcheck.search`'s hypothesis strategies."""

from qkvcheck.search import context_of, context_set, context_sets, contexts, register_profile

__all__ = ["context_of", "context_set", "context_sets", "contexts", "register_profile"]
