"""Where images wait: two places, one filled while the other is read."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.streams import elastic, free_running

__all__ = ["ImageSlots"]


class ImageSlots(wiring.Component):
    """Two images of ``size`` bytes. Bytes go into one place from its first on; what a ``commit`` does not
    follow is written over after the next ``start``. Committed images leave on ``o`` whole and in order.

    ``room``: a place is free; bytes, ``start`` and ``commit`` may come only then. Latency: 2 cycles from
    ``commit`` to an image's first byte. Throughput: a byte in a cycle, one out in two.
    """

    def __init__(self, size: int):
        if size < 1:
            raise ValueError(f"size must be at least 1 byte, not {size}")
        self.size = size
        super().__init__(
            {
                "i": In(free_running(unsigned(8))),
                "start": In(1),
                "commit": In(1),
                "room": Out(1),
                "o": Out(elastic(unsigned(8))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = max(1, (self.size - 1).bit_length())
        m.submodules.memory = memory = Memory(shape=unsigned(8), depth=2 << bits, init=[])
        write, read = memory.write_port(), memory.read_port()
        filling, reading, held = Signal(), Signal(), Signal(range(3))
        place, taken, fetched = Signal(bits), Signal(bits), Signal()
        moved = self.o.valid & self.o.ready
        emptied = moved & (taken == self.size - 1)
        m.d.comb += [
            self.room.eq(held != 2),
            write.addr.eq(Cat(place, filling)),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid),
            read.addr.eq(Cat(taken, reading)),
            read.en.eq((held != 0) & ~fetched),
            self.o.valid.eq(fetched),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [fetched.eq((held != 0) & ~moved), held.eq(held + self.commit - emptied)]
        with m.If(self.start):
            m.d.sync += place.eq(0)
        with m.Elif(self.i.valid):
            m.d.sync += place.eq(place + 1)
        with m.If(self.commit):
            m.d.sync += filling.eq(~filling)
        with m.If(moved):
            m.d.sync += taken.eq(taken + 1)
        with m.If(emptied):
            m.d.sync += [taken.eq(0), reading.eq(~reading)]
        return m
