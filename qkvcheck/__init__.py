"""qkvcheck: claims about a transformer's queries, keys and values, as pytest experiments.

A first look, on an array of your own (one row a context)::

    import numpy as np
    import qkvcheck

    groups = qkvcheck.summarise_groups(np.random.default_rng(0).normal(size=(54, 8)), {"Q": slice(0, 8)}, ["QQ"])

Names are imported when they are first used, so that a pytest with this plugin starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from qkvcheck.capture import Activations, load_activations
    from qkvcheck.claims import Claim, Verdict, judge, load_claims
    from qkvcheck.contexts import Context, ContextSet, audit, encode_corpus, read_corpus
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.models import HookedModel, from_model, load_model, untrained_twin
    from qkvcheck.record import Results, load_results
    from qkvcheck.statistics import GroupSummary, Moments, accumulate, summarise_groups, summarise_moments

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "capture": ["Activations", "load_activations"],
        "claims": ["Claim", "Verdict", "judge", "load_claims"],
        "contexts": ["Context", "ContextSet", "audit", "encode_corpus", "read_corpus"],
        "errors": ["QkvcheckError"],
        "models": ["HookedModel", "from_model", "load_model", "untrained_twin"],
        "record": ["Results", "load_results"],
        "statistics": ["GroupSummary", "Moments", "accumulate", "summarise_groups", "summarise_moments"],
    },
)
