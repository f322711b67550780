from .activations import Activations, Captured, check_head, head_columns, heads_in, sample_of
from .forecasting import AskedFor, Forecast, forecast
from .hooks import PRECEDING, capture, check_layers, check_layout, tokens_sha256
from .loaded import load_activations
from .samples import Plan, Samples, Variant
from .source import Source, capture_named
from .stored import IN_MEMORY, CaptureStore
from .submission import FileSource, read_submission

__all__ = [
    "IN_MEMORY",
    "PRECEDING",
    "Activations",
    "AskedFor",
    "CaptureStore",
    "Captured",
    "FileSource",
    "Forecast",
    "Plan",
    "Samples",
    "Source",
    "Variant",
    "capture",
    "capture_named",
    "check_head",
    "check_layers",
    "check_layout",
    "forecast",
    "head_columns",
    "heads_in",
    "load_activations",
    "read_submission",
    "sample_of",
    "tokens_sha256",
]
