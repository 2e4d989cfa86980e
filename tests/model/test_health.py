"""Dead and saturated layers are measured, and named."""

import numpy as np

from codegen.ir import Conv, DorefaWeights, IntegerNetwork, Node, Requantise, TensorType
from model.health import LayerHealth, examine


def network(beta: list[int]) -> IntegerNetwork:
    """Codes 0..3 of one pixel, each channel shifted by its own beta."""
    weights = DorefaWeights(np.ones((len(beta), 1, 1, 1), np.uint8), 1)
    scale = Requantise(np.ones(len(beta), np.int64), np.array(beta), weight_bits=1, fraction=0, bits=2)
    nodes = (Node("conv", Conv(weights, accumulator_bits=3), ("input",)), Node("scale", scale, ("conv",)))
    return IntegerNetwork("one", TensorType((1, 1, 1), 0, 3), nodes)


IMAGES = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)


def test_shares_are_counted() -> None:
    assert examine(network([0, 1, -3, -5]), IMAGES) == [LayerHealth("scale", 9 / 16, 3 / 16, 4, 2)]


def test_a_healthy_layer_gives_no_warning() -> None:
    assert examine(network([0, 1]), IMAGES)[0].warnings() == []


def test_a_dead_layer_is_named() -> None:
    assert examine(network([-5, -6]), IMAGES)[0].warnings() == [
        "layer scale is dead: 100.0% of its codes are 0",
        "layer scale has 2 of 2 channels that give the same code for every image",
    ]


def test_a_saturated_layer_is_named() -> None:
    assert examine(network([3, 9]), IMAGES)[0].warnings()[0] == (
        "layer scale is saturated: 100.0% of its codes are the highest one"
    )
