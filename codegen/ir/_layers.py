"""The operations with weights: exact sums of products."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codegen.errors import shown
from codegen.ir._errors import IrError, whole
from codegen.ir._op import Op
from codegen.ir._types import MAX_BITS, IntArray, TensorType, signed_bits
from codegen.ir._weights import DorefaWeights
from codegen.ir._window import Pair, check_window, slid, window_text, windows

_COLUMN_ELEMENTS = 1 << 22  # of the windows of one matrix product, each copied out: at most 32 MiB


class Layer(Op):
    """What Conv and Linear share: weights, and accumulators that hold their exact sums."""

    weights: DorefaWeights
    accumulator_bits: int

    def channel_range(self, input: TensorType) -> tuple[IntArray, IntArray]:
        """Lowest and highest accumulator of each output channel, int64 (out,), by interval arithmetic."""
        return self.weights.channel_range(input.low, input.high)

    def widths(self) -> str:
        """The widths of weights and accumulators in a few words."""
        return f"{self.weights.bits}-bit weights, {self.accumulator_bits}-bit sums"

    def check_layer(self, rank: int, form: str) -> None:
        """Raise IrError unless the fields above are weights of this rank and a width in 1..62."""
        if not isinstance(self.weights, DorefaWeights):
            raise IrError(f"the weights of {self.kind} must be DorefaWeights, not {shown(self.weights)}")
        if len(self.weights.shape) != rank:
            raise IrError(f"weight codes of {self.kind} must have the shape {form}, not {self.weights.shape}")
        whole(self.accumulator_bits, "accumulator_bits", 1, MAX_BITS)

    def accumulated(self, shape: tuple[int, ...], input: TensorType) -> TensorType:
        """Type of the sums; raises IrError, naming the first channel, if one can outgrow its accumulator."""
        lows, highs = self.channel_range(input)
        for channel, (low, high) in enumerate(zip(lows.tolist(), highs.tolist(), strict=True)):
            if signed_bits(low, high) > self.accumulator_bits:
                raise IrError(
                    f"accumulator_bits must hold every sum, but channel {channel} reaches {low}..{high}, "
                    f"which {self.accumulator_bits} bits do not hold; "
                    f"this layer needs {self.weights.accumulator_bits(input.low, input.high)}"
                )
        return TensorType(shape, int(lows.min()), int(highs.max()))


@dataclass(frozen=True)
class Conv(Layer):
    """Convolution, (H, W, in) to exact sums (H', W', out) with H' = (H + 2*padding - ky) // stride + 1.

    weights: codes (out, ky, kx, in/groups); output channel o reads the input channels of its group,
    o // (out/groups). stride, padding: (y, x); padding is of zeros, symmetric and below the kernel.
    accumulator_bits: two's complement width, 1..62, that holds the exact range of every output channel.
    """

    kind: ClassVar[str] = "conv"
    weights: DorefaWeights
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    accumulator_bits: int = field(kw_only=True)

    def __post_init__(self) -> None:
        self.check_layer(4, "(out, ky, kx, in/groups)")
        check_window(self.kernel, self.stride, self.padding)
        outputs = self.weights.shape[0]
        if outputs % whole(self.groups, "groups", 1, outputs):
            raise IrError(f"groups must divide the {outputs} output channels, not be {self.groups}")

    @property
    def kernel(self) -> Pair:
        """Kernel size (y, x)."""
        return self.weights.shape[1], self.weights.shape[2]

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.first(inputs, 3)
        channels = self.weights.shape[3] * self.groups
        if input.shape[2] != channels:
            raise IrError(
                f"weight codes {self.weights.shape} in {self.groups} group(s) must read {channels} channels, "
                f"not the {input.shape[2]} of {input.shape}"
            )
        size = slid(input, self.kernel, self.stride, self.padding)
        return self.accumulated((*size, self.weights.shape[0]), input)

    def apply(self, *arrays: IntArray) -> IntArray:
        maps = self.weights.carry(arrays[0])
        view = windows(maps, self.kernel, self.stride, self.padding, fill=0)
        count, height, width, channels, ky, kx = view.shape
        row = width * channels * ky * kx
        images, rows = max(1, _COLUMN_ELEMENTS // (height * row)), max(1, _COLUMN_ELEMENTS // row)
        output = np.empty((count, height, width, self.weights.shape[0]), np.int64)
        for image, top in itertools.product(range(0, count, images), range(0, height, rows)):
            block = np.s_[image : image + images, top : top + rows]
            output[block] = self._sums(view[block])
        return output

    def _sums(self, view: npt.NDArray[Any]) -> IntArray:
        """Sums of windows (N, H', W', C, ky, kx), which are copied out: (N, H', W', out)."""
        *shape, channels, ky, kx = view.shape
        split = view.reshape(*shape, self.groups, channels // self.groups, ky, kx)
        columns = split.transpose(3, 0, 1, 2, 5, 6, 4).reshape(self.groups, math.prod(shape), -1)
        sums = self.weights.multiply(columns)  # (groups, rows, out/groups)
        return sums.transpose(1, 0, 2).reshape(*shape, -1)

    def macs(self, input: TensorType) -> int:
        height, width = slid(input, self.kernel, self.stride, self.padding)
        return height * width * self.weights.codes.size

    def describe(self) -> str:
        groups = f" groups {self.groups}" if self.groups != 1 else ""
        geometry = window_text(self.kernel, self.stride, self.padding)
        return f"conv {geometry}{groups}, {self.widths()}"


@dataclass(frozen=True)
class Linear(Layer):
    """Matrix product, vector (in,) to exact sums (out,).

    weights: codes (out, in). accumulator_bits: two's complement width, 1..62, that holds the exact range of
    every output channel.
    """

    kind: ClassVar[str] = "linear"
    weights: DorefaWeights
    accumulator_bits: int

    def __post_init__(self) -> None:
        self.check_layer(2, "(out, in)")

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.first(inputs, 1)
        outputs, size = self.weights.shape
        if input.shape != (size,):
            raise IrError(f"weight codes {self.weights.shape} must read {size} inputs, not {input.shape[0]}")
        return self.accumulated((outputs,), input)

    def apply(self, *arrays: IntArray) -> IntArray:
        sums: IntArray = self.weights.multiply(self.weights.carry(arrays[0])[None])[0]
        return sums

    def macs(self, input: TensorType) -> int:
        return self.weights.codes.size

    def describe(self) -> str:
        outputs, size = self.weights.shape
        return f"linear {size} to {outputs}, {self.widths()}"
