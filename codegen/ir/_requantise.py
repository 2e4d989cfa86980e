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
    """Codes of the next layer: clip(floor((2*alpha*acc + 2*beta + d) / (2*d)), 0, 2^bits - 1), d = (2^weight_bits - 1) * 2^fraction.

    acc: integers of any shape; alpha, beta: integers that broadcast against acc (per channel along its last axis).
    Returns int64 of the broadcast shape. The quotient rounds to the nearest code, exact halves up. Exact for
    any operands: int64 where a bound on the operands shows that nothing can overflow, Python ints elsewhere.
    """
    operands = [integers(array, what) for array, what in ((acc, "acc"), (alpha, "alpha"), (beta, "beta"))]
    divisor = ((1 << weight_bits) - 1) << fraction
    acc_bound, alpha_bound, beta_bound = (_magnitude(array) for array in operands)
    bound = 2 * alpha_bound * acc_bound + 2 * beta_bound + 2 * divisor
    a, m, b = (array.astype(np.int64 if bound < 1 << 63 else object) for array in operands)
    rounded = (2 * m * a + (2 * b + divisor)) // (2 * divisor)
    codes: IntArray = np.clip(rounded, 0, (1 << bits) - 1).astype(np.int64)
    return codes


def _magnitude(array: npt.NDArray[Any]) -> int:
    return max(int(array.max()), -int(array.min())) if array.size else 0


@dataclass(frozen=True, eq=False)
class Requantise(Op):
    """Accumulators to codes in 0..2^bits-1 by `requantise`, on (H, W, C) or (K,).

    alpha: int64 () or (C,), above 0; beta: int64 () or (C,); the scale is alpha / ((2^weight_bits - 1) * 2^fraction).
    weight_bits, bits: 1..8; fraction: 0..62. Arrays of any integer dtype are kept as read-only int64.
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
                raise IrError(f"{name} must be int64 of shape () or (C,), not {array.dtype} of shape {array.shape}")
            object.__setattr__(self, name, frozen(array, np.int64))
        if (self.alpha <= 0).any():
            channel = int(np.argmax(self.alpha <= 0))
            raise IrError(f"alpha must be above 0, not {self.alpha.flat[channel]} in channel {channel}")
        if self.alpha.ndim and self.beta.ndim and self.alpha.size != self.beta.size:
            raise IrError(f"beta must have as many channels as alpha, {self.alpha.size}, not {self.beta.size}")
        whole(self.weight_bits, "weight_bits", 1, 8)
        whole(self.fraction, "fraction", 0, MAX_FRACTION)
        whole(self.bits, "the bits of a requantised code", 1, 8)

    @property
    def divisor(self) -> int:
        """d = (2^weight_bits - 1) * 2^fraction."""
        return ((1 << self.weight_bits) - 1) << self.fraction

    @property
    def per_channel(self) -> bool:
        """True if alpha or beta has a value for each channel."""
        return bool(self.alpha.ndim or self.beta.ndim)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.take(inputs, (1, 3))
        for name, array in (("alpha", self.alpha), ("beta", self.beta)):
            if array.ndim and array.size != input.shape[-1]:
                raise IrError(f"{name} must have the {input.shape[-1]} channels of {input.shape}, not {array.size}")
        return TensorType(input.shape, 0, (1 << self.bits) - 1)

    def apply(self, *arrays: IntArray) -> IntArray:
        return requantise(arrays[0], self.alpha, self.beta, self.weight_bits, self.fraction, self.bits)

    def describe(self) -> str:
        scope = "channel" if self.per_channel else "layer"
        return f"requantise to {self.bits} bits per {scope}, scale alpha/({(1 << self.weight_bits) - 1}*2^{self.fraction})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Requantise):
            return NotImplemented
        same = (self.weight_bits, self.fraction, self.bits) == (other.weight_bits, other.fraction, other.bits)
        return same and np.array_equal(self.alpha, other.alpha) and np.array_equal(self.beta, other.beta)

    def __hash__(self) -> int:
        return hash((self.alpha.tobytes(), self.beta.tobytes(), self.weight_bits, self.fraction, self.bits))
