"""`python -m codegen bitstream` and `reload`: a network on a board or a device, and another one in its
place."""

import argparse
import shlex
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console

from codegen.arguments import (
    add_build_arguments,
    add_network_arguments,
    build_budget,
    build_folder,
    build_source,
    count,
    seed,
)
from codegen.budget import default_lanes
from codegen.build import built
from codegen.errors import UserError
from codegen.program import COMMANDS, spelled
from codegen.report import PAGE, change_report
from codegen.steps import Steps

from .boards import BOARDS, find_board
from .devices import DEVICES, find_device
from .implement import DEFAULT_MHZ, estimate_table, implement, section, tables
from .on_board import OnBoard
from .reload import reload
from .target import Alone

__all__ = ["add_bitstream", "add_reload"]


def add_bitstream(commands: Any) -> None:
    """The command that puts a network on a board or a device."""
    placing = commands.add_parser(
        "bitstream",
        help=COMMANDS["bitstream"][1],
        description="Build the accelerator of a network for a board, then synthesise, place and route it "
        "with Yosys and nextpnr, and write the file that the board loads: the accelerator at the highest "
        f"clock that closes, with a link to a host over the board's serial port ({spelled('host')}). "
        "With --device the accelerator stands alone, without pins, for its area and clock. Programs on PATH "
        "are used where there are recent ones, else those that pip installed.",
        epilog=f"Example: {spelled('bitstream', 'digits_w4a4 --board ulx3s')}",
    )
    add_build_arguments(placing)
    placing.add_argument(
        "--mhz",
        type=count,
        default=DEFAULT_MHZ,
        help="the clock to place and route for (default %(default)s)",
    )
    placing.add_argument(
        "--seed",
        type=seed,
        default=1,
        metavar="N",
        help="start of the placer's random numbers; another one gives another clock, most often by some per "
        "cent, at times by a quarter (default %(default)s)",
    )
    placing.add_argument(
        "--tries",
        type=count,
        default=1,
        metavar="N",
        help="place and route N times, from --seed and the numbers after it, as many at once as there are "
        "cores, and keep the fastest (default %(default)s)",
    )
    placing.add_argument("--board", metavar="NAME", help=f"the board to make a file for: {', '.join(BOARDS)}")
    placing.set_defaults(run=_bitstream)


def add_reload(commands: Any) -> None:
    """The command that fills a routed design anew."""
    loading = commands.add_parser(
        "reload",
        help=COMMANDS["reload"][1],
        description="Put the weights and scales of another network with the same layers, sizes and widths, "
        "trained longer or on other images, into a design that was routed with bitstream --reloadable on an "
        "ECP5. Only the contents of its block RAMs are replaced; nothing is synthesised, placed or routed.",
        epilog=f"Example: {spelled('reload', 'build/digits_w4a4-ulx3s runs/retrained')}",
    )
    loading.add_argument("build", type=Path, help="the folder of the routed design")
    add_network_arguments(loading)
    loading.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the bitstream to write (default reloaded.bit in that folder)",
    )
    loading.set_defaults(run=_reload)


def _bitstream(arguments: argparse.Namespace) -> int:
    if (arguments.device is None) == (arguments.board is None):
        raise UserError(
            f"--board or --device must say what to put the network on: --board {'|'.join(BOARDS)} for a file "
            f"to load, --device {'|'.join(DEVICES)} for area and clock alone"
        )
    board = None if arguments.board is None else find_board(arguments.board)
    console, steps = Console(), Steps(Console(stderr=True))
    source = build_source(arguments)
    room = board.room(prod(source.network.input.shape)) if board else find_device(arguments.device)
    folder = build_folder(arguments, f"{source.name}-{room.name}")
    macs = source.network.macs
    budget = build_budget(arguments, macs, room, default_lanes(macs) if board else None)
    with built(source, folder, budget, steps, force=arguments.force) as plan:
        placing = Steps(steps.console)
        target = Alone(plan, room) if board is None else OnBoard(plan, board)
        console.print(estimate_table(target))
        seeds = range(arguments.seed, arguments.seed + arguments.tries)
        done = implement(target, folder, arguments.mhz, placing, seeds)
        reached = section(done, placing)
        change_report(folder, lambda report: replace(report, fpga=reached))
    for table in tables(done):
        console.print(table)
    console.print(f"report: {folder / PAGE}", highlight=False, soft_wrap=True)
    if board is not None and done.file is not None:
        console.print(f"file: {done.file}", highlight=False, soft_wrap=True)
        _print_load(console, board.name, done.file)
    if source.note is not None:
        console.print(source.note, highlight=False, soft_wrap=True)
    return 0


def _reload(arguments: argparse.Namespace) -> int:
    source, console = build_source(arguments), Console()
    out = arguments.out or arguments.build / "reloaded.bit"
    with Steps(console).step("reload", "contents of the block RAMs"):
        target = reload(arguments.build, source, out)
    console.print(f"{out}: {source.name} in the design of {arguments.build}", highlight=False, soft_wrap=True)
    if target.has_pins:
        _print_load(console, target.name, out)
    return 0


def _print_load(console: Console, board: str, file: Path) -> None:
    command = BOARDS[board].load.format(file=shlex.quote(str(file)))
    console.print(f"load it: {command}", highlight=False, soft_wrap=True)
