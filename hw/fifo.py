"""The output FIFO of a layer, and the reservations that keep it from overflowing."""

from dataclasses import dataclass

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .counters import LoopNest
from .streams import elastic, free_running

__all__ = ["OutputFifo", "Reservation"]


@dataclass(frozen=True)
class Reservation:
    """What the windows of a layer put into its FIFO: ``full`` beats each, but ``tail`` for the last of
    every ``windows``."""

    windows: int
    full: int
    tail: int

    def check(self, depth: int) -> None:
        """Raises ``ValueError`` for a FIFO that could not hold a window's beats."""
        if depth < max(4, self.full):
            raise ValueError(
                f"depth must be at least 4 and hold the {self.full} beats of a window, not {depth}"
            )


class OutputFifo(wiring.Component):
    """Holds beats until the next layer takes them, and says whether another window may start.

    Every window reserves its beats when it starts (``start``) and gives them back as they leave, so what
    comes in on the free-running ``i`` always finds a place, and is written without a look at the level: that
    would stand before the write enables of a wide memory. ``room``: a full window's beats are free. Latency:
    a beat that comes in can leave two cycles later, and frees its place one cycle after. One beat a cycle.
    """

    latency = 2

    def __init__(self, payload: data.Layout | Shape, depth: int, reservation: Reservation):
        reservation.check(depth)
        self.payload, self.depth, self.reservation = payload, depth, reservation
        super().__init__(
            {
                "i": In(free_running(payload)),
                "o": Out(elastic(payload)),
                "start": In(1),
                "room": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        r, places = self.reservation, self.depth - 1  # one more is the register that a beat is read into
        memory = Memory(shape=Shape.cast(self.payload).width, depth=places, init=[])
        m.submodules.storage = memory
        write, read = memory.write_port(), memory.read_port()
        m.submodules.newest = newest = LoopNest([places])
        m.submodules.oldest = oldest = LoopNest([places])
        m.submodules.windows = windows = LoopNest([r.windows])
        stored = Signal(range(places + 1))
        fetch = Signal()
        m.d.comb += [
            newest.step.eq(self.i.valid),
            write.en.eq(self.i.valid),
            write.addr.eq(newest.index[0]),
            write.data.eq(self.i.payload),
            fetch.eq((stored != 0) & (~self.o.valid | self.o.ready)),
            oldest.step.eq(fetch),
            read.en.eq(fetch),
            read.addr.eq(oldest.index[0]),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [
            stored.eq(stored + self.i.valid - fetch),
            self.o.valid.eq(fetch | (self.o.valid & ~self.o.ready)),
        ]
        free = Signal(range(self.depth + 1), init=self.depth)
        leaving = self.o.valid & self.o.ready
        taken = Mux(self.start, Mux(windows.last[0], r.tail, r.full), 0)
        m.d.comb += [windows.step.eq(self.start), self.room.eq(free >= r.full)]
        m.d.sync += free.eq(free + leaving - taken)
        return m
