"""Requantisation: accumulators in, activation codes out, in the two exact forms of docs/numerics.md."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .geometry import ceil_div
from .memory import SequenceRom
from .streams import accumulator, beat, free_running

__all__ = ["ScaleRequantise", "ThresholdRequantise"]


def _ports(shape: Shape, lanes: int, bits: int) -> dict[str, wiring.Member]:
    return {"i": In(free_running(beat(shape, lanes))), "o": Out(free_running(beat(bits, lanes)))}


class ScaleRequantise(wiring.Component):
    """y = clip((multiplier * acc + offset) >> shift, 0, 2^bits - 1).

    ``multiplier`` and ``offset``: one number for the layer, or one for each channel; channels arrive
    ``lanes`` a beat, from 0 to the last and again. Latency 3 (product, sum, clip); one beat a cycle.
    """

    latency = 3

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
        top = max(self.multiplier)
        product = accumulator(min(0, self.low) * top, max(0, self.high) * top)
        total = accumulator(
            min(-1, min(0, self.low) * top + min(0, *self.offset)),
            max(0, self.high) * top + max(0, *self.offset),
        )
        factor, addend = accumulator(0, top), accumulator(min(-1, *self.offset), max(0, *self.offset))
        parameters = _parameters(
            m, self.i.valid, self.lanes, [(factor, self.multiplier), (addend, self.offset)]
        )

        multiplied, added = Signal(), Signal()
        m.d.sync += [multiplied.eq(self.i.valid), added.eq(multiplied), self.o.valid.eq(added)]
        for k in range(self.lanes):
            scaled, shifted = Signal(product, reset_less=True), Signal(total, reset_less=True)
            offset = Signal(addend, reset_less=True)
            with m.If(self.i.valid):
                m.d.sync += [scaled.eq(self.i.payload[k] * parameters[k][0]), offset.eq(parameters[k][1])]
            with m.If(multiplied):
                m.d.sync += shifted.eq(scaled + offset)
            with m.If(added):
                m.d.sync += self.o.payload[k].eq(_clip(shifted >> self.shift, self.bits))
        return m


class ThresholdRequantise(wiring.Component):
    """y = how many of the 2^bits - 1 ascending thresholds acc has reached.

    ``thresholds``: one row for the layer, or one for each channel; channels arrive ``lanes`` a beat, from 0
    to the last and again. Latency 2 (compare, count); one beat a cycle.
    """

    latency = 2

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
        compared = Signal()
        m.d.sync += [compared.eq(self.i.valid), self.o.valid.eq(compared)]
        for k in range(self.lanes):
            reached = Signal(len(columns), reset_less=True)
            with m.If(self.i.valid):
                m.d.sync += reached.eq(Cat(self.i.payload[k] >= threshold for threshold in parameters[k]))
            with m.If(compared):
                m.d.sync += self.o.payload[k].eq(sum(reached))
        return m


def _clip(value: Value, bits: int) -> Value:
    """A signed value clipped into 0 .. 2^bits - 1."""
    saturated = (1 << bits) - 1
    return Mux(value[-1], 0, Mux(value[bits:].any(), saturated, value[:bits]))


def _parameters(
    m: Module, advance: Value, lanes: int, columns: Sequence[tuple[Shape, Sequence[int]]]
) -> list[list[Value]]:
    """For each lane its current numbers: constants where the layer has one set, else read in the order of
    the channels."""
    channels = len(columns[0][1])
    layout = data.StructLayout({f"column_{c}": shape for c, (shape, _) in enumerate(columns)})
    row = data.ArrayLayout(layout, lanes)
    if channels == 1:
        lanes_of = [[numbers[0]] * lanes for _, numbers in columns]
        words = [_pack(row, lanes_of, 0)]
    else:
        padded = [list(numbers) + [numbers[-1]] * (-channels % lanes) for _, numbers in columns]
        words = [_pack(row, padded, beat * lanes) for beat in range(ceil_div(channels, lanes))]
    m.submodules.parameters = rom = SequenceRom(row.size, words)
    m.d.comb += rom.advance.eq(advance)
    view = data.View(row, rom.data)
    return [[view[k][f"column_{c}"] for c in range(len(columns))] for k in range(lanes)]


def _pack(row: data.ArrayLayout, columns: Sequence[Sequence[int]], start: int) -> int:
    return row.const(
        [{f"column_{c}": numbers[start + k] for c, numbers in enumerate(columns)} for k in range(row.length)]
    ).as_bits()
