"""Random layers: drawn from a seed, small enough to simulate in a blink, odd enough to meet every corner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codegen.accelerator import engine
from codegen.beats import BeatFormat
from codegen.cycles import predict
from codegen.folds import Fold, window
from codegen.ir import Conv, DorefaWeights, MaxPool, Requantise, TensorType
from codegen.parameters import latency
from codegen.plan import LayerPlan
from codegen.requantise import scale_form, threshold_form
from codegen.stages import FeatureMap, MatrixVectorStage, PoolStage
from hw.geometry import WindowGeometry, ceil_div
from hw.matrix_vector import serial_lanes
from hw.timing import LayerTiming, matrix_vector_timing, pool_timing
from sim.amaranth_bench import AmaranthBench
from sim.ports import NO_STALL, Record, Stall
from sim.scoreboard import Expectation, compare, compare_cycles

from .bench import Watched

FORMS = {"raw": None, "scale": scale_form, "thresholds": threshold_form}
"""What stands at the end of a layer: how its form is found."""


def seeds(quick: int, every: int) -> list[Any]:
    """Seeds 0 to ``every``, of which ``make test`` runs the first ``quick``."""
    return [*range(quick), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(quick, every))]


class Draw:
    """Draws from a seed what is not ``fixed`` by name."""

    def __init__(self, seed: int, fixed: Mapping[str, Any]):
        self.rng, self.fixed = np.random.default_rng(seed), fixed

    def or_fixed(self, name: str, drawn: Any) -> Any:
        return self.fixed.get(name, drawn)

    def whole(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def pair(self, low: int, high: int) -> tuple[int, int]:
        return self.whole(low, high), self.whole(low, high)

    def one_of(self, *choices: Any) -> Any:
        return choices[self.whole(0, len(choices) - 1)]

    def codes(self, bits: int, *shape: int) -> NDArray[np.int64]:
        """Codes of all sizes, or now and then only the largest: there the widths are put to the test."""
        if self.whole(0, 5) == 0:
            return np.full(shape, (1 << bits) - 1, np.int64)
        return self.rng.integers(0, 1 << bits, shape)

    def sweep(self, most: int) -> tuple[tuple[int, int], ...]:
        """Kernel, at most ``most`` high and wide, stride, padding, and a size of map that they fit."""
        kernel, stride = self.or_fixed("kernel", self.pair(1, most)), self.or_fixed("stride", self.pair(1, 3))
        padding = self.or_fixed("padding", tuple(self.whole(0, min(2, size - 1)) for size in kernel))
        least = (max(1, size - 2 * pad) for size, pad in zip(kernel, padding, strict=True))
        return kernel, stride, padding, self.or_fixed("size", tuple(low + self.whole(0, 4) for low in least))

    def buffer_rows(self, least: WindowGeometry) -> int:
        """Rows of memory: as many as the geometry takes by itself, the fewest, or a few more."""
        fewest = least.row_lanes * ceil_div(least.least_rows, least.row_lanes)
        return self.or_fixed("buffer_rows", self.one_of(0, 0, fewest, fewest + least.row_lanes))


@dataclass(frozen=True)
class Case:
    """A layer, images (N, H, W, C) that go through it, and the values (N, H', W', C') that must leave it."""

    layer: LayerPlan
    images: NDArray[np.int64]
    values: NDArray[np.int64]

    def __str__(self) -> str:
        stage = self.layer.stage
        widths = f"{stage.source.bits}-bit codes"
        if isinstance(stage, MatrixVectorStage):
            widths += f", {stage.weights.bits}-bit weights, {self.layer.form}"
        return f"{len(self.images)} image(s), {self.layer.fold}, {self.layer.timing}, {widths}"

    @property
    def window(self) -> WindowGeometry:
        return self.layer.timing.window

    @property
    def input_beats(self) -> NDArray[np.int64]:
        return BeatFormat(self.window.in_lanes, self.layer.stage.source.bits).pack(self.images)

    @property
    def beats(self) -> int:
        """Beats that leave."""
        channels = self.values.shape[-1]
        return self.values.size // channels * ceil_div(channels, self.layer.timing.lanes)

    def engine(self) -> Watched:
        return Watched(engine(self.layer, inline=True))

    def predicted(self) -> dict[str, list[int]]:
        """The cycle model's claims by stream."""
        prediction = predict([self.layer.timing], len(self.images))
        layer = prediction.layers[0]
        return {"i": prediction.inputs, "o": layer.beats, "starts": layer.starts}

    def check(self, stall: Stall = NO_STALL) -> Record:
        """Simulates it: each value equal, the handshake's law kept, each cycle equal if nothing stalls."""
        record = AmaranthBench(self.engine()).run({"i": self.input_beats}, {"o": self.beats}, stall=stall)
        claims = {"broken": []} | ({} if stall.probability else self.predicted())
        differences = compare(record, [Expectation("o", "o", self.values)]) + compare_cycles(record, claims)
        assert not differences, f"{'; '.join(map(str, differences))}\nwith {stall}: {self}"
        return record


def geometry_case(seed: int, **fixed: Any) -> WindowGeometry:
    """Random windows over a random map. ``fixed``: what is not left to chance, by name."""
    draw = Draw(seed, fixed)
    kernel, stride, padding, (rows, columns) = draw.sweep(4)
    groups = draw.or_fixed("groups", draw.one_of(1, 1, 2, 3))
    channels = draw.or_fixed("channels", groups * draw.whole(1, 6 // groups))
    run = kernel[1] * channels if groups == 1 else channels // groups
    lanes = draw.or_fixed("lanes", (draw.whole(1, kernel[0]), draw.whole(1, run)))
    in_lanes = draw.or_fixed("in_lanes", draw.whole(1, channels + 1))
    repeats = draw.or_fixed("repeats", draw.whole(1, 2))
    shape = (rows, columns, channels, in_lanes, kernel, stride, padding, groups, repeats, *lanes)
    return WindowGeometry(*shape, buffer_rows=draw.buffer_rows(WindowGeometry(*shape)))


def conv_case(seed: int, **fixed: Any) -> Case:
    """A random convolution, randomly folded. ``fixed``: what is not left to chance, by name."""
    draw = Draw(seed, fixed)
    stage, conv = _conv(draw)
    form_of = FORMS[draw.or_fixed("form", draw.one_of(*FORMS))]
    fold = _fold(draw, stage)
    requantise = _requantise(draw, stage)
    form = form_of(requantise, *stage.accumulators) if form_of else None
    timing = _timing(draw, stage, fold, latency(stage, form))
    shape = (stage.source.rows, stage.source.columns, stage.source.channels)
    images = draw.codes(stage.source.bits, draw.or_fixed("images", draw.whole(1, 3)), *shape)
    values = conv.apply(images)
    expected = values if form is None else requantise.apply(values)
    return Case(LayerPlan(stage, fold, timing, form), images, expected)


def _conv(draw: Draw) -> tuple[MatrixVectorStage, Conv]:
    kernel, stride, padding, size = draw.sweep(4)
    groups = draw.or_fixed("groups", draw.one_of(1, 1, 2, 3))
    channels = draw.or_fixed("channels", groups * draw.whole(1, 6 // groups))
    out = draw.or_fixed("out", groups * draw.whole(1, 8 // groups))
    weight_bits, code_bits = draw.or_fixed("bits", draw.pair(1, 8))
    weights = DorefaWeights(draw.codes(weight_bits, out, *kernel, channels // groups), weight_bits)
    conv = Conv(
        weights, stride, padding, groups, accumulator_bits=weights.accumulator_bits(0, (1 << code_bits) - 1)
    )
    result = conv.infer([TensorType((*size, channels), 0, (1 << code_bits) - 1)])
    source = FeatureMap(*size, channels, 0, (1 << code_bits) - 1)
    sums = FeatureMap(*result.shape, result.low, result.high)
    return MatrixVectorStage("conv", "conv", source, sums, weights, stride, padding, groups, None), conv


def _fold(draw: Draw, stage: MatrixVectorStage) -> Fold:
    """Any fold that the layer can have."""
    columns, run = 1, stage.kernel[1] * stage.source.channels
    if stage.groups > 1:
        columns, run = stage.kernel[1], stage.source.channels // stage.groups
    wide = _wide(draw, stage)
    if wide is not None:
        return wide
    some = (draw.whole(1, stage.kernel[0]), draw.whole(1, run))
    rows, lanes = draw.or_fixed("simd", draw.one_of(some, some, (stage.kernel[0], run)))
    steps = ceil_div(stage.kernel[0], rows) * columns * ceil_div(run, lanes)
    group = stage.channels // stage.groups
    legal = [pe for pe in range(1, group + 1) if stage.groups == 1 or group % serial_lanes(pe, steps) == 0]
    return Fold(draw.or_fixed("pe", draw.one_of(*legal)), rows, lanes)


def _wide(draw: Draw, stage: MatrixVectorStage) -> Fold | None:
    """Now and then, where the layer has such, a fold that computes neighbouring pixels at once."""
    run = stage.kernel[1] * stage.source.channels
    legal = [
        Fold(stage.channels, rows, run, pixels=pixels)
        for rows in range(1, stage.kernel[0] + 1)
        for pixels in range(2, ceil_div(stage.kernel[0], rows) + 1)
        if stage.result.columns % pixels == 0 and pixels == draw.fixed.get("pixels", pixels)
    ]
    if stage.groups > 1 or not legal or {"pe", "simd"} & draw.fixed.keys():
        return None
    return draw.one_of(*legal) if draw.or_fixed("pixels", draw.one_of(False, True)) else None


def _timing(draw: Draw, stage: MatrixVectorStage, fold: Fold, latency: int) -> LayerTiming:
    in_lanes = draw.or_fixed("in_lanes", draw.whole(1, stage.source.channels + 1))
    rows = draw.buffer_rows(window(stage, fold, in_lanes))
    depth = draw.or_fixed("fifo_depth", draw.one_of(0, 0, max(4, fold.pixels * fold.pe)))
    return matrix_vector_timing(window(stage, fold, in_lanes, rows), fold.pe, stage.channels, latency, depth)


def _requantise(draw: Draw, stage: MatrixVectorStage) -> Requantise:
    """A scale and an offset, for the layer or for each channel, with which most codes occur."""
    low, high = stage.accumulators
    bits, fraction = draw.whole(1, 4), draw.whole(0, 9)
    if draw.one_of(True, False):
        low, high = low.min(), high.max()
    divisor = ((1 << stage.weights.bits) - 1) << fraction
    alpha = np.maximum(1, divisor * draw.whole(1, 3 << bits) // (high - low + 1))
    beta = -alpha * (low + (high - low) * draw.whole(0, 4) // 8)
    return Requantise(alpha, beta, stage.weights.bits, fraction, bits)


def pool_case(seed: int, **fixed: Any) -> Case:
    """A random max pooling, cut into groups of channels or with several kernel positions at once."""
    draw = Draw(seed, fixed)
    kernel, stride, padding, size = draw.sweep(3)
    groups = draw.or_fixed("groups", draw.one_of(1, 1, 2, 3))
    channels = draw.or_fixed("channels", groups * draw.whole(1, 5 // groups))
    bits = draw.or_fixed("bits", draw.whole(1, 8))
    pool = MaxPool(kernel, stride, padding)
    shape = pool.infer([TensorType((*size, channels), 0, (1 << bits) - 1)]).shape
    source, result = (FeatureMap(*form, 0, (1 << bits) - 1) for form in ((*size, channels), shape))
    stage = PoolStage("pool", "pool", source, result, kernel, stride, padding)
    taps = draw.or_fixed("taps", (draw.whole(1, kernel[0]), draw.whole(1, kernel[1]) if groups == 1 else 1))
    fold = Fold(1, taps[0], taps[1] * (channels // groups), groups)
    in_lanes = draw.or_fixed("in_lanes", draw.whole(1, channels + 1))
    rows = draw.buffer_rows(window(stage, fold, in_lanes))
    timing = pool_timing(window(stage, fold, in_lanes, rows), draw.or_fixed("fifo_depth", draw.one_of(0, 4)))
    images = draw.codes(bits, draw.or_fixed("images", draw.whole(1, 3)), *size, channels)
    return Case(LayerPlan(stage, fold, timing, None), images, pool.apply(images))
