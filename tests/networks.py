"""Small seeded networks, calibrated so that their codes vary, for tests that need no training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

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
    Requantise,
    TensorType,
)

Pair = tuple[int, int]


class Chain:
    """A network under construction: each method appends a node; weights are random, scales fit the data."""

    def __init__(self, seed: int | list[int], shape: tuple[int, ...], bits: int, samples: int = 16) -> None:
        self.random = np.random.default_rng(seed)
        self.input = self.type = TensorType(shape, 0, (1 << bits) - 1)
        self.nodes: list[Node] = []
        self._values = self.random.integers(0, 1 << bits, (samples, *shape))

    def add(self, name: str, op: Op) -> Self:
        before = self.nodes[-1].name if self.nodes else "input"
        self.nodes.append(Node(name, op, (before,)))
        self.type, self._values = op.infer([self.type]), op.apply(self._values)
        return self

    def conv(
        self,
        name: str,
        channels: int,
        kernel: Pair = (3, 3),
        *,
        bits: int = 4,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        groups: int = 1,
    ) -> Self:
        weights = self._weights((channels, *kernel, self.type.shape[2] // groups), bits)
        width = weights.accumulator_bits(self.type.low, self.type.high)
        return self.add(name, Conv(weights, stride, padding, groups, accumulator_bits=width))

    def linear(self, name: str, channels: int, *, bits: int = 4, codes: np.ndarray | None = None) -> Self:
        shape = (channels, *self.type.shape)
        weights = self._weights(shape, bits) if codes is None else DorefaWeights(codes, bits)
        return self.add(name, Linear(weights, weights.accumulator_bits(self.type.low, self.type.high)))

    def requantise(self, name: str, bits: int, *, per_channel: bool = False, fraction: int = 8) -> Self:
        """Spreads the codes over two standard deviations of the accumulators on either side of their mean."""
        values, top = self._values.astype(float), (1 << bits) - 1
        weight_bits = self._last_weights().bits
        divisor = ((1 << weight_bits) - 1) << fraction
        slope = (top + 1) / 4 / max(1.0, values.std())
        factor = self.random.uniform(0.7, 1.4, values.shape[-1] if per_channel else ())
        alpha = np.maximum(1, np.rint(factor * slope * divisor)).astype(np.int64)
        beta = np.rint(np.full(factor.shape, top / 2 * divisor) - alpha * values.mean()).astype(np.int64)
        return self.add(name, Requantise(alpha, beta, weight_bits, fraction, bits))

    def pool(self, name: str, kernel: Pair = (2, 2), stride: Pair = (2, 2), padding: Pair = (0, 0)) -> Self:
        return self.add(name, MaxPool(kernel, stride, padding))

    def flatten(self, name: str = "flatten") -> Self:
        return self.add(name, Flatten())

    def argmax(self, name: str = "argmax") -> Self:
        return self.add(name, Argmax())

    def network(self, name: str = "small") -> IntegerNetwork:
        return IntegerNetwork(name, self.input, tuple(self.nodes))

    def _weights(self, shape: tuple[int, ...], bits: int) -> DorefaWeights:
        return DorefaWeights(self.random.integers(0, 1 << bits, shape).astype(np.uint8), bits)

    def _last_weights(self) -> DorefaWeights:
        op = self.nodes[-1].op
        assert isinstance(op, Conv | Linear)
        return op.weights


def with_codes(network: IntegerNetwork, codes: Callable[[DorefaWeights], np.ndarray | int]) -> IntegerNetwork:
    """The same network with other weight codes in every layer: a number stands for all of a layer's."""
    nodes, types = [], network.types
    for node in network.nodes:
        if isinstance(node.op, Conv | Linear):
            old, source = node.op.weights, types[node.inputs[0]]
            new = DorefaWeights(np.broadcast_to(codes(old), old.shape), old.bits)
            width = new.accumulator_bits(source.low, source.high)
            node = replace(node, op=replace(node.op, weights=new, accumulator_bits=width))
        nodes.append(node)
    return IntegerNetwork(network.name, network.input, tuple(nodes))


def digits(seed: int = 0) -> IntegerNetwork:
    """What a digits recipe exports in shape and widths: two convolutions, a pool, a classifier."""
    chain = Chain(seed, (8, 8, 1), 4)
    chain.conv("conv1", 8, bits=8).requantise("conv1_q", 4)
    chain.conv("conv2", 16, bits=4).requantise("conv2_q", 4, per_channel=True)
    return chain.pool("pool").flatten().linear("fc", 10, bits=8).argmax().network("digits_small")


def tiny(seed: int = 0) -> IntegerNetwork:
    """The least network with a convolution, a pool and a class."""
    chain = Chain(seed, (5, 5, 2), 3).conv("conv", 4, bits=3).requantise("scale", 2)
    return chain.pool("pool", (3, 3), (3, 3)).flatten().linear("fc", 3, bits=2).argmax().network("tiny")


@dataclass(frozen=True)
class Reach:
    """How far random networks go: rows and columns of the input, kernel and padding, all at most."""

    size: int
    kernel: int
    padding: int


SMALL = Reach(size=7, kernel=5, padding=2)
WIDE = Reach(size=13, kernel=7, padding=3)


def random_chain(seed: int, reach: Reach = SMALL, prefix: str = "") -> IntegerNetwork:
    """Two to four layers of any kind that has an engine, with any widths, strides, paddings and groups.

    ``prefix`` of every layer's name.
    """
    random = np.random.default_rng([seed, 77])
    bits = int(random.integers(1, 9))
    sizes = ((3, reach.size + 1), (3, reach.size + 1), (1, 7))
    rows, columns, channels = (int(random.integers(low, high)) for low, high in sizes)
    chain = Chain([seed, 78], (rows, columns, channels), bits)
    layers = int(random.integers(2, 5))
    ends = random.choice(["map", "vector", "class"])
    for index in range(layers - (ends != "map")):
        if index and random.random() < 0.3:
            kernel, stride, padding = _window(random, chain.type.shape, replace(reach, kernel=3))
            chain.pool(f"{prefix}pool{index}", kernel, stride, padding)
        else:
            name = f"{prefix}conv{index}"
            _random_conv(random, chain, name, reach, requantised=ends != "map" or index < layers - 1)
    if ends != "map":
        chain.flatten().linear(f"{prefix}fc", int(random.integers(1, 9)), bits=int(random.integers(1, 9)))
    if ends == "class":
        chain.argmax(f"{prefix}class")
    return chain.network(f"random{seed}")


def _random_conv(
    random: np.random.Generator, chain: Chain, name: str, reach: Reach, *, requantised: bool
) -> None:
    kernel, stride, padding = _window(random, chain.type.shape, reach)
    channels = chain.type.shape[2]
    groups = int(random.choice([g for g in range(1, channels + 1) if channels % g == 0]))
    out = groups * int(random.integers(1, 1 + max(1, 8 // groups)))
    bits = int(random.integers(1, 9))
    chain.conv(name, out, kernel, bits=bits, stride=stride, padding=padding, groups=groups)
    if requantised or random.random() < 0.5:
        per_channel = bool(random.random() < 0.5)
        chain.requantise(f"{name}_q", int(random.integers(1, 9)), per_channel=per_channel)


def _window(random: np.random.Generator, shape: tuple[int, ...], reach: Reach) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding that fit the map."""
    axes = []
    for size in shape[:2]:
        padding = int(random.integers(0, reach.padding + 1))
        most = min(reach.kernel, size + 2 * padding)
        kernel = int(random.integers(padding + 1, max(padding + 2, most + 1)))
        axes.append((kernel, int(random.integers(1, 4)), padding))
    (ky, sy, py), (kx, sx, px) = axes
    return (ky, kx), (sy, sx), (py, px)
