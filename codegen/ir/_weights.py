"""Weights of one layer, as their codes."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir._errors import IrError
from codegen.ir._packing import check_codes
from codegen.ir._types import MAX_BITS, MAX_ELEMENTS, CodeArray, IntArray, frozen, signed_bits

_BLOCK_ELEMENTS = 1 << 20  # of the weights turned into values at a time: 8 MiB, whatever the layer's size


@dataclass(frozen=True, eq=False)
class DorefaWeights:
    """DoReFa weights (arXiv 1606.06160): code r in 0..2^bits-1 is the odd integer w = 2r - (2^bits - 1).

    codes: any integer dtype, kept as read-only uint8; Conv (out, ky, kx, in/groups), Linear (out, in).
    bits: 1..8. Raises IrError for a code out of range or a shape of another rank.
    """

    codes: CodeArray
    bits: int

    def __post_init__(self) -> None:
        codes = check_codes(self.codes, self.bits)
        if codes.ndim not in (2, 4) or not 1 <= codes.size <= MAX_ELEMENTS:
            raise IrError(
                "weight codes must have the shape (out, ky, kx, in/groups) or (out, in), of 1..2^27 codes, "
                f"not {codes.shape}"
            )
        object.__setattr__(self, "codes", frozen(codes, np.uint8))

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
        """Sum of the positive and of the negative weights of each output channel, as Python ints (out,)."""
        rows = 2 * self.codes.reshape(self.shape[0], -1).astype(np.int16) - ((1 << self.bits) - 1)
        positive = np.maximum(rows, 0).sum(axis=1, dtype=np.int64)
        negative = np.minimum(rows, 0).sum(axis=1, dtype=np.int64)
        return positive.astype(object), negative.astype(object)

    def channel_range(self, low: int, high: int) -> tuple[IntArray, IntArray]:
        """Exact lowest and highest sum of w*x of each output channel, each x in low..high or 0: int64 (out,).

        0 is always among the inputs: padding brings it, and with it no partial sum, in whatever order the
        products are added, leaves the range. Raises IrError if the range needs more than 62 bits.
        """
        low, high = min(low, 0), max(high, 0)
        positive, negative = self._sums
        lows, highs = positive * low + negative * high, positive * high + negative * low
        bits = signed_bits(min(lows), max(highs))
        if bits > MAX_BITS:
            raise IrError(f"an accumulator must fit {MAX_BITS} bits, but inputs in {low}..{high} need {bits}")
        return lows.astype(np.int64), highs.astype(np.int64)

    def accumulator_bits(self, low: int, high: int) -> int:
        """Smallest two's complement width that holds the `channel_range` of every output channel."""
        lows, highs = self.channel_range(low, high)
        return signed_bits(int(lows.min()), int(highs.max()))

    def carry(self, inputs: IntArray) -> npt.NDArray[Any]:
        """`inputs` in the fastest dtype in which `multiply` is exact for them.

        float32 and float64 hold every integer up to 2^24 and 2^53, and no product or partial sum, in the
        order of any BLAS, leaves `channel_range`: where that is within the bound, nothing is ever rounded.
        """
        lows, highs = self.channel_range(int(inputs.min(initial=0)), int(inputs.max(initial=0)))
        reach = max(-int(lows.min()), int(highs.max()))
        return inputs.astype(np.float32 if reach < 1 << 24 else np.float64 if reach < 1 << 53 else np.int64)

    def multiply(self, carried: npt.NDArray[Any]) -> IntArray:
        """Exact sums of w*x, int64 (groups, rows, out/groups), for inputs (groups, rows, n) from `carry`.

        n is the number of weights of an output channel; group g has the channels g*out/groups and on.
        """
        groups, rows, n = carried.shape
        codes = self.codes.reshape(groups, -1, n)
        sums = np.empty((groups, rows, codes.shape[1]), np.int64)
        step = max(1, _BLOCK_ELEMENTS // (groups * n))
        for start in range(0, codes.shape[1], step):
            block: npt.NDArray[Any] = codes[:, start : start + step].astype(carried.dtype)
            block *= 2
            block -= (1 << self.bits) - 1
            sums[:, :, start : start + step] = carried @ block.transpose(0, 2, 1)
        return sums

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DorefaWeights):
            return NotImplemented
        return self.bits == other.bits and np.array_equal(self.codes, other.codes)

    def __hash__(self) -> int:
        return hash((self.bits, self.shape, self.codes.tobytes()))
