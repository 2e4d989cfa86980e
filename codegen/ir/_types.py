"""What flows along an edge of the graph: a shape, and the inclusive range of every element."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.errors import shown
from codegen.ir._errors import IrError, whole

IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.uint8]

MAX_ELEMENTS = 1 << 27  # of one tensor, a GiB: a map of 1024 x 1024 x 64 is half of it
MAX_BITS = 62  # of one element, two's complement: twice the element plus a rounding term still fits int64


@dataclass(frozen=True)
class TensorType:
    """Shape and range of one image's tensor.

    `shape` is (H, W, C) for a feature map, (K,) for a vector, () for a class index. Every element is an
    integer in `low`..`high`, both inclusive and within 62 bits of two's complement.
    Raises IrError for any other shape, more than 2^27 elements, or an empty range.
    """

    shape: tuple[int, ...]
    low: int
    high: int

    def __post_init__(self) -> None:
        if type(self.shape) is not tuple or len(self.shape) not in (0, 1, 3):
            raise IrError(f"a tensor's shape must be a tuple (H, W, C), (K,) or (), not {shown(self.shape)}")
        for size in self.shape:
            whole(size, "each size in a tensor's shape", 1, MAX_ELEMENTS)
        whole(self.elements, "the number of elements of a tensor", 1, MAX_ELEMENTS)
        limit = 1 << (MAX_BITS - 1)
        whole(self.low, "the lowest value of a tensor", -limit, limit - 1)
        whole(self.high, "the highest value of a tensor", -limit, limit - 1)
        if self.low > self.high:
            raise IrError(f"a tensor's range must have low at most high, not {self.low}..{self.high}")

    @property
    def elements(self) -> int:
        """Number of elements of one image's tensor."""
        return math.prod(self.shape)

    @property
    def signed(self) -> bool:
        """True if an element can be below zero."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """Bits that hold every element: two's complement if `signed`, unsigned if not; at least 1."""
        return signed_bits(self.low, self.high) if self.signed else max(1, self.high.bit_length())

    def with_zero(self, shape: tuple[int, ...]) -> "TensorType":
        """The type of `shape` with this range stretched to contain 0, as zero padding makes it."""
        return TensorType(shape, min(self.low, 0), max(self.high, 0))


def signed_bits(low: int, high: int) -> int:
    """Smallest two's complement width, at least 1, that holds every integer in low..high."""
    return 1 + max((end if end >= 0 else ~end).bit_length() for end in (low, high))


def frozen(array: npt.NDArray[Any], dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """A read-only, C-contiguous copy, so that a frozen operation cannot change behind its owner's back."""
    copy = np.array(array, dtype=dtype, order="C")
    copy.setflags(write=False)
    return copy


def integers(array: Any, what: str) -> npt.NDArray[np.integer[Any]]:
    """`array` as a NumPy array, which must be of an integer dtype; raises IrError naming `what`."""
    converted = np.asarray(array)
    if not np.issubdtype(converted.dtype, np.integer):
        raise IrError(f"{what} must be integers, not of dtype {converted.dtype}")
    return converted
