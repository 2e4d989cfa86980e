"""The command line, `python -m model`: train, evaluate, list."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from codegen.errors import UserError
from codegen.files import write_atomically
from codegen.ir import load, load_test_set
from codegen.places import NETWORK, RUNS, TEST_SET, check_ours, missing, network_file
from codegen.program import COMMANDS, guarded, spelled, started_as
from model import folder as folders
from model import recipe as recipes
from model.hardware import obstacle
from model.health import EXAMINED, LayerHealth, examine
from model.job import carry_out, default_threads
from model.journal import Journal
from model.record import Score, asked

TOGETHER = 100  # images that are evaluated at once


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    return guarded(lambda: int(options.run(options)), options.interrupted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=started_as("model"),
        description="Train a network that computes with integers only, ready to become hardware.",
        epilog=f"Start with: {spelled('train', 'digits_w4a4')}   (about half a minute, no data to fetch)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_evaluate(commands)
    _add_results(commands)
    listing = commands.add_parser(
        "list",
        help=COMMANDS["list"][1],
        description="Show the shipped recipes, and what those trained here reached.",
    )
    listing.set_defaults(run=_list, interrupted="nothing was written")
    return parser


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help=COMMANDS["train"][1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""\
Train a recipe in four steps and write the integer network.

  float     the network without quantisers: a start, and a number to compare with
  teacher   DoReFa-quantised weights and activations, batch norm; learns from the labels
  student   the same layers in integers, no batch norm; imitates the teacher layer by layer
  export    the student as one file of integers, checked equal to it on every test image

It writes network.safetensors (the integer network), test.safetensors (held-out images as codes, with labels),
teacher.safetensors, metrics.jsonl (one line an epoch), curves.png and run.json. A run that is there already,
with the same recipe, seed, data and code, is not repeated. The same seed gives the same bytes on the same
machine. After every epoch there is a checkpoint: a run that was stopped in whatever way goes on with
--resume, and ends in the same bytes.

Several processes, on one host or more, share each batch:
  torchrun --nproc-per-node 2 -m model train RECIPE""",
        epilog=f"Next: {spelled('build', 'RECIPE')}",
    )
    parser.add_argument(
        "recipe",
        help="a name that `list` shows, or your own file ending in .toml; or a run that is there, by its "
        "folder or its network.safetensors, to train it once more",
    )
    parser.add_argument(
        "--seed",
        type=_seed,
        metavar="N",
        help="start of all random numbers; the split into training and test images does not depend "
        "on it (default 0, or that of the run)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder to write (default runs/<recipe>)")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="the folder of the data set: CIFAR-10 as its authors ship it, or pictures as "
        "train/<class>/*.jpg and test/<class>/*.jpg; the digits need none (scikit-learn's copy)",
    )
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run was stopped")
    parser.add_argument(
        "--teacher", type=Path, metavar="FILE", help="learn from the teacher.safetensors of an earlier run"
    )
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="where to train (default %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=_positive,
        metavar="N",
        help="of the CPU; bytes may differ with another number (default: all, 1 for images below 32x32)",
    )
    parser.add_argument("--force", action="store_true", help="train even if the same run is there already")
    parser.add_argument(
        "--for-hardware",
        action="store_true",
        help="stop before the first epoch if no hardware can be built of the network; without, that is said "
        "and the training goes on",
    )
    parser.set_defaults(
        run=_train,
        interrupted="no file is left half written. With --resume the same command goes on from the last "
        "whole epoch, without it starts again",
    )


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help=COMMANDS["evaluate"][1],
        description="Run an integer network on labelled images with the integer interpreter (no torch), and "
        " show the accuracy, what training counted, and how busy each layer's codes are: a layer whose "
        "codes are nearly all 0, or nearly all the highest, has collapsed.",
        epilog=f"Example: {spelled('evaluate', 'digits_w4a4')}",
    )
    parser.add_argument(
        "network", help="a trained recipe or its file, the folder of a run, or a network.safetensors file"
    )
    parser.add_argument(
        "--test",
        type=Path,
        metavar="FILE",
        help="the labelled images (default: test.safetensors beside the network)",
    )
    parser.set_defaults(run=_evaluate, interrupted="nothing was written")


def _add_results(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "results",
        help=COMMANDS["results"][1],
        description="Run everything that a study compares, each run once (an interrupted study goes on), and "
        "print its tables in Markdown, which also go to <out>/<study>.md. On two cores the digits take half "
        "an hour, CIFAR-10 most of a day.",
        epilog=f"Example: {spelled('results', 'digits')}",
    )
    parser.add_argument("study", choices=["digits", "cifar"])
    parser.add_argument("--data", type=Path, metavar="DIR", help="as for train")
    parser.add_argument("--threads", type=_positive, metavar="N", help="as for train")
    parser.add_argument(
        "--out",
        type=Path,
        default=RUNS / "results",
        metavar="DIR",
        help="where runs go (default %(default)s)",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="for those who keep docs/results.md: put the tables into their place in this file too",
    )
    parser.set_defaults(
        run=_results,
        interrupted="the same command goes on from the last whole epoch",
    )


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2^63 - 1, not '{text}'")
    return int(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not '{text}'")
    return int(text)


def _train(options: argparse.Namespace) -> int:
    wanted = asked(options.recipe)
    recipe, seed = wanted.recipe, wanted.seed if options.seed is None else options.seed
    folder: Path = options.out or wanted.folder
    digest = folders.run_digest(recipe, seed, options.data, options.teacher)
    folders.check_writable(folder)
    with folders.alone(folder):
        if not options.force and folders.is_finished(folder, digest):
            _say(f"{folder} is up to date: same recipe, seed {seed}, data and code (--force trains again)")
            return 0
        return _carry_out(options, recipe, seed, folder, digest)


def _carry_out(
    options: argparse.Namespace, recipe: recipes.Recipe, seed: int, folder: Path, digest: str
) -> int:
    from model.run import Settings

    threads = options.threads or default_threads(recipe)
    settings = Settings(folder, options.resume, options.device, threads, options.teacher)
    first = os.environ.get("RANK", "0") == "0"
    journal = Journal(Console(stderr=True, quiet=not first))
    lacking = obstacle(recipe) if first else None
    if lacking is not None:
        if options.for_hardware:
            raise UserError(f"hardware must be able to carry '{recipe.name}', and cannot: {lacking}")
        journal.say(f"note: no hardware can be built of this network: {lacking}")
    run = carry_out(recipe, seed, options.data, journal, settings, digest)
    if run is not None:  # the first process tells for the rest
        _say(f"{recipe.name}, seed {seed}: {run.correct.images:,} held-out images")
        Console().print(_score_table(run.correct))
        _say(f"stage 2 changed {run.changed.share:.1%} of the hidden layers' {run.changed.of:,} weights")
        _say(f"{run.seconds:.0f} s; written to {folder}")
    if lacking is not None:
        _say(f"no hardware can be built of it: {lacking}")
    return 0


def _score_table(correct: Score) -> Table:
    rows = {
        "float network": correct.float,
        "teacher": correct.teacher,
        "student after stage 1": correct.initial,
        "student": correct.student,
        "integer network": correct.network,
    }
    table = Table("", "correct", "accuracy", box=None, padding=(0, 2, 0, 0))
    for name, count in rows.items():
        if count is not None:
            table.add_row(name, str(count), f"{count / correct.images:.2%}")
    return table


def _results(options: argparse.Namespace) -> int:
    from model.results import Runner, study, write_section

    runner = Runner(options.out, options.data, options.threads, Console(stderr=True))
    text = study(options.study, runner)
    path = options.out / f"{options.study}.md"
    write_atomically(path, text.encode())
    if options.write is not None:
        write_section(options.write, options.study, text)
    print(text, end="")
    _say(f"written to {path}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    path = network_file(options.network)
    if path is None:
        raise missing(options.network)
    check_ours(path)
    network = load(path)
    test = load_test_set(options.test or path.with_name(TEST_SET))
    correct = 0
    with Journal(Console(stderr=True)).steps("evaluate", len(test.labels)) as seen:
        for start in range(0, len(test.labels), TOGETHER):
            some = slice(start, start + TOGETHER)
            correct += int((network.run(test.images[some]) == test.labels[some]).sum())
            seen(TOGETHER)
    _say(f"{network.name}: {correct} of {len(test.labels)} right, {correct / len(test.labels):.2%}")
    source = network.provenance
    if source is not None:
        _say(
            f"from recipe {source.recipe}, seed {source.seed}, {source.dataset}; in training the student got "
            f"{source.student_correct} of {source.test_images} right, its teacher {source.teacher_correct}"
        )
    Console().print(_health_table(examine(network, test.images[:EXAMINED])))
    return 0


def _health_table(layers: list[LayerHealth]) -> Table:
    table = Table(
        "layer",
        "codes that are 0",
        "that are the highest",
        "constant channels",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for layer in layers:
        table.add_row(
            layer.layer,
            f"{layer.zero:.1%}",
            f"{layer.saturated:.1%}",
            f"{layer.constant_channels} of {layer.channels}",
        )
    return table


def _list(_: argparse.Namespace) -> int:
    rows = [("recipe", "what it is", "trained here")]
    for name in recipes.shipped():
        rows.append((name, recipes.load(name).summary, _trained(RUNS / name / NETWORK)))
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, summary, trained in rows:
        _say(f"{name:<{first}}  {summary:<{second}}  {trained}")
    return 0


def _trained(path: Path) -> str:
    if not path.is_file():
        return "no"
    try:
        source = load(path).provenance
    except UserError:
        return "its file cannot be read"
    if source is None or source.student_correct is None or not source.test_images:
        return "yes"
    return f"{source.student_correct / source.test_images:.2%}, seed {source.seed}"


def _say(text: str) -> None:
    Console().print(text, highlight=False, soft_wrap=True, markup=False)
