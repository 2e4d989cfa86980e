"""A network on a device, without a board: area and clock of the accelerator alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from codegen.accelerator import Accelerator, Taps
from codegen.ir import UserError
from codegen.plan import Plan
from codegen.report import Steps

from .devices import Device, Resources
from .netlist import Netlist
from .placement import Placement, place_alone
from .reload import CARRIER, TOP, carrier, filled, is_loadable, load
from .synthesis import resources, synthesise

__all__ = ["TOP", "Implementation", "implement", "netlist_of"]


@dataclass(frozen=True)
class Implementation:
    """A placed accelerator: ``layers`` is what the netlist has for each layer, by name."""

    device: Device
    layers: dict[str, Resources]
    placement: Placement

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
    return synthesise(Accelerator(plan, taps=Taps.SCORES), TOP, device, build, device.name)


def implement(plan: Plan, device: Device, build: Path, mhz: float, steps: Steps) -> Implementation:
    """Synthesis, place and route of the accelerator in the folder ``build`` for a clock of ``mhz``.

    Raises ``UserError`` if a tool fails.
    """
    loadable = is_loadable(plan, device)
    with steps.step("netlist", f"Yosys, cells of {device.name}"):
        netlist = carrier(plan, device, build) if loadable else netlist_of(plan, device, build)
    parts = {part or "between": resources(netlist, cells) for part, cells in netlist.parts().items()}
    check_fits(plan.network, device, sum(parts.values(), Resources()))
    with steps.step("place", "nextpnr, place and route (its very first run takes minutes)"):
        folder = build / CARRIER if loadable else build
        placement = place_alone(netlist, device, folder, device.name, mhz)
    if loadable:
        with steps.step("load", "the network's weights and scales into its block RAMs"):
            load(device, build, build, "alone")
    return Implementation(device, parts, placement)


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


def tables(plan: Plan, done: Implementation) -> Iterator[Table]:
    """What was reached, for a person to read."""
    table = Table(title=f"{plan.network} on {done.device.name}", title_justify="left")
    for title in ("", "LUT4", "FF", "block RAM", "multipliers"):
        table.add_column(title, justify="right" if title else "left")
    names = [layer.stage.name for layer in plan.layers]
    for name in [*names, *sorted(set(done.layers) - set(names))]:
        table.add_row(name, *_numbers(done.layers.get(name, Resources())))
    table.add_row("netlist", *_numbers(done.total), style="bold")
    table.add_row("placed", *_numbers(done.placement.used), style="bold")
    table.add_row(f"of {done.device.name}", *_numbers(done.device.has))
    yield table
    rates = Table(show_header=False)
    rate = done.placement.mhz * 1e6 / plan.cycles_per_image
    rates.add_row("clock", f"{done.placement.mhz:.1f} MHz at most, as nextpnr estimates it")
    rates.add_row(
        "speed", f"{plan.cycles_per_image:,.0f} cycles an image, {rate:,.0f} images/s at that clock"
    )
    rates.add_row(
        "for the area", f"{rate / done.placement.used.luts:,.0f} thousand images/s for each 1,000 LUT4"
    )
    yield rates


def _numbers(amount: Resources) -> Iterator[str]:
    yield from (f"{count:,}" for count in (amount.luts, amount.ffs, amount.memories, amount.multipliers))
