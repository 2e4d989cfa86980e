"""Weights of one layer, as their codes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir._errors import IrError, whole
from codegen.ir._packing import check_codes
from codegen.ir._types import MAX_BITS, MAX_ELEMENTS, CodeArray, IntArray, frozen, integers, signed_bits


@dataclass(frozen=True, eq=False)
class DorefaWeights:
    """DoReFa weights (arXiv 1606.06160): code r in 0..2^bits-1 stands for the odd integer w = 2r - (2^bits - 1).

    codes: any integer dtype, kept as read-only uint8; (out, ky, kx, in/groups) for Conv, (out, in) for Linear.
    bits: 1..8. Raises IrError for a code out of range or another rank.
    """

    codes: CodeArray
    bits: int

    def __post_init__(self) -> None:
        whole(self.bits, "the bits of DoReFa weights", 1, 8)
        codes = integers(self.codes, "weight codes")
        if codes.ndim not in (2, 4) or not 1 <= codes.size <= MAX_ELEMENTS:
            raise IrError(
                "weight codes must have the shape (out, ky, kx, in/groups) or (out, in), every size at least 1 "
                f"and at most {MAX_ELEMENTS} codes, not {codes.shape}"
            )
        object.__setattr__(self, "codes", frozen(check_codes(codes, self.bits), np.uint8))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the codes."""
        return self.codes.shape

    @property
    def values(self) -> IntArray:
        """The odd integers w = 2r - (2^bits - 1), int64, in the shape of the codes."""
        return 2 * self.codes.astype(np.int64) - ((1 << self.bits) - 1)

    @cached_property
    def _sums(self) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_]]:
        """Sum of the positive and of the negative weights of each output channel, as Python ints."""
        rows = self.codes.reshape(self.shape[0], -1).astype(np.int16)
        rows = 2 * rows - ((1 << self.bits) - 1)
        positive = np.maximum(rows, 0).sum(axis=1, dtype=np.int64)
        negative = np.minimum(rows, 0).sum(axis=1, dtype=np.int64)
        return positive.astype(object), negative.astype(object)

    def channel_range(self, low: int, high: int) -> tuple[IntArray, IntArray]:
        """Exact lowest and highest sum of w*x of each output channel, any x in low..high or 0: int64 (out,) each.

        Zero belongs to the inputs always: it is what padding brings, and with it every partial sum, in any
        order of adding, stays within the same range. Raises IrError if the range needs more than 62 bits.
        """
        low, high = min(low, 0), max(high, 0)
        positive, negative = self._sums
        lows, highs = positive * low + negative * high, positive * high + negative * low
        bits = signed_bits(min(lows), max(highs))
        if bits > MAX_BITS:
            raise IrError(f"an accumulator must fit in {MAX_BITS} bits, but inputs in {low}..{high} need {bits}")
        return lows.astype(np.int64), highs.astype(np.int64)

    def accumulator_bits(self, low: int, high: int) -> int:
        """Smallest two's complement width that holds every sum (and partial sum) of w*x, x in low..high or 0."""
        lows, highs = self.channel_range(low, high)
        return signed_bits(int(lows.min()), int(highs.max()))

    def multiply(self, inputs: IntArray) -> IntArray:
        """Exact sums of w*x: inputs int64 (groups, rows, n), n weights per output channel; (groups, rows, out/groups).

        float32 and float64 hold every integer up to 2^24 and 2^53. Each product and each partial sum stays
        within `channel_range` of the inputs in any order of adding, so where that is within the bound, the
        floating-point (BLAS) product rounds nothing and is exact. Elsewhere the product is in int64.
        """
        groups, _, n = inputs.shape
        lows, highs = self.channel_range(int(inputs.min()), int(inputs.max()))
        bound = max(-int(lows.min()), int(highs.max()))
        dtype = np.dtype(np.float32 if bound < 1 << 24 else np.float64 if bound < 1 << 53 else np.int64)
        weights: npt.NDArray[Any] = self.codes.astype(dtype)
        weights = 2 * weights - ((1 << self.bits) - 1)
        product = inputs.astype(dtype) @ weights.reshape(groups, -1, n).transpose(0, 2, 1)
        sums: IntArray = product.astype(np.int64)
        return sums

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DorefaWeights):
            return NotImplemented
        return self.bits == other.bits and np.array_equal(self.codes, other.codes)

    def __hash__(self) -> int:
        return hash((self.bits, self.shape, self.codes.tobytes()))
