"""Bit packing of weight codes: eight codes of b bits are exactly b bytes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir._errors import IrError, whole
from codegen.ir._types import CodeArray, integers


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take."""
    return -(-count * bits // 8)


def pack_codes(codes: npt.NDArray[Any], bits: int) -> CodeArray:
    """Pack unsigned codes, in C order, into bytes: code i is bits i*bits .. i*bits+bits-1, least significant first.

    codes: any shape, any integer dtype, each in 0..2^bits-1; bits: 1..8.
    Returns uint8 (ceil(count*bits/8),), the unused high bits of the last byte 0. Raises IrError.
    """
    whole(bits, "the bits of a packed code", 1, 8)
    flat = check_codes(codes, bits).ravel()
    groups = np.zeros((-(-flat.size // 8), 8), np.uint8)
    groups.reshape(-1)[: flat.size] = flat
    words = np.zeros(len(groups), "<u8")
    for place in range(8):
        words |= groups[:, place].astype("<u8") << np.uint64(place * bits)
    return words.view(np.uint8).reshape(-1, 8)[:, :bits].reshape(-1)[: packed_size(flat.size, bits)]


def unpack_codes(packed: npt.NDArray[np.uint8], bits: int, count: int) -> CodeArray:
    """The `count` codes that `pack_codes` packed, as uint8 (count,).

    Raises IrError if `packed` is not uint8 of exactly ceil(count*bits/8) bytes with the unused high bits 0.
    """
    whole(bits, "the bits of a packed code", 1, 8)
    size = packed_size(count, bits)
    if packed.dtype != np.uint8 or packed.shape != (size,):
        raise IrError(
            f"{count} codes of {bits} bits must be packed in {size} bytes of uint8, "
            f"not in {packed.dtype} of shape {packed.shape}"
        )
    spare = size * 8 - count * bits
    if spare and int(packed[-1]) >> (8 - spare):
        raise IrError(f"the {spare} unused high bits of the last packed byte must be 0, not in 0x{int(packed[-1]):02x}")
    groups = -(-count // 8)
    octets = np.zeros((groups, 8), np.uint8)
    padded = np.zeros(groups * bits, np.uint8)
    padded[:size] = packed
    octets[:, :bits] = padded.reshape(groups, bits)
    words = octets.view("<u8").reshape(-1)
    codes = np.empty((groups, 8), np.uint8)
    for place in range(8):
        codes[:, place] = (words >> np.uint64(place * bits)) & np.uint64((1 << bits) - 1)
    return codes.reshape(-1)[:count]


def check_codes(codes: npt.NDArray[Any], bits: int) -> npt.NDArray[np.integer[Any]]:
    """`codes` if every one is an integer in 0..2^bits-1; raises IrError naming the first that is not."""
    codes = integers(codes, "codes")
    wrong = (codes < 0) | (codes > (1 << bits) - 1)
    if wrong.any():
        place = tuple(int(axis) for axis in np.argwhere(wrong)[0])
        raise IrError(f"codes of {bits} bits must be in 0..{(1 << bits) - 1}, not {codes[place]} at {place}")
    return codes
