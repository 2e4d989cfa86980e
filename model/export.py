"""From the trained student to the integer network, the one thing that training and hardware share."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codegen.ir import (
    Argmax,
    Conv,
    DorefaWeights,
    Flatten,
    IntegerNetwork,
    Linear,
    MaxPool,
    Node,
    Op,
    Provenance,
    Requantise,
    TensorType,
)
from model.student import Student, StudentConv


@torch.no_grad()
def export(student: Student, name: str, provenance: Provenance) -> IntegerNetwork:
    """The student as an integer network: its nodes are named and laid out as in `Student.trace`."""
    chain = _Chain(TensorType(student.topology.image, 0, 2**student.topology.input_bits - 1))
    for conv in student.convs:
        _add_conv(chain, conv)
    chain.add("flatten", Flatten())
    fc = student.classifier
    weights = _codes(fc.weights(), fc.layer.weight_bits)
    chain.add(fc.layer.name, Linear(weights, weights.accumulator_bits(chain.type.low, chain.type.high)))
    chain.add("argmax", Argmax())
    return IntegerNetwork(name, chain.input, tuple(chain.nodes), provenance)


class _Chain:
    """Nodes in a row, each reading the one before, and the type of what the last one gives."""

    def __init__(self, start: TensorType) -> None:
        self.input = self.type = start
        self.nodes: list[Node] = []

    def add(self, name: str, op: Op) -> None:
        self.type = op.infer([self.type])
        self.nodes.append(Node(name, op, (self.nodes[-1].name if self.nodes else "input",)))


def _add_conv(chain: _Chain, conv: StudentConv) -> None:
    layer = conv.layer
    weights = _codes(conv.weights().permute(0, 2, 3, 1), layer.weight_bits)  # to (out, ky, kx, in)
    width = weights.accumulator_bits(chain.type.low, chain.type.high)
    chain.add(layer.name, Conv(weights, padding=(layer.padding, layer.padding), accumulator_bits=width))
    chain.add(
        f"{layer.name}_requantise",
        Requantise(
            _integers(conv.alpha()),
            _integers(conv.beta()),
            layer.weight_bits,
            conv.fraction,
            layer.activation_bits,
        ),
    )
    if layer.pool > 1:
        window = (layer.pool, layer.pool)
        chain.add(f"{layer.name}_pool", MaxPool(window, window, (0, 0)))


def _codes(odd: Tensor, bits: int) -> DorefaWeights:
    """Codes r of the odd integers w = 2r - (2^bits - 1)."""
    return DorefaWeights(((_integers(odd) + (2**bits - 1)) // 2).astype(np.uint8), bits)


def _integers(values: Tensor) -> NDArray[np.int64]:
    array: NDArray[np.int64] = values.detach().numpy().astype(np.int64)
    return array


def check_equal(student: Student, network: IntegerNetwork, images: NDArray[np.uint8]) -> None:
    """Raise AssertionError with the first place where they differ, at any node, for images (N, H, W, C)."""
    expected, got = network.trace(images), student.trace(images)
    assert list(expected) == list(got), f"nodes {list(expected)} are not those of the student, {list(got)}"
    for name, values in expected.items():
        assert values.shape == got[name].shape, f"{name}: shape {got[name].shape}, not {values.shape}"
        places = np.argwhere(values != got[name])
        assert not len(places), (
            f"{name} differs in {len(places)} of {values.size} places, first at {places[0]}: "
            f"expected {values[tuple(places[0])]}, got {got[name][tuple(places[0])]}"
        )
