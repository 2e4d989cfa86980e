"""A system on a board: its pins, its two clocks, their resets."""

from amaranth.build import TemplatedPlatform
from amaranth.hdl import ClockDomain, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from .boards import Board
from .devices import Family
from .pll import Setting
from .system import System

__all__ = ["GENERATOR", "BoardTop"]

GENERATOR = "clock_generator"
"""The cell that makes the accelerator's clock, on its pin CLKOP or PLLOUTGLOBALB."""


class BoardTop(Elaboratable):
    """``link`` runs on the board's own clock, ``sync`` on what the clock generator makes of it with
    ``clock``'s parameters. The first button resets both, and ``sync`` waits until the generator is steady."""

    def __init__(self, board: Board, system: System, clock: Setting):
        self.board, self.system, self.clock = board, system, clock

    def elaborate(self, platform: TemplatedPlatform) -> Module:
        m = Module()
        m.submodules.system = system = self.system
        m.domains += [sync := ClockDomain("sync"), link := ClockDomain("link")]
        locked = Signal()
        clocks = _ecp5_clocks if self.board.device.family is Family.ECP5 else _ice40_clocks
        clocks(m, platform, self.clock, (link.clk, sync.clk, locked))
        m.submodules.button = button = io.Buffer("i", platform.request("button", 0, dir="-"))
        m.submodules.link_reset = ResetSynchronizer(button.i, domain="link")
        m.submodules.sync_reset = ResetSynchronizer(button.i | ~locked, domain="sync")
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [system.rx.eq(rx.i), tx.o.eq(system.tx)]
        for k, port in enumerate(self.board.leds(platform)):
            m.submodules[f"led_{k}"] = led = io.Buffer("o", port)
            m.d.comb += led.o.eq(system.latest[k])
        return m


Clocks = tuple[Signal, Signal, Signal]
"""The board's clock, the accelerator's, and whether that is steady."""


def _ecp5_clocks(m: Module, platform: TemplatedPlatform, setting: Setting, clocks: Clocks) -> None:
    slow, fast, locked = clocks
    m.submodules.clock_pin = pin = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
    m.d.comb += slow.eq(pin.i)
    m.submodules[GENERATOR] = Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        p_CLKOP_ENABLE="ENABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_FEEDBK_PATH="CLKOP",
        p_CLKOP_FPHASE=0,
        **{f"p_{name}": value for name, value in setting.parameters.items()},
        i_CLKI=slow,
        i_CLKFB=fast,
        i_RST=0,
        i_STDBY=0,
        i_ENCLKOP=0,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=0,
        i_PHASESTEP=0,
        i_PHASELOADREG=0,
        i_PLLWAKESYNC=0,
        o_CLKOP=fast,
        o_LOCK=locked,
    )


def _ice40_clocks(m: Module, platform: TemplatedPlatform, setting: Setting, clocks: Clocks) -> None:
    """The clock's pin is the generator's own; it passes it on beside what it makes of it."""
    slow, fast, locked = clocks
    m.submodules[GENERATOR] = Instance(
        "SB_PLL40_2_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        p_PLLOUT_SELECT_PORTB="GENCLK",
        **{f"p_{name}": value for name, value in setting.parameters.items()},
        i_PACKAGEPIN=platform.request(platform.default_clk, dir="-").io,
        i_RESETB=1,
        i_BYPASS=0,
        o_PLLOUTGLOBALA=slow,
        o_PLLOUTGLOBALB=fast,
        o_LOCK=locked,
    )
