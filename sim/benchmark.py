"""The benchmark: `python -m sim.benchmark`, which is what `make bench` runs. It prints tables and asserts
nothing but equality."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from codegen.budget import Budget, default_lanes
from codegen.build import build
from codegen.cycles import steady_interval
from codegen.errors import UserError
from codegen.files import write_atomically
from codegen.fold import fold
from codegen.networks import Source, find_network
from codegen.plan import Plan, requantise_forms, size
from codegen.program import guarded
from codegen.report import tidy
from codegen.stages import MatrixVectorStage, fuse
from codegen.steps import Steps

from .ports import NO_STALL
from .run import bench, simulate

__all__ = ["Losses", "Row", "losses", "main"]

RESULTS = Path("build/bench.json")
EVERY: tuple[tuple[str, int], ...] = (
    ("digits_w8a8", 80),
    ("digits_w4a4", 80),
    ("digits_w2a2", 80),
    ("digits_w1a1", 80),
    ("alexnet_w8a8", 1024),
    ("alexnet_w8a8", 2048),
    ("alexnet_w4a4", 1024),
    ("vgg_small_w1a1", 1024),
    ("vgg_small_w1a1", 2273),
)
CURVE = "digits_w4a4"
BUDGETS = range(16, 513)
UNTRAINED_IMAGES = 4  # of large networks: the last intervals between them are equal


@dataclass(frozen=True)
class Losses:
    """Where the lane-cycles between two images go; they add up to interval x lanes.

    ``useful``: the network's own operations. ``rounding``: folds that do not divide their layer.
    ``balance``: lanes of layers that are done before the slowest. ``waiting``: all lanes, where layers wait
    for each other.
    """

    useful: int
    rounding: int
    balance: int
    waiting: int


@dataclass(frozen=True)
class Row:
    """What was measured of one network at one budget: cycles are exact, times are those of this machine."""

    network: str
    budget: int
    lanes: int
    macs: int
    images: int
    predicted: float
    interval: float
    first_image: int
    equal: bool
    losses: Losses
    fc_weight_bits: int
    seconds: dict[str, float]
    peak_bytes: dict[str, int]
    cycles: int

    @property
    def efficiency(self) -> float:
        """MACs / (cycles between images x lanes)."""
        return self.macs / (self.interval * self.lanes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 1 if any value or cycle was not equal."""
    parser = argparse.ArgumentParser(
        prog="python -m sim.benchmark",
        description="Build, compile and simulate networks, and print what they cost and how well they use "
        "their lanes. The interval between images is measured in the simulated hardware, over the second "
        "half of the run. Times are those of this machine at this moment; cycles are exact. Every value and "
        "every cycle is compared as `python -m sim` does.",
        epilog="Example: python -m sim.benchmark alexnet_w8a8 --lanes 2048 --images 3",
    )
    parser.add_argument(
        "network", nargs="?", help="a recipe, a folder or a network.safetensors file (default all recipes)"
    )
    parser.add_argument("--lanes", type=int, help="the budget (default the one that a build takes)")
    parser.add_argument("--images", type=int, help="images to simulate (default all held out, or 4)")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    console = Console(width=None if sys.stdout.isatty() else 150)
    rows: list[Row] = []
    for name, _ in _jobs(options):
        find_network(name)  # what must be trained first is, and says so itself
    try:
        with Live(_first_table(rows), console=console, refresh_per_second=1) as live:
            for name, lanes in _jobs(options):
                live.update(_first_table(rows, f"now {name}, {lanes or 'default'} lanes"))
                rows.append(_apart(name, lanes, options.images))
                live.update(_first_table(rows))
    finally:
        if rows:
            console.print(_second_table(rows))
            RESULTS.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(RESULTS, (json.dumps([asdict(row) for row in rows], indent=2) + "\n").encode())
    source = find_network(options.network or CURVE)
    if default_lanes(source.network.macs) in BUDGETS:
        console.print(_curve(source))
    return 0 if all(row.equal for row in rows) else 1


def _jobs(options: argparse.Namespace) -> Sequence[tuple[str, int | None]]:
    """Networks and their budgets."""
    return EVERY if options.network is None else [(options.network, options.lanes)]


def _apart(name: str, lanes: int | None, count: int | None) -> Row:
    """A row measured in a process of its own, so that its peaks of memory are not those of an earlier one."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, name, lanes, count).result()


def _measured(name: str, lanes: int | None, count: int | None) -> Row:
    """One budget, built in a folder of its own and compiled anew."""
    source = find_network(name)
    budget = lanes or default_lanes(source.network.macs)
    steps = Steps(Console(stderr=True, quiet=sys.stdout.isatty()))  # there the table itself is live
    images = source.sample(count or (None if source.test_set is not None else UNTRAINED_IMAGES)).images
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "build"
        with steps.step("build", f"{source.name}, {budget:,} lanes"):
            plan = build(source, out, Budget(lanes=budget), Steps(Console(quiet=True)))
        with steps.step("compile", "Verilator, then g++"):
            bench(out).compile(anew=True)
        with steps.step("simulate", f"{len(images)} images"):
            outcome = simulate(out, plan, source, images, NO_STALL)
    interval = steady_interval(outcome.image_ends)
    return Row(
        source.name,
        budget,
        plan.lanes,
        plan.macs,
        len(images),
        outcome.prediction.cycles_per_image,
        interval,
        outcome.image_ends[0] + 1,
        not (outcome.verdict.values or outcome.verdict.cycles),
        losses(plan, round(interval)),
        _fc_weight_bits(plan),
        {row.name: row.seconds for row in steps.rows},
        {row.name: row.peak_rss_bytes for row in steps.rows},
        outcome.image_ends[-1] + 1,
    )


def losses(plan: Plan, interval: int) -> Losses:
    """Where the lanes of a plan spend ``interval`` cycles."""
    lanes = [(layer.lanes, layer.timing.window.steps) for layer in plan.layers]
    rounding = sum(count * steps for count, steps in lanes) - plan.macs
    balance = sum(count * (plan.pace - steps) for count, steps in lanes)
    return Losses(plan.macs, rounding, balance, plan.lanes * (interval - plan.pace))


def _fc_weight_bits(plan: Plan) -> int:
    """Bits of the weights that are used once an image: those of layers with a single window."""
    stages = [layer.stage for layer in plan.layers if isinstance(layer.stage, MatrixVectorStage)]
    once = [stage for stage in stages if stage.result.rows * stage.result.columns == 1]
    return sum(stage.weights.codes.size * stage.weights.bits for stage in once)


def _first_table(rows: Sequence[Row], caption: str | None = None) -> Table:
    table = Table(title="Built, compiled and simulated", caption=caption)
    for name in (
        "network", "lanes", "cycles an image\npredicted", "\nsimulated", "lane\nefficiency", "MACs\na cycle",
        "first image\nafter", "build\ns", "compile\ns", "simulated\ncycles/s",
        "peak MB: build,\ncompile, simulate",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "network" else "right")
    for row in rows:
        peaks = (f"{row.peak_bytes[step] / 1e6:,.0f}" for step in ("build", "compile", "simulate"))
        table.add_row(
            row.network,
            f"{row.lanes:,}",
            f"{tidy(row.predicted):,}",
            f"{tidy(row.interval):,}" if row.equal else "[red]NOT EQUAL[/red]",
            f"{row.efficiency:.3f}",
            f"{row.macs / row.interval:,.1f}",
            f"{row.first_image:,}",
            f"{row.seconds['build']:.1f}",
            f"{row.seconds['compile']:.1f}",
            f"{row.cycles / row.seconds['simulate']:,.0f}",
            ", ".join(peaks),
        )
    return table


def _second_table(rows: Sequence[Row]) -> Table:
    table = Table(title="The lower bound, and what the difference is made of, in shares of all lane-cycles")
    for name in (
        "network", "lanes", "bound:\nMACs / lanes", "cycles\nan image", "folds that do\nnot divide",
        "layers faster than\nthe slowest", "layers that\nwait", "FC weights\nMbit", "FC weight bits\na cycle",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "network" else "right")
    for row in rows:
        spent = round(row.interval) * row.lanes
        parts = row.losses.rounding, row.losses.balance, row.losses.waiting
        table.add_row(
            row.network,
            f"{row.lanes:,}",
            f"{row.macs / row.lanes:,.1f}",
            f"{tidy(row.interval):,}",
            *(f"{100 * part / spent:.2f} %" for part in parts),
            f"{row.fc_weight_bits / 1e6:,.2f}",
            f"{row.fc_weight_bits / row.interval:,.1f}",
        )
    table.caption = (
        "Weights lie in ROM beside their lanes, all read at once, so their bandwidth is no bound; from one "
        "external memory of B bits a cycle an image would take at least FC weights / B cycles."
    )
    return table


def _curve(source: Source) -> Table:
    """What each budget buys, as the cycle model says; budgets with the same folds in one row."""
    table = Table(title=f"{source.name}: what each budget of lanes buys (predicted)")
    for name in ("budget", "lanes", "cycles an image", "bound MACs/lanes", "lane efficiency", "PE x SIMD"):
        table.add_column(name, justify="left" if name in ("budget", "PE x SIMD") else "right")
    good = 0
    for first, last, plan in _plans(source):
        cycles = plan.cycles_per_image
        efficiency = plan.lane_efficiency(cycles)
        good += (last - first + 1) * (efficiency >= 0.95)
        folds = [(layer.fold.pe, layer.fold.simd, layer.fold.pixels) for layer in plan.layers if layer.lanes]
        table.add_row(
            f"{first}" if first == last else f"{first}-{last}",
            f"{plan.lanes:,}",
            f"{tidy(cycles):,}",
            f"{plan.macs / plan.lanes:,.1f}",
            f"{efficiency:.3f}",
            " ".join(f"{pe}x{simd}" + f"x{pixels}" * (pixels > 1) for pe, simd, pixels in folds),
        )
    table.caption = f"at least 0.95 at {good} of {len(BUDGETS)} budgets"
    return table


def _plans(source: Source) -> Iterator[tuple[int, int, Plan]]:
    """(first budget, last budget, plan) for each run of budgets with the same folds."""
    stages = fuse(source.network)
    forms = requantise_forms(stages)
    budgets: list[int] = []
    before = None
    for budget in [*BUDGETS, None]:
        try:
            folds = None if budget is None else fold(stages, budget)
        except UserError:
            continue  # fewer lanes than layers
        if folds != before and before is not None:
            yield budgets[0], budgets[-1], size(source.network, stages, before, forms)
            budgets = []
        before = folds
        budgets += [] if budget is None else [budget]


if __name__ == "__main__":
    sys.exit(main())
