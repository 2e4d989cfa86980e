"""Weights: their values, exact ranges, and products that stay exact in every dtype."""

import itertools
import re

import numpy as np
import pytest

from codegen.ir import DorefaWeights, IrError


@pytest.mark.parametrize("bits", range(1, 9))
def test_values_are_the_odd_integers(bits: int) -> None:
    """Law: DoReFa weights are odd integers."""
    weights = DorefaWeights(np.arange(1 << bits)[None], bits)
    top = (1 << bits) - 1
    assert weights.values.dtype == np.int64
    assert weights.values.tolist() == [list(range(-top, top + 1, 2))]


@pytest.mark.parametrize("seed", range(30))
def test_range_is_reached_and_holds_every_partial_sum(seed: int) -> None:
    """Law: Accumulators are exact."""
    rng = np.random.default_rng(seed)
    bits, low = int(rng.integers(1, 9)), int(rng.integers(-3, 3))
    high = low + int(rng.integers(0, 3))
    weights = DorefaWeights(rng.integers(0, 1 << bits, (3, 4)), bits)
    inputs = sorted({0, low, high})
    lows, highs = weights.channel_range(low, high)
    for row, lowest, highest in zip(weights.values.tolist(), lows.tolist(), highs.tolist(), strict=True):
        vectors = list(itertools.product(inputs, repeat=4))
        sums = [sum(w * x for w, x in zip(row, xs, strict=True)) for xs in vectors]
        assert (min(sums), max(sums)) == (lowest, highest), f"seed {seed}"
        for order, xs in itertools.product(itertools.permutations(range(4)), vectors):
            partial = list(itertools.accumulate(row[i] * xs[i] for i in order))
            assert lowest <= min(partial) and max(partial) <= highest, f"seed {seed}"
    width = weights.accumulator_bits(low, high)
    assert -(1 << (width - 1)) <= lows.min() and highs.max() < 1 << (width - 1)
    assert width == 1 or lows.min() < -(1 << (width - 2)) or highs.max() >= 1 << (width - 2)


def test_range_for_large_layers_does_not_overflow() -> None:
    weights = DorefaWeights(np.full((2, 40000), 255), 8)
    lows, highs = weights.channel_range(0, (1 << 37) - 1)
    assert lows.tolist() == [0, 0] and highs.tolist() == [255 * 40000 * ((1 << 37) - 1)] * 2
    with pytest.raises(IrError, match=r"an accumulator must fit 62 bits, but inputs in 0\.\.1099"):
        weights.channel_range(0, (1 << 40) - 1)


@pytest.mark.parametrize("rows", [[[3] * 5, [2, 1, 3, 0, 2]], [[0] * 5, [1] * 5]])
@pytest.mark.parametrize(
    ("top", "dtype"),
    [
        ((1 << 24) // 15, np.float32),  # 15 * 1118481 is 2^24 - 1, the last exact bound of float32
        ((1 << 24) // 15 + 1, np.float64),
        ((1 << 53) // 15, np.float64),
        ((1 << 53) // 15 + 1, np.int64),
    ],
)
def test_products_are_exact_at_the_edge_of_each_dtype(rows: list[list[int]], top: int, dtype: type) -> None:
    """Law: Accumulators are exact."""
    weights = DorefaWeights(np.array(rows), 2)
    rng = np.random.default_rng(0)
    near = top - rng.integers(0, 3, (50, 5))
    inputs = np.concatenate([np.full((1, 5), top), rng.integers(0, top + 1, (300, 5)), near])
    carried = weights.carry(inputs)
    assert carried.dtype == dtype
    expected = weights.values.astype(object) @ inputs.astype(object).T
    assert weights.multiply(carried[None])[0].T.tolist() == expected.tolist()


def test_weights_are_a_frozen_copy_with_equality() -> None:
    codes = np.array([[1, 2], [3, 0]])
    weights = DorefaWeights(codes, 2)
    codes[0, 0] = 0
    assert weights.codes.tolist() == [[1, 2], [3, 0]] and weights.codes.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        weights.codes[0, 0] = 3
    assert weights == DorefaWeights(np.array([[1, 2], [3, 0]], np.int8), 2)
    assert hash(weights) == hash(DorefaWeights(np.array([[1, 2], [3, 0]], np.int8), 2))
    assert weights != DorefaWeights(np.array([[1, 2], [3, 0]]), 3)
    assert weights != DorefaWeights(np.array([[1, 2], [3, 1]]), 2)
    assert weights != DorefaWeights(np.array([[1, 2, 3, 0]]), 2)
    assert weights != "weights"


@pytest.mark.parametrize(
    ("codes", "bits", "message"),
    [
        (np.zeros((2, 2), int), 9, "the bits of a code must be in 1..8, not 9"),
        (np.zeros((2, 2), int), True, "the bits of a code must be an int, not True of type bool"),
        (np.array([[0, 4]]), 2, "a 2-bit code must be in 0..3, not 4 at (0, 1)"),
        (np.zeros((2, 2)), 2, "codes must be integers, not of dtype float64"),
        (np.zeros((2, 2, 2), int), 2, "must have the shape (out, ky, kx, in/groups) or (out, in), of 1.."),
        (np.zeros((2, 0), int), 2, "must have the shape (out, ky, kx, in/groups) or (out, in), of 1.."),
    ],
)
def test_wrong_weights_are_refused(codes: np.ndarray, bits: int, message: str) -> None:
    with pytest.raises(IrError, match=re.escape(message)):
        DorefaWeights(codes, bits)
