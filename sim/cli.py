"""The command line: `python -m sim`, which is what `make sim` runs."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from codegen.arguments import add_build_arguments, build_budget, build_folder, build_source
from codegen.budget import default_lanes
from codegen.build import built, write_contents
from codegen.errors import UserError
from codegen.faults.study import flip
from codegen.files import scratch
from codegen.fpga.boards import Board, find_board
from codegen.fpga.devices import DEVICES, find_device
from codegen.fpga.implement import DEFAULT_MHZ, implement
from codegen.fpga.on_board import OnBoard
from codegen.ir import class_text
from codegen.networks import Source
from codegen.plan import Plan
from codegen.program import guarded, spelled
from codegen.report import PAGE, Report, change_report
from codegen.steps import Step, Steps

from .board import Model, board_model, talk
from .netlist import simulate_netlist
from .ports import Stall
from .run import Outcome, bench, forget_simulation, simulate, with_simulation
from .tables import layers_table, show_differences, summary_table
from .unpacked import check_unpacks, unpacked_model
from .verilator_bench import ProtocolError
from .watchdog import Stuck

__all__ = ["main"]

_LATEST = 2
"""So many images are on their way to a board: on a noisy line any of them may be the last to arrive."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status: 1 if the hardware is not equal to the golden
    model."""
    parser = argparse.ArgumentParser(
        prog=spelled("sim"),
        description="Build the accelerator of a network if it is not built yet, run images through it "
        "in Verilator, back to back, and compare every value of every layer with the golden model, and the "
        "cycle of every beat with the prediction. All comparisons are ==.",
        epilog=f"Example: {spelled('sim', 'digits_w4a4 --images 20 --stall 0.3')}",
    )
    add_build_arguments(parser)
    parser.add_argument("--images", type=int, metavar="N", help="held-out images to run (default all)")
    parser.add_argument(
        "--stall",
        type=_probability,
        default=0.0,
        metavar="P",
        help="probability, 0 to 0.95, that the bench pauses its input or refuses an output in a cycle",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--flip",
        type=float,
        metavar="RATE",
        help=f"flip each bit of the weight ROMs with this probability, as trial 0 of {spelled('faults')} "
        "does, and compare with the golden model of the flipped network; needs --reloadable",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the stalls and the flips (default %(default)s)"
    )
    what.add_argument(
        "--netlist",
        metavar="DEVICE",
        help=f"simulate the netlist of the accelerator for a device instead: {', '.join(DEVICES)}",
    )
    what.add_argument(
        "--board",
        action="store_true",
        help=f"simulate a whole board instead, and let {spelled('host')} show it the images over its "
        "simulated serial port",
    )
    what.add_argument(
        "--bitstream",
        metavar="BOARD",
        help="the same with the packed file for a board with an iCE40, unpacked to what its bits make of the "
        "device (icebox_vlog, of the system's package fpga-icestorm, must be on PATH)",
    )
    parser.add_argument(
        "--noise",
        type=_probability,
        default=0.0,
        metavar="P",
        help="probability that a byte on that line comes with a bit turned round (default %(default)s)",
    )
    parser.add_argument(
        "--waves",
        action="store_true",
        help="write every signal of the run into the build's folder, as dump.fst where the headers of lz4 "
        "and zlib are installed, else as dump.vcd",
    )
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 0.95:
        raise argparse.ArgumentTypeError(f"must be a probability from 0 to 0.95, not '{text}'")
    return value


def _run(options: argparse.Namespace) -> int:
    if options.board or options.bitstream is not None:
        return _run_board(options)
    if options.noise:
        raise UserError("--noise is on a board's serial line; give --board or --bitstream too")
    if options.flip is not None:
        return _run_flipped(options)
    if options.netlist is not None:
        return _run_netlist(options)
    console = Console()
    source = build_source(options)
    sample = source.sample(options.images)
    folder = build_folder(options, source.name)
    steps, stall = Steps(console), Stall(options.stall, options.seed)
    budget = build_budget(options, source.network.macs)
    with built(source, folder, budget, steps, force=options.force) as plan:
        change_report(folder, lambda report: forget_simulation(report, source.network))
        with steps.step("compile", "Verilator, then g++"):
            bench(folder, waves=options.waves).compile()
        stalls = f", stalls {stall.probability}" if stall.probability else ""
        with steps.step("simulate", f"{len(sample)} images back to back{stalls}"):
            outcome = _simulate(folder, plan, source, sample.images, stall, options.waves)

        def seen(report: Report) -> Report:
            done = _merged([*_training(source.path), *report.steps], steps.rows)
            return replace(with_simulation(report, plan, outcome, source, sample, stall), steps=done)

        report = change_report(folder, seen)
    _show(console, report, outcome, folder, source.note)
    return 1 if outcome.verdict.values or outcome.verdict.cycles else 0


def _run_netlist(options: argparse.Namespace) -> int:
    """The outputs of the netlist against the golden model; nothing inside it can be watched."""
    if options.stall or options.waves:
        raise UserError("--netlist compares outputs and their cycles only; leave out --stall and --waves")
    device, console, source = find_device(options.netlist), Console(), build_source(options)
    images, folder, steps = (
        source.sample(options.images).images,
        build_folder(options, source.name),
        Steps(console),
    )
    budget = build_budget(options, source.network.macs)
    what = f"Yosys for {device.name}, Verilator, {len(images)} images"
    with (
        built(source, folder, budget, steps, force=options.force) as plan,
        steps.step("netlist", what),
    ):
        outcome = simulate_netlist(folder, plan, source, images, device)
    for difference in (*outcome.verdict.values, *outcome.verdict.cycles):
        console.print(f"[red]not equal[/red]  {difference}", highlight=False, soft_wrap=True)
    wrong = bool(outcome.verdict.values or outcome.verdict.cycles)
    console.print(
        f"{outcome.values:,} outputs of {len(images)} images from the netlist for {device.name}: "
        + ("NOT EQUAL" if wrong else "all equal, in the predicted cycles"),
        highlight=False,
        soft_wrap=True,
    )
    return int(wrong)


def _run_board(options: argparse.Namespace) -> int:
    """The real host program, a simulated board, and a serial line between them."""
    if options.stall or options.waves:
        raise UserError("a board has a serial line and no streams; leave out --stall and --waves")
    board = None if options.bitstream is None else find_board(options.bitstream)
    console, source = Console(), build_source(options)
    room = None if board is None else board.room(prod(source.network.input.shape))
    name = source.name if board is None else f"{source.name}-{board.name}"
    images, folder, steps = source.sample(options.images).images, build_folder(options, name), Steps(console)
    macs = source.network.macs
    budget = build_budget(options, macs, room, default_lanes(macs))
    shown = [str(options.network or options.name), "--images", str(len(images))]
    with built(source, folder, budget, steps, force=options.force) as plan:
        if board is None:
            with steps.step("compile", "the board: Amaranth, Yosys, Verilator, g++"):
                model = board_model(plan, folder)
        else:
            model = _unpacked(board, plan, folder, steps)
        outcome = talk(model, plan, folder, shown, options.noise)
    shown_last = source.network.run(images[-_LATEST if options.noise else -1 :]).ravel().tolist()
    right = outcome.latest in shown_last
    console.print(
        f"the LEDs show class {class_text(source.network.classes, outcome.latest)}"
        + (", as the last image" if right else f", NOT {shown_last[-1]} as the last image"),
        highlight=False,
        soft_wrap=True,
    )
    return outcome.status or int(not right)


def _unpacked(board: Board, plan: Plan, folder: Path, steps: Steps) -> Model:
    """What the bits of the file for a board make of it; the file is made first if it is not there."""
    check_unpacks(board)
    target = OnBoard(plan, board)
    file = target.file(folder)
    if not target.is_routed(folder):
        implement(target, folder, DEFAULT_MHZ, steps)
    with steps.step("unpack", f"{file}: icepack, icebox_vlog, Verilator, g++"):
        return unpacked_model(file, board, folder)


def _run_flipped(options: argparse.Namespace) -> int:
    """The accelerator as it was built and compiled, with flipped bits in the ROM files that it reads."""
    if not options.reloadable:
        raise UserError(
            "--flip needs --reloadable: sums of flipped weights may leave accumulators that are only as wide "
            "as the network's own weights need"
        )
    console, source = Console(), build_source(options)
    flipped = flip(source.network, options.flip, options.seed)
    sample, folder, steps = source.sample(options.images), build_folder(options, source.name), Steps(console)
    images = sample.images
    budget, noisy = build_budget(options, source.network.macs), replace(source, network=flipped.network)
    stall = Stall(options.stall, options.seed)
    with (
        built(source, folder, budget, steps, force=options.force) as plan,
        scratch(folder / "loaded") as roms,
    ):
        write_contents(noisy, folder, roms)
        with steps.step("compile", "Verilator, then g++"):
            bench(folder, waves=options.waves).compile()
        what = f"{len(images)} images, {flipped.flips:,} flipped bits of {flipped.bits:,}"
        with steps.step("simulate", what):
            outcome = _simulate(folder, plan, noisy, images, stall, options.waves, roms)
    show_differences(console, outcome)
    for name, network in (("as trained", source.network), ("flipped", flipped.network)):
        if (correct := sample.correct(network.run(images))) is not None:
            share = f"{100 * correct / len(images):.2f} %"
            console.print(f"{name:<11}{correct} of {len(images)} right, {share}", highlight=False)
    total, wrong = outcome.compared, bool(outcome.verdict.values or outcome.verdict.cycles)
    console.print(
        f"{len(images)} images, with {total:,} values in all layers: "
        + ("NOT EQUAL" if wrong else "all equal to the golden model of the flipped network"),
        highlight=False,
        soft_wrap=True,
    )
    return int(wrong)


def _simulate(
    folder: Path,
    plan: Plan,
    source: Source,
    images: NDArray[np.integer],
    stall: Stall,
    waves: bool,
    contents: Path | None = None,
) -> Outcome:
    try:
        return simulate(folder, plan, source, images, stall, waves=waves, contents=contents)
    except (Stuck, ProtocolError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def _training(network: Path | None) -> list[Step]:
    """The training of a network as a step, if its run lies beside it and says what it took."""
    if network is None:
        return []
    try:
        run = json.loads(network.with_name("run.json").read_text())
        return [Step("train", float(run["seconds"]), int(run["peak_rss_bytes"]))]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _merged(earlier: Sequence[Step], now: Sequence[Step]) -> tuple[Step, ...]:
    """The steps of training and of the build as they were made, then those of this run: each name once."""
    return (*{row.name: row for row in [*earlier, *now]}.values(),)


def _show(console: Console, report: Report, outcome: Outcome, folder: Path, note: str | None) -> None:
    show_differences(console, outcome)
    console.print(layers_table(report))
    console.print(summary_table(report, outcome))
    console.print(f"report: {folder / PAGE}", highlight=False, soft_wrap=True)
    if note is not None:
        console.print(note, highlight=False, soft_wrap=True)
