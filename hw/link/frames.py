"""Frames on a line of bytes: marked off by a flag, escaped as in RFC 1662, closed by a checksum.

A flag never stands inside a frame, so whoever lost the thread finds it again at the next one.
"""

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.crc import Processor
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.wiring import In, Out

from hw.streams import elastic, free_running

__all__ = ["CHECKSUM", "ESCAPE", "FLAG", "FLIP", "Content", "FrameReceiver", "FrameSender"]

FLAG, ESCAPE, FLIP = 0x7E, 0x7D, 0x20
"""A flag or an escape inside a frame goes out as an escape and the byte with these bits turned round."""

CHECKSUM = CRC16_IBM_3740
"""Over all bytes of a frame before they are escaped; it follows them, its high byte first."""


class Content(data.StructLayout):
    """A byte of what a frame holds, and whether it is the last one before the checksum."""

    def __init__(self) -> None:
        super().__init__({"byte": unsigned(8), "last": unsigned(1)})


class FrameReceiver(wiring.Component):
    """Takes frames apart: their bytes leave on ``o`` as they come, the checksum's two among them.

    ``broken``: a byte was lost on the line. ``end``: one cycle, with the flag behind a frame; nothing
    between two flags is no frame. ``good``: in that cycle, that nothing was lost and the checksum is right.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(free_running(unsigned(8))),
                "broken": In(1),
                "o": Out(free_running(unsigned(8))),
                "end": Out(1),
                "good": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = checksum = Processor(CHECKSUM(data_width=8))
        begun, escaped, damaged = Signal(), Signal(), Signal()
        is_flag, is_escape = self.i.payload == FLAG, self.i.payload == ESCAPE
        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~is_flag & ~is_escape),
            self.o.payload.eq(Mux(escaped, self.i.payload ^ FLIP, self.i.payload)),
            self.end.eq(self.i.valid & is_flag & begun),
            self.good.eq(~escaped & ~damaged & checksum.match_detected),
            checksum.data.eq(self.o.payload),
            checksum.valid.eq(self.o.valid),
            checksum.start.eq(self.i.valid & is_flag),
        ]
        with m.If(self.i.valid):
            m.d.sync += [begun.eq(~is_flag), escaped.eq(is_escape)]
            with m.If(is_flag):
                m.d.sync += damaged.eq(0)
        with m.If(self.broken):
            m.d.sync += [begun.eq(1), damaged.eq(1)]
        return m


class FrameSender(wiring.Component):
    """Puts a flag before and behind the bytes of each frame, and its checksum at the end."""

    def __init__(self) -> None:
        super().__init__({"i": In(elastic(Content())), "o": Out(elastic(unsigned(8)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = checksum = Processor(CHECKSUM(data_width=8))
        m.d.comb += checksum.data.eq(self.i.payload.byte)
        escaping, sent = Signal(), Signal()

        def send_flag() -> None:
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG), sent.eq(self.o.ready)]

        def send(byte: Value) -> None:
            special = ((byte == FLAG) | (byte == ESCAPE)) & ~escaping
            m.d.comb += [
                self.o.valid.eq(1),
                self.o.payload.eq(Mux(special, ESCAPE, Mux(escaping, byte ^ FLIP, byte))),
                sent.eq(self.o.ready & ~special),
            ]
            with m.If(self.o.ready):
                m.d.sync += escaping.eq(special)

        with m.FSM():
            with m.State("OPEN"), m.If(self.i.valid):
                send_flag()
                m.d.comb += checksum.start.eq(1)
                with m.If(sent):
                    m.next = "CONTENT"
            with m.State("CONTENT"), m.If(self.i.valid):
                send(self.i.payload.byte)
                m.d.comb += [self.i.ready.eq(sent), checksum.valid.eq(sent)]
                with m.If(sent & self.i.payload.last):
                    m.next = "HIGH"
            with m.State("HIGH"):
                send(checksum.crc[8:])
                with m.If(sent):
                    m.next = "LOW"
            with m.State("LOW"):
                send(checksum.crc[:8])
                with m.If(sent):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                send_flag()
                with m.If(sent):
                    m.next = "OPEN"
        return m
