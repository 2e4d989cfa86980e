"""The command line: `python -m codegen`."""

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from codegen.program import COMMANDS, guarded, spelled, started_as

from .arguments import add_build_arguments, build_budget, build_folder, build_source
from .build import build
from .faults.cli import add_faults
from .fpga.cli import add_bitstream, add_reload
from .host.cli import add_host
from .report import PAGE, tidy
from .stages import fuse
from .steps import Steps

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog=started_as("codegen"),
        description="Turn an integer network into hardware.",
        epilog=f"Example: {spelled('build', 'digits_w4a4 --lanes 160')}",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_build, add_bitstream, add_host, add_faults, add_reload):
        add(commands)
    options = parser.parse_args(arguments)
    return guarded(lambda: int(options.run(options)))


def _add_build(commands: Any) -> None:
    building = commands.add_parser(
        "build",
        help=COMMANDS["build"][1],
        description="Write the accelerator of a network as a folder of Verilog, weight images, "
        "test vectors, a manifest and a report. The same network and the same budget "
        "give the same bytes.",
    )
    add_build_arguments(building)
    building.add_argument(
        "--check", action="store_true", help="say whether every layer has an engine, and write nothing"
    )
    building.set_defaults(run=_build)


def _build(arguments: argparse.Namespace) -> int:
    console = Console(stderr=True)
    source = build_source(arguments)
    if arguments.check:
        stages = fuse(source.network)
        console.print(f"{source.name} can be built: {len(stages)} engines", highlight=False, soft_wrap=True)
        return 0
    folder = build_folder(arguments, source.name)
    budget = build_budget(arguments, source.network.macs)
    plan = build(source, folder, budget, Steps(console), force=arguments.force)
    cycles = plan.cycles_per_image
    console.print(
        f"{folder}: {plan.macs:,} MACs on {plan.lanes} lanes, {tidy(cycles)} cycles an image, "
        f"lane efficiency {plan.lane_efficiency(cycles):.3f} (predicted; {spelled('sim')} proves it)",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"report: {folder / PAGE}", highlight=False, soft_wrap=True)
    if source.note is not None:
        console.print(source.note, highlight=False, soft_wrap=True)
    return 0
