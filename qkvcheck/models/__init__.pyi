from .architecture import (
    TRIE_ATTENTION,
    Architecture,
    Heads,
    Position,
    architecture_of,
    register_architecture,
    rope_of,
)
from .directory import memory_bytes
from .gguf.converted import convert_gguf, gguf_obstacle, told_of_bos
from .gguf.fetched import PACKAGED, PackagedModel, fetch_model, flaw_of_fetched
from .gguf.store import cache_folder
from .hub import GPT2_SMALL, answers, cached
from .loading import (
    HookedModel,
    from_model,
    load_model,
    torch_obstacle,
    untrained_twin,
)
from .locating import EMBEDDED, choose_automatically, embedded_directory, embedded_training
from .outline import Outline, depth_of, outline_of
from .structure import UNTOLD, evaluating, one_thread
from .tokenizers import PretrainedEncoder, load_encoder
from .twins import TwinIdentity, twin_identity
from .weights.files import flaw_of

__all__ = [
    "EMBEDDED",
    "GPT2_SMALL",
    "PACKAGED",
    "TRIE_ATTENTION",
    "UNTOLD",
    "Architecture",
    "Heads",
    "HookedModel",
    "Outline",
    "PackagedModel",
    "Position",
    "PretrainedEncoder",
    "TwinIdentity",
    "answers",
    "architecture_of",
    "cache_folder",
    "cached",
    "choose_automatically",
    "convert_gguf",
    "depth_of",
    "embedded_directory",
    "embedded_training",
    "evaluating",
    "fetch_model",
    "flaw_of",
    "flaw_of_fetched",
    "from_model",
    "gguf_obstacle",
    "load_encoder",
    "load_model",
    "memory_bytes",
    "one_thread",
    "outline_of",
    "register_architecture",
    "rope_of",
    "told_of_bos",
    "torch_obstacle",
    "twin_identity",
    "untrained_twin",
]
