"""Networks of the great recipes before they are trained: real shapes, seeded weights, calibrated scales.

Hardware depends on shapes, widths and ranges, not on what a network has learnt, so an accelerator can be
built and proven before training has ended. Scales are set from real photographs, layer after layer, so that
no channel is dead or saturated and a wrong bit anywhere shows. What such a network answers means nothing.

The first and the last layer have 8-bit weights in every recipe, binary ones too. The first reads whole pixels
through few weights and the last alone decides, so both lose most from few bits: DoReFa-Net (arXiv 1606.06160)
and the binary networks after it leave them in float. Here nothing is float; 8 bits are the integers nearest.
"""

import importlib.metadata
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from codegen import zoo
from codegen.files import digest_of
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
from codegen.zoo import ARCHITECTURES, Architecture, Convolution, GlobalAverage, Hidden, Residual

__all__ = ["definition", "has_photographs", "photographs", "recipes", "untrained"]

_FRACTION = 16
_EDGE_BITS = 8
_SEED = 2026
_CALIBRATION_IMAGES = 16
_SMALLEST, _LARGEST = 16, 384  # pixels of a crop's side: less shows nothing, more leaves too few crops to cut


@dataclass(frozen=True)
class _Recipe:
    """What an untrained network is made of. Images are of 8-bit RGB or of ``grey_bits``; without convolutions
    their pixels come as one vector. Without ``edges`` the first and the last layer are like the others."""

    architecture: Architecture
    grey_bits: int = 0
    edges: bool = True


# What others publish figures of for the 8x8 digits, with the same bits everywhere.
_MLP = Architecture("a perceptron, 64-32-10", 8, 1, (Hidden("fc1", 32),), "fc2")

_RECIPES = {
    "alexnet": _Recipe(ARCHITECTURES["alexnet"]),
    "vgg_small": _Recipe(ARCHITECTURES["vgg_small"]),
    "mlp": _Recipe(_MLP, grey_bits=4, edges=False),
}


class _Place(NamedTuple):
    """Where a crop lies: which photograph, how many of its pixels a side become one, top left corner."""

    picture: int
    scale: int
    top: int
    left: int


def recipes() -> list[str]:
    """The name of every network that `untrained` makes: ``<architecture>_w<1..8>a<1..8>``."""
    widths = range(1, 9)
    return [f"{name}_w{w}a{a}" for name in sorted(_RECIPES) for w in widths for a in widths]


def untrained(name: str) -> IntegerNetwork | None:
    """The network of the recipe ``name``, always the same one, or ``None`` if it is not one of `recipes`.

    ``alexnet_w4a4`` has 4-bit weights and codes, but for its images and the weights at both ends.
    """
    match = re.fullmatch(r"(\w+)_w([1-8])a([1-8])", name)
    if match is None or match[1] not in _RECIPES:
        return None
    return _Maker(_RECIPES[match[1]], int(match[2]), int(match[3])).network(name)


def definition(name: str) -> str:
    """SHA-256, in hexadecimal, of all that the network of the recipe ``name`` is made from.

    That is its name, the code of this file and of the zoo, and the versions of what draws the weights and
    decodes the photographs.
    """
    versions = [importlib.metadata.version(package) for package in ("numpy", "scikit-learn", "pillow")]
    code = sorted(Path(zoo.__file__).parent.glob("*.py"))
    return digest_of([name, versions], [Path(__file__), *code])


def _calibration(recipe: _Recipe) -> tuple[TensorType, NDArray[np.int64]]:
    """The type of the images of a recipe, and some photographs of it."""
    size, bits = recipe.architecture.size, recipe.grey_bits
    crops = photographs((max(size, _SMALLEST), max(size, _SMALLEST), 3), _CALIBRATION_IMAGES).astype(np.int64)
    if not bits:
        return TensorType((size, size, 3), 0, 255), crops
    grey = crops[:, :size, :size].sum(axis=3, keepdims=True) * (1 << bits) // (3 * 256)
    maps = any(isinstance(part, Convolution) for part in recipe.architecture.parts)
    shape = (size, size, 1) if maps else (1, 1, size * size)
    return TensorType(shape, 0, (1 << bits) - 1), grey.reshape(-1, *shape)


class _Maker:
    """Adds one layer after another, each calibrated on what the layers before it make of the photographs."""

    def __init__(self, recipe: _Recipe, weight_bits: int, code_bits: int):
        self.architecture, self.weight_bits, self.code_bits = recipe.architecture, weight_bits, code_bits
        self.edge_bits = _EDGE_BITS if recipe.edges else weight_bits
        self.random = np.random.default_rng(_SEED)
        self.type, self.values = _calibration(recipe)
        self.nodes: list[Node] = []

    def network(self, name: str) -> IntegerNetwork:
        source, bits = self.type, self.edge_bits
        for part in self.architecture.parts:
            match part:
                case Convolution():
                    self._convolution(part, bits)
                case Hidden(hidden, outputs):
                    self._linear(hidden, outputs, bits)
                    self._calibrate(hidden, bits)
                case Residual() | GlobalAverage():
                    raise AssertionError(f"no recipe of an untrained network has {part}")
                case _:
                    assert_never(part)
            bits = self.weight_bits
        self._linear(self.architecture.classifier, self.architecture.classes, self.edge_bits)
        self._add("argmax", Argmax())
        return IntegerNetwork(name, source, tuple(self.nodes))

    def _convolution(self, layer: Convolution, bits: int) -> None:
        name = layer.name
        weights = self._weights((layer.channels, layer.kernel, layer.kernel, self.type.shape[2]), bits)
        width = weights.accumulator_bits(self.type.low, self.type.high)
        stride, padding = (layer.stride, layer.stride), (layer.padding, layer.padding)
        self._add(name, Conv(weights, stride, padding, accumulator_bits=width))
        self._calibrate(name, bits)
        if layer.pool is not None:
            kernel, step = layer.pool.kernel, layer.pool.stride
            self._add(f"{name}_pool", MaxPool((kernel, kernel), (step, step)))

    def _linear(self, name: str, outputs: int, bits: int) -> None:
        if len(self.type.shape) == 3:
            self._add("flatten", Flatten())
        weights = self._weights((outputs, self.type.shape[0]), bits)
        self._add(name, Linear(weights, weights.accumulator_bits(self.type.low, self.type.high)))

    def _calibrate(self, name: str, bits: int) -> None:
        """A scale and an offset for each channel: its mean a quarter up the range, a mean deviation a quarter
        of it; a 1-bit code is 1 from the mean on.

        The mean is rounded up, so that some sum lies below it and some does not: no channel is dead or
        saturated on these photographs.
        """
        sums = self.values.reshape(-1, self.values.shape[-1])
        divisor, top = ((1 << bits) - 1) << _FRACTION, (1 << self.code_bits) - 1
        mean = -(-sums.sum(axis=0) // len(sums))
        deviation = np.abs(sums - mean).sum(axis=0) // len(sums)
        alpha = np.maximum(1, divisor * top // (4 * np.maximum(1, deviation)))
        beta = max(divisor * top // 4, divisor // 2) - alpha * mean
        self._add(f"{name}_requantise", Requantise(alpha, beta, bits, _FRACTION, self.code_bits))

    def _weights(self, shape: tuple[int, ...], bits: int) -> DorefaWeights:
        """Codes with a bell-shaped distribution, the mean of four uniform draws; a single bit is one draw.

        The second half of each channel's weights is the negative of the first, in reverse: they sum to about
        zero, and what all inputs have in common cancels. It would drown what tells one image from another.
        """
        draws = 1 if bits == 1 else 4
        size = (shape[0], math.prod(shape[1:]))
        # A mean is rounded up or down by chance: always down, all channels would lean to the same side.
        total = self.random.integers(0, draws, size, dtype=np.uint8).astype(np.uint16)
        for _ in range(draws):
            total += self.random.integers(0, 1 << bits, size, dtype=np.uint8)
        codes = (total // draws).astype(np.uint8)
        half = codes.shape[1] // 2
        codes[:, -half:] = ((1 << bits) - 1) - codes[:, :half][:, ::-1]
        return DorefaWeights(codes.reshape(shape), bits)

    def _add(self, name: str, op: Op) -> None:
        before = self.nodes[-1].name if self.nodes else "input"
        self.nodes.append(Node(name, op, (before,)))
        self.type = op.infer([self.type])
        self.values = op.apply(self.values)


def has_photographs(type: TensorType) -> bool:
    """True if `photographs` can show them to a network that reads ``type``: 8-bit RGB, 16x16 to 384x384."""
    if len(type.shape) != 3 or (type.low, type.high) != (0, 255):
        return False
    height, width, channels = type.shape
    return channels == 3 and min(height, width) >= _SMALLEST and max(height, width) <= _LARGEST


def photographs(shape: Sequence[int], count: int) -> NDArray[np.uint8]:
    """The first ``count`` crops (count, *shape) of two photographs, as 8-bit codes: always the same, all
    different.

    ``shape`` is (height, width, 3), of a type that `has_photographs`; ``count`` is 1 or more. A small crop is
    a larger one shrunk, so that it shows something.
    """
    height, width, _ = shape
    return np.stack([_crop(place, height, width) for place in islice(_places(height, width), count)])


def _places(height: int, width: int) -> Iterator[_Place]:
    """Where the crops of this size lie, without end (there are 22,616 places of the largest size alone)."""
    rows, columns, _ = _pictures()[0].shape
    most = min(rows // height, columns // width)
    random, seen = np.random.default_rng(_SEED), set[_Place]()
    while True:
        scale = int(random.integers((most + 1) // 2, most + 1))
        top = int(random.integers(0, rows - height * scale + 1))
        left = int(random.integers(0, columns - width * scale + 1))
        place = _Place(len(seen) % 2, scale, top, left)
        if place not in seen:
            seen.add(place)
            yield place


def _crop(place: _Place, height: int, width: int) -> NDArray[np.uint8]:
    """One crop (height, width, 3), each element the mean of ``scale`` x ``scale`` of the photograph's."""
    scale = place.scale
    down, across = slice(place.top, place.top + height * scale), slice(place.left, place.left + width * scale)
    part = _pictures()[place.picture][down, across]
    rows = part.reshape(height, scale, -1).sum(axis=1, dtype=np.int64)
    return (rows.reshape(height, width, scale, 3).sum(axis=2) // scale**2).astype(np.uint8)


@cache
def _pictures() -> list[NDArray[np.uint8]]:
    """The two photographs that come with scikit-learn, uint8 (427, 640, 3)."""
    from sklearn.datasets import load_sample_images  # takes a second to import: only who needs it waits

    return [np.asarray(picture, np.uint8) for picture in load_sample_images().images]
