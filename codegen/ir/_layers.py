"""The operations with weights: exact sums of products."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from codegen.ir._errors import IrError, shown, whole
from codegen.ir._op import Op
from codegen.ir._types import MAX_BITS, IntArray, TensorType, signed_bits
from codegen.ir._weights import DorefaWeights
from codegen.ir._window import Pair, check_window, slid, window_text, windows


@dataclass(frozen=True)
class Conv(Op):
    """Convolution: feature map (H, W, in) to exact sums (H', W', out), H' = (H + 2*padding - ky) // stride + 1.

    weights: codes (out, ky, kx, in/groups); output channel o reads the input channels of its group,
    o // (out/groups). stride, padding: (y, x); padding is symmetric, of zeros, smaller than the kernel.
    accumulator_bits: two's complement width, 1..62, which must hold the range of every output channel.
    """

    kind: ClassVar[str] = "conv"
    weights: DorefaWeights
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    accumulator_bits: int = field(kw_only=True)

    def __post_init__(self) -> None:
        shape = _weight_shape(self.weights, 4, "conv", "(out, ky, kx, in/groups)")
        check_window(self.kernel, self.stride, self.padding)
        whole(self.accumulator_bits, "accumulator_bits", 1, MAX_BITS)
        if whole(self.groups, "groups", 1, shape[0]) and shape[0] % self.groups:
            raise IrError(f"groups must divide the {shape[0]} output channels, not be {self.groups}")

    @property
    def kernel(self) -> Pair:
        """Kernel size (y, x)."""
        return self.weights.shape[1], self.weights.shape[2]

    def channel_range(self, input: TensorType) -> tuple[IntArray, IntArray]:
        """Lowest and highest accumulator of each output channel, int64 (out,) each; `DorefaWeights.channel_range`."""
        return self.weights.channel_range(input.low, input.high)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.take(inputs, (3,))
        channels = self.weights.shape[3] * self.groups
        if input.shape[2] != channels:
            raise IrError(
                f"weights of shape {self.weights.shape} in {self.groups} group(s) must read {channels} input "
                f"channels, not the {input.shape[2]} of {input.shape}"
            )
        size = slid(input, self.kernel, self.stride, self.padding)
        return _accumulated((*size, self.weights.shape[0]), self.channel_range(input), self.accumulator_bits)

    def apply(self, *arrays: IntArray) -> IntArray:
        view = windows(arrays[0], self.kernel, self.stride, self.padding, fill=0)
        n, height, width, channels, ky, kx = view.shape
        split = view.reshape(n, height, width, self.groups, channels // self.groups, ky, kx)
        columns = split.transpose(3, 0, 1, 2, 5, 6, 4).reshape(self.groups, n * height * width, -1)
        sums = self.weights.multiply(columns)  # (groups, n*height*width, out/groups)
        output: IntArray = sums.transpose(1, 0, 2).reshape(n, height, width, -1)
        return output

    def macs(self, input: TensorType) -> int:
        height, width = slid(input, self.kernel, self.stride, self.padding)
        return height * width * self.weights.codes.size

    def describe(self) -> str:
        groups = f" groups {self.groups}" if self.groups != 1 else ""
        return f"conv {window_text(self.kernel, self.stride, self.padding)}{groups}, {self.weights.bits}-bit weights"


@dataclass(frozen=True)
class Linear(Op):
    """Matrix product: vector (in,) to exact sums (out,).

    weights: codes (out, in). accumulator_bits: two's complement width, 1..62, which must hold the range of
    every output channel.
    """

    kind: ClassVar[str] = "linear"
    weights: DorefaWeights
    accumulator_bits: int

    def __post_init__(self) -> None:
        _weight_shape(self.weights, 2, "linear", "(out, in)")
        whole(self.accumulator_bits, "accumulator_bits", 1, MAX_BITS)

    def channel_range(self, input: TensorType) -> tuple[IntArray, IntArray]:
        """Lowest and highest accumulator of each output channel, int64 (out,) each; `DorefaWeights.channel_range`."""
        return self.weights.channel_range(input.low, input.high)

    def infer(self, inputs: Sequence[TensorType]) -> TensorType:
        input = self.take(inputs, (1,))
        if input.shape[0] != self.weights.shape[1]:
            raise IrError(
                f"weights of shape {self.weights.shape} must read {self.weights.shape[1]} inputs, "
                f"not the {input.shape[0]} of {input.shape}"
            )
        return _accumulated(self.weights.shape[:1], self.channel_range(input), self.accumulator_bits)

    def apply(self, *arrays: IntArray) -> IntArray:
        sums: IntArray = self.weights.multiply(arrays[0][None])[0]
        return sums

    def macs(self, input: TensorType) -> int:
        return self.weights.codes.size

    def describe(self) -> str:
        return f"linear {self.weights.shape[1]} to {self.weights.shape[0]}, {self.weights.bits}-bit weights"


def _weight_shape(weights: DorefaWeights, rank: int, kind: str, form: str) -> tuple[int, ...]:
    if not isinstance(weights, DorefaWeights):
        raise IrError(f"the weights of {kind} must be DorefaWeights, not {shown(weights)}")
    if len(weights.shape) != rank:
        raise IrError(f"the weight codes of {kind} must have the shape {form}, not {weights.shape}")
    return weights.shape


def _accumulated(shape: tuple[int, ...], bounds: tuple[IntArray, IntArray], bits: int) -> TensorType:
    """Type of exact sums within `bounds` (per channel); raises IrError naming the first channel beyond `bits`."""
    for channel, (low, high) in enumerate(zip(*(bound.tolist() for bound in bounds))):
        if signed_bits(low, high) > bits:
            raise IrError(
                f"an accumulator of {bits} bits must hold the range of every channel, but channel {channel} reaches "
                f"{low}..{high}; make accumulator_bits {signed_bits(low, high)} or more"
            )
    return TensorType(shape, int(bounds[0].min()), int(bounds[1].max()))
