"""What replies hold, as bytes: the scores and the class of an image, what the board is."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.counters import LoopNest
from hw.reduce import Argmax
from hw.streams import elastic

from .frames import Content
from .protocol import CLASS_BYTES, LinkShape

__all__ = ["IdentityBytes", "ScoreBytes"]


class ScoreBytes(wiring.Component):
    """The scores of one image after another, and behind them the class; the highest byte of each first.

    ``latest``: the class of the last image whose bytes have all left.
    """

    def __init__(self, shape: LinkShape):
        self.shape = shape
        ports = {"i": In(elastic(shape.shape)), "o": Out(elastic(Content()))}
        super().__init__(ports | {"latest": Out(8 * CLASS_BYTES)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape = self.shape
        m.submodules.score = score = LoopNest([shape.count, shape.score_bytes])
        m.submodules.winner = winner = Argmax(shape.shape, 1, shape.count)
        padded = Signal(Shape(8 * shape.score_bytes, shape.shape.signed))
        highest_first = Cat(padded[8 * k : 8 * k + 8] for k in reversed(range(shape.score_bytes)))
        label, behind, low, sent = Signal(8 * CLASS_BYTES), Signal(), Signal(), Signal()
        m.d.comb += [
            sent.eq(self.o.valid & self.o.ready),
            padded.eq(self.i.payload),
            winner.i.payload[0].eq(self.i.payload),
            label.eq(winner.o.payload),
        ]
        with m.If(~behind):
            m.d.comb += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.byte.eq(highest_first.word_select(score.index[1], 8)),
                score.step.eq(sent),
                self.i.ready.eq(sent & score.last[1]),
                winner.i.valid.eq(sent & score.last[1]),
            ]
            m.d.sync += behind.eq(sent & score.last[0])
        with m.Else():
            m.d.comb += [
                self.o.valid.eq(winner.o.valid),
                self.o.payload.eq(Cat(Mux(low, label[:8], label[8:]), low)),
                winner.o.ready.eq(sent & low),
            ]
            with m.If(sent):
                m.d.sync += [low.eq(~low), behind.eq(~low)]
            with m.If(sent & low):
                m.d.sync += self.latest.eq(label)
        return m


class IdentityBytes(wiring.Component):
    """What the board says of itself, up to 256 bytes, again and again."""

    def __init__(self, identity: bytes):
        self.identity = identity
        super().__init__({"o": Out(elastic(Content()))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=unsigned(8), depth=256, init=self.identity)
        read, place, next_place = memory.read_port(), Signal(8), Signal(8)
        last = place == len(self.identity) - 1
        m.d.comb += [
            next_place.eq(place),
            read.addr.eq(next_place),
            self.o.payload.eq(Cat(read.data, last)),
        ]
        m.d.sync += [place.eq(next_place), self.o.valid.eq(1)]  # from the second cycle on, when it is read
        with m.If(self.o.valid & self.o.ready):
            m.d.comb += next_place.eq(Mux(last, 0, place + 1))
        return m
