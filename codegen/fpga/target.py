"""What an accelerator is put on: a device without anything around it, or a board."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from amaranth.back import rtlil

from codegen.accelerator import Accelerator, Taps
from codegen.files import digest_of, is_stamped, stamp
from codegen.plan import Plan

from .devices import Device, Family
from .netlist import Netlist
from .pins import register_pins
from .placement import ROUTED, Placement, place_and_route
from .synthesis import DESIGN, synthesise
from .tools import run

__all__ = ["Alone", "Target", "layer_of", "place_alone"]

_PACKERS = {Family.ECP5: ("ecppack", "bit"), Family.ICE40: ("icepack", "bin")}
_ANY_PINS = {Family.ECP5: "--lpf-allow-unconstrained", Family.ICE40: "--pcf-allow-unconstrained"}


class Target(ABC):
    """The accelerator of ``plan`` and all around it, for what is left of ``device``. Its files lie in the
    folder ``name`` of the folder of the build, which ``build`` is wherever it is asked for."""

    top: ClassVar[str]
    """The module of the design."""
    has_pins: ClassVar[bool]
    """Whether it can be loaded into something."""
    packing: Sequence[str] = ()
    """What else the packer is told."""

    def __init__(self, plan: Plan, name: str, device: Device):
        self.plan, self.name, self.device = plan, name, device

    @property
    @abstractmethod
    def design(self) -> str:
        """The design in RTLIL."""

    @abstractmethod
    def layer_of(self, cell: str) -> str:
        """The layer that a cell of this name belongs to, or what else it is there for."""

    @property
    def link_images_per_second(self) -> float | None:
        """What its link to a host carries at most, an image one way while a result goes the other; ``None``
        without a link."""
        return None

    @abstractmethod
    def place(
        self, netlist: Netlist, build: Path, mhz: float, seeds: Sequence[int] = (1,)
    ) -> tuple[Placement, float]:
        """Places and routes the netlist for a clock of ``mhz``, or as near as it gets from the random numbers
        of any of the ``seeds``; what was reached, and the clock in MHz that it runs at. Raises ``UserError``
        if a tool fails or it does not fit."""

    @abstractmethod
    def file(self, build: Path) -> Path:
        """Where the bitstream lies."""

    def synthesise(self, build: Path) -> Netlist:
        """The netlist of the design. Raises ``UserError`` if Yosys fails."""
        return synthesise(self.design, self.top, self.device, build, self.name)

    def stamp_routed(self, build: Path, place: str) -> None:
        """Stamps what was routed in the folder ``place`` of the folder ``build``, and the file made of it."""
        files = [build / place / self.name / name for name in (DESIGN, ROUTED)] + [self.file(build)]
        names = [path.relative_to(build).as_posix() for path in files if path.is_file()]
        stamp(build, digest_of([self.design]), names, self._stamp)

    def is_routed(self, build: Path) -> bool:
        """Whether the folder ``build`` has what ``stamp_routed`` stamped of this very design, undamaged."""
        return is_stamped(build, digest_of([self.design]), self._stamp)

    @property
    def _stamp(self) -> str:
        return f"{self.name}.stamp.json"

    @property
    def ending(self) -> str:
        """Of the bitstream's name."""
        return _PACKERS[self.device.family][1]

    def pack(self, routed: str, build: Path, file: Path) -> Path:
        """Packs what was routed, in ``routed`` among the target's files; ``file`` appears whole or not at
        all. Raises ``UserError`` if the packer fails."""
        packer, ending = _PACKERS[self.device.family]
        packed = f"{self.name}/packed.{ending}"
        run(packer, [*self.packing, f"{self.name}/{routed}", packed], build, f"{self.name}/{packer}.log")
        os.replace(build / packed, file)
        return file


class Alone(Target):
    """The accelerator on a device for its area and clock, with a register between it and every pin."""

    top = "intandem"
    has_pins = False

    def __init__(self, plan: Plan, device: Device):
        super().__init__(plan, device.name, device)

    @cached_property
    def design(self) -> str:
        return rtlil.convert(Accelerator(self.plan, taps=Taps.SCORES), name=self.top, emit_src=False)

    def layer_of(self, cell: str) -> str:
        return layer_of(cell)

    def place(
        self, netlist: Netlist, build: Path, mhz: float, seeds: Sequence[int] = (1,)
    ) -> tuple[Placement, float]:
        placed = place_alone(netlist, self.device, build, self.name, mhz, seeds)
        return placed, placed.mhz

    def file(self, build: Path) -> Path:
        return build / self.name / f"alone.{self.ending}"


def place_alone(
    netlist: Netlist, device: Device, build: Path, place: str, mhz: float, seeds: Sequence[int] = (1,)
) -> Placement:
    """Places and routes a netlist with registers for its pins, in the folder ``place`` of the folder
    ``build``, for a clock of ``mhz``. Raises ``UserError`` if nextpnr fails."""
    register_pins(netlist, device.family)
    arguments = [_ANY_PINS[device.family], "--freq", f"{mhz:g}"]
    return place_and_route(netlist, device, build, place, arguments, seeds=seeds)


def layer_of(cell: str) -> str:
    """The layer of an accelerator that a cell of this name in it belongs to: what it begins with."""
    layer, dot, _ = cell.partition(".")
    return layer if dot else "between"
