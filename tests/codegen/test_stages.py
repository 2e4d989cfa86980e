"""Operations become stages, and what cannot is refused in one sentence that names the node."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from codegen.errors import UserError
from codegen.ir import (
    Add,
    AvgPool,
    Conv,
    DorefaWeights,
    IntegerNetwork,
    MaxPool,
    Node,
    Requantise,
    TensorType,
)
from codegen.stages import ArgmaxStage, FeatureMap, MatrixVectorStage, PoolStage, fuse
from tests.networks import Chain, digits, random_chain


def ones(*shape: int) -> DorefaWeights:
    """The weight +1 everywhere, so that sums of codes stay codes from 0 up."""
    return DorefaWeights(np.ones(shape, dtype=np.uint8), 1)


def test_a_digits_network_becomes_five_stages() -> None:
    stages = fuse(digits())
    assert [type(stage) for stage in stages] == [
        MatrixVectorStage, MatrixVectorStage, PoolStage, MatrixVectorStage, ArgmaxStage,
    ]  # fmt: skip
    assert [stage.name for stage in stages] == ["conv1", "conv2", "pool", "fc", "argmax"]
    assert [stage.output for stage in stages] == ["conv1_q", "conv2_q", "flatten", "fc", "argmax"]
    assert stages[0].source == FeatureMap(8, 8, 1, 0, 15) and stages[0].result == FeatureMap(6, 6, 8, 0, 15)
    assert stages[-1].result == FeatureMap(1, 1, 1, 0, 9)


def test_a_requantise_becomes_part_of_the_layer_before_it() -> None:
    network = digits()
    first = fuse(network)[0]
    assert isinstance(first, MatrixVectorStage)
    assert first.requantise is network.nodes[1].op
    assert first.result.bits == 4


def test_a_convolution_keeps_its_window() -> None:
    chain = Chain(0, (5, 6, 4), 3).conv("conv", 6, (3, 2), stride=(2, 1), padding=(1, 0), groups=2)
    (stage,) = fuse(chain.network())
    assert isinstance(stage, MatrixVectorStage)
    assert (stage.kernel, stage.stride, stage.padding, stage.groups) == ((3, 2), (2, 1), (1, 0), 2)
    assert stage.requantise is None and stage.channels == 6
    assert stage.macs == chain.network().macs == 3 * 5 * 6 * 3 * 2 * 2


def test_a_linear_layer_is_a_convolution_over_the_whole_map() -> None:
    network = Chain(3, (3, 4, 2), 4).pool("pool", (2, 1), (1, 1)).flatten().linear("fc", 5).network()
    stage = fuse(network)[-1]
    assert isinstance(stage, MatrixVectorStage)
    assert (stage.source, stage.kernel) == (FeatureMap(1, 8, 2, 0, 15), (1, 8))
    images = np.random.default_rng(0).integers(0, 16, (7, 3, 4, 2))
    pooled = network.trace(images)["pool"].reshape(7, 1, 8, 2)
    convolved = Conv(stage.weights, accumulator_bits=16).apply(pooled)
    assert np.array_equal(convolved.reshape(7, 5), network.run(images))


def test_a_linear_layer_of_a_vector_reads_one_pixel() -> None:
    (stage,) = fuse(Chain(0, (7,), 2).linear("fc", 3).network())
    assert stage.source == FeatureMap(1, 1, 7, 0, 3) and stage.result.channels == 3


def test_a_pool_keeps_its_window_and_the_codes() -> None:
    chain = Chain(0, (6, 6, 3), 5).conv("conv", 2).requantise("q", 3)
    stage = fuse(chain.pool("pool", (3, 2), (2, 1), (1, 0)).network())[-1]
    assert isinstance(stage, PoolStage)
    assert (stage.kernel, stage.stride, stage.padding) == ((3, 2), (2, 1), (1, 0))
    assert stage.result == FeatureMap(2, 3, 2, 0, 7)


@pytest.mark.parametrize("seed", range(20))
def test_every_stage_reads_what_the_one_before_sends(seed: int) -> None:
    network = random_chain(seed)
    stages = fuse(network)
    for before, stage in pairwise(stages):
        assert before.result.rows * before.result.columns == stage.source.rows * stage.source.columns
        assert before.result.channels == stage.source.channels
        assert (before.result.low, before.result.high) == (stage.source.low, stage.source.high)
    assert stages[-1].output == network.nodes[-1].name
    assert sum(stage.macs for stage in stages if isinstance(stage, MatrixVectorStage)) == network.macs


def test_accumulators_are_bounded_channel_by_channel() -> None:
    (stage,) = fuse(Chain(0, (4, 4, 2), 3).conv("conv", 5, (2, 2), bits=3).network())
    assert isinstance(stage, MatrixVectorStage)
    low, high = stage.accumulators
    values = stage.weights.values.reshape(5, -1)
    assert low.tolist() == [7 * int(row[row < 0].sum()) for row in values]
    assert high.tolist() == [7 * int(row[row > 0].sum()) for row in values]


def test_dots_in_names_become_underscores() -> None:
    stages = fuse(Chain(0, (4, 4, 1), 2).conv("block.0.conv", 2).requantise("block.0.q", 2).network())
    assert [(stage.name, stage.output) for stage in stages] == [("block_0_conv", "block.0.q")]


def branch() -> IntegerNetwork:
    weights = ones(2, 1, 1, 2)
    a, b = (Node(name, Conv(weights, accumulator_bits=8), ("input",)) for name in ("a", "b"))
    return IntegerNetwork("net", TensorType((3, 3, 2), 0, 3), (a, b, Node("sum", Add(), ("a", "b"))))


def twice() -> IntegerNetwork:
    a = Node("a", Conv(ones(2, 1, 1, 2), accumulator_bits=8), ("input",))
    return IntegerNetwork("net", TensorType((3, 3, 2), 0, 3), (a, Node("sum", Add(), ("a", "a"))))


def chain(shape: tuple[int, ...] = (4, 4, 2)) -> Chain:
    return Chain(0, shape, 2)


def single(shape: tuple[int, int, int], pool: MaxPool | None = None) -> IntegerNetwork:
    """One channel of 1x1 kernels, or a pool before it."""
    conv = Conv(ones(1, 1, 1, shape[2]), accumulator_bits=20)
    if pool is None:
        return IntegerNetwork("net", TensorType(shape, 0, 1), (Node("conv", conv, ("input",)),))
    nodes = (Node("pool", pool, ("input",)), Node("conv", conv, ("pool",)))
    return IntegerNetwork("net", TensorType(shape, 0, 1), nodes)


LESS = "use smaller images or fewer channels"
SCALE = Requantise(np.array(1), np.array(0), 1, 0, 2)
MIXED = Conv(DorefaWeights(np.array([[[[0, 1]]]], dtype=np.uint8), 1), accumulator_bits=3)
CHAIN = "engines are joined in a chain, branches have none yet"
BEHIND = "must stand right behind a conv or linear; it is part of that engine"


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        (branch, f"node 'b' must read 'a', the node before it, not input: {CHAIN}"),
        (twice, f"node 'sum' must read 'a', the node before it, not a, a: {CHAIN}"),
        (
            lambda: chain().conv("conv", 2).requantise("q", 2).add("mean", AvgPool((2, 2), (2, 2))).network(),
            "node 'mean' must be one of conv, linear, max_pool, requantise, flatten, argmax to become "
            "hardware, not 'avg_pool', which has no engine yet",
        ),
        (lambda: chain().add("q", SCALE).conv("conv", 2).network(), f"requantise 'q' {BEHIND}"),
        (
            lambda: chain().conv("conv", 2).requantise("q", 2).pool("pool").add("again", SCALE).network(),
            f"requantise 'again' {BEHIND}",
        ),
        (
            lambda: chain().conv("conv", 2).requantise("q", 2).add("again", SCALE).network(),
            f"requantise 'again' {BEHIND}",
        ),
        (
            lambda: chain().conv("conv", 2).flatten().add("late", SCALE).network(),
            f"requantise 'late' {BEHIND}",
        ),
        (
            lambda: chain().add("one", MIXED).conv("two", 2).network(),
            "node 'two' must read codes from 0 up, not -3..3; put a requantise before it",
        ),
        (
            lambda: chain().add("one", MIXED).pool("pool").network(),
            "node 'pool' must read codes from 0 up, not -3..3; put a requantise before it",
        ),
        (
            lambda: chain().conv("conv", 3).flatten().argmax().network(),
            "node 'argmax' must read one pixel, not a map of 2 x 2",
        ),
        (
            lambda: chain().conv("a.b", 2, (1, 1)).requantise("q", 2).conv("a_b", 2).network(),
            "layers must have different names with '_' for '.', but 'a_b' stands for two; rename one",
        ),
        (
            lambda: chain((5,)).linear("a.b", 2).argmax("a_b").network(),
            "layers must have different names with '_' for '.', but 'a_b' stands for two; rename one",
        ),
        (
            lambda: chain().flatten().network("flat"),
            "network 'flat' must have a conv or linear to build, not only flatten",
        ),
        (
            lambda: chain((5,)).argmax().network("top"),
            "network 'top' must have a conv or linear to build, not only argmax",
        ),
        (
            lambda: chain().pool("pool").flatten().network("pools"),
            "network 'pools' must have a conv or linear to build, not only max_pool, flatten",
        ),
        (
            lambda: single((4096, 4096, 4)),
            "layer 'conv': a map that it reads must have at most 2,097,152 pixels, not 16,777,216; " + LESS,
        ),
        (
            lambda: single((2, 2, 65_537)),
            "layer 'conv': a map that it reads must have at most 65,536 channels, not 65,537; " + LESS,
        ),
        (
            lambda: single((1100, 1100, 64)),
            "layer 'conv': a map that it reads must have at most 67,108,864 numbers, not 77,440,000; " + LESS,
        ),
        (
            lambda: single((3, 3, 1), MaxPool((2000, 2000), (1, 1), (1999, 1999))),
            "layer 'pool': a map that it sends must have at most 2,097,152 pixels, not 4,008,004; " + LESS,
        ),
    ],
)
def test_what_cannot_become_hardware_is_refused(network: Callable[[], IntegerNetwork], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        fuse(network())
    assert str(error.value) == sentence


def test_accumulators_that_are_never_negative_are_codes_too() -> None:
    chain = Chain(0, (2, 2, 3), 2).add("conv", Conv(ones(2, 1, 1, 3), accumulator_bits=5))
    stages = fuse(chain.flatten().linear("fc", 4).network())
    assert [stage.source for stage in stages] == [FeatureMap(2, 2, 3, 0, 3), FeatureMap(1, 4, 2, 0, 9)]
