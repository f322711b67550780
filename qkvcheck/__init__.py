"""qkvcheck: claims about a transformer's queries, keys and values, as pytest experiments.

Names are imported when they are first used, so that a pytest with this plugin starts without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qkvcheck.capture import Activations, load_activations
    from qkvcheck.claims import Claim, Verdict, judge, load_claims
    from qkvcheck.contexts import Context, ContextSet, audit, encode_corpus, read_corpus
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.models import HookedModel, from_model, load_model, untrained_twin
    from qkvcheck.record import Results, load_results
    from qkvcheck.statistics import GroupSummary, Moments, accumulate, summarise_groups, summarise_moments

_HOMES = {
    "Activations": "activations",
    "Claim": "claims",
    "Context": "contexts",
    "ContextSet": "contexts",
    "GroupSummary": "similarity",
    "HookedModel": "models",
    "Moments": "moments",
    "QkvcheckError": "errors",
    "Results": "results",
    "Verdict": "verdicts",
    "accumulate": "moments",
    "audit": "contexts",
    "encode_corpus": "corpora",
    "from_model": "models",
    "judge": "judging",
    "load_activations": "activations",
    "load_claims": "claims",
    "load_model": "models",
    "load_results": "results",
    "read_corpus": "corpora",
    "summarise_groups": "similarity",
    "summarise_moments": "moments",
    "untrained_twin": "models",
}

__all__ = [
    "Activations",
    "Claim",
    "Context",
    "ContextSet",
    "GroupSummary",
    "HookedModel",
    "Moments",
    "QkvcheckError",
    "Results",
    "Verdict",
    "accumulate",
    "audit",
    "encode_corpus",
    "from_model",
    "judge",
    "load_activations",
    "load_claims",
    "load_model",
    "load_results",
    "read_corpus",
    "summarise_groups",
    "summarise_moments",
    "untrained_twin",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
