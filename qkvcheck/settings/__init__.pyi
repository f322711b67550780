from .extensions import load_extensions
from .option import Option, from_root
from .settings import OPTIONS, Settings, resolve_settings
from .values import check_text, parse_layers

__all__ = [
    "OPTIONS",
    "Option",
    "Settings",
    "check_text",
    "from_root",
    "load_extensions",
    "parse_layers",
    "resolve_settings",
]
