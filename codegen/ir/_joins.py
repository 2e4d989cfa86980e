"""The operations that only join, reshape or choose."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from codegen.ir._errors import IrError
from codegen.ir._op import Op
from codegen.ir._types import IntArray, TensorType


@dataclass(frozen=True)
class Add(Op):
    """Sum of two tensors of equal shape, element by element; its range is the sum of theirs."""

    kind: ClassVar[str] = "add"
    arity: ClassVar[int] = 2

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        left, right = self.first(inputs, 1, 3), inputs[1]
        if left.shape != right.shape:
            raise IrError(f"add must have inputs of equal shape, not {left.shape} and {right.shape}")
        return TensorType(left.shape, left.low + right.low, left.high + right.high)

    def apply(self, *arrays: IntArray) -> IntArray:
        return arrays[0] + arrays[1]

    def describe(self) -> str:
        return "add"


@dataclass(frozen=True)
class Flatten(Op):
    """Feature map (H, W, C) to vector (H*W*C,), in that order: the channel changes fastest."""

    kind: ClassVar[str] = "flatten"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.first(inputs, 3)
        return TensorType((input.elements,), input.low, input.high)

    def apply(self, *arrays: IntArray) -> IntArray:
        count, *shape = arrays[0].shape
        return arrays[0].reshape(count, math.prod(shape))

    def describe(self) -> str:
        return "flatten"


@dataclass(frozen=True)
class Argmax(Op):
    """Index of the largest element of a vector (K,), the lowest index among equals: (), range 0..K-1."""

    kind: ClassVar[str] = "argmax"

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        return TensorType((), 0, self.first(inputs, 1).elements - 1)

    def apply(self, *arrays: IntArray) -> IntArray:
        indices: IntArray = np.argmax(arrays[0], axis=-1).astype(np.int64)
        return indices

    def describe(self) -> str:
        return "argmax"
