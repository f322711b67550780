from .activations import Activations, load_activations
from .hooks import PRECEDING, capture, check_layers
from .samples import Plan, Samples, Variant
from .submission import Submission, describe_submission, read_submission

__all__ = [
    "PRECEDING",
    "Activations",
    "Plan",
    "Samples",
    "Submission",
    "Variant",
    "capture",
    "check_layers",
    "describe_submission",
    "load_activations",
    "read_submission",
]
