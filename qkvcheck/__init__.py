"""qkvcheck: claims about a transformer's queries, keys and values, as pytest experiments.

A first look, on an array of your own with one row a context::

    >>> import numpy as np
    >>> import qkvcheck
    >>> rows = np.random.default_rng(0).normal(size=(54, 8)) + 5
    >>> qkvcheck.judge(rows, statistic="row_mean", group="Q", above=0.9)
    Verdict(claim-L00-Q: SUPPORTED, 0.9648 [0.9589, 0.9697] > 0.9)

Names are imported when they are first used, so that a pytest with this plugin starts without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from qkvcheck.capture import Activations, load_activations
    from qkvcheck.claims import Cell, Claim, Verdict, judge, load_claims, register_control
    from qkvcheck.contexts import Context, ContextSet, audit, encode_corpus, read_corpus
    from qkvcheck.errors import QkvcheckError
    from qkvcheck.models import HookedModel, from_model, load_model, untrained_twin
    from qkvcheck.record import Results, load_results
    from qkvcheck.report import register_figure
    from qkvcheck.statistics import (
        GroupSummary,
        Moments,
        Sample,
        accumulate,
        register_statistic,
        summarise_groups,
        summarise_moments,
    )

__all__ = [
    "Activations",
    "Cell",
    "Claim",
    "Context",
    "ContextSet",
    "GroupSummary",
    "HookedModel",
    "Moments",
    "QkvcheckError",
    "Results",
    "Sample",
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
    "register_control",
    "register_figure",
    "register_statistic",
    "summarise_groups",
    "summarise_moments",
    "untrained_twin",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "capture": ["Activations", "load_activations"],
        "claims": ["Cell", "Claim", "Verdict", "judge", "load_claims", "register_control"],
        "contexts": ["Context", "ContextSet", "audit", "encode_corpus", "read_corpus"],
        "errors": ["QkvcheckError"],
        "models": ["HookedModel", "from_model", "load_model", "untrained_twin"],
        "record": ["Results", "load_results"],
        "report": ["register_figure"],
        "statistics": [
            "GroupSummary",
            "Moments",
            "Sample",
            "accumulate",
            "register_statistic",
            "summarise_groups",
            "summarise_moments",
        ],
    },
)
