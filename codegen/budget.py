"""What a plan may spend and what it must reach."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from codegen.ir import UserError

__all__ = ["DEVICES", "MACS_PER_LANE", "MOST_LANES", "Budget", "Device", "default_lanes", "find_device"]

MACS_PER_LANE = 271
MOST_LANES = 1024


@dataclass(frozen=True)
class Device:
    """What of an FPGA the engines may use: ``lanes``, five of six multipliers, so that place and route
    converges, and ``memory`` bits of block RAM."""

    name: str
    lanes: int
    memory: int


DEVICES = {
    device.name: device
    for device in (
        Device("ecp5-25k", 28 * 5 // 6, 56 * 18 * 1024),
        Device("ecp5-45k", 72 * 5 // 6, 108 * 18 * 1024),
        Device("ecp5-85k", 156 * 5 // 6, 208 * 18 * 1024),
    )
}


@dataclass(frozen=True)
class Budget:
    """``lanes``: multiply-accumulate lanes at most, ``None`` for as many as it takes. ``interval``: cycles
    between images at most, reached with the fewest lanes; ``None`` for the fewest cycles. ``memory``: bits
    on chip at most for weights, line buffers and FIFOs. ``plan``: a file of folds, which are taken as they
    are. ``clock``: Hz, for messages only."""

    lanes: int | None = None
    interval: int | None = None
    memory: int | None = None
    plan: Path | None = None
    clock: int | None = None

    def __post_init__(self) -> None:
        if self.lanes is None and self.interval is None and self.plan is None:
            raise ValueError("a budget must have lanes, an interval or a plan")

    def rate(self, cycles: float) -> str:
        """Cycles between images in words, and as images a second where the clock is known."""
        told = f"{cycles:,.0f} cycles"
        return told if self.clock is None else f"{told} ({self.clock / cycles:,.6g} images/s)"


def default_lanes(macs: int) -> int:
    """The lanes that a network of so many multiply-accumulates an image gets where none are asked for: an
    image every few hundred cycles for a small one, and no more than what still simulates fast."""
    return max(16, min(MOST_LANES, -(-macs // MACS_PER_LANE)))


def find_device(name: str) -> Device:
    """The device of this name. Raises ``UserError`` with the nearest name."""
    if name in DEVICES:
        return DEVICES[name]
    near = difflib.get_close_matches(name, DEVICES, n=1)
    hint = f"; did you mean '{near[0]}'" if near else ""
    raise UserError(f"device must be one of {', '.join(DEVICES)}, not '{name}'{hint}")
