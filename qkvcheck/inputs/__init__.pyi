from .documents import from_document, part_of, read_json, read_toml, reading
from .given import Given
from .npz import read_npz
from .tensors import TensorEntry, TensorHeader, read_tensor_header

__all__ = [
    "Given",
    "TensorEntry",
    "TensorHeader",
    "from_document",
    "part_of",
    "read_json",
    "read_npz",
    "read_tensor_header",
    "read_toml",
    "reading",
]
