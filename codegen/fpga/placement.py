"""Place and route, through nextpnr, and what it says about the result."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codegen.ir import UserError

from .devices import Device, Family, Resources
from .netlist import Netlist
from .tools import run

__all__ = ["ROUTED", "Placement", "place_and_route"]

ROUTED = "routed.config"
"""What was routed, as text that can be packed."""

_GLOBAL = "$glbnet$"
_PLACED, _REPORT = "placed.json", "placement.json"

_CELLS = {
    Family.ECP5: ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D"),
    Family.ICE40: ("ICESTORM_LC", "ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_DSP"),
}

_ROUTED = {Family.ECP5: "--textcfg", Family.ICE40: "--asc"}


@dataclass(frozen=True)
class Placement:
    """``mhz``: the highest clock, as nextpnr estimates it; ``used``: what is occupied of the device. On an
    iCE40 a logic cell is a table and a flip-flop, and counts as both."""

    mhz: float
    used: Resources


def place_and_route(
    netlist: Netlist,
    device: Device,
    build: Path,
    place: str,
    arguments: Sequence[str],
    clocks: Sequence[str] = (),
    seed: int = 1,
) -> Placement:
    """Places and routes a netlist in the folder ``place`` of the folder ``build``, nextpnr told ``arguments``
    about pins and clocks, from the random numbers of ``seed``; says how fast the net of the names ``clocks``
    can be, or the slowest clock.

    Raises ``UserError`` if nextpnr fails, as it does for a design that does not fit.
    """
    _name_open_pins(netlist)
    netlist.write(build / place / _PLACED)
    given = [*device.flags, "--package", device.package, "--json", f"{place}/{_PLACED}", *arguments]
    given += [_ROUTED[device.family], f"{place}/{ROUTED}"]
    given += ["--seed", str(seed), "--timing-allow-fail", "--report", f"{place}/{_REPORT}"]
    run(
        f"nextpnr-{device.family.value}",
        [*given, "-q", "-l", f"{place}/nextpnr.log"],
        build,
        f"{place}/nextpnr.out",
    )
    return _read(device, build / place, clocks)


def _name_open_pins(netlist: Netlist) -> None:
    """nextpnr wants both ends of a carry cell to be there, open or not."""
    for cell in netlist.cells.values():
        if cell.type == "CCU2C":
            for pin, direction in (("CIN", "input"), ("COUT", "output")):
                if pin not in cell.content["connections"]:
                    cell.connect(pin, "x", direction)


def _read(device: Device, folder: Path, names: Sequence[str]) -> Placement:
    try:
        told = json.loads((folder / _REPORT).read_text())
        clocks = {net.removeprefix(_GLOBAL): float(one["achieved"]) for net, one in told["fmax"].items()}
        slowest = min(mhz for net, mhz in clocks.items() if not names or net in names)
        used = [int(told["utilization"].get(cell, {"used": 0})["used"]) for cell in _CELLS[device.family]]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"nextpnr must write what it reached, and {_REPORT} does not say it") from error
    return Placement(slowest, Resources(*used))
