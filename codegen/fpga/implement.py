"""A network on a device, without a board: area and clock of the accelerator alone."""

from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from codegen.ir import UserError
from codegen.plan import Plan
from codegen.report import Steps

from .devices import Device, Resources
from .estimate import estimate
from .netlist import Netlist
from .placement import Placement, place_alone
from .reload import CARRIER, TOP, carrier, design_text, filled, is_loadable, load
from .synthesis import resources, synthesise

__all__ = [
    "TOP",
    "Implementation",
    "check_fits",
    "implement",
    "layer_of",
    "netlist_of",
    "section",
    "tables",
]


@dataclass(frozen=True)
class Implementation:
    """A placed accelerator: ``layers`` is what the netlist has for each layer, by name. ``mhz``: the clock
    that it runs at, and ``file`` what a board loads, if it is for one."""

    device: Device
    layers: dict[str, Resources]
    placement: Placement
    mhz: float
    file: Path | None = None

    @property
    def total(self) -> Resources:
        """What the netlist has."""
        return sum(self.layers.values(), Resources())


def netlist_of(plan: Plan, device: Device, build: Path) -> Netlist:
    """The netlist of the accelerator in the folder ``build``, its class and its scores for outputs.

    Raises ``UserError`` if Yosys fails.
    """
    if is_loadable(plan, device):
        return filled(carrier(plan, device, build), device, build)
    return synthesise(design_text(plan), TOP, device, build, device.name)


def implement(plan: Plan, device: Device, build: Path, mhz: float, steps: Steps) -> Implementation:
    """Synthesis, place and route of the accelerator in the folder ``build`` for a clock of ``mhz``.

    Raises ``UserError`` if a tool fails.
    """
    loadable = is_loadable(plan, device)
    with steps.step("netlist", f"Yosys, cells of {device.name}"):
        netlist = carrier(plan, device, build) if loadable else netlist_of(plan, device, build)
    parts = {part: resources(netlist, cells) for part, cells in netlist.parts(layer_of).items()}
    check_fits(plan.network, device, sum(parts.values(), Resources()))
    with steps.step("place", "nextpnr, place and route (its very first run takes minutes)"):
        folder = build / CARRIER if loadable else build
        placement = place_alone(netlist, device, folder, device.name, mhz)
    if loadable:
        with steps.step("load", "the network's weights and scales into its block RAMs"):
            load(device, build, build, "alone")
    return Implementation(device, parts, placement, placement.mhz)


def layer_of(cell: str) -> str:
    """The layer of the accelerator that a cell of this name belongs to: what it begins with."""
    layer, dot, _ = cell.partition(".")
    return layer if dot else "between"


def check_fits(network: str, device: Device, needed: Resources) -> None:
    """Raises ``UserError`` with what is short if a device has not what a network needs."""
    names = (
        ("luts", "LUT4"),
        ("ffs", "flip-flops"),
        ("memories", "blocks of RAM"),
        ("multipliers", "multipliers"),
    )
    short = [
        f"{getattr(needed, field):,} {name} of {getattr(device.limit, field):,}"
        for field, name in names
        if getattr(needed, field) > getattr(device.limit, field)
    ]
    if short:
        raise UserError(
            f"'{network}' must fit {device.name} with a quarter of its logic left to place and route, and "
            f"takes {', '.join(short)}; give it other --lanes, or train it with fewer bits"
        )


def section(plan: Plan, done: Implementation, steps: Steps) -> dict[str, Any]:
    """What was reached, for the report of the build; ``steps`` are those of ``implement``."""
    return {
        "device": done.device.name,
        "layers": {name: asdict(amount) for name, amount in done.layers.items()},
        "total": asdict(done.total),
        "placed": asdict(done.placement.used),
        "available": asdict(done.device.has),
        "clock_mhz": round(done.mhz, 3),
        "images_per_second": round(done.mhz * 1e6 / plan.cycles_per_image, 3),
        "steps": steps.rows,
    }


def tables(plan: Plan, done: Implementation) -> Iterator[Table]:
    """What was reached, for a person to read."""
    table = Table(title=f"{plan.network} on {done.device.name}", title_justify="left")
    for title in ("", "LUT4", "FF", "block RAM", "multipliers"):
        table.add_column(title, justify="right" if title else "left")
    names = [layer.stage.name for layer in plan.layers]
    for name in [*names, *sorted(set(done.layers) - set(names))]:
        table.add_row(name, *_numbers(done.layers.get(name, Resources())))
    table.add_row("netlist", *_numbers(done.total), style="bold")
    expected = sum(estimate(plan, done.device.family).values(), done.device.beside)
    table.add_row("estimate", *_numbers(expected))
    table.add_row("its error", *_errors(expected, done.total))
    table.add_row("placed", *_numbers(done.placement.used), style="bold")
    table.add_row(f"of {done.device.name}", *_numbers(done.device.has))
    yield table
    rates = Table(show_header=False)
    rate = done.mhz * 1e6 / plan.cycles_per_image
    runs = f"{done.mhz:.1f} MHz, " if done.file is not None else ""
    rates.add_row("clock", f"{runs}{done.placement.mhz:.1f} MHz at most, as nextpnr estimates it")
    rates.add_row(
        "speed", f"{plan.cycles_per_image:,.0f} cycles an image, {rate:,.0f} images/s at that clock"
    )
    rates.add_row(
        "for the area", f"{rate / done.placement.used.luts:,.0f} thousand images/s for each 1,000 LUT4"
    )
    yield rates


def _numbers(amount: Resources) -> Iterator[str]:
    yield from (f"{count:,}" for count in astuple(amount))


def _errors(expected: Resources, found: Resources) -> Iterator[str]:
    """How far an estimate is off, in per cent of what there is."""
    for told, count in zip(astuple(expected), astuple(found), strict=True):
        yield f"{100 * (told - count) / count:+.1f} %" if count else "-"
