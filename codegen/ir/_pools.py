"""Pooling: one integer out of each window of each channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from codegen.ir._op import Op
from codegen.ir._types import IntArray, TensorType
from codegen.ir._window import Pair, check_window, pooled_max, pooled_sum, slid, window_text


@dataclass(frozen=True)
class Pool(Op):
    """What MaxPool and AvgPool share: the windows, (H, W, C) to (H', W', C), sizes as in Conv."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        check_window(self.kernel, self.stride, self.padding)

    def pooled(self, input: TensorType) -> tuple[int, int, int]:
        """Shape of the output; raises IrError if the kernel is larger than the padded input."""
        return (*slid(input, self.kernel, self.stride, self.padding), input.shape[2])

    def describe(self) -> str:
        return f"{self.kind.replace('_', ' ')} {window_text(self.kernel, self.stride, self.padding)}"


@dataclass(frozen=True)
class MaxPool(Pool):
    """Largest element of each window.

    kernel, stride, padding: (y, x). Padding never wins: it stands for the lowest code, 0 for unsigned ones,
    and as it is below the kernel, every window holds a real element too.
    """

    kind: ClassVar[str] = "max_pool"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.first(inputs, 3)
        return TensorType(self.pooled(input), input.low, input.high)

    def apply(self, *arrays: IntArray) -> IntArray:
        return pooled_max(arrays[0], self.kernel, self.stride, self.padding)


@dataclass(frozen=True)
class AvgPool(Pool):
    """Mean of each window rounded to the nearest, halves up: floor((2*sum + n) / (2*n)), n = ky*kx.

    kernel, stride, padding: (y, x). Padding counts as zeros.
    """

    kind: ClassVar[str] = "avg_pool"

    @property
    def area(self) -> int:
        """Number of elements of a window, n."""
        return self.kernel[0] * self.kernel[1]

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.first(inputs, 3)
        shape = self.pooled(input)
        mean = TensorType(shape, input.low, input.high) if self.padding == (0, 0) else input.with_zero(shape)
        TensorType(shape, self.area * mean.low, self.area * mean.high)  # its sum is a tensor too: it must fit
        return mean

    def apply(self, *arrays: IntArray) -> IntArray:
        sums = pooled_sum(arrays[0], self.kernel, self.stride, self.padding)
        return (2 * sums + self.area) // (2 * self.area)
