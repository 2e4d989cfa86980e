"""Place and route, through nextpnr, and what it says about the result."""

import json
from dataclasses import dataclass
from pathlib import Path

from codegen.ir import UserError

from .devices import Device, Family, Resources
from .netlist import Netlist
from .pins import register_pins
from .tools import run

__all__ = ["CONFIG", "Placement", "place_alone"]

CONFIG = "alone.config"
"""What an ECP5 is configured with, as text."""

_ALONE = "alone.json"

_CELLS = {
    Family.ECP5: ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D"),
    Family.ICE40: ("ICESTORM_LC", "ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_DSP"),
}

_ANY_PINS = {Family.ECP5: "--lpf-allow-unconstrained", Family.ICE40: "--pcf-allow-unconstrained"}


@dataclass(frozen=True)
class Placement:
    """``mhz``: the highest clock, as nextpnr estimates it; ``used``: what is occupied of the device. On an
    iCE40 a logic cell is a table and a flip-flop, and counts as both."""

    mhz: float
    used: Resources


def place_alone(netlist: Netlist, device: Device, build: Path, place: str, mhz: float) -> Placement:
    """Places and routes a netlist on its own, registers between it and the pins, for a clock of ``mhz`` or as
    near as it gets; the files lie in the folder ``place`` of the folder ``build``.

    Raises ``UserError`` if nextpnr fails, as it does for a design that does not fit.
    """
    register_pins(netlist, device.family)
    netlist.write(build / place / _ALONE)
    program, report = f"nextpnr-{device.family.value}", "placement.json"
    arguments = [*device.flags, "--package", device.package, _ANY_PINS[device.family], "--seed", "1"]
    arguments += ["--freq", f"{mhz:g}", "--timing-allow-fail", "--json", f"{place}/{_ALONE}"]
    arguments += ["--report", f"{place}/{report}", "-q", "-l", f"{place}/nextpnr.log"]
    if device.family is Family.ECP5:
        arguments += ["--textcfg", f"{place}/{CONFIG}"]
    run(program, arguments, build, f"{place}/nextpnr.out")
    try:
        told = json.loads((build / place / report).read_text())
        slowest = min(float(clock["achieved"]) for clock in told["fmax"].values())
        used = [int(told["utilization"].get(cell, {"used": 0})["used"]) for cell in _CELLS[device.family]]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{program} must write what it reached, and {report} does not say it") from error
    return Placement(slowest, Resources(*used))
