"""Bit packing of weight codes: eight codes of b bits are exactly b bytes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from codegen.ir._errors import IrError, whole
from codegen.ir._types import MAX_ELEMENTS, CodeArray, integers


def pack_codes(codes: npt.NDArray[Any], bits: int) -> CodeArray:
    """Pack unsigned codes, in C order: code i takes bits i*bits .. i*bits+bits-1, least significant first.

    codes: any shape, any integer dtype, each in 0..2^bits-1; bits: 1..8.
    Returns uint8 (ceil(count*bits/8),), the unused high bits of the last byte 0. Raises IrError.
    """
    flat = check_codes(codes, bits).reshape(-1)
    groups = np.zeros((-(-flat.size // 8), 8), np.uint8)
    groups.reshape(-1)[: flat.size] = flat
    words = np.zeros(len(groups), "<u8")
    for place in range(8):
        words |= groups[:, place].astype("<u8") << np.uint64(place * bits)
    return words.view(np.uint8).reshape(-1, 8)[:, :bits].reshape(-1)[: _packed_size(flat.size, bits)]


def unpack_codes(packed: CodeArray, bits: int, count: int) -> CodeArray:
    """The `count` codes that `pack_codes` packed, as uint8 (count,).

    Raises IrError if `packed` is not uint8 of exactly ceil(count*bits/8) bytes with the unused high bits 0.
    """
    whole(bits, "the bits of a code", 1, 8)
    size = _packed_size(whole(count, "the number of codes", 0, MAX_ELEMENTS), bits)
    if packed.dtype != np.uint8 or packed.shape != (size,):
        raise IrError(
            f"{count} codes of {bits} bits must be packed in uint8 of shape ({size},), "
            f"not in {packed.dtype} of shape {packed.shape}"
        )
    spare = size * 8 - count * bits
    if spare and int(packed[-1]) >> (8 - spare):
        raise IrError(f"the {spare} high bits of the last packed byte must be 0, not as in {packed[-1]:#04x}")
    octets = np.zeros((-(-count // 8), 8), np.uint8)
    padded = np.zeros(len(octets) * bits, np.uint8)
    padded[:size] = packed
    octets[:, :bits] = padded.reshape(-1, bits)
    words, mask = octets.view("<u8").reshape(-1), np.uint64((1 << bits) - 1)
    codes = np.empty((len(octets), 8), np.uint8)
    for place in range(8):
        codes[:, place] = (words >> np.uint64(place * bits)) & mask
    return codes.reshape(-1)[:count]


def check_codes(codes: npt.NDArray[Any], bits: int) -> npt.NDArray[np.integer[Any]]:
    """`codes` if each is an integer in 0..2^bits-1, bits 1..8; raises IrError naming the first other one."""
    top = (1 << whole(bits, "the bits of a code", 1, 8)) - 1
    codes = integers(codes, "codes")
    wrong = (codes < 0) | (codes > top)
    if wrong.any():
        place = tuple(int(axis) for axis in np.argwhere(wrong)[0])
        raise IrError(f"a {bits}-bit code must be in 0..{top}, not {codes[place]} at {place}")
    return codes


def _packed_size(count: int, bits: int) -> int:
    return -(-count * bits // 8)
