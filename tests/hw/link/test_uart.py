# amaranth: UnusedElaboratable=no
"""Bytes over a serial line, whatever the phase of the line and a little off its speed."""

import random

import pytest
from amaranth.hdl import ClockDomain, DomainRenamer, Module
from amaranth.sim import Simulator, SimulatorContext

from hw.link.uart import UartReceiver, UartTransmitter
from tests.hw.bench import simulate


def bits(byte: int, stop: int = 1) -> list[int]:
    return [0, *((byte >> k) & 1 for k in range(8)), stop]


@pytest.mark.parametrize("divisor", [4, 5, 12, 25])
def test_what_is_sent_is_received(divisor: int) -> None:
    """A transmitter joined to a receiver whose clock is 2 % off, back to back and with pauses."""
    rng = random.Random(divisor)
    sent = [0x00, 0xFF, 0x55, 0xAA, *(rng.randrange(256) for _ in range(30))]
    transmitter, receiver = UartTransmitter(divisor), UartReceiver(divisor)
    heard: list[int] = []

    async def send(ctx: SimulatorContext) -> None:
        for byte in sent:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick("sender").until(transmitter.i.ready)
            ctx.set(transmitter.i.valid, 0)
            ctx.set(transmitter.i.payload, 0x3C)
            if rng.random() < 0.3:
                await ctx.tick("sender").repeat(rng.randrange(40))
        await ctx.tick("sender").repeat(12 * divisor)

    async def wire(ctx: SimulatorContext) -> None:
        async for value in ctx.changed(transmitter.tx):
            ctx.set(receiver.rx, value[0])

    async def hear(ctx: SimulatorContext) -> None:
        while True:
            _, _, valid, byte, broken = await ctx.tick("hearer").sample(
                receiver.o.valid, receiver.o.payload, receiver.broken
            )
            assert not broken
            if valid:
                heard.append(byte)

    top = Module()
    top.domains += [ClockDomain("sender"), ClockDomain("hearer")]
    top.submodules.transmitter = DomainRenamer("sender")(transmitter)
    top.submodules.receiver = DomainRenamer("hearer")(receiver)
    simulator = Simulator(top)
    simulator.add_clock(1e-6, domain="sender")
    simulator.add_clock(1.02e-6, phase=0.3e-6, domain="hearer")
    simulator.add_testbench(send)
    simulator.add_testbench(wire, background=True)
    simulator.add_testbench(hear, background=True)
    simulator.run()
    assert heard == sent


def listen(line: list[int]) -> list[int | None]:
    """What a receiver makes of the line's level in each cycle: bytes, ``None`` for a broken one."""
    receiver = UartReceiver(8)
    heard: list[int | None] = []

    async def bench(ctx: SimulatorContext) -> None:
        for level in [*line, *[1] * 120]:
            ctx.set(receiver.rx, level)
            if ctx.get(receiver.o.valid):
                heard.append(ctx.get(receiver.o.payload))
            if ctx.get(receiver.broken):
                heard.append(None)
            await ctx.tick()

    simulate(receiver, bench)
    return heard


def level(*cells: int) -> list[int]:
    return [cell for cell in cells for _ in range(8)]


def test_a_start_bit_that_is_too_short_is_noise() -> None:
    assert listen([1] * 5 + [0] * 3 + [1] * 20 + level(*bits(0xA5))) == [0xA5]


def test_a_byte_without_its_stop_bit_is_broken_and_the_next_is_heard() -> None:
    assert listen(level(*bits(0xFF, stop=0), 1, 1, *bits(0x12))) == [None, 0x12]


def test_a_line_held_low_gives_broken_bytes_until_it_rises() -> None:
    heard = listen([0] * 400 + [1] * 100 + level(*bits(0x77)))
    assert heard[-1] == 0x77
    assert heard[:4] == [None] * 4


def test_words_for_too_small_a_divisor() -> None:
    for unit in (UartReceiver, UartTransmitter):
        with pytest.raises(ValueError) as caught:
            unit(3)
        assert str(caught.value) == "divisor must be at least 4 cycles a bit, not 3"
