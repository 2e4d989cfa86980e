"""The definition of requantisation, against fractions."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codegen.ir import IrError, Requantise, TensorType, requantise

_INT64 = st.integers(-(1 << 61), (1 << 61) - 1)


def _law(acc: int, alpha: int, beta: int, weight_bits: int, fraction: int, bits: int) -> int:
    divisor = (2**weight_bits - 1) * 2**fraction
    return min(max(math.floor(Fraction(alpha * acc + beta, divisor) + Fraction(1, 2)), 0), 2**bits - 1)


@given(
    acc=st.lists(_INT64 | st.integers(-3000, 3000), min_size=1, max_size=8),
    alpha=st.integers(1, 1 << 20) | st.integers(1, (1 << 63) - 1),
    beta=st.integers(-(1 << 16), 1 << 16) | st.integers(-(1 << 63), (1 << 63) - 1),
    weight_bits=st.integers(1, 8),
    fraction=st.integers(0, 62),
    bits=st.integers(1, 8),
)
@example(
    acc=[(1 << 61) - 1, -1 << 61], alpha=(1 << 63) - 1, beta=-1 << 63, weight_bits=8, fraction=62, bits=8
)
@example(acc=[-1, 0, 1], alpha=1, beta=0, weight_bits=1, fraction=0, bits=1)
def test_definition(
    acc: list[int], alpha: int, beta: int, weight_bits: int, fraction: int, bits: int
) -> None:
    """Law: Requantisation has one rounding rule."""
    codes = requantise(acc, alpha, beta, weight_bits, fraction, bits)
    assert codes.dtype == np.int64
    assert codes.tolist() == [_law(one, alpha, beta, weight_bits, fraction, bits) for one in acc]
    op = Requantise(np.array(alpha), np.array(beta), weight_bits, fraction, bits)
    assert op.apply(np.array(acc)).tolist() == codes.tolist()


@pytest.mark.parametrize("weight_bits", range(1, 9))
def test_ties_go_up_for_even_divisors_and_do_not_occur_for_odd_ones(weight_bits: int) -> None:
    """Law: An exact half rounds up."""
    for fraction in range(3):
        divisor = (2**weight_bits - 1) * 2**fraction
        ties = [acc for acc in range(-2 * divisor, 5 * divisor) if (2 * acc) % (2 * divisor) == divisor]
        assert bool(ties) == (fraction > 0)
        for acc in ties:
            expected = max(0, (acc + divisor // 2) // divisor)
            assert requantise(acc, 1, 0, weight_bits, fraction, 8).item() == expected
            assert requantise(acc - 1, 1, 0, weight_bits, fraction, 8).item() == max(0, expected - 1)


def test_channels_are_the_last_axis() -> None:
    acc = np.arange(-20, 40).reshape(2, 3, 5, 2)
    alpha, beta = np.array([3, 5]), np.array([-10, 11])
    expected = [_law(int(one), (3, 5)[c], (-10, 11)[c], 2, 1, 4) for (_, _, _, c), one in np.ndenumerate(acc)]
    for op in (
        Requantise(alpha, beta, 2, 1, 4),
        Requantise(alpha.astype(np.int8), beta.astype(np.int32), 2, 1, 4),
    ):
        assert op.apply(acc).ravel().tolist() == expected
        assert op.infer([TensorType((3, 5, 2), -20, 39)]) == TensorType((3, 5, 2), 0, 15)
        assert op.per_channel
    scalar = np.array(3)
    assert Requantise(scalar, beta, 2, 1, 4).per_channel and Requantise(alpha, scalar, 2, 1, 4).per_channel
    assert not Requantise(scalar, scalar, 2, 1, 4).per_channel


def test_operands_must_be_integers() -> None:
    for operands, name in (((0.5, 1, 1), "acc"), ((1, 0.5, 1), "alpha"), ((1, 1, 0.5), "beta")):
        with pytest.raises(IrError, match=f"{name} must be integers, not of dtype float64"):
            requantise(*operands, 1, 0, 1)


def test_equality_and_hash_follow_the_values() -> None:
    def scale(alpha: list[int], beta: int = 3, fraction: int = 1) -> Requantise:
        return Requantise(np.array(alpha), np.array(beta), 2, fraction, 4)

    assert scale([1, 2]) == scale([1, 2]) and hash(scale([1, 2])) == hash(scale([1, 2]))
    assert scale([1, 2]) != scale([1, 3])
    assert scale([1, 2]) != scale([1, 2], beta=4)
    assert scale([1, 2]) != scale([1, 2], fraction=2)
    assert scale([1, 2]) != "scale"
    with pytest.raises(ValueError, match="read-only"):
        scale([1, 2]).alpha[0] = 5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"alpha": np.array([1, 0, -3])}, "alpha must be above 0, not 0, as in channel 1"),
        ({"alpha": np.array(-1)}, "alpha must be above 0, not -1, as in channel 0"),
        ({"alpha": np.array([1.0])}, "alpha must be integers, not of dtype float64"),
        ({"alpha": np.ones((2, 2), int)}, "alpha must be int64 of shape () or (C,), not int64 (2, 2)"),
        ({"beta": np.array([], int)}, "beta must be int64 of shape () or (C,), not int64 (0,)"),
        ({"beta": np.array(1, np.uint64)}, "beta must be int64 of shape () or (C,), not uint64 ()"),
        (
            {"alpha": np.ones(3, int), "beta": np.ones(2, int)},
            "beta must have one value, or 3 as alpha, not 2",
        ),
        ({"weight_bits": 0}, "weight_bits must be in 1..8, not 0"),
        ({"fraction": -1}, "fraction must be in 0..62, not -1"),
        ({"fraction": 63}, "fraction must be in 0..62, not 63"),
        ({"bits": 9}, "the bits of a requantised code must be in 1..8, not 9"),
    ],
)
def test_wrong_parameters_are_refused(changed: dict[str, object], message: str) -> None:
    right = {"alpha": np.array(1), "beta": np.array(0), "weight_bits": 4, "fraction": 2, "bits": 4}
    with pytest.raises(IrError, match=re.escape(message)):
        Requantise(**{**right, **changed})  # type: ignore[arg-type]
