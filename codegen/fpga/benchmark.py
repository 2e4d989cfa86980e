"""The benchmark on a device: `python -m codegen.fpga.benchmark`, which is what `make bench-hw` runs."""

import argparse
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from math import isnan, nan
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codegen.budget import Budget
from codegen.build import built
from codegen.networks import find_network
from codegen.program import guarded
from codegen.report import change_report, read_report
from codegen.steps import Steps

from .devices import Device, Resources, find_device
from .implement import DEFAULT_MHZ, implement, section
from .target import Alone

__all__ = ["Row", "main", "measure"]

_AREA = ("luts", "ffs", "memories", "multipliers")

PLACE = Path("build/bench-hw")
PEERS = Path(__file__).with_name("peers.toml")
DEVICE = "ecp5-85k"
EVERY: tuple[tuple[str, int], ...] = tuple(
    (name, lanes)
    for name, budgets in (
        ("mlp_w4a4", (19, 37, 74, 148, 2368)),
        ("digits_w8a8", (40, 80, 118)),
        ("digits_w4a4", (40, 80, 118)),
        ("digits_w2a2", (80, 348)),
        ("digits_w1a1", (80, 348)),
        ("lenet_w8a8", (64, 128)),
        ("lenet_w4a4", (64, 256)),
        ("lenet_w2a2", (64, 256)),
        ("lenet_w1a1", (64, 256)),
    )
    for lanes in budgets
)


@dataclass(frozen=True)
class Row:
    """A network on the device, or what a peer made of its task. ``mhz``: as nextpnr estimates it. Of a peer
    area and clock may be unknown, and it has no ``lanes``."""

    name: str
    cycles: float
    used: Resources | None
    mhz: float
    lanes: int | None = None

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.mhz * 1e6 / self.cycles

    @property
    def density(self) -> float:
        """Images a second for each 1,000 LUT4."""
        return 1000 * self.rate / self.used.luts if self.used is not None else nan


def measure(name: str, lanes: int, device: Device, steps: Steps) -> Row:
    """What ``bitstream NAME --device DEVICE --lanes LANES`` makes; read if the same code has made it already.

    Raises ``UserError`` if a tool fails or the network does not fit.
    """
    source, folder = find_network(name), PLACE / f"{name}-{lanes}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with built(source, folder, Budget(lanes, device=device), steps) as plan:
        reached = read_report(folder).fpga
        if reached is None or reached.device != device.name:
            placing = Steps(steps.console)
            found = section(implement(Alone(plan, device), folder, DEFAULT_MHZ, placing), placing)
            change_report(folder, lambda report: replace(report, fpga=found))
            reached = found
    return Row(name, plan.cycles_per_image, reached.placed, reached.clock_mhz, plan.lanes)


def peers(task: str) -> list[Row]:
    """What others made of a task."""
    told = tomllib.loads(PEERS.read_text())["peer"]
    return [_peer(one) for one in told if one["task"] == task]


def _peer(told: dict[str, Any]) -> Row:
    used = Resources(*(told[key] for key in _AREA)) if "luts" in told else None
    return Row(told["name"], told["cycles"], used, told.get("mhz", nan))


def tables(rows: Sequence[Row], device: Device) -> Iterator[Table]:
    """Ours by task, each with what others made of it."""
    for task in dict.fromkeys(row.name.rpartition("_")[0] for row in rows):
        table = Table(title=f"{task} on {device.name}", title_justify="left")
        titles = ("", "lanes", "cycles", "LUT4", "FF", "BRAM", "mult", "MHz", "images/s")
        for title in (*titles, "images/s/kLUT"):
            table.add_column(title, justify="right" if title else "left", no_wrap=True)
        for row in (row for row in rows if row.name.rpartition("_")[0] == task):
            table.add_row(*_cells(row))
        table.add_section()
        for row in peers(task):
            table.add_row(*_cells(row))
        yield table


def _cells(row: Row) -> Iterator[str]:
    yield from (row.name, _number(row.lanes), _number(row.cycles))
    yield from map(_number, astuple(row.used) if row.used is not None else [None] * len(_AREA))
    yield "-" if isnan(row.mhz) else f"{row.mhz:.1f}"
    yield from (_number(row.rate), _number(row.density))


def _number(value: float | None) -> str:
    return "-" if value is None or isnan(value) else f"{value:,.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m codegen.fpga.benchmark",
        description="Place and route networks alone on an ECP5, at several budgets of lanes, and print area, "
        "clock and images a second beside what others made of the same tasks. What was measured of the same "
        "code is not measured again, so a run that was stopped goes on.",
        epilog="Example: python -m codegen.fpga.benchmark digits_w4a4",
    )
    parser.add_argument("networks", nargs="*", help="of these networks only; their rows of the table")
    parser.add_argument("--device", default=DEVICE, help="the device (default %(default)s)")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options.networks, find_device(options.device)))


def _run(names: Sequence[str], device: Device) -> int:
    wanted = [one for one in EVERY if one[0] in names] or [(name, 80) for name in names] or EVERY
    steps, rows = Steps(Console(stderr=True)), []
    for name, lanes in wanted:
        steps.console.print(f"[bold]{name}, {lanes} lanes at most[/bold]", highlight=False)
        rows.append(measure(name, lanes, device, steps))
    for table in tables(rows, device):
        Console(width=max(120, Console().width)).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
