"""The devices of the open flow: what each has, and what of it a design may use."""

from dataclasses import dataclass, replace
from enum import Enum

from codegen.errors import chosen

__all__ = ["DEVICES", "Device", "Family", "Resources", "find_device"]


class Family(Enum):
    """A family of devices, and the name that Yosys and nextpnr have for it."""

    ECP5 = "ecp5"
    ICE40 = "ice40"


@dataclass(frozen=True)
class Resources:
    """Logic cells with a four-input table each, flip-flops, blocks of memory, multipliers."""

    luts: int = 0
    ffs: int = 0
    memories: int = 0
    multipliers: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            self.luts + other.luts,
            self.ffs + other.ffs,
            self.memories + other.memories,
            self.multipliers + other.multipliers,
        )

    def __mul__(self, count: int) -> "Resources":
        return Resources(self.luts * count, self.ffs * count, self.memories * count, self.multipliers * count)

    def beyond(self, limit: "Resources") -> list[str]:
        """What of it is more than ``limit``, each in words."""
        pairs = ((name, getattr(self, field), getattr(limit, field)) for field, name in _NAMES.items())
        return [f"{count:,} {name} of {most:,}" for name, count, most in pairs if count > most]


_NAMES = {"luts": "LUT4", "ffs": "flip-flops", "memories": "blocks of RAM", "multipliers": "multipliers"}


@dataclass(frozen=True)
class Device:
    """``has``: what is on it. ``memory_bits``: of one block. ``package`` and ``flags``: what nextpnr calls
    it where no board says, in the slowest speed grade there is. ``beside``: what else it must hold."""

    name: str
    family: Family
    has: Resources
    memory_bits: int
    package: str
    flags: tuple[str, ...]
    beside: Resources = Resources()

    @property
    def memory(self) -> int:
        """Bits of block memory."""
        return self.has.memories * self.memory_bits

    @property
    def limit(self) -> Resources:
        """The most with which place and route still comes to an end: three of four logic cells."""
        return replace(self.has, luts=self.has.luts * 3 // 4, ffs=self.has.ffs * 3 // 4)

    @property
    def usable(self) -> Resources:
        """What is planned with, so that the end is a good one: three of five cells, nine of ten blocks of
        memory, five of six multipliers."""
        has, beside = self.has, self.beside
        return Resources(
            has.luts * 3 // 5 - beside.luts,
            has.ffs * 3 // 5 - beside.ffs,
            has.memories * 9 // 10 - beside.memories,
            has.multipliers * 5 // 6,
        )


def _ecp5(size: int, luts: int, memories: int, multipliers: int) -> Device:
    has = Resources(luts, luts, memories, multipliers)
    flags = (f"--{size}k", "--speed", "6")
    return Device(f"ecp5-{size}k", Family.ECP5, has, 18 * 1024, "CABGA381", flags)


def _ice40(size: str, luts: int, memories: int, package: str) -> Device:
    # No multipliers: the pinned Yosys is known to map them to wrong logic on these devices.
    has = Resources(luts, luts, memories, 0)
    return Device(f"ice40-{size}", Family.ICE40, has, 4 * 1024, package, (f"--{size}",))


DEVICES = {
    device.name: device
    for device in (
        _ecp5(25, 24_288, 56, 28),
        _ecp5(45, 43_848, 108, 72),
        _ecp5(85, 83_640, 208, 156),
        _ice40("hx8k", 7_680, 32, "ct256"),
        _ice40("up5k", 5_280, 30, "sg48"),
    )
}


def find_device(name: str) -> Device:
    """The device of this name. Raises ``UserError`` with the nearest name."""
    return chosen("device", name, DEVICES)
