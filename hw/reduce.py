"""Reductions without weights: the maximum of a window, the position of the largest logit."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .counters import LoopNest
from .geometry import ceil_div
from .streams import Step, beat, elastic, free_running

__all__ = ["Argmax", "MaxReduce"]


class MaxReduce(wiring.Component):
    """The maximum of each channel over a window; a step holds ``taps`` kernel positions of ``channels``
    codes each.

    Codes are unsigned and padding reads as 0, the lowest code, so padding never wins.
    Latency 2 (the step's taps, the window's running maximum); one step a cycle.
    """

    latency = 2

    def __init__(self, bits: int, channels: int, taps: int):
        self.bits, self.channels, self.taps = bits, channels, taps
        super().__init__(
            {
                "i": In(free_running(Step(bits, taps * channels))),
                "o": Out(free_running(beat(bits, channels))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid, first, last = Signal(), Signal(), Signal()
        m.d.sync += [valid.eq(self.i.valid), self.o.valid.eq(valid & last)]
        with m.If(self.i.valid):
            m.d.sync += [first.eq(self.i.payload.first), last.eq(self.i.payload.last)]
        for channel in range(self.channels):
            codes = [self.i.payload.codes[tap * self.channels + channel] for tap in range(self.taps)]
            best, running = Signal(self.bits, reset_less=True), self.o.payload[channel]
            with m.If(self.i.valid):
                m.d.sync += best.eq(_largest(m, codes))
            with m.If(valid):
                m.d.sync += running.eq(Mux(first | (best > running), best, running))
        return m


class Argmax(wiring.Component):
    """The index of the largest of ``count`` numbers, the lowest index where several are equal.

    ``i``: elastic beats of ``lanes`` numbers, the last one padded. ``o``: elastic indices, one for each
    ``count`` numbers. Latency 1 from the last beat; one beat a cycle, held up only while an index is not
    taken.
    """

    latency = 1

    def __init__(self, shape: Shape, lanes: int, count: int):
        self.shape, self.lanes, self.count = shape, lanes, count
        super().__init__(
            {
                "i": In(elastic(beat(shape, lanes))),
                "o": Out(elastic(Shape.cast(range(max(2, count))))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.beats = beats = LoopNest([ceil_div(self.count, self.lanes)])
        best, winner = Signal(self.shape, reset_less=True), Signal(range(max(2, self.count)), reset_less=True)
        taken = self.i.valid & self.i.ready
        base = Signal(range(max(2, self.count + self.lanes)))
        used = self.count - (beats.counts[0] - 1) * self.lanes

        value, index = best, winner
        for k in range(self.lanes):  # signals between, or a simulator writes out 2^lanes comparisons
            number, wins = self.i.payload[k], self.i.payload[k] > value
            if k == 0:
                wins = wins | beats.first[0]
            elif k >= used:
                wins = wins & ~beats.last[0]
            higher, place = Signal(self.shape, name=f"value_{k}"), Signal.like(base, name=f"index_{k}")
            m.d.comb += [higher.eq(Mux(wins, number, value)), place.eq(Mux(wins, base + k, index))]
            value, index = higher, place

        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            beats.step.eq(taken),
            self.o.payload.eq(winner),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(taken):
            m.d.sync += [best.eq(value), winner.eq(index), base.eq(Mux(beats.last[0], 0, base + self.lanes))]
            with m.If(beats.last[0]):
                m.d.sync += self.o.valid.eq(1)
        return m


def _largest(m: Module, values: Sequence[Value]) -> Value:
    """The largest of ``values``, as a balanced tree."""
    if len(values) == 1:
        return values[0]
    middle = len(values) // 2
    left, right = _largest(m, values[:middle]), _largest(m, values[middle:])
    larger = Signal(left.shape(), name="larger")
    m.d.comb += larger.eq(Mux(left > right, left, right))
    return larger
