from .architecture import Architecture, Position, architecture_of, register_architecture
from .directory import memory_bytes
from .hub import GPT2_SMALL, answers, cached
from .loading import (
    EMBEDDED,
    HookedModel,
    choose_automatically,
    depth_of,
    embedded_directory,
    embedded_training,
    from_model,
    load_model,
    torch_obstacle,
    untrained_twin,
)
from .outline import Outline, outline_of
from .tokenizers import PretrainedEncoder, load_encoder
from .twins import TwinIdentity, twin_identity
from .weights import flaw_of

__all__ = [
    "EMBEDDED",
    "GPT2_SMALL",
    "Architecture",
    "HookedModel",
    "Outline",
    "Position",
    "PretrainedEncoder",
    "TwinIdentity",
    "answers",
    "architecture_of",
    "cached",
    "choose_automatically",
    "depth_of",
    "embedded_directory",
    "embedded_training",
    "flaw_of",
    "from_model",
    "load_encoder",
    "load_model",
    "memory_bytes",
    "outline_of",
    "register_architecture",
    "torch_obstacle",
    "twin_identity",
    "untrained_twin",
]
