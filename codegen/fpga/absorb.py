"""Puts registers that stand in front of an ECP5's multipliers and behind its block RAMs into them.

Both have registers of their own inside, which Yosys leaves empty: it takes logic cells for them, and the way
from a block RAM without its output register or through a multiplier without any sets the clock of the whole
design. A register can move in if it has no reset, starts at 0 and shares clock and enable with those beside
it.

Products keep their registers outside: of the one that a multiplier has for them Project Trellis, which knows
the bits of the device, does not know which choose its enable.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .netlist import Cell, Net, Netlist

__all__ = ["absorb_registers"]

_ENABLES = ("CE0", "CE1")
"""Pins that enable a multiplier's registers. Operands share one where they can: few wires lead there."""


@dataclass(frozen=True)
class _Control:
    """What the registers of one port have in common."""

    clock: Net
    enable: Net


def absorb_registers(netlist: Netlist) -> int:
    """Moves registers into multipliers (MULT18X18D) and block RAMs (DP16KD) and returns how many flip-flops
    that made superfluous."""
    before = netlist.counts()["TRELLIS_FF"]
    memories = [cell for cell in netlist.cells.values() if cell.type == "DP16KD"]
    multipliers = [cell for cell in netlist.cells.values() if cell.type == "MULT18X18D"]
    netlist.remove({name for cell in memories for name in _take_words(netlist, cell)})
    for cell in multipliers:
        for side in "AB":
            _take_operand(netlist, cell, side)
    netlist.index()
    while unused := _unused_registers(netlist):
        netlist.remove(unused)
    return before - netlist.counts()["TRELLIS_FF"]


def _read_ports(cell: Cell) -> Sequence[str]:
    """The sides of a block RAM whose outputs belong together: 36 bits wide it has one port, on both."""
    widths = [int(cell.parameters[f"DATA_WIDTH_{side}"], 2) for side in "AB"]
    return ["AB"] if 36 in widths else ["A", "B"]


def _take_words(netlist: Netlist, cell: Cell) -> list[str]:
    """Moves the registers behind a block RAM into it; their names."""
    return [name for sides in _read_ports(cell) for name in _take_word(netlist, cell, sides)]


def _take_word(netlist: Netlist, cell: Cell, sides: str) -> list[str]:
    """Lets a port drive what the registers behind it drove, if all of them can move in."""
    nets = {pin: cell.net(pin) for pin in (f"DO{side}{k}" for side in sides for k in range(18))}
    used = {pin: net for pin, net in nets.items() if isinstance(net, int) and netlist.users.get(net)}
    registers = {pin: _only_register(netlist, net) for pin, net in used.items()}
    control = _common(registers.values(), cell.net(f"CLK{sides[-1]}"))
    if control is None:
        return []
    for pin, register in registers.items():
        assert register is not None
        cell.connect(pin, register.net("Q"), "output")
    for side in sides:
        cell.parameters[f"REGMODE_{side}"] = "OUTREG"
        cell.connect(f"OCE{side}", control.enable)
    return [register.name for register in registers.values() if register is not None]


def _only_register(netlist: Netlist, net: Net) -> Cell | None:
    """The register that is all that a net goes to."""
    users = netlist.users[net]
    register = netlist.cells.get(users[0].cell)
    return register if len(users) == 1 and users[0].name == "DI" else None


def _take_operand(netlist: Netlist, cell: Cell, side: str) -> None:
    """Feeds an operand from before the registers that drive it, which stay for whoever else reads them."""
    nets = {f"{side}{k}": cell.net(f"{side}{k}") for k in range(18)}
    if not set(nets.values()).isdisjoint({"1", "x"}):
        return
    registers = {pin: _register_of(netlist, net) for pin, net in nets.items() if net != "0"}
    control = _common(registers.values(), cell.net("CLK0"))
    if control is None:
        return
    for pin, register in registers.items():
        assert register is not None
        cell.connect(pin, register.net("DI"))
    enable = next(pin for pin in _ENABLES if cell.net(pin) in ("0", control.enable))
    for what, chosen in (("CLK", "CLK0"), ("CE", enable), ("RST", "RST0")):
        cell.parameters[f"REG_INPUT{side}_{what}"] = chosen
    cell.parameters["RESETMODE"] = "SYNC"
    for pin, net in (("CLK0", control.clock), (enable, control.enable), ("RST0", "0")):
        cell.connect(pin, net)


def _register_of(netlist: Netlist, net: Net) -> Cell | None:
    driver = netlist.drivers.get(net)
    return None if driver is None or driver.name != "Q" else netlist.cells[driver.cell]


def _common(registers: Iterable[Cell | None], clock: Net) -> _Control | None:
    """Clock and enable of registers that can move in together, beside others of ``clock`` ('0': none)."""
    controls = {_control(register) for register in registers}
    control = controls.pop() if len(controls) == 1 else None
    return control if control is not None and clock in ("0", control.clock) else None


def _control(register: Cell | None) -> _Control | None:
    if register is None or register.type != "TRELLIS_FF":
        return None
    given = register.parameters
    if register.net("LSR") != "0" or given.get("REGSET", "RESET") != "RESET" or given.get("CLKMUX") != "CLK":
        return None
    if given.get("CEMUX") == "CE":
        return _Control(register.net("CLK"), register.net("CE"))
    return _Control(register.net("CLK"), "1") if given.get("CEMUX", "1").strip() == "1" else None


def _unused_registers(netlist: Netlist) -> set[str]:
    return {
        cell.name
        for cell in netlist.cells.values()
        if cell.type == "TRELLIS_FF" and not netlist.users.get(cell.net("Q"))
    }
