from .activations import Activations, Captured, load_activations, sample_of
from .hooks import PRECEDING, capture, check_layers
from .samples import Plan, Samples, Variant
from .source import Source
from .submission import FileSource, read_submission

__all__ = [
    "PRECEDING",
    "Activations",
    "Captured",
    "FileSource",
    "Plan",
    "Samples",
    "Source",
    "Variant",
    "capture",
    "check_layers",
    "load_activations",
    "read_submission",
    "sample_of",
]
