"""The boards: what they are called, where their pins are, and how they are configured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from amaranth.build import Attrs, TemplatedPlatform
from amaranth.lib.io import PortLike
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from codegen.errors import chosen
from codegen.host.board import BAUD

from .cells import ram
from .devices import DEVICES, Device, Family, Resources

__all__ = ["BOARDS", "Board", "find_board"]


_LINK = {Family.ECP5: Resources(640, 360), Family.ICE40: Resources(810, 410, 3)}
"""What the link takes without the places of images, as Yosys has it; hardly different for any network."""

Leds = Callable[[TemplatedPlatform], Sequence[PortLike]]


@dataclass(frozen=True)
class Board:
    """A board with a serial line, a button and LEDs. ``device``: its FPGA, in its package. ``platform``: its
    pins. ``leds``: what shows the class, lowest bit first. ``mhz``: its own clock. ``load``: the command that
    configures it. ``pack``: what else the packer is told."""

    name: str
    device: Device
    platform: Callable[[], TemplatedPlatform]
    leds: Leds
    mhz: int
    load: str
    pack: tuple[str, ...] = ()

    def room(self, image_bytes: int) -> Device:
        """Its device for an accelerator beside the link to a host, whose images have so many bytes."""
        family = self.device.family
        slots = ram(family, 8, 2 << max(1, (image_bytes - 1).bit_length()), False)
        return replace(self.device, name=self.name, beside=_LINK[family] + slots)

    @property
    def divisor(self) -> int:
        """Cycles of the board's clock for a bit of the serial line."""
        return self.mhz * 1_000_000 // BAUD


def _orangecrab(size: int, platform: Callable[[], TemplatedPlatform]) -> Board:
    """Its USB goes straight to the FPGA: a serial adapter is connected to the pins 0 (its TX) and 1 (its
    RX)."""

    def with_uart() -> TemplatedPlatform:
        made = platform()
        pins = UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33"))
        made.add_resources([pins])
        return made

    device = replace(DEVICES[f"ecp5-{size}k"], package="CSFBGA285", flags=(f"--{size}k", "--speed", "8"))
    load = "openFPGALoader -b orangeCrab {file}"
    return Board(
        f"orangecrab-{size}f", device, with_uart, _rgb_led, 48, load, ("--compress", "--freq", "38.8")
    )


def _icebreaker() -> TemplatedPlatform:
    """With the LEDs of the section that can be broken off."""
    made = ICEBreakerPlatform()
    made.add_resources(made.break_off_pmod)
    return made


def _rgb_led(platform: TemplatedPlatform) -> Sequence[PortLike]:
    led = platform.request("rgb_led", 0, dir="-")
    return led.r, led.g, led.b


def _leds(first: int, count: int) -> Leds:
    return lambda platform: [platform.request("led", first + k, dir="-") for k in range(count)]


BOARDS = {
    board.name: board
    for board in (
        Board(
            "ulx3s",
            DEVICES["ecp5-85k"],
            ULX3S_85F_Platform,
            _leds(0, 8),
            25,
            "openFPGALoader -b ulx3s {file}",
            ("--compress",),
        ),
        _orangecrab(25, OrangeCrabR0_2_25FPlatform),
        _orangecrab(85, OrangeCrabR0_2_85FPlatform),
        Board("icebreaker", DEVICES["ice40-up5k"], _icebreaker, _leds(2, 5), 12, "iceprog {file}"),
    )
}


def find_board(name: str) -> Board:
    """The board of this name. Raises ``UserError`` with the nearest name."""
    return chosen("board", name, BOARDS)
