"""Tensor types: what they accept, and their widths."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.ir import IrError, TensorType, signed_bits


@given(st.integers(-(1 << 61), (1 << 61) - 1), st.integers(-(1 << 61), (1 << 61) - 1))
def test_bits_are_the_fewest_that_hold_the_range(one: int, other: int) -> None:
    low, high = sorted((one, other))
    type = TensorType((3,), low, high)
    assert type.signed == (low < 0)

    def holds(bits: int) -> bool:
        if low < 0:
            return -(1 << (bits - 1)) <= low and high < 1 << (bits - 1)
        return high < 1 << bits

    assert holds(type.bits) and (type.bits == 1 or not holds(type.bits - 1))


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 0, 3), (5, 7, 4), (-8, -8, 4)],
)
def test_signed_bits(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits


def test_elements() -> None:
    assert [TensorType(shape, 0, 1).elements for shape in ((4, 5, 6), (7,), ())] == [120, 7, 1]


@pytest.mark.parametrize(
    ("shape", "low", "high", "message"),
    [
        ([4], 0, 1, "a tensor's shape must be a tuple (H, W, C), (K,) or (), not [4]"),
        ((4, 4), 0, 1, "a tensor's shape must be a tuple (H, W, C), (K,) or (), not (4, 4)"),
        ((0,), 0, 1, "each size in a tensor's shape must be in 1..134217728, not 0"),
        ((True,), 0, 1, "each size in a tensor's shape must be an int, not True of type bool"),
        ((2.0,), 0, 1, "each size in a tensor's shape must be an int, not 2.0 of type float"),
        ((1 << 26, 2, 2), 0, 1, "elements of a tensor must be in 1..134217728, not 268435456"),
        ((4,), 2, 1, "a tensor's range must have low at most high, not 2..1"),
        ((4,), 0, 1 << 61, f"must be in {-1 << 61}..{(1 << 61) - 1}, not {1 << 61}"),
        ((4,), -(1 << 300), 1, "not an integer of 301 bits"),
        ((4,), "0", 1, "the lowest value of a tensor must be an int, not '0' of type str"),
    ],
)
def test_wrong_types_are_refused(shape: object, low: object, high: object, message: str) -> None:
    with pytest.raises(IrError, match=re.escape(message)):
        TensorType(shape, low, high)  # type: ignore[arg-type]
