"""Topologies: which layers a network has, as plain values that teacher, student and export all read."""

from __future__ import annotations

from dataclasses import dataclass

from model.recipe import Bits, Network


@dataclass(frozen=True)
class ConvLayer:
    """A square convolution, its quantised activation, then max pooling by `pool` where that is above 1.

    Max pooling commutes with a monotone quantiser, so it stands after it: the hardware pools codes, not sums.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    padding: int
    weight_bits: int
    input_bits: int
    activation_bits: int
    pool: int


@dataclass(frozen=True)
class LinearLayer:
    """The classifier: fully connected, no bias, its raw integer sums are the logits."""

    name: str
    inputs: int
    outputs: int
    weight_bits: int
    input_bits: int


@dataclass(frozen=True)
class Topology:
    """Convolutions in a chain and a classifier, for images (H, W, C) of `input_bits`-bit codes."""

    image: tuple[int, int, int]
    input_bits: int
    hidden: tuple[ConvLayer, ...]
    classifier: LinearLayer

    @property
    def names(self) -> list[str]:
        """The names of all layers with weights, first to last."""
        return [*(layer.name for layer in self.hidden), self.classifier.name]


def topology(network: Network, bits: Bits) -> Topology:
    """The topology of a network at these widths; the first and the last layer take `bits.edge_weights`."""
    return {Network.DIGITS: _digits}[network](bits)


def _digits(bits: Bits) -> Topology:
    """A small CNN for 8x8 digits, 21,664 MACs: two 3x3 convolutions without padding, pool 2, FC 64 -> 10."""
    a = bits.activations
    return Topology(
        (8, 8, 1),
        bits.input,
        (
            ConvLayer("conv1", 1, 8, 3, 0, bits.edge_weights, bits.input, a, pool=1),  # 8x8 -> 6x6
            ConvLayer("conv2", 8, 16, 3, 0, bits.weights, a, a, pool=2),  # 6x6 -> 4x4 -> 2x2
        ),
        LinearLayer("fc", 64, 10, bits.edge_weights, a),
    )
