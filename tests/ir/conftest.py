"""Networks that several tests of the representation use."""

import numpy as np
import pytest

from codegen.ir import (
    Add,
    Argmax,
    AvgPool,
    Conv,
    DorefaWeights,
    Flatten,
    IntegerNetwork,
    Linear,
    MaxPool,
    Node,
    Provenance,
    Requantise,
    TensorType,
)


def example_weights(bits: int, *shape: int) -> DorefaWeights:
    rng = np.random.default_rng([bits, *shape])
    return DorefaWeights(rng.integers(0, 1 << bits, shape), bits)


@pytest.fixture
def network() -> IntegerNetwork:
    """Every operation, codes that straddle bytes, and scales per layer and per channel."""
    first, second = example_weights(3, 4, 3, 3, 1), example_weights(5, 4, 3, 3, 2)
    last = example_weights(3, 3, 16)
    scale = Requantise(np.array([40, 41, 43, 47]), np.array(-900), weight_bits=3, fraction=6, bits=4)
    nodes = (
        Node(
            "conv1", Conv(first, padding=(1, 1), accumulator_bits=first.accumulator_bits(0, 15)), ("input",)
        ),
        Node("scale1", scale, ("conv1",)),
        Node("pool1", MaxPool((2, 2), (2, 2)), ("scale1",)),
        Node("conv2", Conv(second, padding=(1, 1), groups=2, accumulator_bits=20), ("pool1",)),
        Node("scale2", Requantise(np.array(3), np.array(5), 5, 4, 4), ("conv2",)),
        Node("sum", Add(), ("scale2", "pool1")),
        Node("pool2", AvgPool((2, 3), (2, 1)), ("sum",)),
        Node("flat", Flatten(), ("pool2",)),
        Node("fc", Linear(last, accumulator_bits=13), ("flat",)),
        Node("class", Argmax(), ("fc",)),
    )
    provenance = Provenance("tiny_w3a4", 7, "digits", 360, teacher_correct=350, student_correct=341)
    return IntegerNetwork("tiny", TensorType((8, 8, 1), 0, 15), nodes, provenance)


@pytest.fixture
def images(network: IntegerNetwork) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 16, (9, *network.input.shape), dtype=np.uint8)
