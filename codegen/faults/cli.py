"""`python -m codegen faults`: flips bits of the weight memories and says what it costs."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from codegen.arguments import add_network_arguments, build_folder, build_source, count, seed
from codegen.errors import UserError
from codegen.program import COMMANDS, spelled

from .report import Study, study_table, write_study
from .study import correct_of, study, weighted

__all__ = ["add_faults"]

_RATES = "1e-4,3e-4,1e-3,3e-3,1e-2,3e-2,1e-1"


def add_faults(commands: Any) -> None:
    """The command that flips bits."""
    flipping = commands.add_parser(
        "faults",
        help=COMMANDS["faults"][1],
        description="Flip bits of the stored weight codes at random, each with the same probability, run the "
        "held-out images through the golden model of every network that this makes, and say what it costs in "
        "accuracy. Writes faults.json and faults.svg. The hardware of such a network, bit for bit, trial 0: "
        f"{spelled('sim', 'NETWORK --reloadable --flip RATE --seed SEED')}",
        epilog=f"Example: {spelled('faults', 'digits_w4a4 --rates 1e-3,1e-2 --by-layer')}",
    )
    add_network_arguments(flipping)
    flipping.add_argument(
        "--rates",
        type=_rates,
        default=_RATES,
        metavar="R,R,...",
        help="shares of the bits that flip (default %(default)s)",
    )
    flipping.add_argument("--trials", type=count, default=20, help="networks a rate (default %(default)s)")
    flipping.add_argument("--seed", type=seed, default=0, help="seed of the flips (default %(default)s)")
    flipping.add_argument("--images", type=count, metavar="N", help="held-out images to run (default all)")
    where = flipping.add_mutually_exclusive_group()
    where.add_argument("--layer", metavar="NAME", help="flip bits of this layer alone")
    where.add_argument("--by-layer", action="store_true", help="flip bits of one layer alone, each in turn")
    flipping.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder to write (default build/<network>-faults)"
    )
    flipping.set_defaults(run=_faults)


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


def _faults(arguments: argparse.Namespace) -> int:
    source, console = build_source(arguments), Console()
    if source.test_set is None:
        raise UserError(f"'{source.name}' must have held-out images beside it to be right or wrong; train it")
    test = source.test_set.sample(len(source.sample(arguments.images)))
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
    done = Study(source.name, arguments.seed, len(test.labels), correct_of(source.network, test), found)
    folder = build_folder(arguments, f"{source.name}-faults")
    write_study(done, folder)
    console.print(study_table(done))
    console.print(f"{folder}: faults.json, faults.svg", highlight=False, soft_wrap=True)
    return 0
