"""The arguments that command lines share."""

import argparse
from pathlib import Path

from codegen.errors import UserError

from .budget import MACS_PER_LANE, MOST_LANES, Budget, default_lanes
from .fpga.devices import DEVICES, Device, find_device
from .networks import Source, find_network
from .stages import Bounds

__all__ = [
    "add_build_arguments",
    "add_network_arguments",
    "build_budget",
    "build_folder",
    "build_source",
    "count",
    "seed",
]


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a network."""
    parser.add_argument(
        "name",
        metavar="network",
        help="a recipe or its file, a folder that training wrote, or a network.safetensors file; a recipe "
        "whose images come with scikit-learn is trained first if it is not yet",
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
        type=count,
        metavar="N",
        help=f"multiply-accumulate lanes at most (default one for every {MACS_PER_LANE} operations of an "
        f"image, at most {MOST_LANES:,})",
    )
    budget.add_argument(
        "--fps", type=count, metavar="F", help="images a second, reached with the fewest lanes"
    )
    budget.add_argument("--clock", type=count, metavar="MHZ", help="the clock that --fps counts with")
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


def count(text: str) -> int:
    """A whole number from 1 up."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, not '{text}'")
    return int(text)


def seed(text: str) -> int:
    """A whole number from 0 up."""
    return 0 if text == "0" else count(text)


def _bits(text: str) -> int:
    unit = {"k": 10**3, "m": 10**6}.get(text[-1:].lower())
    return count(text) if unit is None else count(text[:-1]) * unit
