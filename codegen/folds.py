"""The folds that a layer can have, and what each means for its neighbours and for the device."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from hw.geometry import WindowGeometry, ceil_div
from hw.matrix_vector import serial_lanes

from .stages import MatrixVectorStage, PoolStage

__all__ = ["Fold", "Option", "options", "window"]

BANK_PRICE = 24
"""Logic cells around one memory of a line buffer: its address and its write enable."""
PE_PRICE = 40
"""Logic cells of an accumulator and its place in the serialiser."""
LANE_PRICE = 3
"""Logic cells of a lane for each bit of the weight times each bit of the code: multiplier and adder."""


@dataclass(frozen=True, order=True)
class Fold:
    """``pe`` output channels by ``row_lanes`` kernel rows by ``run_lanes`` elements of each, at once, for
    ``pixels`` neighbours in a row of the output.

    For pooling ``pe`` is 1 and ``groups`` says into how many parts the channels are cut. ``logic``: without
    multipliers.
    """

    pe: int
    row_lanes: int
    run_lanes: int
    groups: int = 1
    pixels: int = 1
    logic: bool = False

    @property
    def simd(self) -> int:
        return self.row_lanes * self.run_lanes

    @property
    def lanes(self) -> int:
        return self.pe * self.simd * self.pixels


@dataclass(frozen=True)
class Option:
    """A fold and what it means: ``steps`` an image, multiplying ``lanes``, ``granule`` elements that the line
    buffer writes at once at most, ``out_lanes`` numbers in a beat that leaves.

    ``price`` estimates the logic cells (LUT4) that depend on the fold; it only decides between folds that are
    equally fast.
    """

    steps: int
    lanes: int
    granule: int
    out_lanes: int
    price: int
    fold: Fold


def window(
    stage: MatrixVectorStage | PoolStage, fold: Fold, in_lanes: int, buffer_rows: int = 0
) -> WindowGeometry:
    """The sliding window of a stage with a given fold."""
    source, (rows, columns) = stage.source, stage.kernel
    groups, repeats = fold.groups, 1
    wider = (fold.pixels - 1) * stage.stride[1]
    if isinstance(stage, MatrixVectorStage):
        groups, repeats = stage.groups, ceil_div(stage.channels // stage.groups, fold.pe)
    return WindowGeometry(
        source.rows,
        source.columns,
        source.channels,
        in_lanes,
        (rows, columns + wider),
        (stage.stride[0], stage.stride[1] * fold.pixels),
        stage.padding,
        groups,
        repeats,
        fold.row_lanes,
        fold.run_lanes + wider * source.channels,
        buffer_rows,
        fold.pixels,
    )


def options(stage: MatrixVectorStage | PoolStage, most: int) -> Iterator[Option]:
    """The folds of at most ``most`` lanes that can be of use: any other is as slow as one of them with fewer
    lanes."""
    if isinstance(stage, MatrixVectorStage):
        return _matrix_vector_options(stage, most)
    return _pool_options(stage)


def _matrix_vector_options(stage: MatrixVectorStage, most: int) -> Iterator[Option]:
    group, bits = stage.channels // stage.groups, stage.source.bits
    lane = LANE_PRICE * stage.weights.bits * bits
    for row_lanes in _useful(stage.kernel[0]):
        for run_lanes in _run_lanes(stage):
            simd = row_lanes * run_lanes
            if simd > most:
                continue
            geometry = window(stage, Fold(group, row_lanes, run_lanes), stage.source.channels)
            buffer = _buffer_price(geometry, bits)
            for pe in _pes(group, geometry.window_steps, most // simd):
                out = _serial_lanes(pe, geometry.window_steps)
                if stage.groups > 1 and group % out:
                    continue
                steps, price = geometry.steps * ceil_div(group, pe), buffer + pe * (PE_PRICE + lane * simd)
                yield Option(steps, pe * simd, geometry.granule, out, price, Fold(pe, row_lanes, run_lanes))
    if stage.groups == 1:
        yield from _pixel_options(stage, most)


def _pixel_options(stage: MatrixVectorStage, most: int) -> Iterator[Option]:
    """Neighbours in a row at once: all channels, whole kernel rows, and a pixel a step at most."""
    pe, run, bits = stage.channels, stage.kernel[1] * stage.source.channels, stage.source.bits
    lane = LANE_PRICE * stage.weights.bits * bits
    for row_lanes in _useful(stage.kernel[0]):
        for pixels in range(2, ceil_div(stage.kernel[0], row_lanes) + 1):
            choice = Fold(pe, row_lanes, run, pixels=pixels)
            if stage.result.columns % pixels or choice.lanes > most:
                continue
            geometry = window(stage, choice, stage.source.channels)
            out = serial_lanes(pe, geometry.window_steps, pixels)
            price = _buffer_price(geometry, bits) + PE_PRICE * pe * pixels + lane * choice.lanes
            yield Option(geometry.steps, choice.lanes, geometry.granule, out, price, choice)


def _pool_options(stage: PoolStage) -> Iterator[Option]:
    """Some channels of one kernel position at a time, or all channels of one position or more."""
    channels, bits = stage.source.channels, stage.source.bits
    parts = [(channels // groups, groups) for groups in range(2, channels + 1) if channels % groups == 0]
    whole = [(channels * taps, 1) for taps in _useful(stage.kernel[1])]
    for run_lanes, groups in parts + whole:
        for row_lanes in _useful(stage.kernel[0]):
            choice = Fold(1, row_lanes, run_lanes, groups)
            geometry = window(stage, choice, channels)
            price = _buffer_price(geometry, bits) + LANE_PRICE * bits * choice.lanes
            yield Option(geometry.steps, 0, geometry.granule, channels // groups, price, choice)


def _buffer_price(geometry: WindowGeometry, bits: int) -> int:
    """The memories of a line buffer, and the multiplexers that put their words in order."""
    levels = 0
    if geometry.rotates_runs:
        levels += (geometry.run_banks - 1).bit_length()
    if geometry.rotates_rows:
        levels += (geometry.row_lanes - 1).bit_length()
    return BANK_PRICE * geometry.row_lanes * geometry.run_banks + levels * geometry.lanes * bits


def _run_lanes(stage: MatrixVectorStage) -> list[int]:
    """For each granule the useful numbers of lanes that are its multiples: what is written at once is as
    much of a line buffer's speed as what is read."""
    channels = stage.weights.codes.shape[3]
    columns = stage.kernel[1] if stage.groups == 1 else 1
    sizes = [size for size in range(1, channels + 1) if channels % size == 0]
    return sorted({size * lanes for size in sizes for lanes in _useful(columns * channels // size)})


def _pes(group: int, window_steps: int, most: int) -> list[int]:
    """The numbers of PEs worth trying: any that takes more than one lane to send its sums on, else the
    useful ones."""
    wide = range(window_steps + 1, group + 1)
    return [pe for pe in sorted({*_useful(group), *wide}) if pe <= most]


_serial_lanes = cache(serial_lanes)


@cache
def _useful(size: int) -> list[int]:
    """Each number of lanes for ``size`` items that no smaller number equals in steps, ascending."""
    return sorted({ceil_div(size, steps) for steps in range(1, size + 1)})
