"""Writes replies: scores and class of an image, what the board is, what was wrong with a frame."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.counters import LoopNest
from hw.reduce import Argmax
from hw.streams import elastic

from .frames import Content
from .protocol import CLASS_BYTES, LinkShape, Reply
from .requests import Notice

__all__ = ["ReplyWriter"]


class ReplyWriter(wiring.Component):
    """The bytes of one reply after another: kind, number, payload.

    ``notice``: requests to answer at once. ``numbers``: those of the images whose scores come, in their
    order, on ``scores``, and leave with the class behind them. ``latest``: the class of the last image
    answered.
    """

    def __init__(self, shape: LinkShape):
        self.shape = shape
        super().__init__(
            {
                "notice": In(elastic(Notice())),
                "numbers": In(elastic(unsigned(8))),
                "scores": In(elastic(shape.shape)),
                "o": Out(elastic(Content())),
                "latest": Out(8 * CLASS_BYTES),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shape = self.shape
        m.submodules.score = score = LoopNest([shape.count, shape.score_bytes])
        m.submodules.winner = winner = Argmax(shape.shape, 1, shape.count)
        m.submodules.identity = memory = Memory(shape=unsigned(8), depth=256, init=shape.identity)
        identity, place = memory.read_port(), Signal(8)
        kind, number, sent = Signal(Reply), Signal(8), Signal()
        padded = Signal(Shape(8 * shape.score_bytes, shape.shape.signed))
        highest_first = Cat(padded[8 * k : 8 * k + 8] for k in reversed(range(shape.score_bytes)))
        m.d.comb += [
            sent.eq(self.o.valid & self.o.ready),
            identity.addr.eq(place + sent),
            padded.eq(self.scores.payload),
            winner.i.payload[0].eq(self.scores.payload),
        ]

        def send(value: Value, last: Value | int = 0) -> None:
            m.d.comb += [self.o.valid.eq(1), self.o.payload.byte.eq(value), self.o.payload.last.eq(last)]

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.notice.valid):
                    m.d.sync += number.eq(self.notice.payload.number)
                    m.d.sync += kind.eq(Mux(self.notice.payload.fault == 0, Reply.IDENTITY, Reply.FAULT))
                    m.next = "KIND"
                with m.Elif(self.numbers.valid & self.scores.valid):
                    m.d.sync += [number.eq(self.numbers.payload), kind.eq(Reply.SCORES)]
                    m.next = "KIND"
            with m.State("KIND"):
                send(kind)
                with m.If(sent):
                    m.next = "NUMBER"
            with m.State("NUMBER"):
                send(number)
                m.d.comb += identity.addr.eq(0)
                m.d.sync += place.eq(0)
                with m.If(sent), m.Switch(kind):
                    for reply in Reply:
                        with m.Case(reply):
                            m.next = reply.name
            with m.State("FAULT"):
                send(self.notice.payload.fault, last=1)
                m.d.comb += self.notice.ready.eq(sent)
                with m.If(sent):
                    m.next = "IDLE"
            with m.State("IDENTITY"):
                end = place == len(shape.identity) - 1
                send(identity.data, last=end)
                with m.If(sent):
                    m.d.sync += place.eq(place + 1)
                with m.If(sent & end):
                    m.d.comb += self.notice.ready.eq(1)
                    m.next = "IDLE"
            with m.State("SCORES"), m.If(self.scores.valid):
                send(highest_first.word_select(score.index[1], 8))
                m.d.comb += [
                    score.step.eq(sent),
                    self.scores.ready.eq(sent & score.last[1]),
                    winner.i.valid.eq(sent & score.last[1]),
                ]
                with m.If(sent & score.last[0]):
                    m.next = "CLASS"
            with m.State("CLASS"), m.If(winner.o.valid):
                index = Signal(8 * CLASS_BYTES)
                m.d.comb += index.eq(winner.o.payload)
                low = place[0]
                send(Mux(low, index[:8], index[8:]), last=low)
                with m.If(sent):
                    m.d.sync += place.eq(place + 1)
                with m.If(sent & low):
                    m.d.comb += [winner.o.ready.eq(1), self.numbers.ready.eq(1)]
                    m.d.sync += self.latest.eq(index)
                    m.next = "IDLE"
        return m
