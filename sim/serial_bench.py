"""The cocotb test of a whole board: two clocks, and a serial line that ends in a pseudo-terminal.

A host program opens that as it would a board's port. The line is a little faster than the board takes it
for, as quartzes are, and may be noisy. The test runs in a folder of its own, which has its orders and takes
what it tells.
"""

import json
import os
import random
import select
import tty
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject, LogicObject, PackedObject
from cocotb.simtime import get_sim_time
from cocotb.triggers import FallingEdge, Timer

_SYNC_PS, _LINK_PS = 27_000, 40_000
_FASTER = 0.985
"""A bit of the line, of what the board takes it for."""
_POLL_NS = 5_000
_REST_SECONDS = 0.02


class Line:
    """The bits of the serial line, on the simulated pins and on the pseudo-terminal."""

    def __init__(self, rx: LogicObject, tx: LogicObject, terminal: int, bit_ps: int, noise: float):
        self.rx, self.tx, self.terminal, self.bit_ps = rx, tx, terminal, bit_ps
        self.noise, self.random = noise, random.Random(0)
        self.last = 0.0  # when something moved, in ns

    def disturbed(self, byte: int) -> int:
        """A byte after the line's noise."""
        return byte ^ (1 << self.random.randrange(8)) if self.random.random() < self.noise else byte

    async def speak(self, data: bytes) -> None:
        """Host to board."""
        for byte in data:
            bits = [0, *((self.disturbed(byte) >> k) & 1 for k in range(8)), 1]
            for bit in bits:
                self.rx.value = bit
                await Timer(self.bit_ps, "ps")
        self.last = get_sim_time("ns")

    async def listen(self) -> None:
        """Board to host, for ever."""
        while True:
            await FallingEdge(self.tx)
            await Timer(self.bit_ps // 2, "ps")
            byte = 0
            for k in range(8):
                await Timer(self.bit_ps, "ps")
                byte |= int(self.tx.value) << k
            await Timer(self.bit_ps, "ps")
            self.last = get_sim_time("ns")
            os.write(self.terminal, bytes([self.disturbed(byte)]))


@cocotb.test()
async def host_talks_to_board(dut: HierarchyObject) -> None:
    """Runs until the file ``stop`` appears."""
    orders = json.loads(Path("orders.json").read_text())
    clk, rst, link_clk, link_rst, rx, tx = (
        _signal(dut, name) for name in ("clk", "rst", "link_clk", "link_rst", "rx", "tx")
    )
    terminal, port = os.openpty()
    tty.setraw(port)
    bit_ps = round(orders["divisor"] * _LINK_PS * _FASTER)
    line = Line(rx, tx, terminal, bit_ps, orders["noise"])
    rx.value, rst.value, link_rst.value = 1, 1, 1
    Clock(clk, _SYNC_PS, unit="ps").start()
    Clock(link_clk, _LINK_PS, unit="ps").start()
    await Timer(1, "us")
    rst.value, link_rst.value = 0, 0
    cocotb.start_soon(line.listen())
    Path("port.part").write_text(os.ttyname(port))
    os.replace("port.part", "port")
    busy_ns = orders["quiet_ns"]
    while not Path("stop").exists():
        at_rest = get_sim_time("ns") - line.last > busy_ns
        readable, _, _ = select.select([terminal], [], [], _REST_SECONDS if at_rest else 0)
        if readable:
            await line.speak(os.read(terminal, 4096))
        elif not at_rest:
            await Timer(_POLL_NS, "ns")
    latest = dut.latest
    assert isinstance(latest, PackedObject)
    Path("told.json").write_text(json.dumps({"latest": latest.value.to_unsigned()}))


def _signal(dut: HierarchyObject, name: str) -> LogicObject:
    signal = getattr(dut, name)
    assert isinstance(signal, LogicObject)
    return signal
