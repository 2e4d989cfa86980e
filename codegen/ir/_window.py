"""Sliding windows over a feature map: the geometry that convolution and pooling share."""

from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.errors import shown
from codegen.ir._errors import IrError, whole
from codegen.ir._types import MAX_ELEMENTS, IntArray, TensorType

Pair = tuple[int, int]


def check_window(kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Raise IrError unless kernel and stride are (y, x), 1 or more, and padding is (y, x) below kernel."""
    for pair, what, least in ((kernel, "kernel", 1), (stride, "stride", 1), (padding, "padding", 0)):
        if type(pair) is not tuple or len(pair) != 2:
            raise IrError(f"{what} must be a tuple (y, x), not {shown(pair)}")
        for size in pair:
            whole(size, f"each part of {what}", least, MAX_ELEMENTS)
    if padding[0] >= kernel[0] or padding[1] >= kernel[1]:
        raise IrError(
            f"padding must be below the kernel {kernel}, so that each window meets the map, not {padding}"
        )


def slid(input: TensorType, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Height and width of the output; raises IrError if the kernel is larger than the padded input."""
    height, width, channels = input.shape
    height, width = height + 2 * padding[0], width + 2 * padding[1]
    if kernel[0] > height or kernel[1] > width:
        raise IrError(f"a kernel must fit the padded input, {height}x{width}, not be {kernel[0]}x{kernel[1]}")
    input.with_zero((height, width, channels))  # a padded map is a tensor too, and its size bounded like one
    return (height - kernel[0]) // stride[0] + 1, (width - kernel[1]) // stride[1] + 1


def pooled_max(maps: IntArray, kernel: Pair, stride: Pair, padding: Pair) -> IntArray:
    """Largest element of each window of maps (N, H, W, C): (N, H', W', C). Padding never wins.

    Rows first, then columns; along each the maxima of 1, 2, 4, .. neighbours, so that the cost grows with the
    logarithm of the kernel.
    """
    lowest = int(np.iinfo(np.int64).min)  # loses to every element, as the lowest code of the type would
    for axis, length, step, margin in zip((1, 2), kernel, stride, padding, strict=True):
        maps, span = _padded(maps, axis, margin, lowest), 1
        while span < length:
            shift = min(span, length - span)
            maps = np.maximum(_from(maps, axis, 0, -shift), _from(maps, axis, shift, None))
            span += shift
        maps = _from(maps, axis, 0, None, step)
    return maps


def pooled_sum(maps: IntArray, kernel: Pair, stride: Pair, padding: Pair) -> IntArray:
    """Sum over each window of maps (N, H, W, C), padding counted as zeros: (N, H', W', C).

    Differences of running sums: those may wrap round, which the difference takes back, as it fits int64.
    """
    for axis, length, step, margin in zip((1, 2), kernel, stride, padding, strict=True):
        running = _padded(_padded(maps, axis, margin, 0).cumsum(axis), axis, (1, 0), 0)
        maps = _from(running, axis, length, None, step) - _from(running, axis, 0, -length, step)
    return maps


def _padded(maps: IntArray, axis: int, margin: int | Pair, fill: int) -> IntArray:
    margins = [(0, 0)] * maps.ndim
    margins[axis] = margin if isinstance(margin, tuple) else (margin, margin)
    return np.pad(maps, margins, constant_values=fill) if any(margins[axis]) else maps


def _from(maps: IntArray, axis: int, start: int, stop: int | None, step: int = 1) -> IntArray:
    """A slice along one axis."""
    return maps[(slice(None),) * axis + (slice(start, stop, step),)]


def windows(maps: npt.NDArray[Any], kernel: Pair, stride: Pair, padding: Pair, fill: int) -> npt.NDArray[Any]:
    """Maps (N, H, W, C), padded with `fill`, as a view of their windows: (N, H', W', C, ky, kx)."""
    if padding != (0, 0):
        maps = np.pad(maps, ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(maps, kernel, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1]]


def window_text(kernel: Pair, stride: Pair, padding: Pair) -> str:
    """The geometry in a few words, leaving out what is the default."""
    stride_text = f" stride {stride[0]}x{stride[1]}" if stride != (1, 1) else ""
    padding_text = f" padding {padding[0]}x{padding[1]}" if padding != (0, 0) else ""
    return f"{kernel[0]}x{kernel[1]}{stride_text}{padding_text}"
