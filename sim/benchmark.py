"""The benchmark: `python -m sim.benchmark`, which is what `make bench` runs. It prints tables and
asserts nothing."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codegen.budget import Budget, default_lanes
from codegen.build import build
from codegen.cli import guarded
from codegen.ir import UserError
from codegen.networks import Source, find_network
from codegen.plan import Plan
from codegen.planner import make_plan
from codegen.report import Steps

from .ports import NO_STALL
from .run import bench, simulate

__all__ = ["main"]

BUDGETS = (16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256, 384, 512)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sim.benchmark",
        description="Measure a network's accelerator: the folding that each lane budget buys, then one "
        "budget in Verilator. Times are those of this machine at this moment; cycles are exact.",
    )
    parser.add_argument("network", help="a trained recipe, a folder, or a network.safetensors file")
    parser.add_argument("--lanes", type=int, help="budget to simulate")
    parser.add_argument("--images", type=int, help="images to simulate (default all)")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    console = Console()
    source = find_network(options.network)
    console.print(_curve(source))
    console.print(_measured(source, options.lanes or default_lanes(source.network.macs), options.images))
    return 0


def _curve(source: Source) -> Table:
    table = Table(
        "budget", "lanes used", "cycles an image", "bound MACs/lanes", "lane efficiency", "folds PE x SIMD"
    )
    table.title = f"{source.name}: {source.network.macs:,} MACs an image, folding by budget (predicted)"
    for budget in BUDGETS:
        try:
            plan = make_plan(source, Budget(lanes=budget), Steps(Console(quiet=True)))
        except UserError as error:
            table.add_row(str(budget), "-", "-", "-", "-", str(error))
            continue
        cycles = plan.cycles_per_image
        folds = " ".join(f"{layer.fold.pe}x{layer.fold.simd}" for layer in plan.layers if layer.lanes)
        efficiency = f"{plan.lane_efficiency(cycles):.3f}"
        table.add_row(
            str(budget), str(plan.lanes), f"{cycles:,g}", f"{plan.macs / plan.lanes:,.1f}", efficiency, folds
        )
    return table


def _measured(source: Source, lanes: int, count: int | None) -> Table:
    """One budget, built in a folder of its own, compiled anew only if this very design was never
    compiled here."""
    steps = Steps(Console(quiet=True))
    images = source.images(count)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "build"
        plan = build(source, out, Budget(lanes=lanes), steps)
        with steps.step("compile", ""):
            bench(out).compile()
        with steps.step("simulate", ""):
            outcome = simulate(out, plan, source, images, NO_STALL)
    return _table(source.name, plan, steps, outcome.image_ends[-1] + 1, len(images), outcome.mismatches)


def _table(name: str, plan: Plan, steps: Steps, cycles: int, images: int, mismatches: int) -> Table:
    table = Table("step", "seconds", "peak memory MB", "what")
    table.title = f"{name} on {plan.lanes} lanes in Verilator: {images} images, {mismatches} mismatches"
    rows = {row["name"]: row for row in steps.rows}
    told = {
        "simulate": f"{cycles:,} cycles, {cycles / rows['simulate']['seconds']:,.0f} a second, all included"
    }
    for step, row in rows.items():
        table.add_row(step, f"{row['seconds']:.2f}", f"{row['peak_rss_bytes'] / 1e6:.0f}", told.get(step, ""))
    return table


if __name__ == "__main__":
    sys.exit(main())
