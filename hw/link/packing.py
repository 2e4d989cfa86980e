"""From bytes to beats of codes, and from beats of numbers to one number after another."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.counters import LoopNest
from hw.geometry import ceil_div
from hw.streams import beat, elastic

__all__ = ["Gather", "Scatter"]


class Gather(wiring.Component):
    """Each ``lanes`` bytes become a beat of codes of ``bits``, the first byte its lane 0; what stands in a
    byte above that is dropped. Latency 1; a byte a cycle, but for the cycle in which a beat leaves."""

    def __init__(self, bits: int, lanes: int):
        self.bits, self.lanes = bits, lanes
        super().__init__({"i": In(elastic(unsigned(8))), "o": Out(elastic(beat(bits, lanes)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lane = lane = LoopNest([self.lanes])
        codes, full = Signal(self.bits * self.lanes, reset_less=True), Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            lane.step.eq(self.i.valid & ~full),
            self.o.valid.eq(full),
            self.o.payload.eq(codes),
        ]
        with m.If(full):
            m.d.sync += full.eq(~self.o.ready)
        with m.Elif(self.i.valid):
            m.d.sync += [
                codes.eq(Cat(codes, self.i.payload[: self.bits])[self.bits :]),
                full.eq(lane.last[0]),
            ]
        return m


class Scatter(wiring.Component):
    """The numbers of beats of ``lanes`` one by one, ``count`` of them for an image: the lanes of its last
    beat that are beyond hold nothing. Latency 0; a number a cycle."""

    def __init__(self, shape: Shape, lanes: int, count: int):
        self.shape, self.lanes, self.count = shape, lanes, count
        super().__init__({"i": In(elastic(beat(shape, lanes))), "o": Out(elastic(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beats = ceil_div(self.count, self.lanes)
        m.submodules.beat = position = LoopNest([beats])
        lane, last = Signal(range(self.lanes)), Signal(range(self.lanes))
        moved = self.o.valid & self.o.ready
        m.d.comb += [
            last.eq(Mux(position.last[0], self.count - (beats - 1) * self.lanes - 1, self.lanes - 1)),
            self.o.valid.eq(self.i.valid),
            self.o.payload.eq(self.i.payload[lane]),
            self.i.ready.eq(self.o.ready & (lane == last)),
            position.step.eq(moved & (lane == last)),
        ]
        with m.If(moved):
            m.d.sync += lane.eq(Mux(lane == last, 0, lane + 1))
        return m
