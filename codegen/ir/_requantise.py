"""The one definition of requantisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codegen.ir._errors import IrError, whole
from codegen.ir._op import Op
from codegen.ir._types import IntArray, TensorType, frozen, integers

MAX_FRACTION = 62


def requantise(
    acc: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike, weight_bits: int, fraction: int, bits: int
) -> IntArray:
    """clip(floor((2*alpha*acc + 2*beta + d) / (2*d)), 0, 2^bits - 1), d = (2^weight_bits - 1) * 2^fraction.

    acc: integers of any shape; alpha, beta: integers that broadcast against it (per channel: its last axis).
    Returns int64 of the broadcast shape. This is (alpha*acc + beta) / d rounded to the nearest code, halves
    up, exactly, for any operands. Raises IrError for an operand that is not of an integer dtype.
    """
    operands = [integers(array, what) for array, what in ((acc, "acc"), (alpha, "alpha"), (beta, "beta"))]
    divisor = ((1 << weight_bits) - 1) << fraction
    acc_reach, alpha_reach, beta_reach = (_reach(array) for array in operands)
    bound = 2 * alpha_reach * acc_reach + 2 * beta_reach + 2 * divisor
    dtype = np.dtype(np.int64 if bound < 1 << 63 else object)  # Python ints where int64 could overflow
    sums, scale, bias = (array.astype(dtype) for array in operands)
    rounded = (2 * scale * sums + (2 * bias + divisor)) // (2 * divisor)
    codes: IntArray = np.clip(rounded, 0, (1 << bits) - 1).astype(np.int64)
    return codes


def _reach(array: npt.NDArray[Any]) -> int:
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))


@dataclass(frozen=True, eq=False)
class Requantise(Op):
    """Accumulators to codes in 0..2^bits-1 by `requantise`, (H, W, C) or (K,) to the same shape.

    alpha: int64 () or (C,), above 0; beta: int64 () or (C,), C being the last axis; weight_bits, bits: 1..8;
    fraction: 0..62. Arrays of any integer dtype are kept as read-only int64. Raises IrError.
    """

    kind: ClassVar[str] = "requantise"
    alpha: IntArray
    beta: IntArray
    weight_bits: int
    fraction: int
    bits: int

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            array = integers(getattr(self, name), name)
            if array.ndim > 1 or array.size == 0 or array.dtype == np.uint64:
                raise IrError(f"{name} must be int64 of shape () or (C,), not {array.dtype} {array.shape}")
            object.__setattr__(self, name, frozen(array, np.int64))
        if (self.alpha <= 0).any():
            channel = int(np.argmax(self.alpha <= 0))
            raise IrError(f"alpha must be above 0, not {self.alpha.flat[channel]}, as in channel {channel}")
        if self.alpha.ndim and self.beta.ndim and self.alpha.size != self.beta.size:
            raise IrError(f"beta must have one value, or {self.alpha.size} as alpha, not {self.beta.size}")
        whole(self.weight_bits, "weight_bits", 1, 8)
        whole(self.fraction, "fraction", 0, MAX_FRACTION)
        whole(self.bits, "the bits of a requantised code", 1, 8)

    @property
    def divisor(self) -> int:
        """d = (2^weight_bits - 1) * 2^fraction."""
        return ((1 << self.weight_bits) - 1) << self.fraction

    @property
    def per_channel(self) -> bool:
        """True if alpha or beta has a value for each channel, even if there is only one channel."""
        return self.alpha.ndim + self.beta.ndim > 0

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.first(inputs, 1, 3)
        for name, array in (("alpha", self.alpha), ("beta", self.beta)):
            if array.ndim and array.size != input.shape[-1]:
                raise IrError(f"{name} must have one value, or {input.shape[-1]}, not {array.size}")
        return TensorType(input.shape, 0, (1 << self.bits) - 1)

    def apply(self, *arrays: IntArray) -> IntArray:
        return requantise(arrays[0], self.alpha, self.beta, self.weight_bits, self.fraction, self.bits)

    def describe(self) -> str:
        scope = "channel" if self.per_channel else "layer"
        return f"requantise per {scope}, d = {(1 << self.weight_bits) - 1}*2^{self.fraction}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Requantise):
            return NotImplemented
        same = (self.weight_bits, self.fraction, self.bits) == (other.weight_bits, other.fraction, other.bits)
        return same and np.array_equal(self.alpha, other.alpha) and np.array_equal(self.beta, other.beta)

    def __hash__(self) -> int:
        return hash((self.alpha.tobytes(), self.beta.tobytes(), self.weight_bits, self.fraction, self.bits))
