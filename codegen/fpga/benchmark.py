"""The benchmark on a device: `python -m codegen.fpga.benchmark`, which is what `make bench-hw` runs."""

import argparse
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codegen.budget import Budget
from codegen.build import build
from codegen.cli import guarded
from codegen.networks import find_network
from codegen.plan import Plan
from codegen.report import Steps, read_report, write_report

from .bitstream import DEFAULT_MHZ
from .devices import Device, Resources, find_device
from .implement import implement, section

__all__ = ["Row", "main", "measure"]

PLACE = Path("build/bench-hw")
PEERS = Path(__file__).with_name("peers.toml")
DEVICE = "ecp5-85k"
EVERY: tuple[tuple[str, int], ...] = (
    ("mlp_w4a4", 19),
    ("mlp_w4a4", 37),
    ("mlp_w4a4", 74),
    ("digits_w8a8", 38),
    ("digits_w8a8", 80),
    ("digits_w4a4", 38),
    ("digits_w4a4", 80),
    ("digits_w4a4", 118),
    ("digits_w2a2", 80),
    ("digits_w2a2", 348),
    ("digits_w1a1", 80),
    ("digits_w1a1", 348),
    ("lenet_w4a4", 64),
    ("lenet_w4a4", 256),
)


@dataclass(frozen=True)
class Row:
    """A network, or what a peer made of its task, on the device: ``mhz`` as nextpnr estimates it."""

    name: str
    lanes: int
    cycles: float
    used: Resources
    mhz: float

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.mhz * 1e6 / self.cycles

    @property
    def density(self) -> float:
        """Images a second for each 1,000 LUT4."""
        return 1000 * self.rate / self.used.luts


def measure(name: str, lanes: int, device: Device, steps: Steps) -> Row:
    """Builds, places and routes a network alone; one that has been, of the same code, is only read.

    Raises ``UserError`` if a tool fails or the network does not fit.
    """
    source, folder = find_network(name), PLACE / f"{name}-{lanes}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    plan = build(source, folder, Budget(lanes), steps)
    told = read_report(folder)
    if told["fpga"] is None or told["fpga"]["device"] != device.name:
        placing = Steps(steps.console)
        done = implement(plan, device, folder, DEFAULT_MHZ, placing)
        told |= {"fpga": section(plan, done, placing)}
        write_report(folder, told)
    return _row(name, plan, told["fpga"])


def _row(name: str, plan: Plan, told: dict[str, Any]) -> Row:
    used = Resources(**told["placed"])
    return Row(name, plan.lanes, plan.cycles_per_image, used, told["clock_mhz"])


def peers(task: str) -> list[Row]:
    """What others made of a task."""
    told = tomllib.loads(PEERS.read_text())["peer"]
    return [
        Row(
            one["name"],
            0,
            one["cycles"],
            Resources(*(one[key] for key in ("luts", "ffs", "memories", "multipliers"))),
            one["mhz"],
        )
        for one in told
        if one["task"] == task
    ]


def tables(rows: Sequence[Row], device: Device) -> Iterator[Table]:
    """Ours by task, each with what others made of it."""
    for task in dict.fromkeys(row.name.rpartition("_")[0] for row in rows):
        table = Table(title=f"{task} on {device.name}", title_justify="left")
        titles = ("", "lanes", "cycles", "LUT4", "FF", "block RAM", "multipliers", "MHz", "images/s")
        for title in (*titles, "images/s/kLUT"):
            table.add_column(title, justify="right" if title else "left", no_wrap=True)
        for row in (row for row in rows if row.name.rpartition("_")[0] == task):
            table.add_row(*_cells(row))
        table.add_section()
        for row in peers(task):
            table.add_row(*_cells(row))
        yield table


def _cells(row: Row) -> Iterator[str]:
    used = row.used
    yield from (row.name, str(row.lanes or "-"), f"{row.cycles:,.0f}", f"{used.luts:,}", f"{used.ffs:,}")
    yield from (f"{used.memories:,}", f"{used.multipliers:,}", f"{row.mhz:.1f}")
    yield from (f"{row.rate:,.0f}", f"{row.density:,.0f}")


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
