"""The command line: `python -m codegen`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from codegen.ir import UserError

from .build import DEFAULT_LANES, build
from .networks import find_network
from .report import Steps, read_report

__all__ = ["add_build_arguments", "build_folder", "guarded", "main"]


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


def add_build_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what to build, the same wherever something is built."""
    parser.add_argument(
        "network", help="a trained recipe (runs/<recipe>), a folder, or a network.safetensors file"
    )
    parser.add_argument(
        "--lanes",
        type=int,
        default=DEFAULT_LANES,
        metavar="N",
        help="multiply-accumulate lanes to spend at most; the folding of every layer is solved for the "
        "fewest cycles an image that they allow (default %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder to write (default build/<network>)"
    )
    parser.add_argument("--force", action="store_true", help="write the folder even if it is up to date")


def build_folder(arguments: argparse.Namespace, name: str) -> Path:
    """The folder that the arguments ask for."""
    folder: Path = arguments.out or Path("build") / name
    return folder


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
    options = parser.parse_args(arguments)
    return guarded(lambda: int(options.run(options)))


def _build(arguments: argparse.Namespace) -> int:
    console = Console(stderr=True)
    source = find_network(arguments.network)
    folder = build_folder(arguments, source.name)
    plan = build(source, folder, arguments.lanes, Steps(console), force=arguments.force)
    told = read_report(folder)
    console.print(
        f"{folder}: {plan.macs:,} MACs on {plan.lanes} lanes, "
        f"{told['cycles_per_image']['predicted']} cycles an image, "
        f"lane efficiency {told['lane_efficiency']:.3f} (predicted; python -m sim proves it)",
        highlight=False,
        soft_wrap=True,
    )
    return 0
