"""From the trained student to the integer network, the one thing that training and hardware share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    Op,
    Provenance,
    Requantise,
    TensorType,
)
from model import networks
from model.batches import to_tensor
from model.networks import GlobalAverage, Layer, Residual
from model.student import Hidden, Student


@torch.no_grad()
def export(
    student: Student,
    name: str,
    provenance: Provenance | None,
    classes: tuple[str, ...] = (),
    side: int | None = None,
) -> IntegerNetwork:
    """The student, on the CPU, as an integer network: its nodes are those of `Student.trace`.

    `classes` and `side` are those of the integer network.
    """
    graph = _Graph(student)
    for part in student.topology.parts:
        if isinstance(part, Residual):
            graph.residual(part)
        elif isinstance(part, GlobalAverage):
            graph.add(part.name, AvgPool((part.side, part.side), (part.side, part.side)))
        else:
            graph.layer(part)
    graph.add("argmax", Argmax())
    return IntegerNetwork(name, graph.types["input"], tuple(graph.nodes), provenance, classes, side)


class _Graph:
    """The nodes so far, the types of what they give, and the one that the next node reads."""

    def __init__(self, student: Student) -> None:
        self.student = student
        image, bits = student.topology.image, student.topology.input_bits
        self.types = {"input": TensorType(image, 0, 2**bits - 1)}
        self.nodes: list[Node] = []
        self.last = "input"

    def add(self, name: str, op: Op, *others: str) -> None:
        """A node that reads the last one, and maybe others."""
        inputs = (self.last, *others)
        self.types[name] = op.infer([self.types[one] for one in inputs])
        self.nodes.append(Node(name, op, inputs))
        self.last = name

    def residual(self, part: Residual) -> None:
        start = self.last
        for conv in part.shortcut:
            self.layer(conv)
        short, self.last = self.last, start
        for conv in part.main:
            self.layer(conv)
        self.add(f"{part.name}_add", Add(), short)
        self.add(f"{part.name}_requantise", _cut_off(part.bits))

    def layer(self, layer: Layer) -> None:
        """The sums of a layer, then what its activation and pooling make of them."""
        module = self.student.layer(layer.name)
        odd, source = module.weights(), self.types[self.last]
        if isinstance(layer, networks.Conv):
            weights = _codes(odd.permute(0, 2, 3, 1), layer.weight_bits)  # to (out, ky, kx, in)
            strides, paddings = (layer.stride, layer.stride), (layer.padding, layer.padding)
            width = weights.accumulator_bits(source.low, source.high)
            self.add(layer.name, Conv(weights, strides, paddings, accumulator_bits=width))
        else:
            if len(source.shape) == 3:
                self.add("flatten", Flatten())
            weights = _codes(odd, layer.weight_bits)
            self.add(layer.name, Linear(weights, weights.accumulator_bits(source.low, source.high)))
        if isinstance(module, Hidden):
            alpha, beta = _integers(module.alpha()), _integers(module.beta())
            scale = Requantise(alpha, beta, layer.weight_bits, module.fraction, module.bits)
            self.add(f"{layer.name}_requantise", scale)
        if isinstance(layer, networks.Conv) and layer.pool is not None:
            pool = layer.pool
            window = (pool.kernel, pool.kernel), (pool.stride, pool.stride), (pool.padding, pool.padding)
            self.add(f"{layer.name}_pool", MaxPool(*window))


def _cut_off(bits: int) -> Requantise:
    """min(sum, highest code), as the requantisation of d = 1."""
    return Requantise(np.array(1), np.array(0), weight_bits=1, fraction=0, bits=bits)


def _codes(odd: Tensor, bits: int) -> DorefaWeights:
    """Codes r of the odd integers w = 2r - (2^bits - 1)."""
    return DorefaWeights(((_integers(odd) + (2**bits - 1)) // 2).astype(np.uint8), bits)


def _integers(values: Tensor) -> NDArray[np.int64]:
    array: NDArray[np.int64] = values.detach().cpu().numpy().astype(np.int64)
    return array


def count_equal(
    student: Student,
    network: IntegerNetwork,
    batches: Iterable[tuple[Tensor, Tensor]],
    seen: Callable[[int], None],
) -> int:
    """How many images the network puts into their class, every node of it equal to the student's.

    Batches are image codes (N, C, H, W) and labels (N,); `seen` is told of every N. Raises
    AssertionError with the first place where the two differ.
    """
    correct = 0
    for codes, labels in batches:
        images = _integers(codes.permute(0, 2, 3, 1)).astype(np.uint8)
        correct += int((check_equal(student, network, images) == _integers(labels)).sum())
        seen(len(labels))
    return correct


def check_equal(student: Student, network: IntegerNetwork, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The classes of images (N, H, W, C); AssertionError with the first place where the two differ."""
    device = student.layer(student.topology.layers[0].name).weight.device
    expected, got = network.trace(images), student.trace(to_tensor(images).to(device))
    assert set(expected) == set(got), f"nodes {list(expected)} are not those of the student, {list(got)}"
    for name, values in expected.items():
        assert values.shape == got[name].shape, f"{name}: shape {got[name].shape}, not {values.shape}"
        places = np.argwhere(values != got[name])
        assert not len(places), (
            f"{name} differs in {len(places)} of {values.size} places, first at {places[0]}: "
            f"expected {values[tuple(places[0])]}, got {got[name][tuple(places[0])]}"
        )
    return expected["argmax"]
