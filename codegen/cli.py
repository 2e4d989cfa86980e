"""The command line: `python -m codegen`."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from codegen.ir import TestSet, UserError

from .budget import MACS_PER_LANE, MOST_LANES, Budget, default_lanes
from .build import build
from .faults import correct_of, study, weighted
from .faults_report import Study, study_table, write_study
from .fpga.boards import BOARDS, find_board
from .fpga.devices import DEVICES, Device, find_device
from .fpga.implement import DEFAULT_MHZ, estimate_table, implement, section, tables
from .fpga.on_board import OnBoard
from .fpga.reload import reload
from .fpga.target import Alone
from .host.cli import add_host_arguments, host
from .networks import Source, find_network
from .report import PAGE, Steps, read_report, write_report
from .stages import Bounds

__all__ = ["add_build_arguments", "build_budget", "build_folder", "build_source", "guarded", "main"]

_RATES = "1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,1e-1"


def guarded(command: Callable[[], int]) -> int:
    """Runs a command line: a user's mistake, or one of the disk, is one message and status 2, Ctrl-C status
    130, none of them a traceback."""
    try:
        return command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        what = f" '{error.filename}'" if error.filename else ""
        print(f"error: cannot read or write{what}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, run the same command to go on", file=sys.stderr)
        return 130


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a network."""
    parser.add_argument(
        "name",
        metavar="network",
        help="a recipe, a folder that training wrote, or a network.safetensors file; a recipe whose images "
        "come with scikit-learn is trained first if it is not yet",
    )
    parser.add_argument(
        "--network",
        type=Path,
        metavar="FILE",
        help="the trained network of the recipe, where it lies elsewhere",
    )


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what to build, the same wherever something is built."""
    add_network_arguments(parser)
    budget = parser.add_argument_group(
        "budget",
        "The folding of every layer is solved: the fewest cycles an image that the lanes allow, or the "
        "fewest lanes that reach a rate.",
    )
    budget.add_argument(
        "--lanes",
        type=_count,
        metavar="N",
        help=f"multiply-accumulate lanes at most (default one for every {MACS_PER_LANE} operations of an "
        f"image, at most {MOST_LANES:,})",
    )
    budget.add_argument(
        "--fps", type=_count, metavar="F", help="images a second, reached with the fewest lanes"
    )
    budget.add_argument("--clock", type=_count, metavar="MHZ", help="the clock that --fps counts with")
    budget.add_argument(
        "--memory",
        type=_bits,
        metavar="BITS",
        help="memory on chip at most, for weights too; k and M are understood",
    )
    budget.add_argument(
        "--device", metavar="NAME", help=f"as much as fits an FPGA, by an estimate: {', '.join(DEVICES)}"
    )
    budget.add_argument(
        "--plan",
        type=Path,
        metavar="FILE",
        help="take the folds of this file, as every build writes one (plan.toml)",
    )
    parser.add_argument(
        "--reloadable",
        action="store_true",
        help="make every engine wide enough for any weights of as many bits, not only for the network's own: "
        "a little larger, and other weights can be loaded into it",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder to write (default build/<network>)"
    )
    parser.add_argument("--force", action="store_true", help="write the folder even if it is up to date")


def _count(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, not '{text}'")
    return int(text)


def _seed(text: str) -> int:
    """A whole number from 0 up."""
    return 0 if text == "0" else _count(text)


def _rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = [-1.0]
    if not all(0 < rate <= 1 for rate in rates):
        raise argparse.ArgumentTypeError(
            f"must be numbers above 0 and up to 1 with commas between, not '{text}'"
        )
    return rates


def _bits(text: str) -> int:
    unit = {"k": 10**3, "m": 10**6}.get(text[-1:].lower())
    return _count(text) if unit is None else _count(text[:-1]) * unit


def build_folder(arguments: argparse.Namespace, name: str) -> Path:
    """The folder that the arguments ask for."""
    folder: Path = arguments.out or Path("build") / name
    return folder


def build_source(arguments: argparse.Namespace) -> Source:
    """The network that the arguments name. Raises ``UserError`` if there is none."""
    if arguments.network is None:
        return find_network(arguments.name)
    if not arguments.network.exists():
        raise UserError(f"--network must be a file that exists, not '{arguments.network}'")
    return find_network(str(arguments.network))


def build_budget(
    arguments: argparse.Namespace, macs: int, device: Device | None = None, lanes: int | None = None
) -> Budget:
    """The budget that the arguments give. ``device``: where the network is to be put, if that is no budget
    alone, with at most ``lanes`` unless the arguments say otherwise.

    Raises ``UserError`` for arguments that contradict each other.
    """
    names = ("lanes", "fps", "device") if device is None else ("lanes", "fps")
    told = [name for name in names if getattr(arguments, name) is not None]
    if arguments.plan is not None and told:
        raise UserError(f"--plan says how every layer is folded; leave out --{' and --'.join(told)}")
    if (arguments.fps is None) != (arguments.clock is None):
        raise UserError("--fps and --clock must be given together: a rate in images a second needs a clock")
    if arguments.plan is not None:
        device = None
    elif device is None and arguments.device is not None:
        device = find_device(arguments.device)
    clock = None if arguments.clock is None else arguments.clock * 1_000_000
    if told or arguments.plan is not None:
        lanes = arguments.lanes
    elif device is None:
        lanes = default_lanes(macs)
    interval = None if clock is None else clock // arguments.fps
    bounds = Bounds.TYPE if arguments.reloadable else Bounds.REAL
    return Budget(lanes, interval, arguments.memory, arguments.plan, clock, device, bounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m codegen",
        description="Turn an integer network into hardware.",
        epilog="Example: python -m codegen build digits_w4a4 --lanes 160",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    building = commands.add_parser(
        "build",
        help="write Verilog, weight images, test vectors, manifest and report",
        description="Write the accelerator of a network as a folder of Verilog, weight images, "
        "test vectors, a manifest and a report. The same network and the same budget "
        "give the same bytes.",
    )
    add_build_arguments(building)
    building.set_defaults(run=_build)
    placing = commands.add_parser(
        "bitstream",
        help="put a network on a board, or on a device for its area and clock",
        description="Build the accelerator of a network for a board, then synthesise, place and route it "
        "with Yosys and nextpnr, and write the file that the board loads: the accelerator at the highest "
        "clock that closes, with a link to a host over the board's serial port (python -m codegen host). "
        "With --device the accelerator stands alone, without pins, for its area and clock. Programs on PATH "
        "are used where there are recent ones, else those that pip installed.",
        epilog="Example: python -m codegen bitstream digits_w4a4 --board ulx3s",
    )
    add_build_arguments(placing)
    placing.add_argument(
        "--mhz",
        type=_count,
        default=DEFAULT_MHZ,
        help="the clock to place and route for (default %(default)s)",
    )
    placing.add_argument(
        "--seed",
        type=_seed,
        default=1,
        metavar="N",
        help="start of the placer's random numbers; another one gives another clock, most often by some per "
        "cent, at times by a quarter (default %(default)s)",
    )
    placing.add_argument(
        "--tries",
        type=_count,
        default=1,
        metavar="N",
        help="place and route N times, from --seed and the numbers after it, as many at once as there are "
        "cores, and keep the fastest (default %(default)s)",
    )
    placing.add_argument("--board", metavar="NAME", help=f"the board to make a file for: {', '.join(BOARDS)}")
    placing.set_defaults(run=_bitstream)
    talking = commands.add_parser(
        "host",
        help="show images to a board over its serial port",
        description="Show images to a board that carries a network, over its serial port, and say what it "
        "makes of them. Held-out images of the network are compared with the golden model, scores and "
        "classes, by equality.",
        epilog="Example: python -m codegen host digits_w4a4 --port /dev/ttyUSB0",
    )
    add_host_arguments(talking)
    talking.set_defaults(run=host)
    _add_faults(commands)
    _add_reload(commands)
    options = parser.parse_args(arguments)
    return guarded(lambda: int(options.run(options)))


def _add_faults(commands: Any) -> None:
    flipping = commands.add_parser(
        "faults",
        help="flip bits of the weight memories at random and see what it costs",
        description="Flip bits of the stored weight codes at random, each with the same probability, run the "
        "held-out images through the golden model of every network that this makes, and say what it costs in "
        "accuracy. Writes faults.json and faults.svg. The hardware of such a network, bit for bit, trial 0: "
        "python -m sim NETWORK --reloadable --flip RATE --seed SEED",
        epilog="Example: python -m codegen faults digits_w4a4 --rates 1e-3,1e-2 --by-layer",
    )
    add_network_arguments(flipping)
    flipping.add_argument(
        "--rates",
        type=_rates,
        default=_RATES,
        metavar="R,R,...",
        help="shares of the bits that flip (default %(default)s)",
    )
    flipping.add_argument("--trials", type=_count, default=20, help="networks a rate (default %(default)s)")
    flipping.add_argument("--seed", type=_seed, default=0, help="seed of the flips (default %(default)s)")
    flipping.add_argument("--images", type=_count, metavar="N", help="held-out images to run (default all)")
    where = flipping.add_mutually_exclusive_group()
    where.add_argument("--layer", metavar="NAME", help="flip bits of this layer alone")
    where.add_argument("--by-layer", action="store_true", help="flip bits of one layer alone, each in turn")
    flipping.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder to write (default build/<network>-faults)"
    )
    flipping.set_defaults(run=_faults)


def _add_reload(commands: Any) -> None:
    loading = commands.add_parser(
        "reload",
        help="put another network of the same shape into a routed design, in seconds",
        description="Put the weights and scales of another network with the same layers, sizes and widths, "
        "trained longer or on other images, into a design that was routed with bitstream --reloadable on an "
        "ECP5. Only the contents of its block RAMs are replaced; nothing is synthesised, placed or routed.",
        epilog="Example: python -m codegen reload build/digits_w4a4-ulx3s runs/retrained",
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


def _reload(arguments: argparse.Namespace) -> int:
    source, console = build_source(arguments), Console()
    out = arguments.out or arguments.build / "reloaded.bit"
    with Steps(console).step("reload", "contents of the block RAMs"):
        target = reload(arguments.build, source, out)
    console.print(f"{out}: {source.name} in the design of {arguments.build}", highlight=False, soft_wrap=True)
    if target.has_pins:
        _print_load(console, target.name, out)
    return 0


def _faults(arguments: argparse.Namespace) -> int:
    source, console = build_source(arguments), Console()
    if source.test_set is None:
        raise UserError(f"'{source.name}' must have held-out images beside it to be right or wrong; train it")
    images = source.images(arguments.images)
    test = TestSet(images, source.test_set.labels[: len(images)])
    layers = weighted(source.network) if arguments.by_layer else [arguments.layer]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("flip", total=len(layers) * len(arguments.rates) * arguments.trials)
        trials = study(
            source.network,
            test,
            arguments.rates,
            arguments.trials,
            arguments.seed,
            layers,
            lambda: progress.advance(task),
        )
        found = tuple(trials)
    done = Study(source.name, arguments.seed, len(images), correct_of(source.network, test), found)
    folder = build_folder(arguments, f"{source.name}-faults")
    write_study(done, folder)
    console.print(study_table(done))
    console.print(f"{folder}: faults.json, faults.svg", highlight=False, soft_wrap=True)
    return 0


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
    plan = build(source, folder, budget, steps, force=arguments.force)
    placing = Steps(steps.console)
    target = Alone(plan, room) if board is None else OnBoard(plan, board)
    console.print(estimate_table(target))
    seeds = range(arguments.seed, arguments.seed + arguments.tries)
    done = implement(target, folder, arguments.mhz, placing, seeds)
    write_report(folder, read_report(folder) | {"fpga": section(done, placing)})
    for table in tables(done):
        console.print(table)
    console.print(f"report: {folder / PAGE}", highlight=False, soft_wrap=True)
    if board is not None and done.file is not None:
        console.print(f"file: {done.file}", highlight=False, soft_wrap=True)
        _print_load(console, board.name, done.file)
    if source.note is not None:
        console.print(source.note, highlight=False, soft_wrap=True)
    return 0


def _print_load(console: Console, board: str, file: Path) -> None:
    command = BOARDS[board].load.format(file=shlex.quote(str(file)))
    console.print(f"load it: {command}", highlight=False, soft_wrap=True)


def _build(arguments: argparse.Namespace) -> int:
    console = Console(stderr=True)
    source = build_source(arguments)
    folder = build_folder(arguments, source.name)
    budget = build_budget(arguments, source.network.macs)
    plan = build(source, folder, budget, Steps(console), force=arguments.force)
    told = read_report(folder)
    console.print(
        f"{folder}: {plan.macs:,} MACs on {plan.lanes} lanes, "
        f"{told['cycles_per_image']['predicted']} cycles an image, "
        f"lane efficiency {told['lane_efficiency']:.3f} (predicted; python -m sim proves it)",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"report: {folder / PAGE}", highlight=False, soft_wrap=True)
    if source.note is not None:
        console.print(source.note, highlight=False, soft_wrap=True)
    return 0
