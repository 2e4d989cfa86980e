"""Networks of the great recipes before they are trained: real shapes, seeded weights, calibrated scales.

Hardware depends on shapes, widths and ranges, not on what a network has learnt, so an accelerator can be
built and proven before training has ended. Scales are set from real photographs, layer after layer, so that
no channel is dead or saturated and a wrong bit anywhere shows. What such a network answers means nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["ARCHITECTURES", "Architecture", "ConvSpec", "photographs", "untrained"]

FRACTION = 16
EDGE_BITS = 8
"""Weight bits of the first and the last layer, whatever the others have."""
SEED = 2026
CALIBRATION_IMAGES = 4


@dataclass(frozen=True)
class ConvSpec:
    """A square convolution and the max pooling (kernel, stride) behind it, if any."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: tuple[int, int] | None = None


@dataclass(frozen=True)
class Architecture:
    """A chain of convolutions, then fully connected layers, the last one the classifier. Images are
    8-bit RGB."""

    size: int
    convolutions: tuple[ConvSpec, ...]
    hidden: tuple[int, ...]
    classes: int


ARCHITECTURES = {
    # Krizhevsky, arXiv 1404.5997, in the geometry of torchvision.
    "alexnet": Architecture(
        224,
        (
            ConvSpec(64, 11, 4, 2, pool=(3, 2)),
            ConvSpec(192, 5, 1, 2, pool=(3, 2)),
            ConvSpec(384, 3, 1, 1),
            ConvSpec(256, 3, 1, 1),
            ConvSpec(256, 3, 1, 1, pool=(3, 2)),
        ),
        (4096, 4096),
        1000,
    ),
    # The CIFAR-10 network of the binary-network literature, after arXiv 1409.1556.
    "vgg_small": Architecture(
        32,
        tuple(
            ConvSpec(channels, 3, 1, 1, pool=(2, 2) if second else None)
            for channels in (128, 256, 512)
            for second in (False, True)
        ),
        (),
        10,
    ),
}


def untrained(name: str) -> IntegerNetwork | None:
    """The network of a recipe called ``<architecture>_w<bits>a<bits>``, or ``None`` if there is no such
    recipe."""
    match = re.fullmatch(r"(\w+)_w([1-8])a([1-8])", name)
    if match is None or match[1] not in ARCHITECTURES:
        return None
    architecture = ARCHITECTURES[match[1]]
    maker = _Maker(architecture, int(match[2]), int(match[3]))
    return maker.network(name)


class _Maker:
    """Adds one layer after another, each calibrated on what the layers before it make of the photographs."""

    def __init__(self, architecture: Architecture, weight_bits: int, code_bits: int):
        self.architecture, self.weight_bits, self.code_bits = architecture, weight_bits, code_bits
        self.random = np.random.default_rng(SEED)
        self.type = TensorType((architecture.size, architecture.size, 3), 0, 255)
        self.values: NDArray[np.int64] = photographs(self.type.shape, CALIBRATION_IMAGES).astype(np.int64)
        self.nodes: list[Node] = []

    def network(self, name: str) -> IntegerNetwork:
        source = self.type
        for index, spec in enumerate(self.architecture.convolutions, start=1):
            bits = EDGE_BITS if index == 1 else self.weight_bits
            self._convolution(f"conv{index}", spec, bits)
            if spec.pool is not None:
                kernel, stride = spec.pool
                self._add(f"pool{index}", MaxPool((kernel, kernel), (stride, stride)))
        self._add("flatten", Flatten())
        for index, outputs in enumerate(self.architecture.hidden, start=1):
            self._linear(f"fc{index}", outputs, self.weight_bits)
            self._calibrate(f"fc{index}", self.weight_bits)
        self._linear(f"fc{len(self.architecture.hidden) + 1}", self.architecture.classes, EDGE_BITS)
        self._add("argmax", Argmax())
        return IntegerNetwork(name, source, tuple(self.nodes))

    def _convolution(self, name: str, spec: ConvSpec, bits: int) -> None:
        weights = self._weights((spec.channels, spec.kernel, spec.kernel, self.type.shape[2]), bits)
        width = weights.accumulator_bits(self.type.low, self.type.high)
        strides, paddings = (spec.stride, spec.stride), (spec.padding, spec.padding)
        self._add(name, Conv(weights, strides, paddings, accumulator_bits=width))
        self._calibrate(name, bits)

    def _linear(self, name: str, outputs: int, bits: int) -> None:
        weights = self._weights((outputs, self.type.shape[0]), bits)
        self._add(name, Linear(weights, weights.accumulator_bits(self.type.low, self.type.high)))

    def _calibrate(self, name: str, bits: int) -> None:
        """A scale and an offset for each channel: its mean a quarter up the range, a mean deviation a quarter
        of it. Where a channel has few sums to go by, as in a linear layer, the deviation is that of all."""
        sums = self.values.reshape(-1, self.values.shape[-1])
        divisor, top = ((1 << bits) - 1) << FRACTION, (1 << self.code_bits) - 1
        mean = sums.sum(axis=0) // len(sums)
        deviation = np.abs(sums - mean).sum(axis=0) // len(sums)
        if len(sums) < 64:
            deviation = np.full_like(deviation, deviation.sum() // len(deviation))
        alpha = np.maximum(1, divisor * top // (4 * np.maximum(1, deviation)))
        beta = max(divisor * top // 4, divisor // 2) - alpha * mean
        self._add(f"{name}_requantise", Requantise(alpha, beta, bits, FRACTION, self.code_bits))

    def _weights(self, shape: tuple[int, ...], bits: int) -> DorefaWeights:
        """Codes with a bell-shaped distribution: the mean of four uniform ones, but for a single bit."""
        draws = 1 if bits == 1 else 4
        total = np.zeros(shape, np.uint16)
        for _ in range(draws):
            total += self.random.integers(0, 1 << bits, shape, dtype=np.uint8)
        return DorefaWeights((total // draws).astype(np.uint8), bits)

    def _add(self, name: str, op: Op) -> None:
        before = self.nodes[-1].name if self.nodes else "input"
        self.nodes.append(Node(name, op, (before,)))
        self.type = op.infer([self.type])
        self.values = op.apply(self.values)


def photographs(shape: Sequence[int], count: int) -> NDArray[np.uint8]:
    """Crops (count, height, width, 3) of the two photographs that come with scikit-learn, shrunk where small
    ones are asked for, as 8-bit codes; always the same ones."""
    from sklearn.datasets import load_sample_images  # a second to import, for networks without training only

    height, width, _ = shape
    pictures = [np.asarray(picture, dtype=np.uint8) for picture in load_sample_images().images]
    random = np.random.default_rng(SEED)
    scale = max(1, 320 // max(height, width))
    crops = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        top = int(random.integers(0, picture.shape[0] - height * scale + 1))
        left = int(random.integers(0, picture.shape[1] - width * scale + 1))
        crop = picture[top : top + height * scale, left : left + width * scale].astype(np.int64)
        blocks = crop.reshape(height, scale, width, scale, 3).sum(axis=(1, 3))
        crops.append((blocks // scale**2).astype(np.uint8))
    return np.stack(crops)
