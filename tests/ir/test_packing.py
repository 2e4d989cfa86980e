"""Bit packing, against one bit at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.ir import IrError, pack_codes, unpack_codes


@st.composite
def _codes(draw: st.DrawFn) -> tuple[list[int], int]:
    bits = draw(st.integers(1, 8))
    return draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=70)), bits


@given(_codes())
def test_packing_is_a_little_endian_bit_stream(case: tuple[list[int], int]) -> None:
    codes, bits = case
    stream = sum(code << (place * bits) for place, code in enumerate(codes))
    expected = stream.to_bytes(-(-len(codes) * bits // 8), "little")
    packed = pack_codes(np.array(codes, np.int64), bits)
    assert packed.dtype == np.uint8 and packed.tobytes() == expected
    unpacked = unpack_codes(packed, bits, len(codes))
    assert unpacked.dtype == np.uint8 and unpacked.tolist() == codes


def test_codes_of_any_shape_pack_in_c_order() -> None:
    codes = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)
    assert np.array_equal(unpack_codes(pack_codes(codes, 5), 5, 24), codes.ravel())


@pytest.mark.parametrize("bits", range(1, 9))
def test_spare_bits_and_sizes_are_checked(bits: int) -> None:
    packed = pack_codes(np.zeros(3, np.uint8), bits)
    for wrong in (packed[:-1], np.append(packed, np.uint8(0)), packed.astype(np.int64), packed[None]):
        with pytest.raises(IrError, match=rf"3 codes of {bits} bits must be packed in uint8 of shape "):
            unpack_codes(wrong, bits, 3)
    if bits < 8:
        packed[-1] |= 0x80
        with pytest.raises(IrError, match=r"high bits of the last packed byte must be 0, not as in 0x80"):
            unpack_codes(packed, bits, 3)


def test_codes_and_widths_out_of_range_are_refused() -> None:
    with pytest.raises(IrError, match=r"a 3-bit code must be in 0\.\.7, not 8 at \(1, 0\)"):
        pack_codes(np.array([[7, 7], [8, 9]]), 3)
    with pytest.raises(IrError, match=r"a 3-bit code must be in 0\.\.7, not -1 at \(1,\)"):
        pack_codes(np.array([0, -1]), 3)
    with pytest.raises(IrError, match="codes must be integers, not of dtype float64"):
        pack_codes(np.array([0.0]), 3)
    for bits in (0, 9):
        with pytest.raises(IrError, match=rf"the bits of a code must be in 1\.\.8, not {bits}"):
            pack_codes(np.array([0]), bits)
        with pytest.raises(IrError, match=rf"the bits of a code must be in 1\.\.8, not {bits}"):
            unpack_codes(np.zeros(1, np.uint8), bits, 1)


def test_a_claimed_size_allocates_nothing() -> None:
    with pytest.raises(IrError, match=r"the number of codes must be in 0\.\.134217728, not 1152921"):
        unpack_codes(np.zeros(1, np.uint8), 1, 1 << 60)
