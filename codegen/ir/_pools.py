"""Pooling: one integer out of each window of each channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from codegen.ir._op import Op
from codegen.ir._types import IntArray, TensorType
from codegen.ir._window import Pair, check_window, slid, window_text, windows


@dataclass(frozen=True)
class MaxPool(Op):
    """Largest element of each window: (H, W, C) to (H', W', C), sizes as in Conv.

    kernel, stride, padding: (y, x). Padding never wins: it stands for the lowest code, 0 for unsigned codes,
    and since it is smaller than the kernel, every window holds a real element too.
    """

    kind: ClassVar[str] = "max_pool"
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        check_window(self.kernel, self.stride, self.padding)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.take(inputs, (3,))
        size = slid(input, self.kernel, self.stride, self.padding)
        return TensorType((*size, input.shape[2]), input.low, input.high)

    def apply(self, *arrays: IntArray) -> IntArray:
        lowest = int(np.iinfo(np.int64).min)  # below every code, so as good as the lowest code of the input's type
        largest: IntArray = windows(arrays[0], self.kernel, self.stride, self.padding, lowest).max(axis=(4, 5))
        return largest

    def describe(self) -> str:
        return f"max pool {window_text(self.kernel, self.stride, self.padding)}"


@dataclass(frozen=True)
class AvgPool(Op):
    """Rounded mean of each window, floor((2*sum + n) / (2*n)), n = ky*kx: (H, W, C) to (H', W', C), sizes as in Conv.

    kernel, stride, padding: (y, x). Padding counts as zeros. An exact half rounds up, as in Requantise.
    """

    kind: ClassVar[str] = "avg_pool"
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)

    def __post_init__(self) -> None:
        check_window(self.kernel, self.stride, self.padding)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.take(inputs, (3,))
        size = slid(input, self.kernel, self.stride, self.padding)
        output = TensorType((*size, input.shape[2]), input.low, input.high)
        if self.padding != (0, 0):
            output = output.with_zero(output.shape)
        area = self.kernel[0] * self.kernel[1]
        TensorType(output.shape, min(0, area * output.low), max(0, area * output.high))  # the sums must fit as well
        return output

    def apply(self, *arrays: IntArray) -> IntArray:
        area = self.kernel[0] * self.kernel[1]
        sums: IntArray = windows(arrays[0], self.kernel, self.stride, self.padding, fill=0).sum(axis=(4, 5))
        return (2 * sums + area) // (2 * area)

    def describe(self) -> str:
        return f"average pool {window_text(self.kernel, self.stride, self.padding)}"
