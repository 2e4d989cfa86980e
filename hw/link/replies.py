"""Writes replies: scores and class of an image, what the board is, what was wrong with a frame."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.streams import elastic

from .frames import Content
from .payloads import IdentityBytes, ScoreBytes
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
        m.submodules.scores = scores = ScoreBytes(self.shape)
        m.submodules.identity = identity = IdentityBytes(self.shape.identity)
        wiring.connect(m, wiring.flipped(self.scores), scores.i)
        fault = elastic(Content()).create()
        m.d.comb += [
            self.latest.eq(scores.latest),
            fault.valid.eq(1),
            fault.payload.byte.eq(self.notice.payload.fault),
            fault.payload.last.eq(1),
        ]
        self._frame(m, {Reply.SCORES: scores.o, Reply.IDENTITY: identity.o, Reply.FAULT: fault})
        return m

    def _frame(self, m: Module, payloads: dict[Reply, wiring.PureInterface]) -> None:
        """Kind and number, then the payload of that kind."""
        kind, number, sent = Signal(Reply), Signal(8), self.o.valid & self.o.ready
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.notice.valid):
                    m.d.sync += number.eq(self.notice.payload.number)
                    m.d.sync += kind.eq(Mux(self.notice.payload.fault == 0, Reply.IDENTITY, Reply.FAULT))
                    m.next = "KIND"
                with m.Elif(self.numbers.valid & self.scores.valid):
                    m.d.sync += [number.eq(self.numbers.payload), kind.eq(Reply.SCORES)]
                    m.next = "KIND"
            for state, byte, following in (("KIND", kind, "NUMBER"), ("NUMBER", number, "PAYLOAD")):
                with m.State(state):
                    m.d.comb += [self.o.valid.eq(1), self.o.payload.byte.eq(byte)]
                    with m.If(sent):
                        m.next = following
            with m.State("PAYLOAD"):
                with m.Switch(kind):
                    for reply, payload in payloads.items():
                        with m.Case(reply):
                            m.d.comb += [self.o.valid.eq(payload.valid), payload.ready.eq(self.o.ready)]
                            m.d.comb += self.o.payload.eq(payload.payload)
                with m.If(sent & self.o.payload.last):
                    done = Mux(kind == Reply.SCORES, 0b01, 0b10)
                    m.d.comb += [self.numbers.ready.eq(done[0]), self.notice.ready.eq(done[1])]
                    m.next = "IDLE"
