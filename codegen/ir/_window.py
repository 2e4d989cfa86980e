"""Sliding windows over a feature map: the geometry that convolution and pooling share."""

from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir._errors import IrError, shown, whole
from codegen.ir._types import MAX_ELEMENTS, IntArray, TensorType

Pair = tuple[int, int]


def check_window(kernel: Pair, stride: Pair, padding: Pair) -> None:
    """Raise IrError unless kernel and stride are (y, x) of at least 1 and padding is (y, x) below the kernel."""
    for pair, what, least in ((kernel, "kernel", 1), (stride, "stride", 1), (padding, "padding", 0)):
        if type(pair) is not tuple or len(pair) != 2:
            raise IrError(f"{what} must be a tuple (y, x), not {shown(pair)}")
        for size in pair:
            whole(size, f"each part of {what}", least, MAX_ELEMENTS)
    if padding[0] >= kernel[0] or padding[1] >= kernel[1]:
        raise IrError(f"padding must be smaller than the kernel {kernel}, not {padding}: no window may miss the map")


def slid(input: TensorType, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Height and width of the output; raises IrError if the kernel is larger than the padded input."""
    padded = tuple(size + 2 * pad for size, pad in zip(input.shape, padding))
    if kernel[0] > padded[0] or kernel[1] > padded[1]:
        raise IrError(f"a kernel must fit in its padded input {padded}, not be {kernel}")
    input.with_zero((*padded, input.shape[2]))  # a padded map is a tensor too, with the same bound on its size
    return (padded[0] - kernel[0]) // stride[0] + 1, (padded[1] - kernel[1]) // stride[1] + 1


def windows(array: IntArray, kernel: Pair, stride: Pair, padding: Pair, fill: int) -> npt.NDArray[Any]:
    """View of int64 (N, H, W, C), padded with `fill`, as its windows: (N, H', W', C, ky, kx)."""
    (y, x), pads = padding, (0, 0)
    padded = np.pad(array, (pads, (y, y), (x, x), pads), constant_values=fill) if y or x else array
    view = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1]]


def window_text(kernel: Pair, stride: Pair, padding: Pair) -> str:
    """The geometry in a few words, without what is the default."""
    text = f"{kernel[0]}x{kernel[1]}"
    if stride != (1, 1):
        text += f" stride {stride[0]}x{stride[1]}"
    return text + (f" padding {padding[0]}x{padding[1]}" if padding != (0, 0) else "")
