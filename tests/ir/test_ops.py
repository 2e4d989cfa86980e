"""Each operation, against loops over every output element, and its rule for types."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from codegen.ir import (
    Add,
    Argmax,
    AvgPool,
    Conv,
    DorefaWeights,
    Flatten,
    IrError,
    Linear,
    MaxPool,
    Op,
    TensorType,
)

Pair = tuple[int, ...]  # (y, x)
Maps = list[list[list[list[int]]]]  # (N, H, W, C)


def _output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows fit, by sliding one."""
    return sum(1 for start in range(-padding, size + padding - kernel + 1, stride))


def _window(
    maps: Maps, n: int, y: int, x: int, kernel: Pair, stride: Pair, pad: Pair
) -> list[list[list[int] | None]]:
    """One window: rows of columns of channels, None where it lies outside the map."""
    rows, columns = len(maps[n]), len(maps[n][0])
    tops = [y * stride[0] - pad[0] + i for i in range(kernel[0])]
    lefts = [x * stride[1] - pad[1] + j for j in range(kernel[1])]
    return [[maps[n][t][s] if 0 <= t < rows and 0 <= s < columns else None for s in lefts] for t in tops]


def _slow_conv(maps: Maps, weights: list, op: Conv, n: int, y: int, x: int, out: int) -> int:
    total, outputs, group_size = 0, len(weights), len(weights[0][0][0])
    group = out * op.groups // outputs
    window = _window(maps, n, y, x, op.kernel, op.stride, op.padding)
    for i, j, c in itertools.product(range(op.kernel[0]), range(op.kernel[1]), range(group_size)):
        cell = window[i][j]
        total += 0 if cell is None else weights[out][i][j][c] * cell[group * group_size + c]
    return total


def _case(seed: int) -> tuple[np.random.Generator, Pair, Pair, Pair, Pair]:
    """Generator, size of the map, kernel, stride and padding; nothing square on purpose."""
    rng = np.random.default_rng(seed)
    kernel = tuple(int(k) for k in rng.integers(1, 5, 2))
    padding = tuple(int(rng.integers(0, k)) for k in kernel)
    size = tuple(int(rng.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True))
    stride = tuple(int(s) for s in rng.integers(1, 4, 2))
    return rng, size, kernel, stride, padding


def _outputs(size: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    return tuple(_output_size(*axis) for axis in zip(size, kernel, stride, padding, strict=True))


def _check_type(op: Op, inputs: list[TensorType], output: np.ndarray) -> TensorType:
    type = op.infer(inputs)
    assert output.dtype == np.int64 and output.shape[1:] == type.shape
    assert type.low <= output.min() and output.max() <= type.high
    return type


@pytest.mark.parametrize("seed", range(60))
def test_conv(seed: int) -> None:
    """Law: Accumulators are exact."""
    rng, size, kernel, stride, padding = _case(seed)
    groups, per_group, out_per_group, bits = (int(rng.integers(1, top)) for top in (4, 4, 4, 9))
    if seed % 3 == 0:
        per_group = out_per_group = 1  # depthwise
    low, high = (0, 255) if seed % 4 else (-9, 30)
    weights = DorefaWeights(rng.integers(0, 1 << bits, (groups * out_per_group, *kernel, per_group)), bits)
    op = Conv(weights, stride, padding, groups, accumulator_bits=weights.accumulator_bits(low, high))
    maps = rng.integers(low, high + 1, (2, *size, groups * per_group))
    input = TensorType(maps.shape[1:], low, high)
    output = op.apply(maps)
    type = _check_type(op, [input], output)
    height, width = _outputs(size, kernel, stride, padding)
    assert type.shape == (height, width, groups * out_per_group)
    slow, values = maps.tolist(), weights.values.tolist()
    for place in itertools.product(*map(range, output.shape)):
        assert output[place] == _slow_conv(slow, values, op, *place), f"seed {seed} at {place}: {op}"
    lows, highs = op.channel_range(input)
    assert (lows <= output.min(axis=(0, 1, 2))).all() and (output.max(axis=(0, 1, 2)) <= highs).all()
    assert op.macs(input) == height * width * math.prod(weights.shape)


def test_conv_in_pieces_equals_conv_in_one() -> None:
    rng = np.random.default_rng(3)
    weights = DorefaWeights(rng.integers(0, 16, (2, 5, 5, 32)), 4)
    op = Conv(weights, padding=(2, 2), accumulator_bits=20)
    maps = rng.integers(0, 16, (14, 32, 32, 32))  # 32 * 32 * 800 columns an image: five images a piece
    assert np.array_equal(op.apply(maps), np.concatenate([op.apply(one[None]) for one in maps]))


def test_a_large_map_is_convolved_in_pieces() -> None:
    rng = np.random.default_rng(4)
    weights = DorefaWeights(rng.integers(0, 16, (2, 5, 5, 32)), 4)
    op = Conv(weights, (2, 1), padding=(2, 2), accumulator_bits=20)
    maps = rng.integers(0, 16, (2, 90, 90, 32))  # 45 * 90 * 800 columns an image, a quarter too many
    above, below = op.apply(maps)[:, :20], op.apply(maps)[:, 25:]
    unpadded = Conv(weights, (2, 1), padding=(0, 2), accumulator_bits=20)
    assert np.array_equal(op.apply(maps[:, :41])[:, :20], above[:, :20])
    assert np.array_equal(unpadded.apply(maps[:, 48:])[:, :19], below[:, :19])


@pytest.mark.parametrize("seed", range(20))
def test_pools_over_kernels_larger_than_the_map(seed: int) -> None:
    """Law: Pooling stays in codes."""
    rng = np.random.default_rng(seed)
    size, kernel = (tuple(int(n) for n in rng.integers(1, most, 2)) for most in (6, 30))
    padding = tuple(int(rng.integers(max(0, -(-(k - s) // 2)), k)) for k, s in zip(kernel, size, strict=True))
    stride = tuple(int(s) for s in rng.integers(1, 4, 2))
    maps = rng.integers(-9, 10, (1, *size, 2))
    slow = maps.tolist()
    outputs = MaxPool(kernel, stride, padding).apply(maps), AvgPool(kernel, stride, padding).apply(maps)
    for place in itertools.product(*map(range, outputs[0].shape)):
        window = _window(slow, *place[:3], kernel, stride, padding)
        cells = [cell[place[3]] for row in window for cell in row if cell is not None]
        assert outputs[0][place] == max(cells), f"seed {seed} at {place}"
        area = kernel[0] * kernel[1]
        assert outputs[1][place] == (2 * sum(cells) + area) // (2 * area), f"seed {seed} at {place}"


def test_a_huge_kernel_costs_its_logarithm() -> None:
    """2000 x 2000, padded by 1999, on 3 x 3: four million windows of four million places each."""
    maps = np.arange(9).reshape(1, 3, 3, 1)
    largest = MaxPool((2000, 2000), (1, 1), (1999, 1999)).apply(maps)
    assert largest.shape == (1, 2002, 2002, 1)
    assert (largest[0, 0, 0, 0], largest[0, 2001, 0, 0], largest[0, 1000, 1000, 0]) == (0, 6, 8)
    assert AvgPool((2000, 2000), (1, 1), (1999, 1999)).apply(maps).max() == 0


def test_sums_of_a_pool_that_wrap_on_the_way_are_right() -> None:
    huge = 1 << 60
    maps = np.full((1, 1, 40, 1), huge)
    assert (AvgPool((1, 2), (1, 1)).apply(maps) == huge).all()


def test_conv_beyond_floats() -> None:
    """Law: Accumulators are exact."""
    weights = DorefaWeights(np.full((1, 1, 1, 2), 1), 1)
    maps = np.array([(1 << 59) - 1, 2]).reshape(1, 1, 1, 2)
    op = Conv(weights, accumulator_bits=62)
    assert op.apply(maps).item() == (1 << 59) + 1


@pytest.mark.parametrize("seed", range(20))
def test_linear(seed: int) -> None:
    """Law: Accumulators are exact."""
    rng = np.random.default_rng(seed)
    bits, inputs, outputs = (int(rng.integers(1, top)) for top in (9, 30, 9))
    weights = DorefaWeights(rng.integers(0, 1 << bits, (outputs, inputs)), bits)
    op = Linear(weights, weights.accumulator_bits(0, 255))
    vectors = rng.integers(0, 256, (3, inputs))
    output = op.apply(vectors)
    _check_type(op, [TensorType((inputs,), 0, 255)], output)
    for n, out in itertools.product(range(3), range(outputs)):
        expected = sum(w * x for w, x in zip(weights.values[out].tolist(), vectors[n].tolist(), strict=True))
        assert output[n, out] == expected, f"seed {seed}"
    assert op.macs(TensorType((inputs,), 0, 255)) == inputs * outputs


def test_a_layer_of_many_weights() -> None:
    """Law: Accumulators are exact."""
    rng = np.random.default_rng(7)
    weights = DorefaWeights(rng.integers(0, 256, (1500, 1000)), 8)  # more than are multiplied at a time
    vectors = rng.integers(0, 256, (2, 1000))
    assert np.array_equal(Linear(weights, 27).apply(vectors), vectors @ weights.values.T)


@pytest.mark.parametrize("seed", range(40))
def test_max_pool(seed: int) -> None:
    """Law: Pooling stays in codes."""
    rng, size, kernel, stride, padding = _case(seed)
    low, high = (0, 15) if seed % 2 else (-40, -20)
    maps = rng.integers(low, high + 1, (2, *size, 3))
    op = MaxPool(kernel, stride, padding)
    output = op.apply(maps)
    type = _check_type(op, [TensorType(maps.shape[1:], low, high)], output)
    assert type == TensorType((*_outputs(size, kernel, stride, padding), 3), low, high)
    slow = maps.tolist()
    for n, y, x, c in itertools.product(*map(range, output.shape)):
        cells = itertools.chain(*_window(slow, n, y, x, kernel, stride, padding))
        assert output[n, y, x, c] == max(cell[c] for cell in cells if cell), f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_avg_pool(seed: int) -> None:
    """Law: Pooling stays in codes."""
    rng, size, kernel, stride, padding = _case(seed)
    low, high = [(0, 15), (-8, 7), (3, 9)][seed % 3]
    maps = rng.integers(low, high + 1, (2, *size, 3))
    op = AvgPool(kernel, stride, padding)
    output = op.apply(maps)
    type = _check_type(op, [TensorType(maps.shape[1:], low, high)], output)
    assert type.shape == (*_outputs(size, kernel, stride, padding), 3)
    slow = maps.tolist()
    for n, y, x, c in itertools.product(*map(range, output.shape)):
        cells = itertools.chain(*_window(slow, n, y, x, kernel, stride, padding))
        mean = Fraction(sum(cell[c] for cell in cells if cell), kernel[0] * kernel[1])
        assert output[n, y, x, c] == math.floor(mean + Fraction(1, 2)), f"seed {seed}"


def test_avg_pool_rounds_halves_up_on_both_sides_of_zero() -> None:
    """Law: An exact half rounds up."""
    maps = np.array([[-3, -2, -2, -1, 0, 1, 1, 2]]).reshape(1, 1, 8, 1)
    assert AvgPool((1, 2), (1, 2)).apply(maps).ravel().tolist() == [-2, -1, 1, 2]


def test_sums_and_padded_maps_that_outgrow_the_types_are_refused() -> None:
    wide = TensorType((4, 4, 1), 0, 1 << 58)
    assert AvgPool((2, 2), (1, 1)).infer([wide]).high == 1 << 58
    with pytest.raises(IrError, match="the highest value of a tensor must be in "):
        AvgPool((4, 2), (1, 1)).infer([wide])
    size = 1 << 20
    for pool in (
        AvgPool((size, size), (1, 1), (size - 1, size - 1)),
        MaxPool((size, 1), (1, 1), (size - 1, 0)),
    ):
        with pytest.raises(IrError, match="the number of elements of a tensor must be in "):
            pool.infer([TensorType((4, 600, 1), 0, 1)])


def test_add() -> None:
    """Law: Addition adds integers."""
    left, right = np.array([[1, -5, 3]]), np.array([[7, -2, 0]])
    op = Add()
    type = _check_type(op, [TensorType((3,), -5, 4), TensorType((3,), -2, 7)], op.apply(left, right))
    assert op.apply(left, right).tolist() == [[8, -7, 3]] and (type.low, type.high) == (-7, 11)


def test_flatten_orders_by_height_width_channel() -> None:
    maps = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    output = Flatten().apply(maps)
    assert _check_type(Flatten(), [TensorType((3, 4, 5), 0, 119)], output).shape == (60,)
    assert all(output[n, (y * 4 + x) * 5 + c] == maps[n, y, x, c] for n, y, x, c in np.ndindex(maps.shape))


def test_argmax_takes_the_lowest_index_among_the_largest() -> None:
    """Law: The class is the lowest index among the largest."""
    output = Argmax().apply(np.array([[1, 3, 3], [-2, -2, -9], [0, 1, 2]]))
    assert output.tolist() == [1, 0, 2]
    assert _check_type(Argmax(), [TensorType((3,), -9, 3)], output) == TensorType((), 0, 2)


_ONES = DorefaWeights(np.ones((2, 3, 3, 1), int), 1)


@pytest.mark.parametrize(
    "op", [Conv(_ONES, accumulator_bits=5), MaxPool((3, 3), (1, 1)), AvgPool((3, 3), (1, 1)), Flatten()]
)
def test_zero_images_give_zero_outputs(op: Op) -> None:
    maps = np.zeros((0, 4, 5, 1), np.int64)
    assert op.apply(maps).shape == (0, *op.infer([TensorType((4, 5, 1), 0, 1)]).shape)
