"""The whole link between a serial line and an accelerator."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hw.streams import elastic

from .frames import FrameReceiver, FrameSender
from .protocol import CLASS_BYTES, LinkShape
from .replies import ReplyWriter
from .requests import Notice, RequestReader
from .slots import ImageSlots
from .uart import UartReceiver, UartTransmitter

__all__ = ["HostLink"]

_IN_FLIGHT = 16
"""Images between commit and reply at most: in their places, in the accelerator, on the way back."""
_NOTICES = 4
"""Replies of other kinds that can wait for the line."""


class HostLink(wiring.Component):
    """Takes requests from ``rx`` and answers on ``tx`` (docs/boards.md), ``divisor`` cycles a bit.

    ``image``: the bytes of committed images. ``scores``: what comes back for each. ``latest``: the class
    of the last image answered. Nothing that arrives on ``rx`` can stop it: images reach the accelerator
    whole and right or not at all, and what was answered last never waits for a host.
    """

    def __init__(self, shape: LinkShape, divisor: int):
        self.shape, self.divisor = shape, divisor
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "image": Out(elastic(unsigned(8))),
                "scores": In(elastic(shape.shape)),
                "latest": Out(8 * CLASS_BYTES),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.unframe = unframe = FrameReceiver()
        m.submodules.requests = requests = RequestReader(self.shape.image_bytes)
        m.submodules.slots = slots = ImageSlots(self.shape.image_bytes)
        m.submodules.numbers = numbers = SyncFIFOBuffered(width=8, depth=_IN_FLIGHT)
        m.submodules.notices = notices = SyncFIFOBuffered(width=Notice().size, depth=_NOTICES)
        m.submodules.replies = replies = ReplyWriter(self.shape)
        m.submodules.frame = frame = FrameSender()
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            self.latest.eq(replies.latest),
            unframe.broken.eq(receiver.broken),
            requests.end.eq(unframe.end),
            requests.good.eq(unframe.good),
            requests.room.eq(slots.room & numbers.w_rdy),
            slots.start.eq(requests.start),
            slots.commit.eq(requests.commit),
            numbers.w_data.eq(requests.accepted.payload),
            numbers.w_en.eq(requests.accepted.valid),
            notices.w_data.eq(requests.notice.payload),
            notices.w_en.eq(requests.notice.valid),
        ]
        wiring.connect(m, receiver.o, unframe.i)
        wiring.connect(m, unframe.o, requests.i)
        wiring.connect(m, requests.image, slots.i)
        wiring.connect(m, slots.o, wiring.flipped(self.image))
        wiring.connect(m, notices.r_stream, replies.notice)
        wiring.connect(m, numbers.r_stream, replies.numbers)
        wiring.connect(m, wiring.flipped(self.scores), replies.scores)
        wiring.connect(m, replies.o, frame.i)
        wiring.connect(m, frame.o, transmitter.i)
        return m
