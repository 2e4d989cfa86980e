"""Place and route, through nextpnr, and what it says about the result."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from codegen.errors import UserError

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
    iCE40 a logic cell is a table and a flip-flop, and counts as both. ``seed``: of the random numbers that
    it came from."""

    mhz: float
    used: Resources
    seed: int = 1


def place_and_route(
    netlist: Netlist,
    device: Device,
    build: Path,
    place: str,
    arguments: Sequence[str],
    clocks: Sequence[str] = (),
    seeds: Sequence[int] = (1,),
) -> Placement:
    """Places and routes a netlist in the folder ``place`` of the folder ``build``, nextpnr told ``arguments``
    about pins and clocks, once from the random numbers of each of the ``seeds``, on all cores. Keeps the
    fastest, of equal ones the first, and says how fast the net of the names ``clocks`` can be in it, or the
    slowest clock.

    Raises ``UserError`` if nextpnr fails each time, as it does for a design that does not fit.
    """
    _name_open_pins(netlist)
    netlist.write(build / place / _PLACED)
    given = [*device.flags, "--package", device.package, "--json", f"{place}/{_PLACED}", *arguments]

    def attempt(seed: int) -> Placement:
        trial = _trial(place, seed)
        (build / trial).mkdir()
        files = [_ROUTED[device.family], f"{trial}/{ROUTED}", "--report", f"{trial}/{_REPORT}"]
        how = ["--seed", str(seed), "--timing-allow-fail", "-q", "-l", f"{trial}/nextpnr.log"]
        run(f"nextpnr-{device.family.value}", [*given, *files, *how], build, f"{trial}/nextpnr.out")
        return _read(device, build / trial, clocks, seed)

    _forget_tries(build / place)
    best = _fastest(attempt, seeds)
    for file in (build / _trial(place, best.seed)).iterdir():
        os.replace(file, build / place / file.name)
    _forget_tries(build / place)
    return best


def _forget_tries(folder: Path) -> None:
    """Those of a run that was stopped too, whatever its seeds were."""
    for trial in folder.glob("seed_*"):
        shutil.rmtree(trial)


def _trial(place: str, seed: int) -> str:
    """The folder of one try; the files of the fastest go up into ``place``."""
    return f"{place}/seed_{seed}"


def _fastest(attempt: Callable[[int], Placement], seeds: Sequence[int]) -> Placement:
    """Of those that do not fail; if all do, the first raises."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        tries = [pool.submit(attempt, seed) for seed in seeds]
        placed = [one.result() for one in tries if not isinstance(one.exception(), UserError)]
        return max(placed, key=lambda one: one.mhz) if placed else tries[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _name_open_pins(netlist: Netlist) -> None:
    """nextpnr wants both ends of a carry cell to be there, open or not."""
    for cell in netlist.cells.values():
        if cell.type == "CCU2C":
            for pin, direction in (("CIN", "input"), ("COUT", "output")):
                if pin not in cell.content["connections"]:
                    cell.connect(pin, "x", direction)


def _read(device: Device, folder: Path, names: Sequence[str], seed: int) -> Placement:
    try:
        told = json.loads((folder / _REPORT).read_text())
        clocks = {net.removeprefix(_GLOBAL): float(one["achieved"]) for net, one in told["fmax"].items()}
        slowest = min(mhz for net, mhz in clocks.items() if not names or net in names)
        used = [int(told["utilization"].get(cell, {"used": 0})["used"]) for cell in _CELLS[device.family]]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"nextpnr must write what it reached, and {_REPORT} does not say it") from error
    return Placement(slowest, Resources(*used), seed)
