"""Synthesis, place and route of a network for what it is put on, and what they reach."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from rich.table import Table

from codegen.errors import UserError
from codegen.files import held
from codegen.report.schema import Estimate, Fpga
from codegen.steps import Steps

from .devices import Device, Resources
from .estimate import estimate
from .netlist import Netlist
from .placement import ROUTED, Placement
from .reload import CARRIER, carrier, filled, is_loadable, load
from .synthesis import resources
from .target import Target

__all__ = [
    "DEFAULT_MHZ",
    "Implementation",
    "check_fits",
    "estimate_table",
    "implement",
    "netlist_of",
    "section",
    "tables",
]

DEFAULT_MHZ = 150
"""The clock that is placed and routed for unless another is asked for."""


@dataclass(frozen=True)
class Implementation:
    """A placed design: ``layers`` is what the netlist has for each layer, by name. ``mhz``: the clock that it
    runs at, and ``file``: its bitstream, if it has one."""

    target: Target
    layers: dict[str, Resources]
    placement: Placement
    mhz: float
    file: Path | None = None

    @property
    def total(self) -> Resources:
        """What the netlist has."""
        return sum(self.layers.values(), Resources())


def netlist_of(target: Target, build: Path) -> Netlist:
    """The netlist of the network that was built in the folder ``build``. Raises ``UserError`` if Yosys
    fails."""
    if is_loadable(target):
        return filled(carrier(target, build), target, build)
    return target.synthesise(build)


def implement(
    target: Target, build: Path, mhz: float, steps: Steps, seeds: Sequence[int] = (1,)
) -> Implementation:
    """Synthesis, place and route of the network that was built in the folder ``build``, for a clock of
    ``mhz`` or as near as it gets from the random numbers of any of the ``seeds``.

    Raises ``UserError`` if a tool fails or the device is too small.
    """
    with held(build / target.name):
        return _implement(target, build, mhz, steps, seeds)


def _implement(target: Target, build: Path, mhz: float, steps: Steps, seeds: Sequence[int]) -> Implementation:
    loadable, device = is_loadable(target), target.device
    place = CARRIER if loadable else ""
    with steps.step("netlist", f"Yosys, cells of {device.name}"):
        netlist = carrier(target, build) if loadable else target.synthesise(build)
    parts = {part: resources(netlist, cells) for part, cells in netlist.parts(target.layer_of).items()}
    check_fits(target.plan.network, device, sum(parts.values(), Resources()))
    times = f" {len(seeds)} times" if len(seeds) > 1 else ""
    with steps.step("place", f"nextpnr, place and route{times}"):
        placement, clock = target.place(netlist, build / place, mhz, seeds)
    file = None
    if loadable:
        with steps.step("load", "the network's weights and scales into its block RAMs"):
            file = load(target, build, build, target.file(build))
    elif target.has_pins:
        with steps.step("pack", "the file to load"):
            file = target.pack(ROUTED, build, target.file(build))
    target.stamp_routed(build, place)
    return Implementation(target, parts, placement, clock, file)


def check_fits(network: str, device: Device, needed: Resources) -> None:
    """Raises ``UserError`` with what is short if a device has not what a network needs."""
    short = needed.beyond(device.limit)
    if short:
        raise UserError(
            f"'{network}' must fit {device.name} with a quarter of its logic left to place and route, and "
            f"takes {', '.join(short)}; give it other --lanes, or train it with fewer bits"
        )


def expected(target: Target) -> dict[str, Resources]:
    """What each layer will take by the estimate, and what stands beside them."""
    plan, family = target.plan, target.device.family
    if not target.has_pins:
        return estimate(plan, family)
    return estimate(replace(plan, argmax=None), family) | {"link": target.device.beside}  # which has one


def section(done: Implementation, steps: Steps) -> Fpga:
    """What was reached, for the report of the build; ``steps`` are those of ``implement``."""
    estimates = expected(done.target)
    rate, link = done.mhz * 1e6 / done.target.plan.cycles_per_image, done.target.link_images_per_second
    return Fpga(
        device=done.target.device.name,
        estimate=Estimate(estimates, sum(estimates.values(), Resources())),
        layers=done.layers,
        total=done.total,
        placed=done.placement.used,
        available=done.target.device.has,
        clock_mhz=round(done.mhz, 3),
        seed=done.placement.seed,
        images_per_second=round(rate, 3),
        link_images_per_second=None if link is None else round(link, 3),
        steps=tuple(steps.rows),
    )


def estimate_table(target: Target) -> Table:
    """What is to be expected, for a person to read before anything is synthesised."""
    device, found = target.device, expected(target)
    table = _table(f"{target.plan.network} on {device.name}, estimated")
    for name, amount in found.items():
        table.add_row(name, *_numbers(amount))
    table.add_row("all", *_numbers(sum(found.values(), Resources())), style="bold")
    table.add_row(f"of {device.name}", *_numbers(device.has))
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("", "LUT4", "FF", "block RAM", "multipliers"):
        table.add_column(name, justify="right" if name else "left")
    return table


def tables(done: Implementation) -> Iterator[Table]:
    """What was reached, for a person to read."""
    plan, device = done.target.plan, done.target.device
    table = _table(f"{plan.network} on {device.name}")
    names = [layer.stage.name for layer in plan.layers]
    for name in [*names, *sorted(set(done.layers) - set(names))]:
        table.add_row(name, *_numbers(done.layers.get(name, Resources())))
    table.add_row("netlist", *_numbers(done.total), style="bold")
    told = sum(expected(done.target).values(), Resources())
    table.add_row("estimate", *_numbers(told))
    table.add_row("its error", *_errors(told, done.total))
    table.add_row("placed", *_numbers(done.placement.used), style="bold")
    table.add_row(f"of {device.name}", *_numbers(device.has))
    yield table
    rates = Table(show_header=False)
    rate = done.mhz * 1e6 / plan.cycles_per_image
    runs = f"{done.mhz:.1f} MHz, " if done.target.has_pins else ""
    seed = f", from seed {done.placement.seed}" if done.placement.seed != 1 else ""
    rates.add_row("clock", f"{runs}{done.placement.mhz:.1f} MHz at most, as nextpnr estimates it{seed}")
    rates.add_row(
        "speed", f"{plan.cycles_per_image:,.0f} cycles an image, {rate:,.0f} images/s at that clock"
    )
    link = done.target.link_images_per_second
    if link is not None:
        rates.add_row("its link", f"{link:,.0f} images/s at most over the serial line, whatever the clock")
    rates.add_row(
        "for the area", f"{1000 * rate / done.placement.used.luts:,.0f} images/s for each 1,000 LUT4"
    )
    yield rates


def _numbers(amount: Resources) -> Iterator[str]:
    yield from (f"{count:,}" for count in astuple(amount))


def _errors(estimated: Resources, found: Resources) -> Iterator[str]:
    """How far an estimate is off, in per cent of what there is."""
    for told, count in zip(astuple(estimated), astuple(found), strict=True):
        yield f"{100 * (told - count) / count:+.1f} %" if count else "-"
