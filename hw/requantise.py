"""Requantisation: accumulators in, activation codes out, in the two exact forms of docs/numerics.md."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .geometry import ceil_div
from .memory import SequenceRom
from .pipeline import later, valids
from .streams import OPERAND_BITS, accumulator, beat, free_running

__all__ = ["ScaleRequantise", "ThresholdRequantise"]

FETCH = SequenceRom.latency
"""Cycles until a channel's numbers are there."""


def _ports(shape: Shape, lanes: int, bits: int) -> dict[str, wiring.Member]:
    return {"i": In(free_running(beat(shape, lanes))), "o": Out(free_running(beat(bits, lanes)))}


class ScaleRequantise(wiring.Component):
    """y = clip((multiplier * acc + offset) >> shift, 0, 2^bits - 1).

    ``multiplier`` and ``offset``: one number for the layer, or one for each channel; channels arrive
    ``lanes`` a beat, from 0 to the last and again. One beat a cycle. ``latency``: the channel's numbers,
    operands, products, the offset added, the upper product of an accumulator that is wider than a multiplier
    added, clip.
    """

    latency = FETCH + 5

    def __init__(
        self,
        low: int,
        high: int,
        lanes: int,
        bits: int,
        multiplier: Sequence[int],
        offset: Sequence[int],
        shift: int,
    ):
        if len(multiplier) != len(offset) or min(multiplier) < 0:
            raise ValueError(
                f"multipliers must not be negative and as many as offsets, not {list(multiplier)}"
            )
        self.low, self.high, self.lanes, self.bits = low, high, lanes, bits
        self.multiplier, self.offset, self.shift = tuple(multiplier), tuple(offset), shift
        super().__init__(_ports(accumulator(low, high), lanes, bits))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        top, least, most = max(self.multiplier), min(-1, *self.offset), max(0, *self.offset)
        columns = [(accumulator(0, top), self.multiplier), (accumulator(least, most), self.offset)]
        shape = accumulator(min(0, self.low) * top + least, max(0, self.high) * top + most)
        parameters = _parameters(m, self.i.valid, self.lanes, columns)
        valid = valids(m, self.i.valid, self.latency)
        operand, product, offsetting, adding, clipping = valid[FETCH:-1]
        m.d.comb += self.o.valid.eq(valid[-1])
        for k, (factor, offset) in enumerate(parameters):
            acc, factor = later(m, valid[:FETCH], self.i.payload[k]), later(m, [operand], factor)
            low, *high = (later(m, [product], later(m, [operand], limb) * factor) for limb in _limbs(acc))
            total = later(m, [offsetting], low + later(m, [operand, product], offset))
            for upper in high:
                total = total + (later(m, [offsetting], upper) << _LIMB)
            total = later(m, [adding], total, shape)
            with m.If(clipping):
                m.d.sync += self.o.payload[k].eq(_clip(total >> self.shift, self.bits))
        return m


class ThresholdRequantise(wiring.Component):
    """y = how many of the 2^bits - 1 ascending thresholds acc has reached.

    ``thresholds``: one row for the layer, or one for each channel; channels arrive ``lanes`` a beat, from 0
    to the last and again. One beat a cycle. ``latency``: the channel's thresholds, compare, count.
    """

    latency = FETCH + 2

    def __init__(self, low: int, high: int, lanes: int, bits: int, thresholds: Sequence[Sequence[int]]):
        if any(len(row) != (1 << bits) - 1 or list(row) != sorted(row) for row in thresholds):
            raise ValueError(f"thresholds must be rows of {(1 << bits) - 1} in ascending order")
        self.low, self.high, self.lanes, self.bits = low, high, lanes, bits
        self.thresholds = tuple(tuple(row) for row in thresholds)
        super().__init__(_ports(accumulator(low, high), lanes, bits))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        flat = [t for row in self.thresholds for t in row]
        shape = accumulator(min(flat), max(0, *flat))
        columns = [(shape, column) for column in zip(*self.thresholds, strict=True)]
        parameters = _parameters(m, self.i.valid, self.lanes, columns)
        valid = valids(m, self.i.valid, self.latency)
        m.d.comb += self.o.valid.eq(valid[-1])
        for k, row in enumerate(parameters):
            acc = later(m, valid[:FETCH], self.i.payload[k])
            reached = later(m, [valid[FETCH]], Cat(acc >= threshold for threshold in row))
            with m.If(valid[FETCH + 1]):
                m.d.sync += self.o.payload[k].eq(sum(reached))
        return m


def _clip(value: Value, bits: int) -> Value:
    """A signed value clipped into 0 .. 2^bits - 1."""
    saturated = (1 << bits) - 1
    return Mux(value[-1], 0, Mux(value[bits:].any(), saturated, value[:bits]))


_LIMB = OPERAND_BITS - 1  # one bit is left for the sign


def _limbs(value: Value) -> list[Value]:
    """A number cut into what one multiplier takes and the rest above it, if there is any."""
    if len(value) <= OPERAND_BITS:
        return [value]
    upper = value[_LIMB:]
    return [value[:_LIMB], upper.as_signed() if value.shape().signed else upper]


def _parameters(
    m: Module, step: Value, lanes: int, columns: Sequence[tuple[Shape, Sequence[int]]]
) -> list[list[Value]]:
    """For each lane the numbers of its channel, ``FETCH`` cycles after its beat: constants where the layer
    has one set, else read in the order of the channels."""
    channels = len(columns[0][1])
    if channels == 1:
        return [[Const(numbers[0], shape) for shape, numbers in columns]] * lanes
    layout = data.StructLayout({f"column_{c}": shape for c, (shape, _) in enumerate(columns)})
    row = data.ArrayLayout(layout, lanes)
    padded = [list(numbers) + [numbers[-1]] * (-channels % lanes) for _, numbers in columns]
    words = [_pack(row, padded, beat * lanes) for beat in range(ceil_div(channels, lanes))]
    m.submodules.parameters = rom = SequenceRom(len(words), [(row.size, words)])
    m.d.comb += rom.step.eq(step)
    view = data.View(row, rom.data)
    return [[view[k][f"column_{c}"] for c in range(len(columns))] for k in range(lanes)]


def _pack(row: data.ArrayLayout, columns: Sequence[Sequence[int]], start: int) -> int:
    return row.const(
        [{f"column_{c}": numbers[start + k] for c, numbers in enumerate(columns)} for k in range(row.length)]
    ).as_bits()
