"""What a plan may spend and what it must reach."""

from dataclasses import dataclass
from pathlib import Path

from .fpga.devices import Device
from .stages import Bounds

__all__ = ["MACS_PER_LANE", "MOST_LANES", "Budget", "default_lanes"]

MACS_PER_LANE = 271
MOST_LANES = 1024


@dataclass(frozen=True)
class Budget:
    """``lanes``: multiply-accumulate lanes at most, ``None`` for as many as it takes. ``interval``: cycles
    between images at most, reached with the fewest lanes; ``None`` for the fewest cycles. ``memory``: bits
    on chip at most for weights, line buffers and FIFOs. ``plan``: a file of folds, which are taken as they
    are. ``clock``: Hz, for messages only. ``device``: an FPGA of which no more is taken than is usable.
    ``bounds``: the weights that engines must have room for."""

    lanes: int | None = None
    interval: int | None = None
    memory: int | None = None
    plan: Path | None = None
    clock: int | None = None
    device: Device | None = None
    bounds: Bounds = Bounds.REAL

    def __post_init__(self) -> None:
        if all(one is None for one in (self.lanes, self.interval, self.plan, self.device)):
            raise ValueError("a budget must have lanes, an interval, a plan or a device")

    def rate(self, cycles: float) -> str:
        """Cycles between images in words, and as images a second where the clock is known."""
        told = f"{cycles:,.0f} cycles"
        return told if self.clock is None else f"{told} ({self.clock / cycles:,.6g} images/s)"


def default_lanes(macs: int) -> int:
    """The lanes that a network of so many multiply-accumulates an image gets where none are asked for: an
    image every few hundred cycles for a small one, and no more than what still simulates fast."""
    return max(16, min(MOST_LANES, -(-macs // MACS_PER_LANE)))
