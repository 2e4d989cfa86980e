"""A serial line: bytes with one start bit, eight data bits, the lowest first, and one stop bit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.streams import elastic, free_running

__all__ = ["LEAST_DIVISOR", "UartReceiver", "UartTransmitter"]

LEAST_DIVISOR = 4
"""Cycles a bit at least: with fewer a bit is not met near its middle."""


def _check_divisor(divisor: int) -> None:
    if divisor < LEAST_DIVISOR:
        raise ValueError(f"divisor must be at least {LEAST_DIVISOR} cycles a bit, not {divisor}")


class UartReceiver(wiring.Component):
    """Bytes from the line ``rx``, which is 1 at rest and may change at any time.

    ``divisor``: cycles a bit. Every bit is looked at in its middle; a start bit that has gone by then was
    noise. ``broken``: one cycle, in place of a byte whose stop bit is not there. Throughput: as the line
    sends; there is no waiting.
    """

    def __init__(self, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(free_running(unsigned(8))), "broken": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        wait, left = Signal(range(self.divisor)), Signal(range(11))  # cycles to a bit's middle, bits
        heard = Signal(8, reset_less=True)
        m.d.sync += [self.o.valid.eq(0), self.broken.eq(0)]
        with m.If(left == 0):
            m.d.sync += [left.eq(Mux(line, 0, 10)), wait.eq(self.divisor // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), wait.eq(self.divisor - 1), heard.eq(Cat(heard[1:], line))]
            with m.If((left == 10) & line):
                m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.sync += [self.o.valid.eq(line), self.broken.eq(~line), self.o.payload.eq(heard)]
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes on the line ``tx``, ``divisor`` cycles a bit, ten bits a byte."""

    def __init__(self, divisor: int):
        _check_divisor(divisor)
        self.divisor = divisor
        super().__init__({"i": In(elastic(unsigned(8))), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        wait, left = Signal(range(self.divisor)), Signal(range(11))
        bits = Signal(10, reset_less=True)
        m.d.comb += self.i.ready.eq(left == 0)
        m.d.sync += self.tx.eq((left == 0) | bits[0])
        with m.If(left == 0):
            m.d.sync += [bits.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))), wait.eq(self.divisor - 1)]
            with m.If(self.i.valid):
                m.d.sync += left.eq(10)
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [left.eq(left - 1), bits.eq(bits >> 1), wait.eq(self.divisor - 1)]
        return m
