"""A network on a board: from the plan to the file that the board loads."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from codegen.plan import Plan
from codegen.report import Steps

from .board_top import GENERATOR, BoardTop
from .boards import Board
from .devices import Family, Resources
from .implement import Implementation, check_fits, layer_of
from .netlist import Netlist
from .placement import ROUTED, Placement, place_on_pins
from .pll import Setting, setting
from .synthesis import resources, synthesise
from .system import System
from .tools import run

__all__ = ["DEFAULT_MHZ", "bitstream", "bitstream_file", "with_dividers"]

DEFAULT_MHZ = 150
"""The clock that is placed and routed for unless another is asked for."""

_TOP = "board"
_CONSTRAINTS = {Family.ECP5: "board.lpf", Family.ICE40: "board.pcf"}
_FREQUENCY = {Family.ECP5: 'FREQUENCY NET "{net}" {mhz} MHZ;\n', Family.ICE40: "set_frequency {net} {mhz}\n"}
_PACKERS = {Family.ECP5: ("ecppack", "bit"), Family.ICE40: ("icepack", "bin")}
_ACCELERATOR = "system.accelerator."


def bitstream(plan: Plan, board: Board, build: Path, mhz: float, steps: Steps) -> Implementation:
    """A file that a board loads, with the network built in the folder ``build`` and a link to a host: placed
    for a clock of ``mhz`` or as near as it gets, and run at the highest one that closes.

    Raises ``UserError`` if a tool fails or the board is too small.
    """
    system = System(plan, board.divisor)
    family, place, room = board.device.family, build / board.name, board.room(system.shape.image_bytes)
    place.mkdir(exist_ok=True)
    with steps.step("netlist", f"Yosys, cells of {board.device.name}"):
        files = _prepared(BoardTop(board, system, setting(family, board.mhz, mhz)))
        netlist = synthesise(files[f"{_TOP}.il"], _TOP, board.device, build, board.name)
        wanted = _FREQUENCY[family].format(net=_clocks(netlist)[0], mhz=mhz)
        (place / _CONSTRAINTS[family]).write_text(files[_CONSTRAINTS[family]] + wanted)
    parts = {part: resources(netlist, cells) for part, cells in netlist.parts(_part).items()}
    check_fits(plan.network, room, sum(parts.values(), Resources()))
    with steps.step("place", "nextpnr, place and route (its very first run takes minutes)"):
        placement, clock = _place(board, netlist, build)
    with steps.step("pack", "the file to load"):
        file = _pack(plan, board, build)
    return Implementation(room, parts, placement, clock.mhz, file)


def _part(cell: str) -> str:
    if cell.startswith(_ACCELERATOR):
        return layer_of(cell.removeprefix(_ACCELERATOR))
    return "link" if cell.startswith("system.") else "board"


def _prepared(top: BoardTop) -> Mapping[str, str]:
    """The design and its constraints."""
    files = top.board.platform().prepare(top, _TOP, emit_src=False).files
    return {name: text if isinstance(text, str) else text.decode() for name, text in files.items()}


def _clocks(netlist: Netlist) -> list[str]:
    """The names of the net of the accelerator's clock. It is placed for a frequency of its own, whatever its
    generator makes."""
    generator = netlist.cells[GENERATOR]
    clock = [generator.net("CLKOP" if generator.type == "EHXPLLL" else "PLLOUTGLOBALB")]
    nets = netlist.module["netnames"].items()
    return sorted((name for name, net in nets if net["bits"] == clock), key=lambda name: (len(name), name))


def _place(board: Board, netlist: Netlist, build: Path) -> tuple[Placement, Setting]:
    """Routes, then sets the clock generator to the highest clock that the result keeps.

    On an ECP5 its dividers are written into what was routed; on an iCE40 into the netlist, which is routed
    once more, alike but for them.
    """
    family, routed, clocks = board.device.family, build / board.name / ROUTED, _clocks(netlist)
    placed = place_on_pins(netlist, board.device, build, board.name, _CONSTRAINTS[family], clocks)
    while True:
        clock = setting(family, board.mhz, placed.mhz)
        if family is Family.ECP5:
            routed.write_text(with_dividers(routed.read_text(), clock))
            return placed, clock
        netlist.cells[GENERATOR].parameters.update({k: f"{n:032b}" for k, n in clock.parameters.items()})
        placed = place_on_pins(netlist, board.device, build, board.name, _CONSTRAINTS[family], clocks)
        if placed.mhz >= clock.mhz:
            return placed, clock


def with_dividers(routed: str, clock: Setting) -> str:
    """What was routed on an ECP5, its one clock generator with the dividers of ``clock``."""
    for name, value in clock.parameters.items():
        stored = value if name.endswith("PHASE") else value - 1
        routed, found = re.subn(
            rf"^word: {name} [01]{{7}}$", f"word: {name} {stored:07b}", routed, flags=re.M
        )
        assert found == 1, f"{name} stands {found} times in what nextpnr wrote"
    return routed


def bitstream_file(plan: Plan, board: Board, build: Path) -> Path:
    """Where the file lies that a board loads, in the folder ``build``."""
    _, ending = _PACKERS[board.device.family]
    return build / f"{plan.network}-{board.name}.{ending}"


def _pack(plan: Plan, board: Board, build: Path) -> Path:
    """Packs what was routed; the file appears whole or not at all."""
    packer, ending = _PACKERS[board.device.family]
    routed, packed = f"{board.name}/{ROUTED}", f"{board.name}/packed.{ending}"
    run(packer, [*board.pack, routed, packed], build, f"{board.name}/{packer}.log")
    file = bitstream_file(plan, board, build)
    os.replace(build / packed, file)
    return file
