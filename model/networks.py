"""Topologies: which layers a network has, as plain values that teacher, student and export all read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from codegen import zoo
from codegen.errors import UserError, did_you_mean, shown
from codegen.zoo import ARCHITECTURES, Pool
from model.recipe import Bits, LayerBits, Network


@dataclass(frozen=True)
class Layer:
    """What every layer with weights has; without `activation_bits` its sums are the logits."""

    name: str
    inputs: int
    outputs: int
    weight_bits: int
    input_bits: int
    activation_bits: int | None

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of its weights, output channels first."""
        return self.outputs, self.inputs

    @property
    def fan_in(self) -> int:
        """How many products one sum has."""
        return self.inputs


@dataclass(frozen=True)
class Linear(Layer):
    """Fully connected; a feature map in front of it is flattened as (H, W, C)."""


@dataclass(frozen=True)
class Conv(Layer):
    """A square convolution, its quantised activation, then max pooling if any."""

    kernel: int
    stride: int = 1
    padding: int = 0
    pool: Pool | None = None

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return self.outputs, self.inputs, self.kernel, self.kernel

    @property
    def fan_in(self) -> int:
        return self.inputs * self.kernel**2


@dataclass(frozen=True)
class Residual:
    """Two chains that read the same codes (an empty `shortcut` gives them on); their codes are added, and
    the sum is cut off at the highest code."""

    name: str
    main: tuple[Conv, ...]
    shortcut: tuple[Conv, ...]

    @property
    def bits(self) -> int:
        """Width of its codes."""
        bits = self.main[-1].activation_bits
        assert bits is not None, "only a classifier has no activation"
        return bits


@dataclass(frozen=True)
class GlobalAverage:
    """Mean over the whole square map of `side` pixels, rounded to a code."""

    name: str
    side: int


Part = Conv | Linear | Residual | GlobalAverage


@dataclass(frozen=True)
class Topology:
    """Parts in a chain, for images (H, W, C) of `input_bits`-bit codes; the last part is the classifier."""

    image: tuple[int, int, int]
    input_bits: int
    parts: tuple[Part, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers with weights, in the order of computing; the last is the classifier."""
        return tuple(_layers(self.parts))


def _layers(parts: Sequence[Part]) -> Iterator[Layer]:
    for part in parts:
        if isinstance(part, Residual):
            yield from (*part.main, *part.shortcut)
        elif isinstance(part, Layer):
            yield part


def topology(network: Network, bits: Bits) -> Topology:
    """The topology of a network at these widths.

    The first and the last layer have `bits.edge_weights`, unless `bits.layers` says otherwise.
    Raises UserError for a layer in `bits.layers` that the network does not have, and an image too small for
    its layers.
    """
    architecture = ARCHITECTURES[network.name.value]
    builder = _Builder(network, bits, network.size or architecture.size, architecture.channels)
    image = (builder.size, builder.size, architecture.channels)
    for part in architecture.parts_for(builder.size):
        builder.add(part)
    builder.classifier(architecture.classifier)
    result = Topology(image, bits.input, tuple(builder.parts))
    _check_names(bits.layers, [layer.name for layer in result.layers])
    return result


def image_shape(network: Network) -> tuple[int, int, int]:
    """(H, W, C) of the network's images."""
    architecture = ARCHITECTURES[network.name.value]
    size = network.size or architecture.size
    return size, size, architecture.channels


def _check_names(layers: dict[str, LayerBits], known: list[str]) -> None:
    for name in layers:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError(f"bits.layers must name layers of {', '.join(known)}, not {shown(name)}{hint}")


class _Builder:
    """Adds parts one after another, and knows what the next one reads."""

    def __init__(self, network: Network, bits: Bits, size: int, channels: int) -> None:
        self.network, self.bits, self.size, self.channels = network, bits, size, channels
        self.code_bits = bits.input
        self.parts: list[Part] = []

    def add(self, part: zoo.Part) -> None:
        """Add what a part of the zoo stands for."""
        match part:
            case zoo.Convolution(name, channels, kernel, stride, padding, pool):
                self.conv(name, channels, kernel, stride, padding, pool)
            case zoo.Residual(name, channels, stride):
                self.residual(name, channels, stride)
            case zoo.GlobalAverage(name):
                self.global_average(name)
            case zoo.Hidden(name, outputs):
                self.hidden(name, outputs)
            case _:
                assert_never(part)

    def wide(self, channels: int) -> int:
        return max(1, round(channels * self.network.width))

    def conv(
        self,
        name: str,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        pool: Pool | None = None,
    ) -> Conv:
        """Add a convolution of `outputs` channels times the width, which the next part reads."""
        widths = (*self._widths(name, edge=not self.parts), self._activations(name))
        conv = Conv(name, self.channels, self.wide(outputs), *widths, kernel, stride, padding, pool)
        self.size = self._after(name, kernel, stride, padding)
        if pool is not None:
            self.size = self._after(f"the pooling behind {name}", pool.kernel, pool.stride, pool.padding)
        self.channels, self.code_bits = conv.outputs, self._activations(name)
        self.parts.append(conv)
        return conv

    def hidden(self, name: str, outputs: int) -> None:
        self._linear(name, self.wide(outputs), last=False)

    def classifier(self, name: str) -> None:
        self._linear(name, self.network.classes, last=True)

    def residual(self, name: str, outputs: int, stride: int) -> None:
        """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where the shape changes."""
        size, channels, bits, before = self.size, self.channels, self.code_bits, len(self.parts)
        first = self.conv(f"{name}_conv1", outputs, 3, stride, 1)
        second = self.conv(f"{name}_conv2", outputs, 3, 1, 1)
        shortcut: tuple[Conv, ...] = ()
        if stride > 1 or channels != second.outputs or bits != second.activation_bits:
            self.size, self.channels, self.code_bits = size, channels, bits
            shortcut = (self.conv(f"{name}_shortcut", outputs, 1, stride),)
            if shortcut[0].activation_bits != second.activation_bits:
                raise UserError(
                    f"bits.layers must give {second.name} and {shortcut[0].name} the same activations, which "
                    f"are added, not {second.activation_bits} and {shortcut[0].activation_bits} bits"
                )
        self.parts[before:] = [Residual(name, (first, second), shortcut)]

    def global_average(self, name: str) -> None:
        self.parts.append(GlobalAverage(name, self.size))
        self.size = 1

    def _linear(self, name: str, outputs: int, last: bool) -> None:
        inputs, activations = self.size**2 * self.channels, self._activations(name)
        widths = (*self._widths(name, edge=last), None if last else activations)
        self.parts.append(Linear(name, inputs, outputs, *widths))
        self.size, self.channels, self.code_bits = 1, outputs, activations

    def _widths(self, name: str, edge: bool) -> tuple[int, int]:
        """Bits of a layer's weights and of the codes that it reads; `edge`: it is the first or the last."""
        own = self.bits.layers.get(name, LayerBits()).weights
        return own or (self.bits.edge_weights if edge else self.bits.weights), self.code_bits

    def _activations(self, name: str) -> int:
        return self.bits.layers.get(name, LayerBits()).activations or self.bits.activations

    def _after(self, what: str, kernel: int, stride: int, padding: int) -> int:
        size = (self.size + 2 * padding - kernel) // stride + 1
        if size < 1:
            raise UserError(
                f"network.size must leave {what} at least {kernel - 2 * padding} pixels, not {self.size}; "
                f"take larger images"
            )
        return size
