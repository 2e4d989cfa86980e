"""Reads requests: images go where they wait, and what must be answered at once is noted."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.streams import free_running

from .protocol import HEADER, TRAILER, Fault, Request

__all__ = ["Notice", "RequestReader"]


class Notice(data.StructLayout):
    """A request to answer without an image: why it was refused, or ``fault`` 0 for one to identify."""

    def __init__(self) -> None:
        super().__init__({"number": unsigned(8), "fault": unsigned(3)})


class RequestReader(wiring.Component):
    """Follows the bytes of a frame and says what they were when it has ended.

    ``i``, ``end``, ``good``: from the receiver of frames. ``image``, ``start``, ``commit``, ``room``: to
    the places of images; an image is committed only with its whole frame right, and only where there was
    room when it began. ``accepted``: the number of each committed image, on its way for one cycle.
    ``notice``: what else is to be answered; one that is not taken in its cycle is lost, as on a bad line.
    """

    def __init__(self, image_bytes: int):
        self.image_bytes = image_bytes
        super().__init__(
            {
                "i": In(free_running(unsigned(8))),
                "end": In(1),
                "good": In(1),
                "image": Out(free_running(unsigned(8))),
                "start": Out(1),
                "commit": Out(1),
                "room": In(1),
                "accepted": Out(free_running(unsigned(8))),
                "notice": Out(free_running(Notice())),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        longest = HEADER + self.image_bytes + TRAILER
        count = Signal(range(longest + 2))  # one more says: too long
        kind, number, has_room = Signal(8), Signal(8), Signal()
        classify, identify = kind == Request.CLASSIFY, kind == Request.IDENTIFY
        in_image = (count >= HEADER) & (count < HEADER + self.image_bytes)
        m.d.comb += [
            self.image.payload.eq(self.i.payload),
            self.image.valid.eq(self.i.valid & classify & has_room & in_image),
            self.start.eq(self.i.valid & (count == 0)),
            self.accepted.payload.eq(number),
            self.notice.payload.number.eq(number),
        ]
        with m.If(self.i.valid):
            m.d.sync += count.eq(Mux(count > longest, count, count + 1))
            with m.If(count == 0):
                m.d.sync += [kind.eq(self.i.payload), number.eq(0), has_room.eq(self.room)]
            with m.If(count == 1):
                m.d.sync += number.eq(self.i.payload)
        fault = self.notice.payload.fault
        with m.If(self.end):
            m.d.sync += count.eq(0)
            m.d.comb += self.notice.valid.eq(1)
            with m.If(~self.good):
                m.d.comb += fault.eq(Fault.CHECKSUM)
            with m.Elif(~classify & ~identify):
                m.d.comb += fault.eq(Fault.KIND)
            with m.Elif(count != Mux(classify, longest, HEADER + TRAILER)):
                m.d.comb += fault.eq(Fault.LENGTH)
            with m.Elif(classify & ~has_room):
                m.d.comb += fault.eq(Fault.BUSY)
            with m.Elif(classify):
                m.d.comb += [self.notice.valid.eq(0), self.commit.eq(1), self.accepted.valid.eq(1)]
        return m
