from .given import Given
from .npz import read_npz
from .tensors import TensorEntry, TensorHeader, read_tensor_header

__all__ = [
    "Given",
    "TensorEntry",
    "TensorHeader",
    "read_npz",
    "read_tensor_header",
]
