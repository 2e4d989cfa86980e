"""A network on a board: with a link to a host, on the board's pins, at the highest clock that closes."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from codegen.host.board import BAUD, BITS_PER_BYTE
from codegen.plan import Plan

from .board_top import GENERATOR, BoardTop
from .boards import Board
from .devices import Family
from .netlist import Netlist
from .placement import ROUTED, Placement, place_and_route
from .pll import Setting, setting
from .system import System
from .target import Target, layer_of

__all__ = ["OnBoard", "with_dividers"]

_CONSTRAINTS = {Family.ECP5: ("--lpf", "board.lpf"), Family.ICE40: ("--pcf", "board.pcf")}
_FREQUENCY = {Family.ECP5: 'FREQUENCY NET "{net}" {mhz} MHZ;\n', Family.ICE40: "set_frequency {net} {mhz}\n"}
_ACCELERATOR = "system.accelerator."
_FIRST_MHZ = 150
"""What the clock generator is synthesised with; it is set when it is known what closes."""


class OnBoard(Target):
    """The accelerator and its link to a host on a board. Raises ``UserError`` for a network that does not end
    in a class."""

    top = "board"
    has_pins = True

    def __init__(self, plan: Plan, board: Board):
        self.system, self.board, self.packing = System(plan, board.divisor), board, board.pack
        super().__init__(plan, board.name, board.room(self.system.shape.image_bytes))

    @property
    def design(self) -> str:
        return self._files[f"{self.top}.il"]

    @cached_property
    def _files(self) -> Mapping[str, str]:
        """The design and its constraints."""
        first = setting(self.device.family, self.board.mhz, _FIRST_MHZ)
        top = BoardTop(self.board, self.system, first)
        files = self.board.platform().prepare(top, self.top, emit_src=False).files
        return {name: text if isinstance(text, str) else text.decode() for name, text in files.items()}

    @property
    def link_images_per_second(self) -> float:
        shape = self.system.shape
        return BAUD / BITS_PER_BYTE / max(shape.request_bytes, shape.reply_bytes)

    def layer_of(self, cell: str) -> str:
        if cell.startswith(_ACCELERATOR):
            return layer_of(cell.removeprefix(_ACCELERATOR))
        return "link" if cell.startswith("system.") else "board"

    def place(
        self, netlist: Netlist, build: Path, mhz: float, seeds: Sequence[int] = (1,)
    ) -> tuple[Placement, float]:
        """Routes, then sets the clock generator to the highest clock that the result keeps.

        On an ECP5 its dividers are written into what was routed; on an iCE40 into the netlist, which is
        routed once more, alike but for them.
        """
        family, clocks = self.device.family, _clocks(netlist)
        option, constraints = _CONSTRAINTS[family]
        wanted = _FREQUENCY[family].format(net=clocks[0], mhz=mhz)
        (build / self.name / constraints).write_text(self._files[constraints] + wanted)

        def routed(seeds: Sequence[int]) -> Placement:
            arguments = [option, f"{self.name}/{constraints}"]
            return place_and_route(netlist, self.device, build, self.name, arguments, clocks, seeds)

        placed = routed(seeds)
        while True:
            clock = setting(family, self.board.mhz, placed.mhz)
            if family is Family.ECP5:
                text = build / self.name / ROUTED
                text.write_text(with_dividers(text.read_text(), clock))
                return placed, clock.mhz
            given = {key: f"{value:032b}" for key, value in clock.parameters.items()}
            netlist.cells[GENERATOR].parameters.update(given)
            placed = routed([placed.seed])
            if placed.mhz >= clock.mhz:
                return placed, clock.mhz

    def file(self, build: Path) -> Path:
        return build / f"{self.plan.network}-{self.name}.{self.ending}"


def _clocks(netlist: Netlist) -> Sequence[str]:
    """The names of the net of the accelerator's clock. It is placed for a frequency of its own, whatever its
    generator makes."""
    generator = netlist.cells[GENERATOR]
    clock = [generator.net("CLKOP" if generator.type == "EHXPLLL" else "PLLOUTGLOBALB")]
    nets = netlist.module["netnames"].items()
    return sorted((name for name, net in nets if net["bits"] == clock), key=lambda name: (len(name), name))


def with_dividers(routed: str, clock: Setting) -> str:
    """What was routed on an ECP5, its one clock generator with the dividers of ``clock``."""
    for name, value in clock.parameters.items():
        stored = value if name.endswith("PHASE") else value - 1
        routed, found = re.subn(
            rf"^word: {name} [01]{{7}}$", f"word: {name} {stored:07b}", routed, flags=re.M
        )
        assert found == 1, f"{name} stands {found} times in what nextpnr wrote"
    return routed
